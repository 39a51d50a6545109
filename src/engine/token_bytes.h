// What tokens stand for, as bytes: what the engine knows of text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/request.h"

namespace minke::engine {

/// The bytes of every token of a vocabulary (perhaps a part of a character; empty: it stands for nothing), and which
/// tokens are control tokens. Never changed: an engine and its callers share one.
class TokenBytes {
 public:
  struct Entry {
    std::string_view bytes;
    bool control = false;
  };
  /// Tokens 0 to count - 1; `entry` is asked once about each.
  TokenBytes(std::size_t count, const std::function<Entry(TokenId)>& entry);

  std::size_t size() const noexcept { return control_.size(); }
  /// Empty for a token that the table does not have.
  std::string_view of(TokenId token) const noexcept {
    const auto i = static_cast<std::size_t>(token);
    if (i >= size()) return {};
    return std::string_view(bytes_).substr(ends_[i], ends_[i + 1] - ends_[i]);
  }
  bool is_control(TokenId token) const noexcept {
    return static_cast<std::size_t>(token) < size() && control_[static_cast<std::size_t>(token)];
  }

 private:
  std::string bytes_;
  std::vector<std::size_t> ends_;  ///< (count + 1), from 0
  std::vector<bool> control_;
};

}  // namespace minke::engine
