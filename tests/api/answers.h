// Reading answers of a scripted model to their end.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "api/service.h"
#include "formats/json.h"

namespace minke::api::testing {

namespace json = boost::json;

struct Outcome {
  std::string bytes;
  Stream::State state = Stream::State::waiting;
  std::optional<ApiError> error;
  Spent spent;
};

inline Outcome drain(Stream& stream) {
  Outcome outcome;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  do {
    outcome.state = stream.poll(outcome.bytes);
    if (outcome.state == Stream::State::waiting) std::this_thread::sleep_for(std::chrono::microseconds(200));
  } while ((outcome.state == Stream::State::waiting || outcome.state == Stream::State::more) &&
           std::chrono::steady_clock::now() < deadline);
  outcome.error = stream.error();
  outcome.spent = stream.spent();
  return outcome;
}

inline Call call_of(const std::string& body, Dialect dialect = Dialect::openai) {
  return {.dialect = dialect, .body = body, .identity = {"alice"}, .notify = [] {}};
}

inline json::object object_of(const std::string& text) { return formats::parse_json(text, "response").as_object(); }

inline std::string text_at(const json::object& object, const char* key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string().c_str()) : std::string();
}

/// An event with a name: "event: NAME", then "data: {...}" whose "type" is the name.
struct Named {
  std::string name;
  json::object data;
};

inline std::vector<Named> named_events(const std::string& bytes) {
  std::vector<Named> events;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t end = bytes.find("\n\n", at), middle = bytes.find("\ndata: ", at);
    EXPECT_TRUE(end != std::string::npos && middle < end && bytes.compare(at, 7, "event: ") == 0) << bytes.substr(at);
    if (end == std::string::npos || middle >= end) break;
    Named event{bytes.substr(at + 7, middle - at - 7), object_of(bytes.substr(middle + 7, end - middle - 7))};
    EXPECT_EQ(text_at(event.data, "type"), event.name);
    events.push_back(std::move(event));
    at = end + 2;
  }
  return events;
}

}  // namespace minke::api::testing
