#include "api/reply_text.h"

#include <gtest/gtest.h>

#include "base/utf8.h"
#include "support/fake_model.h"

namespace minke::api {
namespace {

using test::kImEnd;
using test::kImStart;
using test::kThink;
using test::kThinkEnd;

struct Total {
  std::string reasoning, content;
  std::vector<engine::TokenId> reasoning_tokens, content_tokens;
  std::size_t counted = 0, counted_reasoning = 0;
};

std::vector<engine::TokenId> tokens_of(std::string_view text) {
  std::vector<engine::TokenId> tokens;
  for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
  return tokens;
}

std::vector<engine::TokenId> join(std::initializer_list<std::vector<engine::TokenId>> parts) {
  std::vector<engine::TokenId> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

void add(const TextDelta& delta, Total& total) {
  total.reasoning += delta.reasoning;
  total.content += delta.content;
  for (const auto& drawn : delta.reasoning_tokens) total.reasoning_tokens.push_back(drawn.token);
  for (const auto& drawn : delta.content_tokens) total.content_tokens.push_back(drawn.token);
}

Total run(const std::vector<engine::TokenId>& tokens, bool starts_in_thinking = false) {
  const auto fake = test::fake_model({}, text::Encoding::qwen3);
  ReplyText text(*fake.model, {.starts_in_thinking = starts_in_thinking, .chat = true}, true);
  Total total;
  for (const engine::TokenId token : tokens) add(text.push({.token = token, .logprob = -1.0F}), total);
  add(text.finish(), total);
  total.counted = text.tokens();
  total.counted_reasoning = text.reasoning_tokens();
  return total;
}

TEST(ReplyText, ThinkingAndContentHaveTheirOwnTextTokensAndCounts) {
  const Total total = run(join({{kThink}, tokens_of("hm."), {kThinkEnd}, tokens_of("yes")}));
  EXPECT_EQ(total.reasoning, "hm.");
  EXPECT_EQ(total.content, "yes");
  EXPECT_EQ(total.reasoning_tokens, tokens_of("hm."));
  EXPECT_EQ(total.content_tokens, tokens_of("yes"));
  EXPECT_EQ(total.counted, 8u);
  EXPECT_EQ(total.counted_reasoning, 5u) << "markers are reasoning";
  const Total opened = run(join({tokens_of("hm."), {kThinkEnd}, tokens_of("yes")}), true);
  EXPECT_EQ(opened.reasoning, "hm.");
  EXPECT_EQ(opened.content, "yes");
}

TEST(ReplyText, ControlTokensAreNoText) {
  EXPECT_EQ(run(join({tokens_of("a"), {kImStart, kImEnd}, tokens_of("b")})).content, "ab");
}

TEST(ReplyText, TheTailGoesOnAfterTheLastToken) {
  const auto fake = test::fake_model({});
  ReplyText text(*fake.model, {.chat = true}, true);
  Total total;
  for (const engine::TokenId token : tokens_of("one \xe9\xb2")) add(text.push({.token = token}), total);
  add(text.finish("\xb8!", /*cut=*/true), total);
  EXPECT_EQ(total.content, "one 鲸!");
}

TEST(ReplyText, NoDeltaEndsInsideACharacter) {
  const auto fake = test::fake_model({});
  ReplyText text(*fake.model, {.chat = true}, false);
  std::string all;
  for (const engine::TokenId token : tokens_of("鲸🐋e\xff")) {
    const TextDelta delta = text.push({.token = token});
    EXPECT_TRUE(base::is_valid_utf8(delta.content));
    all += delta.content;
  }
  EXPECT_EQ(all + text.finish().content, "鲸🐋e\xEF\xBF\xBD");
}

}  // namespace
}  // namespace minke::api
