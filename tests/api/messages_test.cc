// Anthropic's messages: requests, whole replies, events, errors.
#include <chrono>
#include <thread>

#include <gtest/gtest.h>

#include "api/messages_request.h"
#include "api/service.h"
#include "formats/json.h"
#include "support/fake_model.h"

namespace minke::api {
namespace {

namespace json = boost::json;
using test::FakeModel;
using test::Script;

const std::string kAsk = R"("model":"fake","max_tokens":50,"messages":[{"role":"user","content":"hi"}])";

MessagesRequest parse(const std::string& fields, bool counting = false) {
  const auto body = parse_body("{" + fields + "}");
  return parse_messages_request(Fields(body), counting);
}

std::string refused_param(const std::string& fields) {
  try {
    parse(fields);
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status(Dialect::anthropic), 400) << error.message();
    return error.param();
  }
  return "accepted";
}

TEST(MessagesRequest, ReadsBlocksAndSystem) {
  const MessagesRequest request = parse(R"("model":"m","max_tokens":5,"system":[
      {"type":"text","text":"x-anthropic-billing-header: cc_version=1; cch=abc"},
      {"type":"text","text":"Be kind.","cache_control":{"type":"ephemeral"}},{"type":"text","text":"Be brief."}],
    "messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
                {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"text","text":"c"}]},
                {"role":"user","content":"d"}],
    "stop_sequences":["x"],"metadata":{"user_id":"u"},"thinking":{"type":"enabled","budget_tokens":1024},"top_k":5)");
  ASSERT_EQ(request.messages.size(), 4u);
  EXPECT_EQ(request.messages[0].role, text::Role::system);
  EXPECT_EQ(request.messages[0].content, "Be kind.\n\nBe brief.") << "what changes per request is left out";
  EXPECT_EQ(request.messages[1].content, "ab");
  EXPECT_EQ(request.messages[2].reasoning, "hm");
  EXPECT_EQ(request.messages[2].content, "c");
  EXPECT_EQ(request.common.max_tokens, 5u);
  EXPECT_EQ(request.common.user, "u");
  EXPECT_EQ(request.thinking, text::Thinking::on);
  EXPECT_EQ(request.common.thinking_tokens, 1024u);
  EXPECT_EQ(parse(kAsk + R"(,"output_config":{"effort":"low"})").common.thinking_tokens, 1024u);
  EXPECT_EQ(parse(kAsk).thinking, text::Thinking::off);
}

TEST(MessagesRequest, RefusesByName) {
  EXPECT_EQ(refused_param(R"("model":"m","messages":[{"role":"user","content":"hi"}])"), "max_tokens");
  EXPECT_NO_THROW(parse(R"("model":"m","messages":[{"role":"user","content":"hi"}])", true));
  EXPECT_EQ(refused_param(R"("max_tokens":5,"messages":[{"role":"user","content":"hi"}])"), "model");
  EXPECT_EQ(refused_param(R"("model":"m","max_tokens":5)"), "messages");
  EXPECT_EQ(refused_param(R"("model":"m","max_tokens":5,"messages":[{"role":"tool","content":"hi"}])"),
            "messages[0].role");
  EXPECT_EQ(refused_param(R"("model":"m","max_tokens":5,"messages":[{"role":"user"}])"), "messages[0].content");
  EXPECT_EQ(refused_param(R"("model":"m","max_tokens":5,"messages":[{"role":"user","content":[{"type":"image"}]}])"),
            "messages[0].content[0].type");
  EXPECT_EQ(refused_param(kAsk + R"(,"tools":[{"input_schema":{}}])"), "tools[0]");
  EXPECT_EQ(refused_param(kAsk + R"(,"tool_choice":{"type":"any"})"), "tool_choice");
  EXPECT_EQ(refused_param(kAsk + R"(,"temperature":NaN)"), "temperature");
  EXPECT_EQ(refused_param(kAsk + R"(,"stop_sequences":[""])"), "stop_sequences[0]");
  EXPECT_EQ(refused_param(kAsk + R"(,"thinking":{"type":"much"})"), "thinking.type");
}

