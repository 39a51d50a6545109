#include <utility>

#include "base/error.h"
#include "formats/chat_template.h"
#include "formats/checkpoint_builder.h"
#include "formats/json.h"
#include "formats/tiled.h"

namespace minke::formats {

using base::cat;
using base::Error;
using base::ErrorCode;

void CheckpointBuilder::load_tiled_texts(const TiledHeader& header) {
  Checkpoint& checkpoint = *checkpoint_;
  const auto source = [&](std::string_view name) { return cat(checkpoint.path_, ": ", name); };
  const std::string_view needed = tiled_texts(header.source).front().name;
  if (header.text(needed).empty()) throw Error(ErrorCode::format, cat(source(needed), ": the text is missing"));
  if (header.source == TiledSource::gguf) {
    const std::string_view text = header.text("metadata.gguf");
    GgufHeader gguf = parse_gguf(std::as_bytes(std::span(text)), text.size(), source("metadata.gguf"));
    if (!gguf.tensors.empty())
      throw Error(ErrorCode::format, cat(source("metadata.gguf"), ": expected no tensors, got ", gguf.tensors.size()));
    if (const std::string* chat_template = gguf.metadata.find_string("tokenizer.chat_template"))
      checkpoint.chat_template_ = *chat_template;
    checkpoint.metadata_ = std::move(gguf.metadata);
    return;
  }
  checkpoint.config_path_ = source("config.json");
  const auto object = [&](std::string_view name) {
    const std::string_view text = header.text(name);
    return text.empty() ? boost::json::object() : parse_json_object(text, source(name));
  };
  checkpoint.config_ = object("config.json");
  checkpoint.generation_config_ = object("generation_config.json");
  checkpoint.tokenizer_config_ = object("tokenizer_config.json");
  checkpoint.tokenizer_text_ = header.text("tokenizer.json");
  checkpoint.chat_template_ = header.text("chat_template.jinja");
  if (checkpoint.chat_template_.empty())
    checkpoint.chat_template_ = chat_template_of(checkpoint.tokenizer_config_, source("tokenizer_config.json"));
}

void CheckpointBuilder::load_tiled(const base::MappedFile& file) {
  TiledHeader header = parse_tiled(file.data(), file.path());
  checkpoint_->tiled_ = true;
  checkpoint_->kind_ = header.source == TiledSource::gguf ? CheckpointKind::gguf : CheckpointKind::safetensors;
  load_tiled_texts(header);
  checkpoint_->tensors_.reserve(header.tensors.size());
  for (TiledTensor& entry : header.tensors) {
    TensorView tensor;
    tensor.name = std::move(entry.name);
    tensor.dtype = entry.dtype;
    tensor.shape = std::move(entry.shape);
    tensor.data = file.data().subspan(entry.offset, entry.bytes);
    tensor.file = &file;
    tensor.tiled = entry.layout == TensorLayout::tiles;
    checkpoint_->tensors_.push_back(std::move(tensor));
  }
}

}  // namespace minke::formats
