// A model of the store, loaded for the API: engine, text and names.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "api/model.h"
#include "cli/chat_model.h"
#include "cli/options.h"
#include "engine/engine.h"

namespace minke::cli {

struct ServedModel {
  std::shared_ptr<const api::Model> model;
  engine::EngineInfo info;
};

/// How the API shows it.
struct ServedAs {
  std::string name;
  std::vector<std::string> aliases;
  ChatFlags chat;  ///< where a request says nothing of thinking; the date
};

/// Loads the weights.
ServedModel load_served_model(const std::shared_ptr<const formats::Checkpoint>& checkpoint, TextModel text,
                              const engine::EngineOptions& options, ServedAs as);

/// "qwen2.5-coder:1.5b" as it is, a path by its last part without ".gguf".
std::string served_name(const std::string& model);

}  // namespace minke::cli