std::string answer(const FakeModel& fake, const std::string& fields, Stream::State expected = Stream::State::done) {
  const Service service(fake.model);
  const std::string body = "{" + fields + "}";
  Answer answer =
      service.messages({.dialect = Dialect::anthropic, .body = body, .identity = {"alice"}, .notify = [] {}});
  Stream& stream = *std::get<std::unique_ptr<Stream>>(answer);
  std::string out;
  for (;;) {
    const Stream::State state = stream.poll(out);
    if (state == Stream::State::waiting) {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    } else if (state != Stream::State::more) {
      EXPECT_EQ(state, expected);
      return out;
    }
  }
}

Script thinking_script() {
  Script script;
  script.tokens = {test::kThink, 'h', 'm', test::kThinkEnd, 'y', 'e', 's'};
  return script;
}

TEST(Messages, AWholeMessageHasBlocks) {
  const FakeModel fake = test::fake_model(thinking_script(), text::Encoding::qwen3);
  const json::object message = formats::parse_json(answer(fake, kAsk), "message").as_object();
  EXPECT_EQ(message.at("type").as_string(), "message");
  const json::array& content = message.at("content").as_array();
  ASSERT_EQ(content.size(), 2u);
  EXPECT_EQ(content.at(0).at("type").as_string(), "thinking");
  EXPECT_EQ(content.at(0).at("thinking").as_string(), "hm");
  EXPECT_EQ(content.at(1).at("text").as_string(), "yes");
  EXPECT_EQ(message.at("stop_reason").as_string(), "end_turn");
  EXPECT_EQ(message.at("usage").at("output_tokens").to_number<int>(), 8);
}

TEST(Messages, EventsOpenAndCloseTheirBlocks) {
  const FakeModel fake = test::fake_model(thinking_script(), text::Encoding::qwen3);
  const std::string bytes = answer(fake, kAsk + R"(,"stream":true)");
  std::string kinds;
  std::vector<json::object> events;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t line = bytes.find('\n', at), end = bytes.find("\n\n", at);
    const std::string name = bytes.substr(at + 7, line - at - 7);
    events.push_back(formats::parse_json(bytes.substr(line + 7, end - line - 7), "event").as_object());
    EXPECT_EQ(events.back().at("type").as_string(), name);
    kinds += name + " ";
    at = end + 2;
  }
  EXPECT_EQ(kinds,
            "message_start content_block_start content_block_delta content_block_delta content_block_stop "
            "content_block_start content_block_delta content_block_delta content_block_delta content_block_stop "
            "message_delta message_stop ");
  EXPECT_EQ(events.at(5).at("index").to_number<int>(), 1);
  EXPECT_EQ(events.at(10).at("delta").at("stop_reason").as_string(), "end_turn");
}

TEST(Messages, EndsSayWhy) {
  const FakeModel fake = test::fake_model({.text = "one END two", .endless = true});
  const json::object stopped =
      formats::parse_json(answer(fake, kAsk + R"(,"stop_sequences":["x","END"])"), "m").as_object();
  EXPECT_EQ(stopped.at("stop_reason").as_string(), "stop_sequence");
  EXPECT_EQ(stopped.at("stop_sequence").as_string(), "END");
  const FakeModel full = test::fake_model({.text = std::string(60, 'a')});
  EXPECT_EQ(formats::parse_json(answer(full, kAsk), "m").at("stop_reason").as_string(), "max_tokens");
  const FakeModel broken = test::fake_model({.text = "a", .error = "not finite"});
  EXPECT_NE(
      answer(broken, kAsk + R"(,"stream":true)", Stream::State::broken).find("event: error\ndata: {\"type\":\"error\""),
      std::string::npos);
}

TEST(Messages, CountTokensIsWhatTheMessageCosts) {
  const FakeModel fake = test::fake_model({.text = "x"});
  const Service service(fake.model);
  const std::string body = R"({"model":"claude-opus-9","messages":[{"role":"user","content":"hi"}]})";
  const Response count = service.count_tokens({.dialect = Dialect::anthropic, .body = body, .notify = [] {}});
  answer(fake, kAsk);
  EXPECT_EQ(formats::parse_json(count.body, "count").at("input_tokens").to_number<std::size_t>(),
            fake.generator->requests.at(0).tokens.size());
}

TEST(Messages, ErrorsHaveAnthropicsShape) {
  EXPECT_EQ(ApiError(Fault::invalid, "why").body(Dialect::anthropic),
            R"({"type":"error","error":{"type":"invalid_request_error","message":"why"}})");
}

}  // namespace
}  // namespace minke::api
