#include "formats/checkpoint.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "base/quote.h"
#include "formats/checkpoint_builder.h"
#include "formats/tiled.h"

namespace minke::formats {
namespace {

using base::cat;
using base::Error;
using base::ErrorCode;
using base::quote_name;

constexpr std::string_view kUseOther = "use the model's safetensors or GGUF files";

bool ends_with_any(std::string_view name, std::initializer_list<std::string_view> endings) {
  return std::any_of(endings.begin(), endings.end(), [&](std::string_view e) { return name.ends_with(e); });
}

/// Python's pickle runs code when it is read; such files are never opened.
bool is_pickle_name(std::string_view name) { return ends_with_any(name, {".bin", ".pt", ".pth", ".ckpt", ".pkl"}); }

std::string_view place_of(const TensorView& tensor) {
  return tensor.file != nullptr ? std::string_view(tensor.file->path()) : std::string_view("the plan");
}

}  // namespace

std::uint64_t TensorView::elements() const noexcept {
  return std::accumulate(shape.begin(), shape.end(), std::uint64_t{1}, std::multiplies<>());
}

std::uint64_t TensorView::bytes() const noexcept {
  if (!data.empty()) return data.size();
  const DTypeInfo& type = info(dtype);
  return elements() / type.block_elements * type.block_bytes;
}

std::string TensorView::shape_text() const {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += cat(i == 0 ? "" : ", ", shape[i]);
  return text + "]";
}

std::shared_ptr<const Checkpoint> Checkpoint::open(const std::string& path) {
  std::error_code status_error;
  const std::filesystem::file_status status = std::filesystem::status(path, status_error);
  if (!std::filesystem::exists(status))
    throw Error(ErrorCode::not_found, cat(path, ": there is no such file or folder"));
  if (std::filesystem::is_directory(status)) {
    CheckpointBuilder builder(CheckpointKind::safetensors, path);
    builder.load_safetensors_folder();
    return builder.finish();
  }
  if (is_pickle_name(path))
    throw Error(ErrorCode::unsupported, cat(path, ": PyTorch pickle files are not read"), std::string(kUseOther));
  if (path.ends_with(".safetensors") || path.ends_with(".safetensors.index.json"))
    throw Error(ErrorCode::invalid_argument, cat(path, ": expected the model's folder, got one of its files"),
                "a safetensors model is opened by its folder, which also holds config.json");
  CheckpointBuilder builder(CheckpointKind::gguf, path);
  builder.load_file();
  return builder.finish();
}

std::shared_ptr<const Checkpoint> Checkpoint::open_config(const std::string& path) {
  std::error_code ignored;
  const bool folder = std::filesystem::is_directory(path, ignored);
  const std::string file = folder ? path + "/config.json" : path;
  if (!std::filesystem::exists(file, ignored)) throw Error(ErrorCode::not_found, cat(file, ": there is no such file"));
  const std::string parent = std::filesystem::path(path).parent_path().string();
  CheckpointBuilder builder(CheckpointKind::safetensors, folder ? path : parent.empty() ? "." : parent);
  builder.load_config(file);
  return builder.finish();
}

std::shared_ptr<const Checkpoint> Checkpoint::planned(const Checkpoint& config, CheckpointKind kind,
                                                      std::span<const TensorSpec> tensors) {
  CheckpointBuilder builder(kind, config.path());
  builder.plan(config, tensors);
  return builder.finish();
}

const TensorView* Checkpoint::find(std::string_view name) const noexcept {
  const auto it = std::lower_bound(by_name_.begin(), by_name_.end(), name,
                                   [this](std::uint32_t i, std::string_view n) { return tensors_[i].name < n; });
  return it != by_name_.end() && tensors_[*it].name == name ? &tensors_[*it] : nullptr;
}

const TensorView& Checkpoint::require(std::string_view name) const {
  if (const TensorView* tensor = find(name)) return *tensor;
  throw Error(ErrorCode::format, cat(path_, ": tensor ", quote_name(name), " is missing"));
}

std::uint64_t Checkpoint::tensor_bytes() const noexcept {
  std::uint64_t sum = 0;
  for (const TensorView& tensor : tensors_) sum += tensor.bytes();
  return sum;
}

void Checkpoint::check_files() const {
  for (const auto& file : files_) file->check();
}

CheckpointBuilder::CheckpointBuilder(CheckpointKind kind, std::string path) : checkpoint_(new Checkpoint) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  checkpoint_->kind_ = kind;
  checkpoint_->path_ = std::move(path);
}

void CheckpointBuilder::load_file() {
  const base::MappedFile& file = map(checkpoint_->path_);
  if (has_tiled_magic(file.data()) || file.path().ends_with(".minke")) {
    load_tiled(file);
  } else {
    load_gguf(file);
  }
}

const base::MappedFile& CheckpointBuilder::map(const std::string& path) {
  checkpoint_->files_.push_back(base::MappedFile::open(path));
  return *checkpoint_->files_.back();
}

void CheckpointBuilder::plan(const Checkpoint& config, std::span<const TensorSpec> tensors) {
  checkpoint_->config_ = config.config_;
  checkpoint_->config_path_ = config.config_path_;
  checkpoint_->tensors_.reserve(tensors.size());
  for (const TensorSpec& spec : tensors) {
    data_bytes(spec);  // throws where the row is no whole number of blocks
    TensorView tensor;
    tensor.name = spec.name;
    tensor.dtype = spec.dtype;
    tensor.shape = spec.shape;
    checkpoint_->tensors_.push_back(std::move(tensor));
  }
}

std::shared_ptr<const Checkpoint> CheckpointBuilder::finish() {
  const std::vector<TensorView>& tensors = checkpoint_->tensors_;
  std::vector<std::uint32_t>& order = checkpoint_->by_name_;
  order.resize(tensors.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return tensors[a].name < tensors[b].name; });
  const auto twice = std::adjacent_find(
      order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return tensors[a].name == tensors[b].name; });
  if (twice != order.end())
    throw Error(ErrorCode::format, cat(place_of(tensors[*twice]), ": tensor ", quote_name(tensors[*twice].name),
                                       " is also in ", place_of(tensors[*(twice + 1)])));
  checkpoint_->check_files();
  return std::move(checkpoint_);
}

}  // namespace minke::formats
