// Opening what MODEL names: checkpoint, tokenizer, chat encoding.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/token_bytes.h"
#include "formats/checkpoint.h"
#include "hub/model_store.h"
#include "models/config.h"
#include "text/chat.h"
#include "text/tokenizer.h"

namespace minke::cli {

std::shared_ptr<const formats::Checkpoint> open_checkpoint(const hub::ModelStore& store, const std::string& model);

/// The configuration that SHAPE names: a path as it is; else NAME.json in data/shapes of the current folder or of one
/// above the program (a build folder is in its source tree); else a model of the store, with that one's errors.
std::string shape_path(const std::string& shape, const hub::ModelStore& store);

/// Whether `model` is a configuration without weights: a .json file, or a folder (given as a path, for names are looked
/// up in the store) with config.json alone.
bool is_configuration(const std::string& model);

/// The configuration at `path` (see shape_path), with or without weights beside it.
std::shared_ptr<const formats::Checkpoint> open_shape(const std::string& path);

/// What is needed to turn text into tokens and back.
struct TextModel {
  std::unique_ptr<text::Tokenizer> tokenizer;
  std::unique_ptr<text::ChatEncoding> encoding;  ///< null when it was not asked for
  std::string warning;                           ///< of the detection; may be empty
};

/// With the encoding that `choice` names, or the checkpoint's own. Its control tokens are marked in the tokenizer.
TextModel open_text_model(const formats::Checkpoint& checkpoint, std::optional<text::Encoding> choice);

/// Without an encoding: for text as it is. Every spelling that any family uses as a control token is marked.
TextModel open_plain_text(const formats::Checkpoint& checkpoint);

/// A tokenizer alone, of a MODEL, of a tokenizer.json, or of a folder that holds one. Control tokens are those of the
/// model's encoding, or, when none can be told, those of any family.
std::unique_ptr<text::Tokenizer> open_tokenizer(const hub::ModelStore& store, const std::string& model_or_json);

/// What the engine knows of text: for EngineOptions::token_bytes.
std::shared_ptr<const engine::TokenBytes> token_bytes(const text::Tokenizer& tokenizer);

/// Everything that ends a reply, each id once: the encoding's end tokens, the tokenizer's and the checkpoint's.
std::vector<text::TokenId> stop_tokens(const TextModel& text, const models::SamplingDefaults& defaults);

}  // namespace minke::cli
