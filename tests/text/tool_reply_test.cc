#include "text/tool_reply.h"

#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "text/python_json.h"
#include "tool_replies.h"

namespace minke::text {
namespace {

using Call = ToolReply::Call;

std::shared_ptr<const std::vector<Tool>> offered() {
  auto tools = std::make_shared<std::vector<Tool>>();
  for (const char* json : {
           R"({"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties":
              {"city": {"type": "string"}, "days": {"type": "integer"}, "metric": {"type": "boolean"},
               "code": {"type": ["string", "null"]}, "tags": {"type": "array"}, "any": {},
               "mode": {"enum": ["fast", "slow"]}, "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}}}})",
           R"({"type": "function", "function": {"name": "search", "parameters": {"type": "object", "properties":
              {"query": {"type": "string"}}}}})",
           R"({"type": "function", "function": {"name": "send_command_to_shell", "parameters": {"type": "object",
              "properties": {"command": {"type": "string"}}}}})",
           R"({"type": "function", "function": {"name": "send_command", "parameters": {}}})",
           R"({"type": "function", "function": {"name": "get_current_time", "parameters": {"type": "object"}}})",
       }) {
    tools->push_back(parse_tool(json, "tools"));
  }
  return tools;
}

class Cuts {
 public:
  explicit Cuts(std::uint64_t seed) : seed_(seed) {}
  std::size_t below(std::size_t limit) {
    return static_cast<std::size_t>(base::uniform(20251122, seed_, draw_++) * static_cast<double>(limit));
  }

 private:
  std::uint64_t seed_, draw_ = 0;
};

// Whole, byte by byte and in random pieces: one result.
ToolReply read(const Reading& reading, std::string_view marked) {
  const auto tools = offered();
  const std::vector<Drawn> reply = drawn_of(marked);
  std::vector<Drawn> said = reply;
  if (!reading.tokens) {  // without tokens all of it is text
    said = {Drawn{}};
    for (const Drawn& one : reply) said[0].text += one.text;
  }
  const ToolReply whole = read_reply(reading, tools, said, [] { return std::size_t{1} << 20; });
  EXPECT_EQ(read_reply(reading, tools, said, [] { return std::size_t{1}; }), whole) << "byte by byte";
  for (std::uint64_t round = 0; round < 20; ++round) {
    Cuts cuts(round);
    EXPECT_EQ(read_reply(reading, tools, said, [&cuts] { return 1 + cuts.below(7); }), whole) << "round " << round;
  }
  EXPECT_TRUE(whole.orderly);
  return whole;
}

ToolReply said(std::string content, std::vector<Call> calls = {}, std::string thinking = {}) {
  for (Call& call : calls) call.ended = true;
  return {std::move(thinking), std::move(content), std::move(calls), true};
}

constexpr Reading kQwen{.encoding = Encoding::qwen2_5};
constexpr Reading kQwenWords{.encoding = Encoding::smollm2, .tokens = false};
constexpr Reading kQwen3{.encoding = Encoding::qwen3};
constexpr Reading kGlm{.encoding = Encoding::glm4_7};
constexpr Reading kGlmThinking{.encoding = Encoding::glm4_7, .starts_in_thinking = true};
constexpr Reading kV3{.encoding = Encoding::deepseek_v3};
constexpr Reading kV31{.encoding = Encoding::deepseek_v3_1};
constexpr Reading kDistill{.encoding = Encoding::r1_distill_qwen, .tokens = false, .starts_in_thinking = true};
constexpr Reading kLlama{.encoding = Encoding::llama3_1};

// Control tokens.
#define TC "\x01<tool_call>\x02"
#define TCE "\x01</tool_call>\x02"
#define KEY(k) "\x01<arg_key>\x02" k "\x01</arg_key>\x02"
#define VAL(v) "\x01<arg_value>\x02" v "\x01</arg_value>\x02"
#define CSB "\x01<｜tool▁calls▁begin｜>\x02"
#define CSE "\x01<｜tool▁calls▁end｜>\x02"
#define CB "\x01<｜tool▁call▁begin｜>\x02"
#define CE "\x01<｜tool▁call▁end｜>\x02"
#define SEP "\x01<｜tool▁sep｜>\x02"

