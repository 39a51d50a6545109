// Tools through the protocols, with a scripted model whose vocabulary spells <tool_call> out.
#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>

#include "answers.h"
#include "support/fake_model.h"

namespace minke::api {
namespace {

using testing::call_of;
using testing::drain;
using testing::object_of;
namespace json = boost::json;

constexpr std::string_view kOne =
    "Let me look.\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>";
constexpr std::string_view kTwo =
    "<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>\n<tool_call>{\"name\": \"g\", \"arguments\": {\"x\": "
    "1}}</tool_call>";
const std::string kTools =
    R"("tools":[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object"}}}])";
const std::string kAsk = R"({"model":"deepseek-chat","messages":[{"role":"user","content":"hi"}],)";

test::FakeModel fake_of(std::string_view text, text::Encoding encoding = text::Encoding::qwen2_5) {
  return test::fake_model({.text = std::string(text)}, encoding);
}

std::string answer_of(const Service& service, const std::string& body, Answer (Service::*route)(const Call&) const,
                      Dialect dialect = Dialect::openai) {
  Answer answer = (service.*route)(call_of(body, dialect));
  auto& stream = std::get<std::unique_ptr<Stream>>(answer);
  const testing::Outcome outcome = drain(*stream);
  EXPECT_EQ(outcome.state, Stream::State::done);
  return outcome.bytes;
}

std::vector<json::object> chunks_of(const std::string& bytes) {
  std::vector<json::object> chunks;
  for (std::size_t at = 0; (at = bytes.find("data: {", at)) != std::string::npos; ++at) {
    chunks.push_back(object_of(bytes.substr(at + 6, bytes.find("\n\n", at) - at - 6)));
  }
  return chunks;
}

TEST(Tools, AreOfferedInThePrompt) {
  const auto fake = fake_of("x");
  const Service service(fake.model);
  answer_of(service, kAsk + kTools + "}", &Service::chat_completions);
  const std::string prompt = fake.model->tokenizer->decode(fake.generator->requests.at(0).tokens);
  EXPECT_NE(prompt.find("<tools>\n{\"type\": \"function\", \"function\": {\"name\": \"get_weather\","),
            std::string::npos)
      << prompt;
}

TEST(Tools, AWholeReplyHasItsCalls) {
  const auto fake = fake_of(kOne);
  const json::object reply = object_of(answer_of(Service(fake.model), kAsk + kTools + "}", &Service::chat_completions));
  const json::object& choice = reply.at("choices").as_array().at(0).as_object();
  EXPECT_EQ(choice.at("finish_reason"), "tool_calls");
  const json::object& message = choice.at("message").as_object();
  EXPECT_EQ(message.at("content"), "Let me look.");
  const json::object& call = message.at("tool_calls").as_array().at(0).as_object();
  EXPECT_EQ(call.at("type"), "function");
  EXPECT_EQ(call.at("id").as_string().size(), 5U + 32U);
  EXPECT_EQ(json::serialize(call.at("function")), R"({"name":"get_weather","arguments":"{\"city\": \"Paris\"}"})");
}

TEST(Tools, AStreamHasNameThenArguments) {
  const auto fake = fake_of(kTwo);
  const auto chunks =
      chunks_of(answer_of(Service(fake.model), kAsk + R"("stream":true,)" + kTools + "}", &Service::chat_completions));
  std::vector<std::string> names, arguments(2);
  std::string finish;
  for (const json::object& chunk : chunks) {
    for (const json::value& choice : chunk.at("choices").as_array()) {
      if (choice.at("finish_reason").is_string()) finish = choice.at("finish_reason").as_string().c_str();
      const json::object& delta = choice.at("delta").as_object();
      EXPECT_EQ(delta.contains("content") && !delta.contains("role"), false) << json::serialize(chunk);
      const json::value* calls = delta.if_contains("tool_calls");
      if (calls == nullptr) continue;
      ASSERT_EQ(calls->as_array().size(), 1U);
      const json::object& call = calls->as_array()[0].as_object();
      const auto index = static_cast<std::size_t>(call.at("index").to_number<int>());
      const json::object& function = call.at("function").as_object();
      if (call.contains("id")) {
        EXPECT_EQ(index, names.size());
        EXPECT_EQ(function.at("arguments"), "");
        names.emplace_back(function.at("name").as_string().c_str());
      } else {
        arguments.at(index) += function.at("arguments").as_string().c_str();
      }
    }
  }
  EXPECT_EQ(names, (std::vector<std::string>{"f", "g"}));
  EXPECT_EQ(arguments, (std::vector<std::string>{"{}", R"({"x": 1})"}));
  EXPECT_EQ(finish, "tool_calls");
}

