// A checkpoint in memory that a test changes in one place and writes out again as real files.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/cat.h"
#include "formats/checkpoint.h"

namespace minke::test {

struct TensorCopy {
  std::string name;
  std::string dtype;                 ///< safetensors' spelling, or GGUF's (F32 only)
  std::vector<std::uint64_t> shape;  ///< outermost first
  std::string data;
};

class CheckpointCopy {
 public:
  explicit CheckpointCopy(const std::string& path) {
    const auto source = formats::Checkpoint::open(path);
    gguf_ = source->kind() == formats::CheckpointKind::gguf;
    config = source->config();
    keys = source->metadata().values();
    for (const formats::TensorView& view : source->tensors())
      tensors.push_back({view.name, std::string(formats::info(view.dtype).name), view.shape,
                         std::string(reinterpret_cast<const char*>(view.data.data()), view.data.size())});
  }

  bool is_gguf() const { return gguf_; }

  TensorCopy& at(std::string_view name) {
    const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const auto& t) { return t.name == name; });
    if (found == tensors.end()) throw std::out_of_range(std::string(name));
    return *found;
  }
  void erase(std::string_view name) {
    at(name);  // a case that erases nothing would test nothing
    std::erase_if(tensors, [&](const TensorCopy& tensor) { return tensor.name == name; });
  }
  /// Another shape, the data cut or filled up with zeros.
  void reshape(std::string_view name, std::vector<std::uint64_t> shape) {
    TensorCopy& tensor = at(name);
    std::uint64_t before = 1, after = 1;
    for (const std::uint64_t n : tensor.shape) before *= n;
    for (const std::uint64_t n : shape) after *= n;
    tensor.data.resize(tensor.data.size() / before * after);
    tensor.shape = std::move(shape);
  }
  void add(TensorCopy tensor) { tensors.push_back(std::move(tensor)); }
  /// One fp32 element.
  void poke(std::string_view name, std::size_t element, float value) {
    std::memcpy(at(name).data.data() + 4 * element, &value, 4);
  }

  /// Writes config.json and model.safetensors, or m.gguf; returns the path to open.
  std::string write(const std::string& folder) const {
    if (gguf_) {
      put(folder + "/m.gguf", gguf_bytes());
      return folder + "/m.gguf";
    }
    put(folder + "/config.json", boost::json::serialize(config));
    put(folder + "/model.safetensors", safetensors_bytes());
    return folder;
  }

  boost::json::object config;                                   ///< safetensors
  std::map<std::string, formats::GgufValue, std::less<>> keys;  ///< GGUF
  std::vector<TensorCopy> tensors;

 private:
  static void put(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

  std::string safetensors_bytes() const {
    std::string header = "{", data;
    for (const TensorCopy& tensor : tensors) {
      boost::json::array shape(tensor.shape.begin(), tensor.shape.end());
      header += base::cat(header.size() > 1 ? "," : "", boost::json::serialize(tensor.name), ":{\"dtype\":\"",
                          tensor.dtype, "\",\"shape\":", boost::json::serialize(shape), ",\"data_offsets\":[",
                          data.size(), ",", data.size() + tensor.data.size(), "]}");
      data += tensor.data;
    }
    header += "}";
    return base::cat(raw<std::uint64_t>(header.size()), header, data);
  }

  std::string gguf_bytes() const {
    constexpr std::size_t kAlignment = 32;
    const auto pad = [](std::string& bytes) {
      bytes.resize((bytes.size() + kAlignment - 1) / kAlignment * kAlignment, '\0');
    };
    std::string out =
        base::cat("GGUF", raw<std::uint32_t>(3), raw<std::uint64_t>(tensors.size()), raw<std::uint64_t>(keys.size()));
    for (const auto& [key, value] : keys) out += text(key) + std::visit([](const auto& v) { return typed(v); }, value);
    std::string data;
    for (const TensorCopy& tensor : tensors) {
      out += text(tensor.name) + raw(static_cast<std::uint32_t>(tensor.shape.size()));
      for (auto n = tensor.shape.rbegin(); n != tensor.shape.rend(); ++n) out += raw(*n);
      if (tensor.dtype != "F32") throw std::invalid_argument(tensor.dtype);
      out += raw<std::uint32_t>(0) + raw<std::uint64_t>(data.size());
      data += tensor.data;
      pad(data);
    }
    pad(out);
    return out + data;
  }

  template <typename T>
  static std::string raw(T value) {
    std::string bytes(sizeof value, '\0');
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
  }
  static std::string text(std::string_view value) { return base::cat(raw<std::uint64_t>(value.size()), value); }

  // GGUF's numbers of types: 7 bool, 8 string, 9 array, 10 u64, 11 i64, 12 f64.
  static std::uint32_t type(bool) { return 7; }
  static std::uint32_t type(std::uint64_t) { return 10; }
  static std::uint32_t type(std::int64_t) { return 11; }
  static std::uint32_t type(double) { return 12; }
  static std::uint32_t type(const std::string&) { return 8; }
  template <typename T>
  static std::string bytes_of(const T& value) {
    if constexpr (std::is_same_v<T, std::string>)
      return text(value);
    else if constexpr (std::is_same_v<T, bool>)
      return raw(static_cast<std::uint8_t>(value));
    else
      return raw(value);
  }
  template <typename T>
  static std::string typed(const T& value) {
    return raw(type(value)) + bytes_of(value);
  }
  template <typename T>
  static std::string typed(const std::vector<T>& list) {
    std::string out = base::cat(raw<std::uint32_t>(9), raw(type(T{})), raw<std::uint64_t>(list.size()));
    for (const T& value : list) out += bytes_of(value);
    return out;
  }

  bool gguf_ = false;
};

}  // namespace minke::test