TEST(ToolReply, Hermes) {
  const ToolReply one = said("", {{"get_weather", R"({"city": "Paris"})"}});
  for (const Reading& reading : {kQwen, kQwenWords, kQwen3}) {
    EXPECT_EQ(read(reading, TC "\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}\n" TCE), one);
    EXPECT_EQ(read(reading, TC "{\"arguments\": {\"city\": \"Paris\"}, \"name\": \"get_weather\"}" TCE), one);
    EXPECT_EQ(read(reading, TC "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Paris\"}, \"id\": 7}" TCE),
              one);
    EXPECT_EQ(read(reading, TC "{\"name\": \"get_weather\", \"arguments\": \"{\\\"city\\\": \\\"Paris\\\"}\"}" TCE),
              one);
  }
  EXPECT_EQ(read(kQwen, "Let me look.\n" TC "\n{\"name\": \"search\", \"arguments\": {}}\n" TCE "\n" TC
                        "\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"</tool_call>\"}}\n" TCE "\n"),
            said("Let me look.", {{"search", "{}"}, {"get_weather", R"({"city": "</tool_call>"})"}}));
  EXPECT_EQ(read(kQwen, TC "{\"name\": \"anything\"}" TCE "That was it."), said("That was it.", {{"anything", "{}"}}));
}

TEST(ToolReply, MarkersThatAreTokensCountOnlyAsTokens) {
  const std::string text = "<tool_call>\n{\"name\": \"search\", \"arguments\": {}}\n</tool_call>";
  EXPECT_EQ(read(kQwen, "See: " + text), said("See: " + text));
  EXPECT_EQ(read(kQwenWords, "See: " + text), said("See:", {{"search", "{}"}}));
  EXPECT_EQ(read(kV31, "See: <｜tool▁call▁begin｜>f<｜tool▁sep｜>{}<｜tool▁call▁end｜>"),
            said("See: <｜tool▁call▁begin｜>f<｜tool▁sep｜>{}<｜tool▁call▁end｜>"));
}