TEST(Tools, OneCallWhereNoMoreAreWanted) {
  const auto fake = fake_of(kTwo);
  const json::object reply = object_of(answer_of(
      Service(fake.model), kAsk + R"("parallel_tool_calls":false,)" + kTools + "}", &Service::chat_completions));
  const json::object& choice = reply.at("choices").as_array().at(0).as_object();
  EXPECT_EQ(choice.at("message").at("tool_calls").as_array().size(), 1U);
  EXPECT_EQ(choice.at("finish_reason"), "tool_calls");
}

TEST(Tools, NoneMeansContentWithoutMarkup) {
  const auto fake = fake_of(kOne);
  const json::object reply = object_of(
      answer_of(Service(fake.model), kAsk + R"("tool_choice":"none",)" + kTools + "}", &Service::chat_completions));
  const json::object& choice = reply.at("choices").as_array().at(0).as_object();
  EXPECT_EQ(choice.at("message").at("content"),
            R"(Let me look.{"name": "get_weather", "arguments": {"city": "Paris"}})");
  EXPECT_FALSE(choice.at("message").as_object().contains("tool_calls"));
  EXPECT_EQ(choice.at("finish_reason"), "stop");
}

TEST(Tools, ANamedToolIsBegunInThePrompt) {
  const auto fake = fake_of("\"city\": \"Oslo\"}}\n</tool_call>");
  const Service service(fake.model);
  const json::object reply = object_of(answer_of(
      service, kAsk + R"("tool_choice":{"type":"function","function":{"name":"get_weather"}},)" + kTools + "}",
      &Service::chat_completions));
  EXPECT_EQ(json::serialize(
                reply.at("choices").as_array().at(0).at("message").at("tool_calls").as_array().at(0).at("function")),
            R"({"name":"get_weather","arguments":"{\"city\": \"Oslo\"}"})");
  const std::string prompt = fake.model->tokenizer->decode(fake.generator->requests.at(0).tokens);
  EXPECT_TRUE(prompt.ends_with("<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {")) << prompt;
}

TEST(Tools, WhatCannotBeIsRefused) {
  const auto fake = fake_of("x");
  const Service service(fake.model);
  for (const std::string& bad :
       {std::string(R"("tool_choice":"required"})"),
        R"("tool_choice":{"type":"function","function":{"name":"no"}},)" + kTools + "}",
        R"("tool_choice":"sometimes",)" + kTools + "}", std::string(R"("tools":[{"type":"function"}]})"),
        std::string(R"("tools":[{"type":"web_search"}]})"), std::string(R"("tools":[1]})"),
        std::string(R"("tools":{}})")}) {
    EXPECT_THROW((void)service.chat_completions(call_of(kAsk + bad)), ApiError) << bad;
  }
  const auto untrained = fake_of("x", text::Encoding::deepseek_llm);
  EXPECT_THROW((void)Service(untrained.model).chat_completions(call_of(kAsk + kTools + "}")), ApiError);
}

