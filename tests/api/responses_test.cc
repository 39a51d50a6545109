// OpenAI's responses: requests, whole replies, events.
#include <gtest/gtest.h>

#include "api/answers.h"
#include "api/responses_request.h"
#include "support/fake_model.h"

namespace minke::api {
namespace {

namespace json = boost::json;
using test::FakeModel;
using test::Script;
using testing::call_of;
using testing::drain;
using testing::Named;
using testing::named_events;
using testing::object_of;
using testing::Outcome;
using testing::text_at;

ResponsesRequest parse(const std::string& fields) {
  const auto body = parse_body("{" + fields + "}");
  return parse_responses_request(Fields(body));
}

std::string refused_param(const std::string& fields) {
  try {
    parse(fields);
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status(Dialect::openai), 400) << error.message();
    return error.param();
  }
  return "accepted";
}

Outcome ask(const FakeModel& fake, const std::string& fields) {
  const Service service(fake.model);
  const std::string body = R"({"model":"fake","input":"hi")" + (fields.empty() ? "" : "," + fields) + "}";
  Answer answer = service.responses(call_of(body));
  return drain(*std::get<1>(answer));
}

std::vector<std::string> names_of(const std::vector<Named>& events) {
  std::vector<std::string> names;
  for (const Named& event : events) names.push_back(event.name.substr(event.name.find('.') + 1));
  return names;
}

TEST(ResponsesRequest, ReadsItems) {
  const ResponsesRequest request = parse(R"("model":"m","instructions":"Be kind.","input":[
      {"role":"developer","content":"d"},
      {"type":"message","role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_text","text":"b"}]},
      {"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"hm"}]},
      {"type":"message","role":"assistant","content":[{"type":"output_text","text":"c","annotations":[]}]},
      {"type":"web_search_call","id":"ws_1","status":"completed"},
      {"role":"user","content":"e"}],
    "max_output_tokens":7,"store":true,"include":["reasoning.encrypted_content","message.output_text.logprobs"],
    "top_logprobs":2,"reasoning":{"effort":"none"},"tools":[{"type":"web_search"}],"user":"u","unknown":1)");
  ASSERT_EQ(request.messages.size(), 5u);
  EXPECT_EQ(request.messages[0].content, "Be kind.");
  EXPECT_EQ(request.messages[1].role, text::Role::system);
  EXPECT_EQ(request.messages[2].content, "ab");
  EXPECT_EQ(request.messages[3].reasoning, "hm");
  EXPECT_EQ(request.messages[3].content, "c");
  EXPECT_FALSE(request.messages[4].reasoning);
  EXPECT_EQ(request.common.max_tokens, 7u);
  EXPECT_EQ(request.logprobs, 2u);
  EXPECT_EQ(request.thinking, text::Thinking::off);
  EXPECT_EQ(request.common.user, "u");
}

TEST(ResponsesRequest, RefusesByName) {
  EXPECT_EQ(refused_param(R"("input":"x")"), "model");
  EXPECT_EQ(refused_param(R"("model":"m")"), "input");
  EXPECT_EQ(refused_param(R"("model":"m","input":[])"), "input");
  EXPECT_EQ(refused_param(R"("model":"m","input":[{"role":"king","content":"x"}])"), "input[0].role");
  EXPECT_EQ(refused_param(R"("model":"m","input":"x","previous_response_id":"resp_1")"), "previous_response_id");
  EXPECT_EQ(refused_param(R"("model":"m","input":"x","background":true)"), "background");
  EXPECT_EQ(refused_param(R"("model":"m","input":"x","max_output_tokens":0)"), "max_output_tokens");
  EXPECT_EQ(refused_param(R"("model":"m","input":[{"type":"item_reference","id":"msg_1"}])"), "input[0].type");
  EXPECT_EQ(refused_param(R"("model":"m","input":"x","background":false,"previous_response_id":null)"), "accepted");
}