TEST(ToolReply, MarkersInAStringAreText) {
  EXPECT_EQ(
      read(kQwenWords, "<tool_call>{\"name\": \"search\", \"arguments\": {\"query\": \"a </tool_call> \\\" b\"}}"),
      said("", {{"search", R"({"query": "a </tool_call> \" b"})"}}));
}

TEST(ToolReply, ProseMayNameTheMarkers) {
  for (const Reading& reading : {kQwen, kQwenWords, kQwen3}) {
    EXPECT_EQ(read(reading, "Use `" TC "` and `" TCE "` around it."),
              said("Use `<tool_call>` and `</tool_call>` around it."));
    EXPECT_EQ(read(reading, "The " TC " tag opens, " TCE " closes."),
              said("The <tool_call> tag opens, </tool_call> closes."));
    EXPECT_EQ(read(reading, "As in `" TC "{\"name\": \"f\", \"arguments\": {}}" TCE "`."),
              said("As in `<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>`."));
  }
  EXPECT_EQ(read(kGlm, "The " TC " tag, `" TC "`."), said("The <tool_call> tag, `<tool_call>`."));
  EXPECT_EQ(read(kV31, "The `" CB "` token."), said("The `<｜tool▁call▁begin｜>` token."));
}

// The text of a call gone wrong becomes content, without the markers.
TEST(ToolReply, MalformedCallsLoseNoText) {
  EXPECT_EQ(read(kQwen, TC "\nget_weather(city=Paris)\n" TCE), said("get_weather(city=Paris)"));
  EXPECT_EQ(read(kQwen, TC "\n{\"city\": \"Paris\"}\n" TCE), said("{\"city\": \"Paris\"}"));
  EXPECT_EQ(read(kQwen, TC "\n{\"name\": 5, \"arguments\": {}}\n" TCE), said("{\"name\": 5, \"arguments\": {}}"));
  EXPECT_EQ(read(kQwen, TC "\n{name: search}" TCE), said("{name: search}"));
  EXPECT_EQ(read(kQwen, TC TCE "Hello" TCE), said("Hello"));
  EXPECT_EQ(read(kQwen, TC "{\"name\": \"search\", \"arguments\": {}} and then" TCE),
            said(" and then", {{"search", "{}"}}));
  EXPECT_EQ(read(kQwen, TC "{\"name\": \"search\", \"arguments\": {} x}" TCE), said("x}", {{"search", "{}"}}));
  EXPECT_EQ(read(kGlm, TC "\nget weather now\n" TCE), said("get weather now"));
  EXPECT_EQ(read(kV31, CSB CB "search" CSE), said("search"));
  EXPECT_EQ(read(kV31, CSB "oops" CB "search" SEP "{}" CE CSE), said("oops", {{"search", "{}"}}));
}

TEST(ToolReply, MissingClosers) {
  const Call paris{"get_weather", R"({"city": "Paris"})"};
  EXPECT_EQ(read(kQwen, TC "\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}"), said("", {paris}));
  EXPECT_EQ(read(kQwen, TC "{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}\n" TC
                           "{\"name\": \"search\", \"arguments\": {}}"),
            said("", {paris, {"search", "{}"}}));
  EXPECT_EQ(read(kV31, CB "get_weather" SEP "{\"city\": \"Paris\"}" CB "search" SEP "{}"),
            said("", {paris, {"search", "{}"}}));
  EXPECT_EQ(read(kGlm, TC "get_weather" KEY("city") VAL("Paris") TC "search" KEY("query") VAL("x")),
            said("", {{"get_weather", R"({"city": "Paris")", false}, {"search", R"({"query": "x"})"}}));
  EXPECT_EQ(read(kQwen, TC "{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Pa"),
            said("", {{"get_weather", R"({"city": "Pa)", false}}));
  EXPECT_EQ(read(kQwen, TC "{\"name\": \"get_wea"), said("{\"name\": \"get_wea"));
  EXPECT_EQ(read({.encoding = Encoding::glm4_7, .cut = true}, TC "get_weather" KEY("city") VAL("Paris")),
            said("", {{"get_weather", R"({"city": "Paris")", false}}));
  EXPECT_EQ(read(kGlm, TC "get_weather" KEY("city") "\x01<arg_value>\x02Pa"),
            said("", {{"get_weather", R"({"city": "Pa)", false}}));
}

TEST(ToolReply, DeepSeek) {
  const ToolReply two = said("Yes.", {{"search", R"({"query": "x"})"}, {"get_weather", R"({"city": "巴黎"})"}});
  EXPECT_EQ(read(kV3, "Yes." CSB CB "function" SEP "search\n```json\n{\"query\": \"x\"}\n```" CE "\n" CB "function" SEP
                      "get_weather\n```json\n{\"city\": \"巴黎\"}\n```" CE CSE),
            two);
  EXPECT_EQ(
      read(kV31, "Yes." CSB CB "search" SEP "{\"query\": \"x\"}" CE CB "get_weather" SEP "{\"city\": \"巴黎\"}" CE CSE),
      two);
  // Each in the other's form.
  EXPECT_EQ(read(kV31, "Yes." CSB CB "function" SEP "search\n```json\n{\"query\": \"x\"}\n```" CE CB "get_weather" SEP
                       "```json\n{\"city\": \"巴黎\"}\n```" CE CSE),
            two);
  EXPECT_EQ(read(kV3, CSB CB "function" SEP "get_current_time\n```json\n```" CE CSE),
            said("", {{"get_current_time", "{}"}}));
  EXPECT_EQ(read(kV31, CSB CB "get_current_time" SEP CE CSE), said("", {{"get_current_time", "{}"}}));
  EXPECT_EQ(read(kV3, CSB CB "function" SEP "search\n```json\n{\"query\": \"```\\n\"}\n```" CE CSE "\n"),
            said("", {{"search", R"({"query": "```\n"})"}}));
}

TEST(ToolReply, DistillsSpellTheMarkers) {
  const ToolReply want = said("", {{"search", R"({"query": "<think>"})"}}, "I should use <｜tool▁calls▁begin｜> now.");
  for (const char* gap : {"▁", "_", " ", "\\_"}) {
    const auto mark = [gap](const char* a, const char* b, const char* c) {
      return std::string("<｜") + a + gap + b + (*c != '\0' ? std::string(gap) + c : "") + "｜>";
    };
    EXPECT_EQ(read(kDistill, "I should use <｜tool▁calls▁begin｜> now.\n</think>\n\n" + mark("tool", "calls", "begin") +
                                 mark("tool", "call", "begin") + "function" + mark("tool", "sep", "") +
                                 "search\n```json\n{\"query\": \"<think>\"}\n```" + mark("tool", "call", "end") +
                                 mark("tool", "calls", "end")),
              want);
  }
}

TEST(ToolReply, Glm) {
  EXPECT_EQ(
      read(kGlm, TC "get_weather" KEY("city") VAL("10") KEY("days") VAL("3") KEY("metric") VAL("true") KEY("code")
                     VAL("null") KEY("tags") VAL("[\"a\",1]") TCE),
      said("", {{"get_weather", R"({"city": "10", "days": 3, "metric": true, "code": null, "tags": ["a", 1]})"}}));
  EXPECT_EQ(read(kGlm, TC
                 "get_weather\n" KEY("city") "\n" VAL("a \"b\"\n\tc") "\n" KEY("any") "\n" VAL("1e5") "\n" KEY("mode")
                     VAL("fast") KEY("limit") VAL("None") "\n" TCE "\n" TC "search\n" KEY("query") VAL("") TCE),
            said("", {{"get_weather",
                       "{\"city\": \"a \\\"b\\\"\\n\\tc\", \"any\": 100000.0, \"mode\": \"fast\", \"limit\": null}"},
                      {"search", R"({"query": ""})"}}));
  EXPECT_EQ(read(kGlm, TC "unknown" KEY("x") VAL("1") KEY("y") VAL("one") TCE),
            said("", {{"unknown", R"({"x": 1, "y": "one"})"}}));
  EXPECT_EQ(read(kGlm, TC "get_weather" KEY("days") VAL("three") KEY("metric") VAL("True") TCE),
            said("", {{"get_weather", R"({"days": "three", "metric": true})"}}));
}

TEST(ToolReply, Llama) {
  const ToolReply one = said("", {{"search", R"({"query": "x"})"}});
  EXPECT_EQ(read(kLlama, R"({"name": "search", "parameters": {"query": "x"}})"), one);
  EXPECT_EQ(
      read(
          kLlama,
          "\x01<|python_tag|>\x02{\"type\": \"function\", \"name\": \"search\", \"parameters\": {\"query\": \"x\"}}\n"),
      one);
  EXPECT_EQ(read(kLlama, R"({"name": "search", "parameters": {"query": "x"}}; {"name": "search", "parameters": {}})"),
            said("", {{"search", R"({"query": "x"})"}, {"search", "{}"}}));
  for (const char* prose :
       {R"({"name": "Bob", "parameters": {}})", R"({"name": "search"})", R"({"a": 1})", R"({"name": "search")", "{",
        "Try {\"name\": \"search\", \"parameters\": {}}", "[]", " {x}"}) {
    EXPECT_EQ(read(kLlama, prose), said(prose));
  }
  EXPECT_EQ(read(kLlama, R"({"name": "search", "parameters": {}} or so)"), said(" or so", {{"search", "{}"}}));
}

TEST(ToolReply, AnAnswerInJsonStreams) {
  const auto encoding = ChatEncoding::create(Encoding::qwen2_5);
  ToolReplyParser parser(*encoding, offered(), false, [](std::string_view) { return true; });
  std::vector<ReplyPart> parts;
  parser.push("{\"answer\": 4", parts);
  ASSERT_EQ(parts.size(), 1U);
  EXPECT_EQ(parts[0].text, "{\"answer\": 4");
}

// Qwen2.5-Coder leaves the markers out.
TEST(ToolReply, BareCallsOfQwenCoder) {
  const ToolReply one = said("", {{"search", R"({"query": "x"})"}});
  const std::string call = R"({"name": "search", "arguments": {"query": "x"}})";
  for (const Reading& reading : {kQwen, kQwenWords}) {
    EXPECT_EQ(read(reading, call), one);
    EXPECT_EQ(read(reading, "```json\n" + call + "\n```"), one);
    EXPECT_EQ(read(reading, "<tools>\n" + call + "\n</tools>\n"), one);
    EXPECT_EQ(read(reading, "```json\n" + call + "\n```\n```json\n" + call + "\n```").calls.size(), 2U);
    EXPECT_EQ(read(reading, "[" + call + ", " + call + "]").calls.size(), 2U);
    EXPECT_EQ(read(reading, call + "\n" + call).calls.size(), 2U);
    for (const std::string& prose :
         {std::string(R"({"name": "Bob", "arguments": {}})"), "Like this:\n```json\n" + call + "\n```",
          std::string("```json\n{\"a\": 1}\n```"), std::string("```"), std::string("<to"), std::string("[1, 2]"),
          std::string("```python\nprint()\n```")}) {
      EXPECT_EQ(read(reading, prose), said(prose));
    }
  }
}

TEST(ToolReply, ACallEndsThinking) {
  const Call call{"search", R"({"query": "x"})"};
  EXPECT_EQ(read(kQwen3, "\x01<think>\x02\nI need it." TC
                         "\n{\"name\": \"search\", \"arguments\": {\"query\": \"x\"}}\n" TCE "\x01</think>\x02\n"),
            said("", {call}, "I need it."));
  EXPECT_EQ(read(kGlmThinking, "Hm" TC "search" KEY("query") VAL("x") TCE), said("", {call}, "Hm"));
  EXPECT_EQ(read({.encoding = Encoding::deepseek_v3_1, .starts_in_thinking = true},
                 "Hm" CSB CB "search" SEP "{\"query\": \"x\"}" CE CSE),
            said("", {call}, "Hm"));
  // A thought about markers is none.
  EXPECT_EQ(read(kQwen3, "\x01<think>\x02The " TC " tag `" TC "`.\x01</think>\x02Yes" TC
                         "{\"name\": \"search\", \"arguments\": {\"query\": \"x\"}}" TCE),
            said("Yes", {call}, "The <tool_call> tag `<tool_call>`."));
}

// Literal replies from public reports of other engines' parsers.
TEST(ToolReply, RepliesThatOthersLost) {
  // tenstorrent/tt-inference-server #3683: "json\n" leaked into the arguments where the fence came as separate tokens.
  EXPECT_EQ(read(kV3, CSB CB "function" SEP "search\n```"
                             "json\n{\"location\":\"San Francisco\"}\n```" CE CSE),
            said("", {{"search", R"({"location":"San Francisco"})"}}));
  EXPECT_EQ(read(kV3, CSB CB "function" SEP "search\njson\n{\"location\":\"San Francisco\"}\n" CE CSE),
            said("", {{"search", R"({"location":"San Francisco"})"}}));
  // google/adk-python #5024: the first of several calls stayed text.
  EXPECT_EQ(
      read(kV3, " " CSB CB "function" SEP "analysis_input\n```json\n{\"work_dir_name\":\"bf01a09edc0f\"}\n```" CE CSE),
      said("", {{"analysis_input", R"({"work_dir_name":"bf01a09edc0f"})"}}));
  // vllm-project/vllm #44326: calls without arguments were dropped in streams.
  EXPECT_EQ(read(kGlm, TC "get_current_time" TCE), said("", {{"get_current_time", "{}"}}));
  // vllm-project/vllm #47190: <arg_key> left out after the name.
  EXPECT_EQ(read(kGlm, TC "send_command_to_shellcommand\x01</arg_key>\x02" VAL("echo test") TCE),
            said("", {{"send_command_to_shell", R"({"command": "echo test"})"}}));
  // vllm-project/vllm #49249: <arg_value> left out.
  EXPECT_EQ(read(kGlm, TC "search" KEY("query") "how many vacation days left\x01</arg_value>\x02" TCE),
            said("", {{"search", R"({"query": "how many vacation days left"})"}}));
  // ollama/ollama #12702: V3.1's calls inside thinking.
  EXPECT_EQ(read({.encoding = Encoding::deepseek_v3_1, .starts_in_thinking = true},
                 "What's the weather in Paris?\n" CSB CB "get_weather" SEP "{\"city\": \"Paris\"}" CE CSE),
            said("", {{"get_weather", R"({"city": "Paris"})"}}, "What's the weather in Paris?\n"));
  // NousResearch/hermes-agent #5867 and #742: no markers, or only the last one.
  EXPECT_EQ(read(kQwen, R"({"name": "search", "arguments": {"query": "北京今天的天气"}})"),
            said("", {{"search", R"({"query": "北京今天的天气"})"}}));
  EXPECT_EQ(
      read(kQwen3, "\x01<think>\x02x\x01</think>\x02{\"name\": \"search\", \"arguments\": {\"query\": \"x\"}}" TCE),
      said("", {{"search", R"({"query": "x"})"}}, "x"));
  // ggml-org/llama.cpp #17707: DSML is another family's and stays text.
  const std::string dsml = "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"get_datetime\">\n</｜DSML｜invoke>";
  EXPECT_EQ(read(kV31, dsml), said(dsml));
}

TEST(ToolReply, AnyRowOfPiecesReadsAlikeHoweverItIsCut) {
  const std::vector<std::string> pieces = {TC,
                                           TCE,
                                           CSB,
                                           CSE,
                                           CB,
                                           CE,
                                           SEP,
                                           "\x01<arg_key>\x02",
                                           "\x01</arg_key>\x02",
                                           "\x01<arg_value>\x02",
                                           "\x01</arg_value>\x02",
                                           "\x01<think>\x02",
                                           "\x01</think>\x02",
                                           "\x01<|python_tag|>\x02",
                                           "{\"name\": \"search\", \"arguments\": {",
                                           "\"query\": \"a\"",
                                           "}}",
                                           "}",
                                           "{",
                                           "[",
                                           "\"",
                                           "\\",
                                           "```json\n",
                                           "```",
                                           "\n",
                                           " ",
                                           "`",
                                           "search",
                                           "function",
                                           ";",
                                           "<tools>",
                                           "<",
                                           "tool_call>",
                                           "思",
                                           "x",
                                           "null",
                                           ",",
                                           ":",
                                           "<｜tool_call_begin｜>",
                                           "<｜tool_sep｜>",
                                           "days",
                                           "3"};
  const auto tools = offered();
  for (std::uint64_t round = 0; round < 12'000; ++round) {
    Cuts draws(round + 1000);
    std::string text;
    for (std::size_t count = 1 + draws.below(14); count > 0; --count) text += pieces[draws.below(pieces.size())];
    const std::vector<Reading> readings = {kQwen, kQwenWords, kQwen3, kGlm, kGlmThinking, kV3, kV31, kDistill, kLlama};
    const Reading& reading = readings[draws.below(readings.size())];
    std::vector<Drawn> reply = drawn_of(text);
    if (!reading.tokens) {
      std::string all;
      for (const Drawn& one : reply) all += one.text;
      reply = {Drawn{all}};
    }
    const ToolReply whole = read_reply(reading, tools, reply, [] { return std::size_t{1} << 20; });
    ASSERT_EQ(read_reply(reading, tools, reply, [] { return std::size_t{1}; }), whole) << testing::PrintToString(text);
    ASSERT_EQ(read_reply(reading, tools, reply, [&draws] { return 1 + draws.below(5); }), whole)
        << testing::PrintToString(text);
    ASSERT_TRUE(whole.orderly) << testing::PrintToString(text) << whole;
  }
}

// A quadratic automaton would need minutes.
TEST(ToolReply, LinearInALongReply) {
  const auto tools = offered();
  constexpr std::size_t kLength = 40'000;
  for (const Reading& reading : {kQwen, kQwenWords, kGlm, kV3, kDistill, kLlama}) {
    for (const std::string& begin :
         {std::string(), std::string(TC "{\"name\": \"search\", \"arguments\": {\"query\": \""),
          std::string(TC "search\n"
                         "\x01<arg_key>\x02"),
          std::string(CSB CB "function" SEP "search\n```")}) {
      for (const char* unit : {" ", "<", "\n", "`", "\\", "{", "a"}) {
        std::string text = begin;
        for (std::size_t i = 0; i < kLength; ++i) text += unit;
        std::vector<Drawn> reply = drawn_of(text);
        const ToolReply total = read_reply(reading, tools, reply, [] { return std::size_t{1}; });
        EXPECT_TRUE(total.orderly);
      }
    }
  }
}

}  // namespace
}  // namespace minke::text
