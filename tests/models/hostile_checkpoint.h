// Tiny checkpoints that contradict themselves: each is a golden one with one thing changed, written out as real
// files, opened, configured and loaded.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "support/checkpoint_copy.h"

namespace minke::models::testing {

struct HostileCheckpoint {
  std::string name;
  std::string base;  ///< under tests/golden
  std::function<void(test::CheckpointCopy&)> change;
  std::string item;  ///< must be part of the message
};

std::vector<HostileCheckpoint> hostile_expert_cases();
std::vector<HostileCheckpoint> hostile_latent_cases();
std::vector<HostileCheckpoint> hostile_fp8_cases();

/// A value of config.json, or of a GGUF's metadata.
inline HostileCheckpoint with_key(const std::string& base, const std::string& key, const boost::json::value& value,
                                  const std::string& item = {}) {
  return {base::cat(base, ": ", key, " = ", boost::json::serialize(value)), base,
          [=](test::CheckpointCopy& c) { c.config[key] = value; }, item.empty() ? key : item};
}
inline HostileCheckpoint with_gguf_key(const std::string& base, const std::string& key, const formats::GgufValue& value,
                                       const std::string& shown, const std::string& item = {}) {
  return {base::cat(base, ": ", key, " = ", shown), base,
          [=](test::CheckpointCopy& c) { c.keys.insert_or_assign(key, value); }, item.empty() ? key : item};
}
inline HostileCheckpoint with_int(const std::string& base, const std::string& key, std::int64_t value,
                                  const std::string& item = {}) {
  return with_gguf_key(base, key, formats::GgufValue(value), std::to_string(value), item);
}
inline HostileCheckpoint without(const std::string& base, const std::string& tensor) {
  return {base::cat(base, ": no ", tensor), base, [=](test::CheckpointCopy& c) { c.erase(tensor); }, tensor};
}
inline HostileCheckpoint reshaped(const std::string& base, const std::string& tensor,
                                  const std::vector<std::uint64_t>& shape) {
  std::string name = base::cat(base, ": ", tensor, " as");
  for (const std::uint64_t n : shape) name += base::cat(" ", n);
  return {name, base, [=](test::CheckpointCopy& c) { c.reshape(tensor, shape); }, tensor};
}
inline HostileCheckpoint poked(const std::string& base, const std::string& tensor, std::size_t element, float value) {
  return {base::cat(base, ": ", tensor, "[", element, "] = ", value), base,
          [=](test::CheckpointCopy& c) { c.poke(tensor, element, value); }, tensor};
}
/// One more tensor, a copy of another.
inline HostileCheckpoint copied(const std::string& base, const std::string& from, const std::string& to) {
  return {base::cat(base, ": ", to, " like ", from), base,
          [=](test::CheckpointCopy& c) {
            test::TensorCopy tensor = c.at(from);
            tensor.name = to;
            c.add(tensor);
          },
          to};
}

}  // namespace minke::models::testing
