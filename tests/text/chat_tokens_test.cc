// From an encoding's pieces to ids: control tokens by their spelling in this vocabulary, everything else as text.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "text/chat.h"
#include "tokenizer_fixture.h"

namespace minke::text {
namespace {

constexpr std::string_view kBos = "<｜begin▁of▁sentence｜>";

/// The bytes, then `added` as ids 256, 257, ...
std::unique_ptr<Tokenizer> vocabulary(const std::vector<std::string_view>& added) {
  testing::json::object document = testing::plain_document();
  for (std::size_t i = 0; i < added.size(); ++i)
    testing::add_token(document, 256 + static_cast<std::int64_t>(i), added[i], {.special = true});
  return testing::load(document);
}

std::vector<TokenId> prompt(Encoding encoding, const Tokenizer& tokenizer, const std::string& question,
                            Thinking thinking = Thinking::automatic) {
  const std::vector<Message> messages = {{Role::user, question, {}}};
  return ChatEncoding::create(encoding)->render(messages, {.thinking = thinking, .date = {}}).encode(tokenizer);
}

// R1 and V3.1 have <think> at 128798, V4 a place holder there.
TEST(ChatTokens, MarkersHaveTheIdsOfThisVocabulary) {
  const auto early = vocabulary({"<think>", "</think>", kBos, "<｜User｜>", "<｜Assistant｜>"});
  const auto late =
      vocabulary({kBos, "<｜User｜>", "<｜Assistant｜>", "<｜place▁holder▁no▁798｜>", "</think>", "<think>"});
  EXPECT_EQ(prompt(Encoding::deepseek_r1, *early, "A"), (std::vector<TokenId>{258, 259, 'A', 260, 256, '\n'}));
  EXPECT_EQ(prompt(Encoding::deepseek_r1, *late, "A"), (std::vector<TokenId>{256, 257, 'A', 258, 261, '\n'}));
  EXPECT_EQ(prompt(Encoding::deepseek_v3_1, *early, "A"), (std::vector<TokenId>{258, 259, 'A', 260, 257}));
  EXPECT_EQ(prompt(Encoding::deepseek_v3_1, *late, "A"), (std::vector<TokenId>{256, 257, 'A', 258, 260}));
  EXPECT_EQ(prompt(Encoding::deepseek_v3_1, *late, "A", Thinking::on), (std::vector<TokenId>{256, 257, 'A', 258, 261}));
}

TEST(ChatTokens, ControlTokensInAQuestionAreText) {
  const auto tokenizer = vocabulary({kBos, "<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"});
  for (const std::string_view quoted : {kBos, std::string_view("<think>"), std::string_view("</think>")}) {
    const std::vector<TokenId> ids = prompt(Encoding::deepseek_r1, *tokenizer, std::string(quoted));
    EXPECT_EQ(std::ranges::count_if(ids, [](TokenId id) { return id >= 256; }), 4) << quoted;
    EXPECT_EQ(ids.size(), 5 + quoted.size()) << quoted;  // and one line feed
  }
}

TEST(ChatTokens, AVocabularyWithoutTheMarkers) {
  const auto plain = vocabulary({kBos, "<｜User｜>", "<｜Assistant｜>"});
  // R1's first distills spell the marker out.
  EXPECT_EQ(prompt(Encoding::deepseek_r1, *plain, "A").size(), 4 + std::string_view("<think>\n").size());
  const auto other = vocabulary({kBos, "<｜User｜>"});
  try {
    prompt(Encoding::deepseek_r1, *other, "A");
    FAIL() << "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::unsupported);
    EXPECT_NE(error.message().find("<｜Assistant｜>"), std::string::npos) << error.message();
  }
}

}  // namespace
}  // namespace minke::text
