// OpenAI's responses: requests, whole replies, events, tools.
#include <algorithm>

#include <gtest/gtest.h>

#include "api/answers.h"
#include "api/responses_request.h"
#include "base/cat.h"
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

constexpr const char* kTools = R"("tools":[
    {"type":"function","name":"look","description":"Looks.","parameters":{"type":"object"},"strict":false},
    {"type":"namespace","name":"crm","description":"Customers.","tools":[{"type":"function","name":"look"},
      {"type":"custom","name":"note"},{"type":"mcp"}]},
    {"type":"custom","name":"patch","description":"Patches.","format":{"type":"grammar","syntax":"lark","definition":"start: X"}},
    {"type":"web_search"},{"type":"function","name":"look"}])";

TEST(ResponsesTools, AreFunctionsToTheModel) {
  const ResponsesTools tools = parse(base::cat(R"("model":"m","input":"x",)", kTools)).tools;
  ASSERT_EQ(tools.request.tools->size(), 4u);
  EXPECT_EQ(tools.request.tools->at(0).name, "look");
  EXPECT_EQ(
      tools.request.tools->at(0).definition,
      R"({"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}})");
  EXPECT_EQ(tools.request.tools->at(1).name, "crm__look");
  EXPECT_EQ(tools.request.tools->at(1).description, "Customers.");
  EXPECT_EQ(tools.request.tools->at(2).name, "crm__note");
  EXPECT_EQ(tools.request.tools->at(3).description,
            "Patches.\n\nThe input has to match this grammar (lark):\nstart: X");
  EXPECT_EQ(tools.warnings.size(), 3u) << "mcp, web_search, the second look";
}

TEST(ResponsesTools, AreChosenByTheirOwnNames) {
  const auto choice = [](const std::string& text) {
    return parse(base::cat(R"("model":"m","input":"x","tool_choice":)", text, ",", kTools)).tools;
  };
  EXPECT_EQ(choice(R"("required")").request.choice, ToolChoice::required);
  EXPECT_EQ(choice(R"({"type":"custom","name":"patch"})").request.name, "patch");
  EXPECT_EQ(choice(R"({"type":"function","name":"look","namespace":"crm"})").request.name, "crm__look");
  EXPECT_EQ(choice(R"({"type":"custom","name":"note"})").request.name, "crm__note");
  const ResponsesTools hosted = choice(R"({"type":"web_search"})");
  EXPECT_EQ(hosted.request.choice, ToolChoice::automatic);
  EXPECT_EQ(hosted.warnings.size(), 4u);
  const ResponsesTools allowed =
      choice(R"({"type":"allowed_tools","mode":"required","tools":[{"type":"custom","name":"patch"}]})");
  EXPECT_EQ(allowed.request.choice, ToolChoice::required);
  ASSERT_EQ(allowed.request.tools->size(), 1u);
  EXPECT_EQ(allowed.request.tools->at(0).name, "patch");
  const std::string asked = R"("model":"m","input":"x")";
  EXPECT_EQ(refused_param(asked + R"(,"tool_choice":{"type":"function","name":"no"})"), "tool_choice");
  EXPECT_EQ(refused_param(asked + R"(,"tool_choice":"required","tools":[{"type":"web_search"}])"), "accepted");
  EXPECT_EQ(refused_param(asked + R"(,"tools":[{"type":"function"}])"), "tools[0]");
  EXPECT_EQ(refused_param(asked + R"(,"tools":[5])"), "tools[0]");
}