// The second turn's prompt goes on from the very tokens of the first turn's prompt and reply.
TEST(Tools, AReplyComesBackAsItWasDrawn) {
  const std::string drawn =
      "<tool_call>{ \"name\":\"get_weather\" ,\"arguments\":{\"city\":  \"Paris\"} }\n</tool_call>";
  const auto fake = fake_of(drawn);
  const Service service(fake.model);
  const json::object first = object_of(answer_of(service, kAsk + kTools + "}", &Service::chat_completions));
  json::object message = first.at("choices").as_array().at(0).at("message").as_object();
  const std::string id = message.at("tool_calls").as_array().at(0).at("id").as_string().c_str();
  // As a client that reads the arguments and writes them anew.
  message["tool_calls"].as_array()[0].as_object()["function"].as_object()["arguments"] = R"({"city":"Paris"})";
  const auto second = [&](const std::string& call_id) {
    message["tool_calls"].as_array()[0].as_object()["id"] = call_id;
    return R"({"model":"deepseek-chat","messages":[{"role":"user","content":"hi"},)" + json::serialize(message) +
           R"(,{"role":"tool","tool_call_id":")" + call_id + R"(","content":"sunny"}],)" + kTools + "}";
  };
  answer_of(service, second(id), &Service::chat_completions);
  answer_of(service, second("call_unknown"), &Service::chat_completions);
  const auto text_of = [&](std::size_t i) {
    return fake.model->tokenizer->decode(fake.generator->requests.at(i).tokens);
  };
  EXPECT_TRUE(text_of(1).starts_with(text_of(0) + drawn + "<|im_end|>\n")) << text_of(1);
  EXPECT_FALSE(text_of(2).starts_with(text_of(0) + drawn)) << text_of(2);
  EXPECT_NE(text_of(2).find("\n<tool_response>\nsunny\n</tool_response>"), std::string::npos) << text_of(2);
}

// A client that leaves the thinking out, and goes on with another model: that one reads what the first one thought.
TEST(Tools, TheNextTurnMayBeAnotherModels) {
  test::Script script;
  script.tokens = {test::kThink, '\n', 'h', 'm', '\n', test::kThinkEnd, '\n', '\n'};
  for (const char c : std::string(R"(<tool_call>{ "name":"get_weather","arguments":{"city":"Paris"} }</tool_call>)"))
    script.tokens.push_back(static_cast<unsigned char>(c));
  const auto first = test::fake_model(script, text::Encoding::qwen3);
  const auto second = test::fake_model({.text = "Sunny."}, text::Encoding::qwen3);
  second.model->name = "second";
  const Service service(first.model);
  const json::object reply = object_of(answer_of(service, kAsk + kTools + "}", &Service::chat_completions));
  json::object message = reply.at("choices").as_array().at(0).at("message").as_object();
  EXPECT_EQ(message.at("reasoning_content"), "hm");
  message.erase("reasoning_content");
  message.erase("reasoning");
  const std::string id = message.at("tool_calls").as_array().at(0).at("id").as_string().c_str();
  const std::string body = R"({"model":"deepseek-chat","messages":[{"role":"user","content":"hi"},)" +
                           json::serialize(message) + R"(,{"role":"tool","tool_call_id":")" + id +
                           R"(","content":"sunny"}],)" + kTools + "}";
  const auto prompt_of = [&](const test::FakeModel& fake) {
    Call call = call_of(body);
    call.model = fake.model;
    Answer answer = service.chat_completions(call);
    EXPECT_EQ(drain(*std::get<std::unique_ptr<Stream>>(answer)).state, Stream::State::done);
    return fake.model->tokenizer->decode(fake.generator->requests.back().tokens);
  };
  const std::string others = prompt_of(second);
  EXPECT_NE(others.find("<think>\nhm\n</think>\n\n<tool_call>\n{\"name\": \"get_weather\""), std::string::npos)
      << others;
  const std::string own = prompt_of(first);
  EXPECT_NE(own.find("<think>\nhm\n</think>\n\n<tool_call>{ \"name\":"), std::string::npos) << own;
}

