// What an answer has to be: as each protocol asks for it, and what the model may then write. The replies are walked
// through byte by byte: the scripted model's tokens are bytes.
#include "api/constraint.h"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>

#include "answers.h"
#include "api/call_grammar.h"
#include "base/cat.h"
#include "support/fake_model.h"

namespace minke::api {
namespace {

using testing::call_of;
using testing::drain;

const std::string kAsk = R"({"model":"fake","messages":[{"role":"user","content":"hi"}],"max_tokens":9,)";
const std::string kSchema =
    R"({"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false})";
const std::string kOpenAi = R"("response_format":{"type":"json_schema","json_schema":{"name":"x","schema":)" + kSchema;
const std::string kTools =
    R"("tools":[{"type":"function","function":{"name":"get","parameters":)" + kSchema +
    R"(,"strict":true}},{"type":"function","function":{"name":"put","parameters":{"type":"object"}}}])";

using Route = Answer (Service::*)(const Call&) const;

class Constraint : public ::testing::Test {
 protected:
  void SetUp() override {
    if (constrain::library_version().empty()) GTEST_SKIP() << "this build has no library";
  }
  void use(text::Encoding encoding) {
    service_.reset();
    fake_ = test::fake_model({.text = "x"}, encoding);
    fake_.model->grammars = make_compiler(*fake_.model->tokenizer, fake_.model->stop_tokens);
    service_ = std::make_unique<Service>(fake_.model);
  }
  /// The constraint of the request that comes of a body.
  std::unique_ptr<engine::TokenConstraint> asked(const std::string& body, Route route = &Service::chat_completions,
                                                 Dialect dialect = Dialect::openai) {
    if (!service_) use(text::Encoding::qwen2_5);
    Answer answer = (*service_.*route)(call_of(body, dialect));
    if (auto* stream = std::get_if<std::unique_ptr<Stream>>(&answer)) drain(**stream);
    const auto& constraint = fake_.generator->requests.back().constraint;
    return constraint ? constraint->clone() : nullptr;
  }
  /// How many of a reply's tokens may be written; one more if it may end there.
  std::size_t walked(engine::TokenConstraint& constraint, const std::vector<engine::TokenId>& reply) const {
    std::vector<std::uint32_t> mask((fake_.model->tokenizer->vocab_size() + 31) / 32);
    const auto allows = [&mask](engine::TokenId token) {
      return (mask[static_cast<std::size_t>(token) / 32] >> (token % 32) & 1) != 0;
    };
    for (std::size_t i = 0; i < reply.size(); ++i) {
      constraint.mask(mask);
      if (!allows(reply[i])) return i;
      constraint.accept(reply[i]);
    }
    constraint.mask(mask);
    return reply.size() + (allows(test::kImEnd) ? 1 : 0);
  }
  std::size_t taken(const std::unique_ptr<engine::TokenConstraint>& constraint, std::string_view reply) const {
    if (!constraint) return 0;
    std::vector<engine::TokenId> tokens;
    for (const char c : reply) tokens.push_back(static_cast<unsigned char>(c));
    return walked(*constraint, tokens);
  }
  void expect(const std::string& body, std::string_view whole, std::string_view wrong,
              Route route = &Service::chat_completions, Dialect dialect = Dialect::openai) {
    EXPECT_EQ(taken(asked(body, route, dialect), whole), whole.size() + 1) << body;
    EXPECT_LE(taken(asked(body, route, dialect), wrong), wrong.size()) << body;
  }
  Fault refusal(const std::string& body, Route route = &Service::chat_completions, Dialect dialect = Dialect::openai) {
    try {
      asked(body, route, dialect);
    } catch (const ApiError& error) {
      EXPECT_FALSE(error.param().empty()) << error.message();
      return error.fault();
    }
    ADD_FAILURE() << "not refused: " << body;
    return Fault::internal;
  }

  test::FakeModel fake_;
  std::unique_ptr<Service> service_;
};

