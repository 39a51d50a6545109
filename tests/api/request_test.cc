// What requests are accepted, and what is said of those that are not.
#include <functional>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "api/api_error.h"
#include "api/chat_request.h"
#include "api/completion_request.h"
#include "api/field_table.h"

namespace minke::api {
namespace {

const std::string kMessages = R"("model":"m","messages":[{"role":"user","content":"hi"}])";

ChatRequest chat(const std::string& fields) {
  const auto body = parse_body("{" + fields + "}");
  return parse_chat_request(Fields(body));
}

ChatRequest with(const std::string& field) { return chat(kMessages + "," + field); }

CompletionRequest completion(const std::string& fields) {
  const auto body = parse_body("{\"model\":\"m\"," + fields + "}");
  return parse_completion_request(Fields(body));
}

struct Refusal {
  int status = 0;
  std::string param, message;
};

Refusal refusal(const std::function<void()>& parse, Dialect dialect = Dialect::openai) {
  try {
    parse();
  } catch (const ApiError& error) {
    return {error.status(dialect), error.param(), error.message()};
  }
  return {};
}

TEST(ChatRequest, ReadsWhatClientsSend) {
  const ChatRequest request = chat(R"("model":"m","stream":true,"stream_options":{"include_usage":true},
    "messages":[{"role":"developer","content":"be kind"},
                {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}],"name":"x"},
                {"role":"assistant","content":null,"reasoning_content":"hm"},
                {"role":"user","content":""}],
    "temperature":0.25,"top_p":0.5,"top_k":-1,"min_p":0.1,"max_tokens":7.0,"max_completion_tokens":9,"seed":-3,"n":2,
    "stop":["a","b"],"logprobs":true,"top_logprobs":4,"user":"u","metadata":{"k":"v"},"store":true,"unknown":[1])");
  ASSERT_EQ(request.messages.size(), 4u);
  EXPECT_EQ(request.messages[0].role, text::Role::system);
  EXPECT_EQ(request.messages[1].content, "ab");
  EXPECT_EQ(request.messages[2].reasoning, "hm");
  EXPECT_EQ(request.messages[3].content, "");
  EXPECT_TRUE(request.common.stream && request.common.include_usage);
  EXPECT_EQ(request.common.max_tokens, 9u);
  EXPECT_EQ(request.common.samples, 2u);
  EXPECT_EQ(request.common.stops, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(request.logprobs, 4u);
  EXPECT_EQ(request.common.user, "u");
  const engine::SamplingParams params = request.common.sampling({});
  EXPECT_EQ(params.temperature, 0.25);
  EXPECT_EQ(params.top_p, 0.5);
  EXPECT_EQ(params.top_k, 0);
  EXPECT_EQ(params.min_p, 0.1);
  EXPECT_EQ(params.seed, static_cast<std::uint64_t>(-3));
}

TEST(ChatRequest, NullIsNotGivenAndDefaultsAreTheModels) {
  const ChatRequest request = with(R"("temperature":null,"stop":null,"n":null,"tools":null,"stream_options":null)");
  engine::SamplingParams defaults;
  defaults.temperature = 0.7;
  defaults.top_k = 20;
  EXPECT_EQ(request.common.sampling(defaults).temperature, 0.7);
  EXPECT_EQ(request.common.sampling(defaults).top_k, 20);
  EXPECT_FALSE(request.common.max_tokens);
  EXPECT_NE(request.common.sampling(defaults).seed, request.common.sampling(defaults).seed) << "drawn anew each time";
  EXPECT_GT(with(R"("top_p":0)").common.sampling(defaults).top_p, 0);
}

TEST(ChatRequest, ThinkingIsAskedForInManyWays) {
  using text::Thinking;
  EXPECT_EQ(with(R"("x":1)").thinking, Thinking::automatic);
  EXPECT_EQ(with(R"("thinking":{"type":"enabled"})").thinking, Thinking::on);
  EXPECT_EQ(with(R"("thinking":{"type":"disabled"},"reasoning_effort":"high")").thinking, Thinking::off);
  EXPECT_EQ(with(R"("reasoning_effort":"low")").thinking, Thinking::on);
  EXPECT_EQ(with(R"("reasoning_effort":"none")").thinking, Thinking::off);
  EXPECT_EQ(with(R"("chat_template_kwargs":{"enable_thinking":false})").thinking, Thinking::off);
  EXPECT_EQ(chat(R"("model":"deepseek-chat","messages":[{"role":"user","content":"hi"}])").thinking, Thinking::off);
  EXPECT_EQ(chat(R"("model":"deepseek-reasoner","messages":[{"role":"user","content":"hi"}])").thinking, Thinking::on);
  EXPECT_EQ(refusal([] { with(R"("reasoning_effort":"huge")"); }).param, "reasoning_effort");
  EXPECT_EQ(refusal([] { with(R"("thinking":{"type":"maybe"})"); }).param, "thinking.type");
}

TEST(ChatRequest, ThinkingHasABudget) {
  const auto budget = [](const std::string& fields) { return with(fields).common.thinking_tokens; };
  constexpr std::size_t kNoEnd = std::numeric_limits<std::size_t>::max();
  EXPECT_EQ(budget(R"("x":1)"), std::nullopt);
  EXPECT_EQ(budget(R"("reasoning_effort":"low")"), 1024u);
  EXPECT_EQ(budget(R"("reasoning_effort":"high")"), std::nullopt) << "the engine's own";
  EXPECT_EQ(budget(R"("reasoning_effort":"max")"), kNoEnd);
  EXPECT_EQ(budget(R"("thinking":{"type":"enabled","budget_tokens":77},"reasoning_effort":"low")"), 77u);
  EXPECT_EQ(budget(R"("thinking_token_budget":0,"reasoning_effort":"low")"), 0u);
  EXPECT_EQ(budget(R"("thinking_token_budget":-1)"), kNoEnd);
  EXPECT_EQ(refusal([] { with(R"("thinking":{"type":"enabled","budget_tokens":-2})"); }).param,
            "thinking.budget_tokens");
  EXPECT_EQ(refusal([] { with(R"("thinking_token_budget":NaN)"); }).param, "thinking_token_budget");
}

/// Every numeric field with what no number of its kind can be.
TEST(ChatRequest, NumbersOutOfRangeAreRefusedByName) {
  constexpr const char* kFields[] = {"temperature",
                                     "top_p",
                                     "min_p",
                                     "top_k",
                                     "repetition_penalty",
                                     "max_tokens",
                                     "max_completion_tokens",
                                     "n",
                                     "seed",
                                     "top_logprobs",
                                     "presence_penalty",
                                     "frequency_penalty",
                                     "min_tokens",
                                     "dry_multiplier",
                                     "dry_base",
                                     "dry_allowed_length",
                                     "dry_penalty_last_n"};
  for (const std::string field : kFields) {
    for (const char* value :
         {"NaN", "Infinity", "-Infinity", "1e999", "-1e30", "18446744073709551615", "\"1\"", "true", "[1]", "{}"}) {
      const Refusal got = refusal([&] { with("\"" + field + "\":" + value); });
      EXPECT_EQ(got.status, 400) << field << " " << value;
      EXPECT_EQ(got.param, field) << value;
    }
  }
  for (const char* field :
       {"\"temperature\":-0.1", "\"temperature\":2.1", "\"top_p\":1.1", "\"max_tokens\":0", "\"max_tokens\":1.5",
        "\"n\":0", "\"n\":17", "\"top_logprobs\":21", "\"top_k\":-2", "\"repetition_penalty\":0"}) {
    EXPECT_EQ(refusal([&] { with(field).common.sampling({}); }).status, 400) << field;
  }
}

TEST(ChatRequest, BreakersAreTextsOfSomeLength) {
  for (const char* bad : {R"([""])", R"([1])", R"(["0123456789012345678901234567890123"])"}) {
    const Refusal got = refusal([&] { with(std::string("\"dry_sequence_breakers\":") + bad); });
    EXPECT_EQ(got.param, "dry_sequence_breakers[0]") << bad;
  }
  EXPECT_EQ(refusal([] { with(R"("dry_sequence_breakers":"a")"); }).param, "dry_sequence_breakers");
}

TEST(ChatRequest, PenaltiesAndBiases) {
  const engine::SamplingParams params =
      with(R"("presence_penalty":0.5,"frequency_penalty":-1,"logit_bias":{"5":-100,"7":1.5})").common.sampling({});
  EXPECT_EQ(params.presence_penalty, 0.5);
  EXPECT_EQ(params.frequency_penalty, -1);
  ASSERT_EQ(params.logit_bias.size(), 2u);
  EXPECT_EQ(params.logit_bias[1].token, 7);
  EXPECT_EQ(params.logit_bias[1].bias, 1.5);
  EXPECT_EQ(with(R"("min_tokens":3)").common.min_tokens, 3u);
  for (const char* bad : {R"({"x":1})", R"({"-1":1})", R"({"5 ":1})", R"({"":1})", R"({"99999999999":1})", R"([1])"}) {
    EXPECT_EQ(refusal([&] { with(std::string("\"logit_bias\":") + bad); }).param, "logit_bias") << bad;
  }
  EXPECT_EQ(refusal([] { with(R"("logit_bias":{"5":101})"); }).param, "logit_bias.5");
  EXPECT_EQ(refusal([] { with(R"("presence_penalty":3)"); }).param, "presence_penalty");
}

TEST(ChatRequest, WhatIsMissingOrOfAnotherTypeIsNamed) {
  EXPECT_EQ(refusal([] { chat(R"("messages":[{"role":"user","content":"hi"}])"); }).param, "model");
  EXPECT_EQ(refusal([] { chat(R"("model":"m")"); }).param, "messages");
  EXPECT_EQ(refusal([] { chat(R"("model":"m","messages":[])"); }).param, "messages");
  EXPECT_EQ(refusal([] { chat(R"("model":"m","messages":"hi")"); }).param, "messages");
  EXPECT_EQ(refusal([] { chat(R"("model":"m","messages":[{"content":"hi"}])"); }).param, "messages[0].role");
  EXPECT_EQ(refusal([] { chat(R"("model":"m","messages":[{"role":"king","content":"hi"}])"); }).param,
            "messages[0].role");
  EXPECT_EQ(refusal([] { chat(R"("model":"m","messages":[{"role":"user"}])"); }).param, "messages[0].content");
  EXPECT_EQ(refusal([] { chat(R"("model":"m","messages":[{"role":"user","content":5}])"); }).param,
            "messages[0].content");
  EXPECT_EQ(
      refusal([] {
        chat(R"("model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}])");
      }).param,
      "messages[0].content[0].type");
  EXPECT_EQ(refusal([] { with(R"("stop":["a",""])"); }).param, "stop[1]");
  EXPECT_EQ(refusal([] { with(R"("stop":[1])"); }).param, "stop[0]");
  EXPECT_EQ(refusal([] { with(R"("top_logprobs":3)"); }).param, "top_logprobs");
  EXPECT_EQ(refusal([] { with(R"("stream_options":{"include_usage":true})"); }).param, "stream_options");
  EXPECT_EQ(refusal([] { with("\"stop\":\"" + std::string(kMaxStopBytes + 1, 'a') + "\""); }).param, "stop");
}