TEST(Tools, ResultsStandInTheOrderOfTheCalls) {
  const auto fake = fake_of("x");
  const Service service(fake.model);
  answer_of(
      service,
      R"({"model":"deepseek-chat","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":null,"tool_calls":[
              {"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},
              {"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}]},
              {"role":"tool","tool_call_id":"b","content":"second"},{"role":"tool","tool_call_id":"a","content":"first"}]})",
      &Service::chat_completions);
  const std::string prompt = fake.model->tokenizer->decode(fake.generator->requests.at(0).tokens);
  EXPECT_LT(prompt.find("first"), prompt.find("second"));
}

TEST(Tools, AnthropicsBlocks) {
  const std::string ask = R"({"model":"claude-x","max_tokens":500,"tools":[{"name":"get_weather","description":"w",
    "input_schema":{"type":"object"}},{"type":"web_search_20250305","name":"web_search"}],)";
  const auto fake = fake_of(kOne);
  const Service service(fake.model);
  const json::object reply = object_of(answer_of(service, ask + R"("messages":[{"role":"user","content":"hi"}]})",
                                                 &Service::messages, Dialect::anthropic));
  EXPECT_EQ(reply.at("stop_reason"), "tool_use");
  const json::array& content = reply.at("content").as_array();
  ASSERT_EQ(content.size(), 2U);
  EXPECT_EQ(content[0].at("text"), "Let me look.");
  EXPECT_EQ(content[1].at("type"), "tool_use");
  EXPECT_EQ(json::serialize(content[1].at("input")), R"({"city":"Paris"})");
  const std::string events = answer_of(service, ask + R"("stream":true,"messages":[{"role":"user","content":"hi"}]})",
                                       &Service::messages, Dialect::anthropic);
  std::string partial;
  std::vector<std::string> blocks;
  for (const testing::Named& event : testing::named_events(events)) {
    if (event.name == "content_block_start")
      blocks.emplace_back(event.data.at("content_block").at("type").as_string().c_str());
    if (event.name != "content_block_delta") continue;
    const json::object& delta = event.data.at("delta").as_object();
    if (delta.at("type") == "input_json_delta") partial += delta.at("partial_json").as_string().c_str();
  }
  EXPECT_EQ(blocks, (std::vector<std::string>{"text", "tool_use"}));
  EXPECT_EQ(partial, R"({"city": "Paris"})");
  // And back: the blocks, with the result.
  answer_of(service,
            ask + R"("messages":[{"role":"user","content":"hi"},{"role":"assistant","content":)" +
                json::serialize(content) + R"(},{"role":"user","content":[{"type":"tool_result","tool_use_id":")" +
                std::string(content[1].at("id").as_string().c_str()) +
                R"(","content":[{"type":"text","text":"sunny"}]},{"type":"text","text":"and?"}]}]})",
            &Service::messages, Dialect::anthropic);
  const auto text_of = [&](std::size_t i) {
    return fake.model->tokenizer->decode(fake.generator->requests.at(i).tokens);
  };
  EXPECT_TRUE(text_of(2).starts_with(text_of(0) + std::string(kOne))) << text_of(2);
  EXPECT_NE(text_of(2).find("<tool_response>\nsunny\n</tool_response><|im_end|>\n<|im_start|>user\nand?"),
            std::string::npos)
      << text_of(2);
}

TEST(Tools, OllamasCallsComeWhole) {
  const auto fake = fake_of(kOne);
  const std::string lines = answer_of(
      Service(fake.model), R"({"model":"deepseek-chat","messages":[{"role":"user","content":"hi"}],)" + kTools + "}",
      &Service::ollama_chat, Dialect::ollama);
  EXPECT_NE(lines.find(R"("tool_calls":[{"function":{"name":"get_weather","arguments":{"city":"Paris"}}}])"),
            std::string::npos)
      << lines;
  const std::string whole = answer_of(
      Service(fake.model),
      R"({"model":"deepseek-chat","stream":false,"messages":[{"role":"user","content":"hi"}],)" + kTools + "}",
      &Service::ollama_chat, Dialect::ollama);
  EXPECT_EQ(object_of(whole).at("message").at("tool_calls").as_array().size(), 1U);
}

}  // namespace
}  // namespace minke::api
