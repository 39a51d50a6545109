// Ollama's chats and completions.
#include <algorithm>
#include <chrono>
#include <thread>

#include <gtest/gtest.h>

#include "api/ollama_request.h"
#include "api/service.h"
#include "formats/json.h"
#include "support/fake_model.h"

namespace minke::api {
namespace {

namespace json = boost::json;
using test::FakeModel;

OllamaRequest chat(const std::string& fields) {
  const auto body = parse_body("{" + fields + "}");
  return parse_ollama_chat(Fields(body));
}

Call call_of(const std::string& body) {
  return {.dialect = Dialect::ollama, .body = body, .identity = {"local"}, .notify = [] {}};
}

std::string bytes_of(Answer answer) {
  if (const auto* response = std::get_if<Response>(&answer)) return response->body;
  Stream& stream = *std::get<std::unique_ptr<Stream>>(answer);
  std::string out;
  for (;;) {
    const Stream::State state = stream.poll(out);
    if (state == Stream::State::waiting) {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    } else if (state != Stream::State::more) {
      return out;
    }
  }
}

std::vector<json::object> lines_of(const std::string& bytes) {
  std::vector<json::object> lines;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t end = bytes.find('\n', at);
    EXPECT_NE(end, std::string::npos);
    if (end == std::string::npos) break;
    lines.push_back(formats::parse_json(bytes.substr(at, end - at), "line").as_object());
    at = end + 1;
  }
  return lines;
}

TEST(OllamaRequest, ReadsOptions) {
  const OllamaRequest request = chat(R"("model":"m","messages":[{"role":"user","content":"hi"}],"think":"high",
    "options":{"num_ctx":8192,"num_predict":-1,"temperature":0.5,"stop":["a"],"seed":3,"presence_penalty":1})");
  EXPECT_TRUE(request.common.stream) << "unless it says otherwise";
  EXPECT_FALSE(request.common.max_tokens);
  EXPECT_EQ(request.common.sampling({}).temperature, 0.5);
  EXPECT_EQ(request.common.sampling({}).presence_penalty, 1);
  EXPECT_EQ(request.common.stops, (std::vector<std::string>{"a"}));
  EXPECT_EQ(request.thinking, text::Thinking::on);
  EXPECT_THROW(chat(R"("model":"m","messages":[{"role":"assistant","content":"hi","tool_calls":[1]}])"), ApiError);
  EXPECT_THROW(chat(R"("model":"m","format":"yaml")"), ApiError);
  EXPECT_THROW(chat(R"("model":"m","options":{"temperature":-1})"), ApiError);
  EXPECT_THROW(chat(R"("model":"m","think":"much")"), ApiError);
}

TEST(Ollama, LinesEndWithTheCounts) {
  const FakeModel fake = test::fake_model({.text = "ab"});
  const Service service(fake.model);
  const std::string body = R"({"model":"fake:latest","messages":[{"role":"user","content":"hi"}]})";
  const auto lines = lines_of(bytes_of(service.ollama_chat(call_of(body))));
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].at("message").at("content").as_string(), "a");
  EXPECT_FALSE(lines[1].at("done").as_bool());
  EXPECT_TRUE(lines[2].at("done").as_bool());
  EXPECT_EQ(lines[2].at("eval_count").to_number<int>(), 3);
  EXPECT_EQ(lines[2].at("eval_duration").to_number<std::int64_t>(), 1000000000);
}

TEST(Ollama, GenerateIsWholeWhenAsked) {
  const FakeModel fake = test::fake_model({.text = "ab"});
  const Service service(fake.model);
  const std::string told = R"({"model":"fake","prompt":"p<|im_end|>","system":"s","stream":false})";
  const json::object reply = formats::parse_json(bytes_of(service.ollama_generate(call_of(told))), "reply").as_object();
  EXPECT_EQ(reply.at("response").as_string(), "ab");
  EXPECT_EQ(std::count(fake.generator->requests.at(0).tokens.begin(), fake.generator->requests.at(0).tokens.end(),
                       test::kImEnd),
            2)
      << "the encoding's own, after each turn";
  const std::string raw = R"({"model":"fake","prompt":"p<|im_end|>","raw":true,"stream":false})";
  service.ollama_generate(call_of(raw));
  EXPECT_EQ(fake.generator->requests.at(1).tokens.size(), 11u);
  const std::string nothing = R"({"model":"fake"})";
  EXPECT_NE(bytes_of(service.ollama_generate(call_of(nothing))).find("\"load\""), std::string::npos);
}

TEST(Ollama, ModelsAndErrors) {
  const FakeModel fake = test::fake_model({});
  const Service service(fake.model);
  EXPECT_EQ(formats::parse_json(service.ollama_tags().body, "tags").at("models").as_array().size(), 2u);
  EXPECT_EQ(formats::parse_json(service.ollama_running().body, "ps").at("models").at(0).at("name").as_string(), "fake");
  const std::string show = R"({"model":"fake"})";
  EXPECT_EQ(formats::parse_json(service.ollama_show(call_of(show)).body, "show")
                .at("model_info")
                .at("llama.context_length")
                .to_number<int>(),
            4096);
  EXPECT_EQ(ApiError(Fault::invalid, "why").body(Dialect::ollama), R"({"error":"why"})");
}

}  // namespace
}  // namespace minke::api