TEST(ChatRequest, StatusesAreTheDialects) {
  const auto wrong_type = [] { chat(R"("model":"m","messages":"hi")"); };
  EXPECT_EQ(refusal(wrong_type, Dialect::openai).status, 400);
  EXPECT_EQ(refusal(wrong_type, Dialect::deepseek).status, 422);
  EXPECT_EQ(refusal([] { with(R"("temperature":3)"); }, Dialect::deepseek).status, 400);
}

TEST(ChatRequest, WhatIsNotThereYetIsRefusedWithAReasonAndEmptyOnesPass) {
  EXPECT_EQ(refusal([] { with(R"("response_format":{"type":"xml"})"); }).param, "response_format.type");
  EXPECT_EQ(refusal([] { with(R"("tool_choice":"required")"); }).param, "tool_choice");
  EXPECT_EQ(refusal([] { with(R"("functions":[{"name":"f"}])"); }).param, "functions");
  EXPECT_NO_THROW(
      with(R"("tools":[],"tool_choice":"auto","logit_bias":{},"frequency_penalty":0,"presence_penalty":0.0)"));
  EXPECT_NO_THROW(with(R"("response_format":{"type":"text"},"modalities":["text"])"));
}

TEST(Body, MustBeABoundedJsonObject) {
  for (const std::string& body :
       {std::string(), std::string("[1]"), std::string("{"), std::string("nonsense"), std::string("{\"a\":1}x"),
        std::string("{\"a\":1,\"a\":2}"), "{\"a\":" + std::string(100000, '[') + "}",
        "{\"a\":\"\xff\"}" + std::string(), "{\"a\":[0" + [] {
          std::string zeros;
          for (int i = 0; i < 1100000; ++i) zeros += ",0";
          return zeros;
        }() + "]}"}) {
    EXPECT_EQ(refusal([&] { parse_body(body); }).status, 400) << body.substr(0, 40);
  }
}

