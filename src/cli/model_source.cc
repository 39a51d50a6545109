#include "cli/model_source.h"

#include <algorithm>
#include <filesystem>
#include <limits>

#include "base/error.h"
#include "cli/text_file.h"

namespace minke::cli {
namespace {

constexpr std::uint64_t kMaxTokenizerFile = std::uint64_t{256} << 20;

void mark_control(text::Tokenizer& tokenizer, const text::ChatEncoding& encoding) {
  for (const std::string_view spelling : encoding.control_tokens()) tokenizer.mark_control(spelling);
}

void mark_every_control(text::Tokenizer& tokenizer) {
  for (const std::string_view name : text::encoding_names()) {
    if (const auto kind = text::encoding_from_name(name)) {
      mark_control(tokenizer, *text::ChatEncoding::create(*kind));
    }
  }
}

/// The tokenizer.json that `argument` names; empty when it is a model.
std::string tokenizer_file(const std::string& argument) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::path path(argument);
  if (path.extension() == ".json" && fs::is_regular_file(path, ignored)) return argument;
  const bool lone = fs::is_regular_file(path / "tokenizer.json", ignored) && !fs::exists(path / "config.json", ignored);
  return lone ? (path / "tokenizer.json").string() : std::string();
}

}  // namespace

std::shared_ptr<const formats::Checkpoint> open_checkpoint(const hub::ModelStore& store, const std::string& model) {
  return formats::Checkpoint::open(store.resolve(model));
}

std::string shape_path(const std::string& shape, const hub::ModelStore& store) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (fs::exists(shape, ignored)) return shape;
  if (shape.find('/') == std::string::npos) {
    const std::string name = shape + ".json";
    const fs::path file = fs::path("data") / "shapes" / name;
    if (fs::is_regular_file(file, ignored)) return file.string();
    fs::path folder = fs::read_symlink("/proc/self/exe", ignored).parent_path();
    const fs::path installed = folder / ".." / "share" / "minke" / "shapes" / name;
    if (fs::is_regular_file(installed, ignored)) return installed.string();
    for (; !folder.empty() && folder != folder.root_path(); folder = folder.parent_path()) {
      if (fs::is_regular_file(folder / file, ignored)) return (folder / file).string();
    }
  }
  return store.resolve(shape);
}

bool is_configuration(const std::string& model) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::path path(model);
  if (path.extension() == ".json") return !model.ends_with(".index.json") && fs::is_regular_file(path, ignored);
  const bool by_path = model.find('/') != std::string::npos || model == "." || model == "..";
  if (!by_path || !fs::is_regular_file(path / "config.json", ignored)) return false;
  if (fs::exists(path / "model.safetensors", ignored) || fs::exists(path / "model.safetensors.index.json", ignored))
    return false;
  for (fs::directory_iterator it(path, ignored), end; it != end; it.increment(ignored))
    if (it->path().extension() == ".gguf" || it->path().extension() == ".safetensors" ||
        it->path().extension() == ".minke")
      return false;
  return true;
}

std::shared_ptr<const formats::Checkpoint> open_shape(const std::string& path) {
  return is_configuration(path) ? formats::Checkpoint::open_config(path) : formats::Checkpoint::open(path);
}

TextModel open_text_model(const formats::Checkpoint& checkpoint, std::optional<text::Encoding> choice) {
  TextModel result;
  result.tokenizer = text::Tokenizer::open(checkpoint);
  if (choice) {
    result.encoding = text::ChatEncoding::create(*choice);
  } else {
    auto detected = text::ChatEncoding::detect(checkpoint.chat_template(), models::architecture_name(checkpoint),
                                               *result.tokenizer);
    result.encoding = std::move(detected.encoding);
    result.warning = std::move(detected.warning);
  }
  mark_control(*result.tokenizer, *result.encoding);
  return result;
}

TextModel open_plain_text(const formats::Checkpoint& checkpoint) {
  TextModel result;
  result.tokenizer = text::Tokenizer::open(checkpoint);
  mark_every_control(*result.tokenizer);
  return result;
}

std::unique_ptr<text::Tokenizer> open_tokenizer(const hub::ModelStore& store, const std::string& model_or_json) {
  if (const std::string file = tokenizer_file(model_or_json); !file.empty()) {
    auto tokenizer = text::Tokenizer::from_json(read_text_file(file, kMaxTokenizerFile), file);
    mark_every_control(*tokenizer);
    return tokenizer;
  }
  const auto checkpoint = open_checkpoint(store, model_or_json);
  auto tokenizer = text::Tokenizer::open(*checkpoint);
  try {
    const auto detected =
        text::ChatEncoding::detect(checkpoint->chat_template(), models::architecture_name(*checkpoint), *tokenizer);
    mark_control(*tokenizer, *detected.encoding);
  } catch (const base::Error& error) {
    // A base model without a chat encoding has a tokenizer all the same.
    if (error.code() != base::ErrorCode::unsupported) throw;
    mark_every_control(*tokenizer);
  }
  return tokenizer;
}

std::shared_ptr<const engine::TokenBytes> token_bytes(const text::Tokenizer& tokenizer) {
  return std::make_shared<engine::TokenBytes>(tokenizer.vocab_size(), [&tokenizer](engine::TokenId id) {
    return engine::TokenBytes::Entry{.bytes = tokenizer.piece(id), .control = tokenizer.is_control(id)};
  });
}

std::vector<text::TokenId> stop_tokens(const TextModel& text, const models::SamplingDefaults& defaults) {
  std::vector<text::TokenId> ids = text.tokenizer->eos();
  if (text.encoding) {
    for (const std::string_view spelling : text.encoding->end_tokens()) {
      if (const auto id = text.tokenizer->find(spelling)) ids.push_back(*id);
    }
  }
  for (const std::int64_t id : defaults.eos_token_ids) {
    if (id >= 0 && id <= std::numeric_limits<text::TokenId>::max()) ids.push_back(static_cast<text::TokenId>(id));
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace minke::cli