TEST(ResponsesTools, CallsAndResultsAreItems) {
  const ResponsesRequest request = parse(base::cat(R"("model":"m","input":[{"role":"user","content":"a"},
      {"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"hm"}]},
      {"type":"message","role":"assistant","content":[{"type":"output_text","text":"I look."}]},
      {"type":"function_call","call_id":"c1","name":"look","namespace":"crm","arguments":"{\"x\":1}"},
      {"type":"custom_tool_call","call_id":"c2","name":"patch","input":"a \"b\""},
      {"type":"custom_tool_call_output","call_id":"c2","output":[{"type":"input_text","text":"two"}]},
      {"type":"function_call_output","call_id":"c1","output":"one"},
      {"type":"function_call","call_id":"c3","name":"look","arguments":"{}"}],)",
                                                   kTools));
  ASSERT_EQ(request.messages.size(), 5u);
  const text::Message& turn = request.messages[1];
  EXPECT_EQ(turn.reasoning, "hm");
  EXPECT_EQ(turn.content, "I look.");
  ASSERT_EQ(turn.tool_calls.size(), 2u);
  EXPECT_EQ(turn.tool_calls[0].name, "crm__look");
  EXPECT_EQ(turn.tool_calls[1].arguments, R"({"input":"a \"b\""})");
  EXPECT_EQ(request.messages[2].content, "one") << "in the order of the calls";
  EXPECT_EQ(request.messages[3].content, "two");
  EXPECT_EQ(request.messages[4].tool_calls.at(0).id, "c3");
  EXPECT_EQ(refused_param(R"("model":"m","input":[{"type":"function_call","name":"f","arguments":"{}"}])"),
            "input[0].call_id");
}

TEST(ResponsesTools, CallsComeAsEvents) {
  const FakeModel fake = test::fake_model(
      {.text = "Now.\n<tool_call>\n{\"name\": \"crm__look\", \"arguments\": {\"x\": 1}}\n</tool_call>\n<tool_call>\n"
               "{\"name\": \"patch\", \"arguments\": {\"input\": \"a\\nb\"}}\n</tool_call>"},
      text::Encoding::qwen2_5);
  const auto events = named_events(ask(fake, base::cat(R"("stream":true,)", kTools)).bytes);
  std::vector<std::string> names;
  std::string arguments;
  for (const Named& event : events) {
    if (event.name.ends_with("arguments.delta")) arguments += text_at(event.data, "delta");
    if (names.empty() || names.back() != event.name) names.push_back(event.name);
  }
  EXPECT_EQ(arguments, R"({"x": 1})");
  const auto called = std::find(names.begin(), names.end(), "response.function_call_arguments.delta");
  ASSERT_NE(called, names.end());
  EXPECT_EQ(std::vector<std::string>(called - 1, names.end()),
            (std::vector<std::string>{"response.output_item.added", "response.function_call_arguments.delta",
                                      "response.function_call_arguments.done", "response.output_item.done",
                                      "response.output_item.added", "response.custom_tool_call_input.delta",
                                      "response.custom_tool_call_input.done", "response.output_item.done",
                                      "response.completed"}));
  const json::object& response = events.back().data.at("response").as_object();
  const json::array& output = response.at("output").as_array();
  ASSERT_EQ(output.size(), 3u);
  EXPECT_EQ(text_at(output.at(0).at("content").at(0).as_object(), "text"), "Now.");
  const json::object &function = output.at(1).as_object(), &custom = output.at(2).as_object();
  EXPECT_EQ(text_at(function, "type"), "function_call");
  EXPECT_EQ(text_at(function, "name"), "look");
  EXPECT_EQ(text_at(function, "namespace"), "crm");
  EXPECT_EQ(text_at(function, "arguments"), R"({"x": 1})");
  EXPECT_EQ(text_at(function, "call_id").size(), 5u + 32u);
  EXPECT_EQ(text_at(custom, "type"), "custom_tool_call");
  EXPECT_EQ(text_at(custom, "input"), "a\nb");
  EXPECT_EQ(response.at("warnings").as_array().size(), 3u);
  EXPECT_EQ(response.at("tools").as_array().size(), 5u) << "as they were given";
}

TEST(ResponsesTools, ATextThatTheModelWroteBadlyIsGivenAsItIs) {
  EXPECT_EQ(custom_input(R"({"input":"x"})"), "x");
  EXPECT_EQ(custom_input(R"({"patch":"x"})"), "x");
  EXPECT_EQ(custom_input(R"({"input":5})"), R"({"input":5})");
  EXPECT_EQ(custom_input("*** Begin"), "*** Begin");
}

}  // namespace
}  // namespace minke::api
