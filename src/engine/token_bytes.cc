#include "engine/token_bytes.h"

namespace minke::engine {

TokenBytes::TokenBytes(std::size_t count, const std::function<Entry(TokenId)>& entry) {
  ends_.reserve(count + 1);
  control_.reserve(count);
  ends_.push_back(0);
  for (std::size_t i = 0; i < count; ++i) {
    const Entry one = entry(static_cast<TokenId>(i));
    bytes_.append(one.bytes);
    ends_.push_back(bytes_.size());
    control_.push_back(one.control);
  }
}

}  // namespace minke::engine
