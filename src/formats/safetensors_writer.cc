#include "formats/safetensors_writer.h"

#include <cstring>

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "base/bytes.h"
#include "base/error.h"

namespace minke::formats {
namespace {

using base::cat;

std::string quoted(const std::string& text) { return boost::json::serialize(boost::json::value(text)); }

std::string numbered(std::size_t number, std::size_t count) {
  const auto five = [](std::size_t n) {
    const std::string digits = cat(n);
    return std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits;
  };
  return cat("model-", five(number), "-of-", five(count), ".safetensors");
}

}  // namespace

FileLayout lay_out_safetensors(std::span<const TensorSpec> tensors) {
  FileLayout layout;
  std::string json = "{\"__metadata__\":{\"format\":\"pt\"}";
  std::uint64_t offset = 0;
  for (const TensorSpec& spec : tensors) {
    if (dtype_from_safetensors(info(spec.dtype).name) != spec.dtype)
      throw base::Error(base::ErrorCode::unsupported,
                        cat("tensor ", spec.name, ": a safetensors file cannot hold ", info(spec.dtype).name));
    const std::uint64_t end = base::checked_add(offset, data_bytes(spec), spec.name);
    json += cat(",", quoted(spec.name), ":{\"dtype\":\"", info(spec.dtype).name, "\",\"shape\":[");
    for (std::size_t i = 0; i < spec.shape.size(); ++i) json += cat(i == 0 ? "" : ",", spec.shape[i]);
    json += cat("],\"data_offsets\":[", offset, ",", end, "]}");
    layout.offsets.push_back(offset);
    offset = end;
  }
  json += "}";
  json.append((8 - json.size() % 8) % 8, ' ');  // trailing blanks are how the format aligns
  layout.header.resize(8);
  const std::uint64_t length = json.size();
  std::memcpy(layout.header.data(), &length, 8);
  layout.header += json;
  for (std::uint64_t& place : layout.offsets) place += layout.header.size();
  layout.size = base::checked_add(layout.header.size(), offset, "safetensors");
  return layout;
}

std::vector<Shard> cut_into_shards(std::span<const TensorSpec> tensors, std::uint64_t shard_bytes) {
  std::vector<Shard> shards;
  std::uint64_t used = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::uint64_t bytes = data_bytes(tensors[i]);
    if (shards.empty() || used > shard_bytes || bytes > shard_bytes - used) {
      shards.push_back({.file = {}, .first = i, .count = 0});
      used = 0;
    }
    ++shards.back().count;
    used = base::checked_add(used, bytes, tensors[i].name);
  }
  for (std::size_t i = 0; i < shards.size(); ++i)
    shards[i].file = shards.size() == 1 ? "model.safetensors" : numbered(i + 1, shards.size());
  return shards;
}

std::string safetensors_index(std::span<const TensorSpec> tensors, std::span<const Shard> shards) {
  std::uint64_t total = 0;
  for (const TensorSpec& spec : tensors) total = base::checked_add(total, data_bytes(spec), spec.name);
  std::string text = cat("{\n  \"metadata\": {\"total_size\": ", total, "},\n  \"weight_map\": {");
  bool first = true;
  for (const Shard& shard : shards)
    for (const TensorSpec& spec : tensors.subspan(shard.first, shard.count)) {
      text += cat(first ? "\n    " : ",\n    ", quoted(spec.name), ": ", quoted(shard.file));
      first = false;
    }
  return text + "\n  }\n}\n";
}

}  // namespace minke::formats
