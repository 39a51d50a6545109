// Replies with tool calls as they were drawn, kept until their results come back.
#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/chat.h"

namespace minke::api {

/// A client sends a reply back with the results of its calls, but not as it was drawn: it spaces the arguments anew,
/// and many leave out the thinking. Rendered from that, the prompt would part from the cached prefix at the first call.
/// Kept under the owner and the ids of the calls, which are random; bounded in number, bytes and time. A conversation
/// may go on with another model: that one gets the thinking, which is text, and not the tokens, which it could not
/// read. Any thread.
class CallStore {
 public:
  using Clock = std::chrono::steady_clock;

  struct Limits {
    std::size_t replies = 4096;
    std::size_t bytes = std::size_t{64} << 20;
    std::chrono::seconds age = std::chrono::hours(4);
  };

  CallStore() = default;
  explicit CallStore(const Limits& limits) : limits_(limits) {}

  /// `reply`: the message as it was sent, with the ids of its calls, and `sampled`; `model`: what drew it, a name that
  /// stands for its vocabulary. Without calls nothing is kept.
  void keep(std::string_view owner, std::string_view model, text::Message reply, Clock::time_point now = Clock::now());

  /// Completes the assistant's messages that this owner was sent: the thinking where it was left out, and what was
  /// drawn where `model` drew it and the message still says the same.
  void restore(std::string_view owner, std::string_view model, std::vector<text::Message>& messages,
               Clock::time_point now = Clock::now());

  std::size_t size() const;

 private:
  struct Entry {
    std::vector<std::string> keys;
    std::string model;
    std::shared_ptr<const text::Message> reply;
    std::size_t bytes = 0;
    Clock::time_point used;
  };

  void trim(Clock::time_point now);

  Limits limits_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // the last used first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_key_;
  std::size_t bytes_ = 0;
};

}  // namespace minke::api