TEST_F(Constraint, EveryProtocolAsksInItsOwnWords) {
  const std::string object = R"({"a": 1})", other = R"({"b": 1})";
  expect(kAsk + kOpenAi + "}}}", object, other);
  expect(kAsk + R"("response_format":{"type":"json_object"}})", other, "[1]");
  for (const std::string field : {R"("guided_json":)", R"("json_schema":)", R"("structured_outputs":{"json":)"})
    expect(base::cat(kAsk, field, kSchema, field.ends_with("{\"json\":") ? "}}" : "}"), object, other);
  expect(kAsk + R"("guided_regex":"[0-9]{2}"})", "42", "4x");
  expect(kAsk + R"("guided_choice":["yes","no"]})", "no", "maybe");
  expect(kAsk + R"("guided_grammar":"start: \"a\"+"})", "aaa", "ab");
  expect(
      R"({"model":"fake","input":"hi","text":{"format":{"type":"json_schema","name":"x","schema":)" + kSchema + "}}}",
      object, other, &Service::responses);
  expect(kAsk + R"("output_config":{"format":{"type":"json_schema","schema":)" + kSchema + "}}}", object, other,
         &Service::messages, Dialect::anthropic);
  expect(R"({"model":"fake","messages":[{"role":"user","content":"hi"}],"format":)" + kSchema + "}", object, other,
         &Service::ollama_chat, Dialect::ollama);
  expect(R"({"model":"fake","prompt":"hi","format":"json"})", other, "[1]", &Service::ollama_generate, Dialect::ollama);
  expect(R"({"model":"fake","prompt":"hi","guided_regex":"[0-9]{2}"})", "42", "4x", &Service::completions);
  EXPECT_EQ(asked(kAsk + R"("response_format":{"type":"text"}})"), nullptr);
  EXPECT_EQ(asked(kAsk + R"("guided_json":null,"guided_choice":[],"grammar":""})"), nullptr);
}

TEST_F(Constraint, FieldsThatAreNullAskForNothing) {
  for (const std::string field :
       {R"("guided_json":null)", R"("guided_regex":null)", R"("guided_choice":null)", R"("guided_grammar":null)",
        R"("json_schema":null)", R"("grammar":null)", R"("response_format":null)",
        R"("response_format":{"type":"text","schema":null,"json_schema":null})", R"("structured_outputs":null)",
        R"("structured_outputs":{"json":null,"regex":null,"choice":null,"grammar":null,"structural_tag":null})",
        R"("structured_outputs":{"json_object":null})"})
    EXPECT_EQ(asked(base::cat(kAsk, field, "}")), nullptr) << field;
  // The object is asked for, of no particular schema.
  expect(kAsk + R"("response_format":{"type":"json_object","schema":null}})", R"({"b": 1})", "[1]");
  EXPECT_EQ(refusal(kAsk + R"("response_format":{"type":"json_schema","json_schema":{"schema":null}}})"),
            Fault::malformed);
  EXPECT_EQ(asked(R"({"model":"fake","input":"hi","text":{"format":null}})", &Service::responses), nullptr);
  EXPECT_EQ(asked(R"({"model":"fake","messages":[{"role":"user","content":"hi"}],"format":null})",
                  &Service::ollama_chat, Dialect::ollama),
            nullptr);
}

