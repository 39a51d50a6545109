#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <filesystem>
#include <map>
#include <set>
#include <vector>

#include "base/error.h"
#include "base/quote.h"
#include "base/read_file.h"
#include "formats/chat_template.h"
#include "formats/checkpoint_builder.h"
#include "formats/json.h"
#include "formats/safetensors.h"

namespace minke::formats {
namespace {

namespace json = boost::json;
using base::cat;
using base::Error;
using base::ErrorCode;
using base::quote_name;

// Sizes beyond every known file of the kind.
constexpr std::uint64_t kMaxConfigBytes = std::uint64_t{16} << 20;
constexpr std::uint64_t kMaxTokenizerConfigBytes = std::uint64_t{64} << 20;
constexpr std::uint64_t kMaxIndexBytes = std::uint64_t{256} << 20;
constexpr std::uint64_t kMaxTemplateBytes = std::uint64_t{4} << 20;

std::string_view view(json::string_view s) { return {s.data(), s.size()}; }

bool is_file(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored);
}

json::object read_if_there(const std::string& path, std::uint64_t max_bytes) {
  return is_file(path) ? read_json_object(path, max_bytes) : json::object();
}

/// Names in the folder that end in one of `endings`, sorted.
std::vector<std::string> names_ending(const std::string& folder, std::initializer_list<std::string_view> endings) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator it(folder, error);
  for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    std::string name = it->path().filename().string();
    if (std::any_of(endings.begin(), endings.end(), [&](std::string_view e) { return name.ends_with(e); }))
      names.push_back(std::move(name));
  }
  if (error) throw base::io_error(folder, "list the folder", error.value());
  std::sort(names.begin(), names.end());
  return names;
}

[[noreturn]] void fail_without_weights(const std::string& folder) {
  if (const auto ggufs = names_ending(folder, {".gguf"}); !ggufs.empty())
    throw Error(ErrorCode::invalid_argument, cat(folder, ": expected model.safetensors, got a folder with .gguf files"),
                cat("name the file: ", folder, "/", ggufs.front()));
  if (const auto pickles = names_ending(folder, {".bin", ".pt", ".pth", ".ckpt"}); !pickles.empty())
    throw Error(ErrorCode::unsupported,
                cat(folder, ": expected model.safetensors, got only PyTorch pickle files (",
                    quote_name(pickles.front()), "), which are not read"),
                "use the model's safetensors or GGUF files");
  if (const auto others = names_ending(folder, {".safetensors"}); !others.empty())
    throw Error(ErrorCode::not_found,
                cat(folder, ": there is neither model.safetensors nor model.safetensors.index.json, only ",
                    quote_name(others.front())),
                "fetch the index file, or rename a single file to model.safetensors");
  throw Error(ErrorCode::not_found,
              cat(folder, ": there is neither model.safetensors nor model.safetensors.index.json"));
}

TensorView to_view(SafetensorsEntry entry, const base::MappedFile& file) {
  const auto dtype = dtype_from_safetensors(entry.dtype_name);
  if (!dtype)
    throw Error(ErrorCode::unsupported,
                cat(file.path(), ": tensor ", quote_name(entry.name), ": dtype ", entry.dtype_name, " is not read"),
                "F32, F16, BF16 and F8_E4M3 are");
  TensorView tensor;
  tensor.name = std::move(entry.name);
  tensor.dtype = *dtype;
  tensor.shape = std::move(entry.shape);
  tensor.data = file.data().subspan(entry.offset, entry.bytes);
  tensor.file = &file;
  return tensor;
}

/// A shard must lie in the folder itself: an index is no way to other files of the machine.
void check_shard_name(const std::string& index_file, std::string_view tensor, std::string_view shard) {
  const bool plain = shard.find_first_of(std::string_view("/\\\0", 3)) == shard.npos && !shard.starts_with('.') &&
                     shard.size() <= 255 && shard.ends_with(".safetensors");
  if (!plain)
    throw Error(ErrorCode::format, cat(index_file, ": weight_map ", quote_name(tensor),
                                       ": expected the plain name of a .safetensors file, got ", quote_name(shard)));
}

struct WeightMap {
  json::object entries;                                    // tensor -> shard, all strings
  std::map<std::string, std::size_t, std::less<>> shards;  // shard -> tensors the index puts in it
};

WeightMap read_weight_map(const std::string& index_file) {
  json::object index = read_json_object(index_file, kMaxIndexBytes);
  json::value* weights = index.if_contains("weight_map");
  if (weights == nullptr || !weights->is_object())
    throw Error(ErrorCode::format, cat(index_file, ": weight_map: expected an object of tensor and file names"));
  WeightMap map{std::move(weights->get_object()), {}};
  if (map.entries.empty()) throw Error(ErrorCode::format, cat(index_file, ": weight_map: expected entries, got none"));
  for (const json::key_value_pair& item : map.entries) {
    if (!item.value().is_string())
      throw Error(ErrorCode::format,
                  cat(index_file, ": weight_map ", quote_name(view(item.key())), ": expected a file name"));
    const std::string_view shard = view(item.value().get_string());
    check_shard_name(index_file, view(item.key()), shard);
    auto it = map.shards.find(shard);
    if (it == map.shards.end()) it = map.shards.emplace(shard, 0).first;
    ++it->second;
  }
  return map;
}

