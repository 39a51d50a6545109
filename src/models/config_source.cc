#include "models/config_source.h"

#include <cmath>

#include "base/error.h"
#include "models/config.h"

namespace minke::models {

namespace {

using base::cat;
using base::Error;
using base::ErrorCode;
namespace json = boost::json;

std::string_view kind_name(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return "null";
    case json::kind::bool_:
      return "a boolean";
    case json::kind::int64:
    case json::kind::uint64:
      return "an integer";
    case json::kind::double_:
      return "a number";
    case json::kind::string:
      return "a string";
    case json::kind::array:
      return "a list";
    case json::kind::object:
      return "an object";
  }
  return "something else";
}

[[noreturn]] void wrong_type(const std::string& where, std::string_view expected, const json::value& value) {
  throw Error(ErrorCode::format, cat(where, ": expected ", expected, ", got ", kind_name(value)));
}

}  // namespace

ConfigSource::ConfigSource(const formats::Checkpoint& checkpoint) : architecture_(architecture_name(checkpoint)) {
  if (checkpoint.kind() == formats::CheckpointKind::gguf) {
    gguf_ = &checkpoint.metadata();
    file_ = checkpoint.path();
  } else {
    json_ = &checkpoint.config();
    file_ = checkpoint.config_path();
  }
}

ConfigSource ConfigSource::inside(const json::object& object, std::string_view name) const {
  ConfigSource source;
  source.json_ = &object;
  source.file_ = file_;
  source.prefix_ = cat(prefix_, name, ".");
  source.architecture_ = architecture_;
  return source;
}

std::string ConfigSource::gguf_key(const KeyNames& key) const {
  if (key.gguf.empty()) return {};
  // "general.*" and "tokenizer.*" are absolute, everything else belongs to the architecture.
  if (key.gguf.starts_with("general.") || key.gguf.starts_with("tokenizer.")) return std::string(key.gguf);
  return cat(architecture_, ".", key.gguf);
}

std::string ConfigSource::where(const KeyNames& key) const {
  return is_gguf() ? cat(file_, ": ", gguf_key(key)) : cat(file_, ": ", prefix_, key.hf);
}

const json::value* ConfigSource::find_json(const KeyNames& key) const {
  for (const std::string_view name : {key.hf, key.hf_old}) {
    if (name.empty()) continue;
    if (const json::value* value = json_->if_contains(name); value && !value->is_null()) return value;
  }
  return nullptr;
}

bool ConfigSource::has(std::string_view hf_key) const { return json_ && find_json({hf_key, {}, {}}) != nullptr; }

std::optional<std::int64_t> ConfigSource::find_int(const KeyNames& key) const {
  if (is_gguf()) return key.gguf.empty() ? std::nullopt : gguf_->find_int(gguf_key(key));
  const json::value* value = find_json(key);
  if (!value) return std::nullopt;
  if (value->is_int64()) return value->get_int64();
  // Some writers put whole numbers as floats (10000.0).
  if (const double* number = value->if_double(); number && std::abs(*number) < 0x1p53 && std::trunc(*number) == *number)
    return static_cast<std::int64_t>(*number);
  wrong_type(where(key), "an integer", *value);
}

std::optional<double> ConfigSource::find_float(const KeyNames& key) const {
  std::optional<double> number;
  if (is_gguf()) {
    if (!key.gguf.empty()) number = gguf_->find_float(gguf_key(key));
  } else if (const json::value* value = find_json(key)) {
    if (!value->is_number()) wrong_type(where(key), "a number", *value);
    number = value->to_number<double>();
  }
  if (number && !std::isfinite(*number))
    throw Error(ErrorCode::format, cat(where(key), ": expected a finite number, got ", *number));
  return number;
}

std::optional<bool> ConfigSource::find_bool(const KeyNames& key) const {
  if (is_gguf()) return key.gguf.empty() ? std::nullopt : gguf_->find_bool(gguf_key(key));
  const json::value* value = find_json(key);
  if (!value) return std::nullopt;
  if (!value->is_bool()) wrong_type(where(key), "true or false", *value);
  return value->get_bool();
}

std::optional<std::string> ConfigSource::find_string(const KeyNames& key) const {
  if (is_gguf()) {
    if (key.gguf.empty()) return std::nullopt;
    const std::string* text = gguf_->find_string(gguf_key(key));
    return text ? std::optional(*text) : std::nullopt;
  }
  const json::value* value = find_json(key);
  if (!value) return std::nullopt;
  if (!value->is_string()) wrong_type(where(key), "a string", *value);
  return std::string(value->get_string());
}

const json::object* ConfigSource::find_object(std::string_view name) const {
  if (!json_) return nullptr;
  const json::value* value = find_json({name, {}, {}});
  if (!value) return nullptr;
  if (!value->is_object()) wrong_type(where({name, {}, {}}), "an object", *value);
  return &value->get_object();
}

}  // namespace minke::models