TEST_F(Constraint, WhatCannotBeIsRefusedByName) {
  EXPECT_EQ(refusal(kAsk + R"("response_format":{"type":"xml"}})"), Fault::unsupported);
  EXPECT_EQ(refusal(kAsk + R"("response_format":{"type":"json_schema"}})"), Fault::malformed);
  EXPECT_EQ(refusal(kAsk + R"("guided_json":{"type":"array","uniqueItems":true}})"), Fault::unsupported);
  EXPECT_EQ(refusal(kAsk + R"("guided_json":{"type":7}})"), Fault::invalid);
  EXPECT_EQ(refusal(kAsk + R"("guided_regex":"("})"), Fault::invalid);
  EXPECT_EQ(refusal(kAsk + R"("grammar":"root ::= \"a\""})"), Fault::unsupported);
  EXPECT_EQ(refusal(kAsk + R"("guided_regex":"a","guided_choice":["b"]})"), Fault::invalid);
  EXPECT_EQ(refusal(kAsk + R"("guided_choice":["b",1]})"), Fault::malformed);
  EXPECT_EQ(refusal(R"({"model":"fake","guided_regex":"a","messages":[{"role":"user","content":"hi"},)"
                    R"({"role":"assistant","content":"b","prefix":true}]})"),
            Fault::invalid);
  EXPECT_EQ(refusal(kAsk + kTools + R"(,"tool_choice":"required","guided_regex":"a"})"), Fault::invalid);
  EXPECT_EQ(refusal(R"({"model":"fake","messages":[{"role":"user","content":"hi"}],"format":"yaml"})",
                    &Service::ollama_chat, Dialect::ollama),
            Fault::invalid);
}

TEST_F(Constraint, ABuildWithoutTheLibraryRefuses) {
  use(text::Encoding::qwen2_5);
  fake_.model->grammars.reset();
  EXPECT_EQ(refusal(kAsk + R"("response_format":{"type":"json_object"}})"), Fault::unsupported);
  EXPECT_EQ(refusal(kAsk + kTools + "}"), Fault::unsupported);
}

TEST_F(Constraint, AnUnknownGrammarIsNotCompiledWhereNobodyMayWait) {
  use(text::Encoding::qwen2_5);
  const std::string body = kAsk + R"("guided_regex":"[0-9]{2}"})";
  Call call = call_of(body);
  call.patient = false;
  EXPECT_THROW((void)service_->chat_completions(call), TakesLong);
  EXPECT_TRUE(fake_.generator->requests.empty());
  (void)asked(body);
  EXPECT_NO_THROW((void)service_->chat_completions(call));
}

TEST_F(Constraint, RequiredCallsAreOfTheToolsThatThereAre) {
  const std::string call = "<tool_call>\n{\"name\": \"get\", \"arguments\": {\"a\": 1}}\n</tool_call>";
  const std::string free = "<tool_call>\n{\"name\": \"put\", \"arguments\": {\"b\": [1]}}\n</tool_call>";
  const std::string body = kAsk + kTools + R"(,"tool_choice":"required"})";
  expect(body, call, "Hello");
  expect(body, free, "<tool_call>\n{\"name\": \"got\"");
  expect(body, call, "<tool_call>\n{\"name\": \"get\", \"arguments\": {\"b\"");
  // A small model that may not end would call without end.
  expect(body, call, call + "\n" + free);
  const std::string named = kAsk + kTools + R"(,"tool_choice":{"type":"function","function":{"name":"put"}}})";
  expect(named, free, "<tool_call>\n{\"name\": \"get\"");
}

TEST_F(Constraint, StrictToolsLeaveTextFree) {
  const std::string body = kAsk + kTools + "}";
  const std::string call = "<tool_call>\n{\"name\": \"get\", \"arguments\": {\"a\": 1}}\n</tool_call>";
  expect(body, "Hello, {world}.", "x<tool_call>y");
  expect(body, "Let me see.\n" + call, "<tool_call>\n{\"name\": \"get\", \"arguments\": {\"b\"");
  expect(body, R"({"name": "get", "arguments": {"a": 2}})", R"({"name": "get", "arguments": {"b")");
  // Without one there is nothing to hold the model to.
  EXPECT_EQ(asked(kAsk + R"("tools":[{"type":"function","function":{"name":"put"}}]})"), nullptr);
  EXPECT_EQ(asked(kAsk + kTools + R"(,"tool_choice":"none"})"), nullptr);
}

TEST_F(Constraint, ASchemaBesideToolsIsCallsOrThat) {
  const std::string body = kAsk + kTools + "," + kOpenAi + "}}}";
  expect(body, R"({"a": 7})", "Hello");
  expect(body, "<tool_call>\n{\"name\": \"put\", \"arguments\": {}}\n</tool_call>", R"({"b": 7})");
}

/// Markers that are tokens, and those that are text.
TEST_F(Constraint, EachFamilyHasItsOwnForm) {
  use(text::Encoding::qwen2_5);
  const std::string call = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>";
  struct Family {
    text::Encoding encoding;
    bool tokens;
    std::string whole, wrong;
  };
  const Family families[] = {
      {text::Encoding::llama3_1, false, R"({"name": "get", "parameters": {"a": 1}})",
       R"({"name": "get", "parameters": {"b")"},
      {text::Encoding::deepseek_v3, false,
       call + "function<｜tool▁sep｜>get\n```json\n{\"a\": 1}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
       call + "function<｜tool▁sep｜>got"},
      {text::Encoding::deepseek_v3_1, false,
       call + "get<｜tool▁sep｜>{\"a\": 1}<｜tool▁call▁end｜><｜tool▁calls▁end｜>", call + "get<｜tool▁sep｜>{\"b\""},
      {text::Encoding::qwen2_5, true, "<tool_call>\n{\"name\": \"put\", \"arguments\": {\"b\": 1}}\n</tool_call>",
       "<tool_call>\n{\"name\": \"get\", \"arguments\": {\"b\""},
      {text::Encoding::glm4_5, true, "<tool_call>get\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n</tool_call>",
       "<tool_call>get\n<arg_key>a</arg_key>\n<arg_value>x"},
      {text::Encoding::glm4_7, true, "<tool_call>put<arg_key>b</arg_key><arg_value>x</arg_value></tool_call>",
       "<tool_call>get<arg_key>b"},
  };
  const std::pair<std::string_view, engine::TokenId> markers[] = {{"<tool_call>", 256}, {"</tool_call>", 258},
                                                                  {"<arg_key>", 259},   {"</arg_key>", 260},
                                                                  {"<arg_value>", 261}, {"</arg_value>", 262}};
  ToolRequest tools;
  tools.tools = std::make_shared<std::vector<text::Tool>>(
      std::vector<text::Tool>{text::parse_tool(R"({"name":"get","parameters":)" + kSchema + "}", "a"),
                              text::parse_tool(R"({"name":"put"})", "b")});
  tools.strict = {true, false};
  for (const ToolChoice choice : {ToolChoice::required, ToolChoice::automatic}) {
    for (const Family& family : families) {
      const auto encoding = text::ChatEncoding::create(family.encoding);
      tools.choice = choice;
      const auto find = [&](std::string_view spelling) -> std::optional<engine::TokenId> {
        for (const auto& [text, token] : markers)
          if (family.tokens && text == spelling) return token;
        return std::nullopt;
      };
      const constrain::Grammar grammar =
          call_grammar({.encoding = encoding.get(), .find_token = find, .tools = &tools});
      const auto beginning = fake_.model->grammars->compile(grammar);
      const auto walk = [&](std::string_view reply) {
        std::vector<engine::TokenId> tokens;
        while (!reply.empty()) {
          const auto* marker =
              std::ranges::find_if(markers, [&](const auto& one) { return reply.starts_with(one.first); });
          const bool is = family.tokens && marker != std::end(markers);
          tokens.push_back(is ? marker->second : static_cast<unsigned char>(reply[0]));
          reply.remove_prefix(is ? marker->first.size() : 1);
        }
        return walked(*beginning->clone(), tokens) == tokens.size() + 1;
      };
      EXPECT_TRUE(walk(family.whole)) << grammar.text;
      EXPECT_FALSE(walk(family.wrong)) << grammar.text;
      const bool automatic = choice == ToolChoice::automatic;
      EXPECT_EQ(walk("Hello {}"), automatic) << grammar.text;
      // Llama's calls are the whole reply.
      if (family.encoding != text::Encoding::llama3_1) {
        EXPECT_EQ(walk("Well.\n" + family.whole), automatic) << grammar.text;
        EXPECT_FALSE(walk("Well.\n" + family.wrong)) << grammar.text;
      }
    }
  }
}

}  // namespace
}  // namespace minke::api