TEST(Responses, AWholeOne) {
  const FakeModel fake = test::fake_model({.text = "hello", .cached = 16});
  const json::object reply = object_of(ask(fake, R"("temperature":0.5,"metadata":{"k":"v"})").bytes);
  EXPECT_EQ(text_at(reply, "object"), "response");
  EXPECT_EQ(text_at(reply, "status"), "completed");
  EXPECT_FALSE(reply.at("store").as_bool());
  EXPECT_EQ(reply.at("temperature").as_double(), 0.5);
  EXPECT_EQ(text_at(reply.at("metadata").as_object(), "k"), "v");
  const json::object& item = reply.at("output").at(0).as_object();
  EXPECT_EQ(text_at(item, "role"), "assistant");
  EXPECT_EQ(text_at(item.at("content").at(0).as_object(), "text"), "hello");
  const json::object& usage = reply.at("usage").as_object();
  EXPECT_EQ(usage.at("output_tokens").to_number<int>(), 6);
  EXPECT_EQ(usage.at("input_tokens_details").at("cached_tokens").to_number<int>(), 16);
}

TEST(Responses, EventsOfAReplyThatThinks) {
  Script script;
  script.tokens = {test::kThink, 'h', 'm', test::kThinkEnd, 'y', 'o'};
  const FakeModel fake = test::fake_model(script, text::Encoding::qwen3);
  const auto events = named_events(ask(fake, R"("stream":true)").bytes);
  EXPECT_EQ(names_of(events),
            (std::vector<std::string>{"created", "in_progress", "output_item.added", "content_part.added",
                                      "reasoning_text.delta", "reasoning_text.delta", "reasoning_text.done",
                                      "content_part.done", "output_item.done", "output_item.added",
                                      "content_part.added", "output_text.delta", "output_text.delta",
                                      "output_text.done", "content_part.done", "output_item.done", "completed"}));
  for (std::size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].data.at("sequence_number").to_number<std::size_t>(), i);
  }
  EXPECT_EQ(events[9].data.at("output_index").to_number<int>(), 1);
  EXPECT_EQ(events[12].data.at("item_id"), events[9].data.at("item").at("id"));
  const json::array& output = events.back().data.at("response").at("output").as_array();
  ASSERT_EQ(output.size(), 2u);
  EXPECT_EQ(text_at(output.at(0).at("content").at(0).as_object(), "text"), "hm");
  EXPECT_EQ(text_at(output.at(1).at("content").at(0).as_object(), "text"), "yo");
  EXPECT_EQ(
      events.back().data.at("response").at("usage").at("output_tokens_details").at("reasoning_tokens").to_number<int>(),
      4);
}

TEST(Responses, EndsThatAreNone) {
  const FakeModel fake = test::fake_model({.text = "abcdef"});
  const auto events = named_events(ask(fake, R"("stream":true,"max_output_tokens":2)").bytes);
  EXPECT_EQ(events.back().name, "response.incomplete");
  const json::object& response = events.back().data.at("response").as_object();
  EXPECT_EQ(text_at(response.at("incomplete_details").as_object(), "reason"), "max_output_tokens");
  const FakeModel empty = test::fake_model({});
  EXPECT_EQ(object_of(ask(empty, "").bytes).at("output").as_array().size(), 1u) << "an empty message";
  const FakeModel broken = test::fake_model({.text = "ab", .error = "not finite"});
  const Outcome outcome = ask(broken, R"("stream":true)");
  EXPECT_EQ(outcome.state, Stream::State::broken);
  EXPECT_EQ(named_events(outcome.bytes).back().name, "response.failed");
}

TEST(Responses, LogprobsWhereTheyAreAskedFor) {
  const FakeModel fake = test::fake_model({.text = "ab"});
  const json::object reply =
      object_of(ask(fake, R"("include":["message.output_text.logprobs"],"top_logprobs":1)").bytes);
  const json::array& entries = reply.at("output").at(0).at("content").at(0).at("logprobs").as_array();
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries.at(1).at("top_logprobs").as_array().size(), 1u);
}

}  // namespace
}  // namespace minke::api
