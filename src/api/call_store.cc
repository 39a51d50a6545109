#include "api/call_store.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/cat.h"
#include "text/python_json.h"

namespace minke::api {
namespace {

// Owners may hold anything: their length parts them from the id.
std::string key_of(std::string_view owner, std::string_view id) { return base::cat(owner.size(), ":", owner, ":", id); }

std::size_t bytes_of(const text::Message& reply) {
  std::size_t bytes = 512 + reply.content.size() + reply.reasoning.value_or("").size();  // 512: the entry itself
  for (const text::ToolCall& call : reply.tool_calls) {
    bytes += 256 + 2 * call.id.size() + call.name.size() + call.arguments.size();
  }
  if (reply.sampled) {
    bytes += reply.sampled->text.size() + reply.sampled->tokens.size() * sizeof(text::TokenId);
    for (const text::PromptPiece& piece : reply.sampled->opening) bytes += piece.text.size() + sizeof piece;
  }
  return bytes;
}

// Clients parse the arguments and write them anew: other spaces are the same call.
bool same_arguments(const std::string& a, const std::string& b) {
  if (a == b) return true;
  const auto left = text::python_json(a);
  return left && left == text::python_json(b);
}

bool same_calls(const text::Message& a, const text::Message& b) {
  return std::ranges::equal(a.tool_calls, b.tool_calls, [](const text::ToolCall& x, const text::ToolCall& y) {
    return x.id == y.id && x.name == y.name && same_arguments(x.arguments, y.arguments);
  });
}

}  // namespace

void CallStore::keep(std::string_view owner, std::string_view model, text::Message reply, Clock::time_point now) {
  if (reply.tool_calls.empty()) return;
  Entry entry;
  for (const text::ToolCall& call : reply.tool_calls) entry.keys.push_back(key_of(owner, call.id));
  entry.model = model;
  entry.bytes = bytes_of(reply) + model.size() + entry.keys.size() * 2 * entry.keys.front().size();
  entry.reply = std::make_shared<const text::Message>(std::move(reply));
  entry.used = now;
  const std::lock_guard lock(mutex_);
  bytes_ += entry.bytes;
  entries_.push_front(std::move(entry));
  for (const std::string& key : entries_.front().keys) by_key_[key] = entries_.begin();
  trim(now);
}

void CallStore::restore(std::string_view owner, std::string_view model, std::vector<text::Message>& messages,
                        Clock::time_point now) {
  for (text::Message& message : messages) {
    if (message.tool_calls.empty()) continue;
    std::shared_ptr<const text::Message> reply;
    bool same_model = false;
    {
      const std::lock_guard lock(mutex_);
      trim(now);
      const auto found = by_key_.find(key_of(owner, message.tool_calls.front().id));
      if (found == by_key_.end()) continue;
      found->second->used = now;
      entries_.splice(entries_.begin(), entries_, found->second);
      reply = found->second->reply;
      same_model = found->second->model == model;
    }
    const bool thought = !message.reasoning || *message.reasoning == reply->reasoning.value_or("");
    if (!message.reasoning) message.reasoning = reply->reasoning;
    const bool as_drawn = same_model && thought && message.content == reply->content;
    if (as_drawn && same_calls(message, *reply)) message.sampled = reply->sampled;
  }
}

std::size_t CallStore::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

// With the lock held.
void CallStore::trim(Clock::time_point now) {
  while (!entries_.empty() &&
         (entries_.size() > limits_.replies || bytes_ > limits_.bytes || now - entries_.back().used > limits_.age)) {
    for (const std::string& key : entries_.back().keys) {
      const auto found = by_key_.find(key);
      if (found != by_key_.end() && found->second == std::prev(entries_.end())) by_key_.erase(found);
    }
    bytes_ -= entries_.back().bytes;
    entries_.pop_back();
  }
}

}  // namespace minke::api