void check_all_shards_are_there(const std::string& folder, const WeightMap& map) {
  std::size_t missing = 0;
  std::string_view first;
  for (const auto& [shard, tensors] : map.shards) {
    if (is_file(cat(folder, "/", shard))) continue;
    if (missing++ == 0) first = shard;
  }
  if (missing > 0)
    throw Error(ErrorCode::not_found,
                cat(folder, "/", first, ": the shard is missing (", missing, " of ", map.shards.size(),
                    " shards named by model.safetensors.index.json are)"),
                "fetch the model again");
}

/// The tensor that the index puts into `shard` and that is not among `present`.
std::string first_absent(const WeightMap& map, std::string_view shard, const std::set<std::string_view>& present) {
  for (const json::key_value_pair& item : map.entries)
    if (view(item.value().get_string()) == shard && !present.contains(view(item.key())))
      return quote_name(view(item.key()));
  return "''";
}

}  // namespace

void CheckpointBuilder::load_safetensors_folder() {
  const std::string& folder = checkpoint_->path_;
  const std::string single = folder + "/model.safetensors";
  const std::string index = folder + "/model.safetensors.index.json";
  // With both there, transformers takes the single file.
  const bool is_single = is_file(single);
  if (!is_single && !is_file(index)) fail_without_weights(folder);
  if (!is_file(folder + "/config.json"))
    throw Error(ErrorCode::not_found, cat(folder, "/config.json: there is no such file"),
                "a safetensors model is a folder with config.json and its weights");
  load_texts();
  if (is_single) {
    load_single(single);
  } else {
    load_sharded(index);
  }
}

void CheckpointBuilder::load_config(const std::string& file) {
  if (std::filesystem::path(file).filename() == "config.json") return load_texts();
  checkpoint_->config_path_ = file;
  checkpoint_->config_ = read_json_object(file, kMaxConfigBytes);
}

void CheckpointBuilder::load_texts() {
  Checkpoint& checkpoint = *checkpoint_;
  const std::string folder = checkpoint.path_ + "/";
  checkpoint.config_path_ = folder + "config.json";
  checkpoint.config_ = read_json_object(checkpoint.config_path_, kMaxConfigBytes);
  checkpoint.generation_config_ = read_if_there(folder + "generation_config.json", kMaxConfigBytes);
  checkpoint.tokenizer_config_ = read_if_there(folder + "tokenizer_config.json", kMaxTokenizerConfigBytes);
  if (is_file(folder + "tokenizer.json")) checkpoint.tokenizer_path_ = folder + "tokenizer.json";
  if (is_file(folder + "chat_template.jinja")) {
    checkpoint.chat_template_ = base::read_file(folder + "chat_template.jinja", kMaxTemplateBytes);
  } else {
    checkpoint.chat_template_ = chat_template_of(checkpoint.tokenizer_config_, folder + "tokenizer_config.json");
  }
}

void CheckpointBuilder::load_single(const std::string& path) {
  const base::MappedFile& file = map(path);
  std::vector<SafetensorsEntry> entries = parse_safetensors(file.data(), file.data().size(), path);
  checkpoint_->tensors_.reserve(entries.size());
  for (SafetensorsEntry& entry : entries) checkpoint_->tensors_.push_back(to_view(std::move(entry), file));
}

void CheckpointBuilder::load_sharded(const std::string& index_file) {
  const WeightMap map_of_weights = read_weight_map(index_file);
  check_all_shards_are_there(checkpoint_->path_, map_of_weights);
  checkpoint_->tensors_.reserve(map_of_weights.entries.size());
  for (const auto& [shard, expected] : map_of_weights.shards) {
    const base::MappedFile& file = map(cat(checkpoint_->path_, "/", shard));
    std::vector<SafetensorsEntry> entries = parse_safetensors(file.data(), file.data().size(), file.path());
    const std::size_t first = checkpoint_->tensors_.size();
    for (SafetensorsEntry& entry : entries) {
      const json::value* place = map_of_weights.entries.if_contains(entry.name);
      if (place == nullptr || view(place->get_string()) != shard)
        throw Error(ErrorCode::format,
                    cat(file.path(), ": tensor ", quote_name(entry.name), ": the index ",
                        place == nullptr ? std::string("does not list it")
                                         : cat("puts it into ", quote_name(view(place->get_string())))));
      checkpoint_->tensors_.push_back(to_view(std::move(entry), file));
    }
    const std::span<const TensorView> added = std::span(checkpoint_->tensors_).subspan(first);
    if (added.size() == expected) continue;
    std::set<std::string_view> present;
    for (const TensorView& tensor : added) present.insert(tensor.name);
    throw Error(ErrorCode::format,
                cat(file.path(), ": tensor ", first_absent(map_of_weights, shard, present),
                    " is missing: the index puts ", expected, " tensors into this file, which has ", added.size()));
  }
}

}  // namespace minke::formats