TEST(CompletionRequest, PromptsAreTextsOrTokens) {
  EXPECT_EQ(std::get<std::string>(completion(R"("prompt":"a")").prompts.at(0)), "a");
  EXPECT_EQ(completion(R"("prompt":["a","b"])").prompts.size(), 2u);
  EXPECT_EQ(std::get<1>(completion(R"("prompt":[1,2])").prompts.at(0)), (std::vector<engine::TokenId>{1, 2}));
  EXPECT_EQ(completion(R"("prompt":[[1],[2]])").prompts.size(), 2u);
  EXPECT_EQ(completion(R"("prompt":"a")").common.max_tokens, kDefaultCompletionTokens);
  EXPECT_EQ(refusal([] { completion(R"("x":1)"); }).param, "prompt");
  EXPECT_EQ(refusal([] { completion(R"("prompt":[1,-2])"); }).param, "prompt[1]");
  EXPECT_EQ(refusal([] { completion(R"("prompt":[1,"a"])"); }).param, "prompt[1]");
  EXPECT_EQ(refusal([] { completion(R"("prompt":[1],"suffix":"b")"); }).param, "prompt");
  EXPECT_EQ(refusal([] { completion(R"("prompt":"a","best_of":3)"); }).param, "best_of");
  EXPECT_EQ(refusal([] { completion(R"("prompt":"a","echo":true,"logprobs":1)"); }).param, "echo");
  EXPECT_EQ(refusal([] {
              completion("\"prompt\":[" + [] {
                std::string many = "\"a\"";
                for (int i = 0; i < 20; ++i) many += ",\"a\"";
                return many;
              }() + "]");
            }).param,
            "prompt");
}

TEST(ApiError, BodyHasTheFourFields) {
  EXPECT_EQ(ApiError(Fault::context_overflow, "too \"long\"\n").body(Dialect::openai),
            R"({"error":{"message":"too \"long\"\n","type":"invalid_request_error","param":null,)"
            R"("code":"context_length_exceeded"}})");
  EXPECT_EQ(ApiError(Fault::no_key, "no").status(Dialect::deepseek), 401);
  EXPECT_EQ(ApiError(Fault::unknown_model, "no").status(Dialect::openai), 404);
  EXPECT_EQ(ApiError(Fault::unknown_model, "no").status(Dialect::deepseek), 400);
}

}  // namespace
}  // namespace minke::api
