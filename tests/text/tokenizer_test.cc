#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <random>
#include <thread>

#include "base/error.h"
#include "base/utf8.h"
#include "formats/checkpoint.h"
#include "support/temp_folder.h"
#include "tokenizer_fixture.h"

namespace minke::text {
namespace {

using testing::add_merge;
using testing::add_token;
using testing::load;
using testing::model_of;
using testing::plain_document;
using testing::read_data;
using testing::text_of;
namespace json = boost::json;
using Ids = std::vector<TokenId>;

std::unique_ptr<Tokenizer> real(const std::string& name) {
  return Tokenizer::from_json(read_data(name + ".json"), name + ".json");
}

TEST(Tokenizer, RealVocabulariesGiveHuggingFacesIds) {
  const json::value goldens = json::parse(read_data("goldens.json"));
  ASSERT_GE(goldens.as_array().size(), 20u);
  for (const json::value& golden : goldens.as_array()) {
    const std::string name(text_of(golden.at("vocabulary")));
    Ids ids;
    for (const json::value& id : golden.at("ids").as_array()) ids.push_back(static_cast<TokenId>(id.as_int64()));
    EXPECT_EQ(real(name)->encode(text_of(golden.at("text")), ControlText::parse), ids)
        << name << ": " << golden.at("text");
  }
}

TEST(Tokenizer, DeepSeekV3HelloWorld) {
  const auto tokenizer = real("deepseek_v3");
  EXPECT_EQ(tokenizer->encode("Hello, world!"), (Ids{19923, 14, 2058, 3}));
  EXPECT_EQ(tokenizer->decode(Ids{19923, 14, 2058, 3}), "Hello, world!");
  EXPECT_EQ(tokenizer->description(), "byte-level BPE, 128,815 tokens, deepseek-v3 pre-tokenizer");
  EXPECT_EQ(tokenizer->find("<｜Assistant｜>"), 128804);
  EXPECT_EQ(tokenizer->find("ĠHello world, not a token"), std::nullopt);
  EXPECT_EQ(tokenizer->piece(128804), "<｜Assistant｜>");
  EXPECT_EQ(tokenizer->piece(-1), "");
  EXPECT_EQ(tokenizer->piece(1 << 30), "");
}

TEST(Tokenizer, QwenNormalises) {
  const auto tokenizer = real("qwen3");
  EXPECT_EQ(tokenizer->encode("cafe\u0301"), tokenizer->encode("caf\u00e9"));
  EXPECT_EQ(tokenizer->pre_tokenizer(), PreTokenizer::qwen2);
}

// ---- control text

TEST(ControlText, SpecialTokensAreTextUnlessParsed) {
  const auto tokenizer = real("deepseek_v3");
  const std::string_view bos = "<｜begin▁of▁sentence｜>";
  EXPECT_EQ(tokenizer->encode(bos, ControlText::parse), Ids{0});
  const Ids plain = tokenizer->encode(bos, ControlText::ordinary);
  EXPECT_GT(plain.size(), 3u);
  EXPECT_EQ(tokenizer->decode(plain), bos);
}

TEST(ControlText, MarkedTokensBecomeControl) {
  const auto tokenizer = real("deepseek_v3");
  const std::string_view text = "<｜User｜>";
  // The file marks it special: false, so that it matches anywhere, as in Hugging Face ...
  EXPECT_FALSE(tokenizer->is_control(128803));
  EXPECT_EQ(tokenizer->encode(text, ControlText::ordinary), Ids{128803});
  tokenizer->mark_control(text);
  tokenizer->mark_control("no such token");
  // ... until its encoding says that it is control.
  EXPECT_TRUE(tokenizer->is_control(128803));
  EXPECT_EQ(tokenizer->encode(text, ControlText::parse), Ids{128803});
  for (const TokenId id : tokenizer->encode(text, ControlText::ordinary)) EXPECT_FALSE(tokenizer->is_control(id));
  // `special`, and so skip_special, stays as the file has it.
  EXPECT_EQ(tokenizer->decode(Ids{128803, 0}, true), text);
}

TEST(ControlText, AWordOfTheVocabularyThatIsControlIsSpeltOut) {
  json::object document = plain_document();
  add_merge(document, "s", "t");
  add_merge(document, "o", "p");
  add_merge(document, "st", "op");  // id 258: the same spelling as the special token
  add_token(document, 258, "stop", {.special = true});
  const auto tokenizer = load(document);
  EXPECT_EQ(tokenizer->encode("stop", ControlText::parse), Ids{258});
  EXPECT_EQ(tokenizer->encode("stop", ControlText::ordinary), (Ids{'s', 't', 'o', 'p'}));
  EXPECT_EQ(tokenizer->encode("sto", ControlText::ordinary), (Ids{256, 'o'}));
}

TEST(ControlText, IgnoredMergesDoNotReachControlEither) {
  json::object document = plain_document();
  document["pre_tokenizer"] = testing::sequence({testing::split(testing::kLlama3Regex), testing::byte_level(false)});
  model_of(document)["ignore_merges"] = true;
  model_of(document)["vocab"].as_object()["eot"] = 256;
  model_of(document)["vocab"].as_object()["word"] = 257;
  add_token(document, 256, "eot", {.special = true});
  const auto tokenizer = load(document);
  EXPECT_EQ(tokenizer->encode("eot", ControlText::parse), Ids{256});
  EXPECT_EQ(tokenizer->encode("eot", ControlText::ordinary), (Ids{'e', 'o', 't'}));
  EXPECT_EQ(tokenizer->encode("word", ControlText::ordinary), Ids{257});
}

TEST(ControlText, TextNeverBecomesControlHoweverItIsCut) {
  for (const char* name : {"deepseek_v3", "qwen3"}) {
    const auto tokenizer = real(name);
    std::mt19937 rng(5);
    for (int round = 0; round < 500; ++round) {
      std::string text;
      for (int i = 0; i < 6; ++i) {
        const auto added = tokenizer->added_tokens();
        const std::string& content = added[rng() % added.size()].content;
        const std::size_t cut = rng() % (content.size() + 1);
        text += rng() % 2 != 0 ? content : rng() % 2 != 0 ? content.substr(cut) : content.substr(0, cut);
      }
      for (const TokenId id : tokenizer->encode(text, ControlText::ordinary))
        EXPECT_FALSE(tokenizer->is_control(id)) << text;
    }
  }
}

// ---- added tokens (expected ids from Hugging Face tokenizers)

TEST(AddedTokens, LongestAtTheLeftmostPlaceWins) {
  json::object document = plain_document();
  add_token(document, 256, "<a");
  add_token(document, 257, "<ab>");
  add_token(document, 258, "b>c");
  const auto tokenizer = load(document);
  EXPECT_EQ(tokenizer->encode("<ab>c"), (Ids{257, 'c'}));
  EXPECT_EQ(tokenizer->encode("<ab<abb>c"), (Ids{256, 'b', 256, 'b', 258}));
}

TEST(AddedTokens, StripFlags) {
  json::object document = plain_document();
  add_token(document, 256, "[l]", {.lstrip = true});
  add_token(document, 257, "[r]", {.rstrip = true});
  const auto tokenizer = load(document);
  EXPECT_EQ(tokenizer->encode("a \u3000\n[l] b"), (Ids{'a', 256, 32, 'b'}));
  EXPECT_EQ(tokenizer->encode("a [r] \t\u00a0b"), (Ids{'a', 32, 257, 'b'}));
  EXPECT_EQ(tokenizer->encode("[r]  [l]"), (Ids{257, 256}));
}

TEST(AddedTokens, SingleWord) {
  json::object document = plain_document();
  add_token(document, 256, "cat", {.single_word = true});
  const auto tokenizer = load(document);
  EXPECT_EQ(tokenizer->encode("cat"), Ids{256});
  EXPECT_EQ(tokenizer->encode("(cat)"), (Ids{'(', 256, ')'}));
  EXPECT_EQ(tokenizer->encode("cats"), (Ids{'c', 'a', 't', 's'}));
  EXPECT_EQ(tokenizer->encode("_cat"), (Ids{'_', 'c', 'a', 't'}));
}

TEST(AddedTokens, NormalizedOnesMatchNormalisedText) {
  json::object document = plain_document();
  document["normalizer"] = {{"type", "NFC"}};
  add_token(document, 256, "e\u0301", {.normalized = true});
  add_token(document, 257, "o\u0301", {.normalized = false});
  const auto tokenizer = load(document);
  EXPECT_EQ(tokenizer->encode("\u00e9"), Ids{256});
  EXPECT_EQ(tokenizer->encode("e\u0301"), Ids{256});
  EXPECT_EQ(tokenizer->encode("o\u0301"), Ids{257});
  EXPECT_EQ(tokenizer->encode("\u00f3"), (Ids{0xC3, 0xB3}));
  EXPECT_EQ(tokenizer->piece(256), "\u00e9");
}

TEST(AddedTokens, LettersOfTheByteAlphabetStayLetters) {
  // DeepSeek-Coder has "ü" as an added token: it is the letter, not byte 0xFC.
  json::object document = plain_document();
  add_token(document, 300, "ü!");
  const auto tokenizer = load(document);
  EXPECT_EQ(tokenizer->encode("ü!"), Ids{300});
  EXPECT_EQ(tokenizer->decode(Ids{300}), "ü!");
  EXPECT_EQ(tokenizer->vocab_size(), 301u);
  EXPECT_EQ(tokenizer->piece(299), "");
}

// ---- BPE

/// The definition, naively: merge the lowest rank, leftmost first, until none is left.
Ids merge_naively(std::string_view word, const std::vector<std::pair<TokenId, TokenId>>& merges) {
  Ids ids;
  for (const char c : word) ids.push_back(static_cast<unsigned char>(c));
  for (;;) {
    std::size_t best_rank = merges.size(), at = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto rank = static_cast<std::size_t>(
          std::find(merges.begin(), merges.end(), std::pair(ids[i], ids[i + 1])) - merges.begin());
      if (rank < best_rank) best_rank = rank, at = i;
    }
    if (best_rank == merges.size()) return ids;
    ids[at] = static_cast<TokenId>(256 + best_rank);
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

TEST(Bpe, MergesAsTheDefinitionSaysForShortAndLongWords) {
  std::mt19937 rng(1);
  for (int round = 0; round < 12; ++round) {
    json::object document = plain_document();
    std::vector<std::string> tokens = {"a", "b", "c"};
    Ids token_ids = {'a', 'b', 'c'};
    std::vector<std::pair<TokenId, TokenId>> merges;
    while (merges.size() < 30) {
      const std::size_t l = rng() % tokens.size(), r = rng() % tokens.size();
      const std::string both = tokens[l] + tokens[r];
      if (both.size() > 12 || std::find(tokens.begin(), tokens.end(), both) != tokens.end()) continue;
      add_merge(document, tokens[l], tokens[r]);
      merges.emplace_back(token_ids[l], token_ids[r]);
      tokens.push_back(both);
      token_ids.push_back(static_cast<TokenId>(255 + merges.size()));
    }
    const auto tokenizer = load(document);
    for (const std::size_t length : {1, 2, 3, 5, 17, 24, 25, 100, 127, 128, 129, 130, 300, 700}) {
      std::string word;
      for (std::size_t i = 0; i < length; ++i) word += static_cast<char>('a' + rng() % 3);
      EXPECT_EQ(tokenizer->encode(word), merge_naively(word, merges)) << word;
      EXPECT_EQ(tokenizer->encode(word + " " + word).size(),
                2 * tokenizer->encode(word).size() + 1);  // through the cache
    }
  }
}

TEST(Bpe, ALaterMergeOfTheSamePairOverrules) {
  json::object document = plain_document();
  add_merge(document, "a", "b");
  add_merge(document, "b", "c");
  add_merge(document, "a", "b");
  EXPECT_EQ(load(document)->encode("abc"), (Ids{'a', 257}));
}

TEST(Bpe, BytesWithoutATokenVanishOrBecomeUnknown) {
  json::object document = plain_document();
  model_of(document)["vocab"].as_object().erase("x");
  EXPECT_EQ(load(document)->encode("axxb"), (Ids{'a', 'b'}));
  model_of(document)["unk_token"] = "?";
  EXPECT_EQ(load(document)->encode("axxb"), (Ids{'a', '?', '?', 'b'}));
  model_of(document)["fuse_unk"] = true;
  EXPECT_EQ(load(document)->encode("axxb"), (Ids{'a', '?', 'b'}));
}

TEST(Bpe, MergesAsStringsAndAsPairsAreTheSame) {
  json::object document = plain_document();
  add_merge(document, "h", "i");
  model_of(document)["merges"] = json::array{"h i"};
  EXPECT_EQ(load(document)->encode("hi"), Ids{256});
}

TEST(Tokenizer, AMegabyteWithoutSpacesIsNoHardship) {
  json::object document = plain_document();
  for (std::string token = "a"; token.size() < 64; token += token) add_merge(document, token, token);
  const auto tokenizer = load(document);
  std::string mixed;
  for (int i = 0; i < 1 << 20; ++i) mixed += static_cast<char>(i % 7 == 0 ? 'b' : 'a');
  for (const std::string& text :
       {std::string(1 << 20, 'a'), mixed, std::string(1 << 20, ' '), std::string(1 << 20, '\n')}) {
    const auto start = std::chrono::steady_clock::now();
    const Ids ids = tokenizer->encode(text);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    EXPECT_EQ(tokenizer->decode(ids), text);
    EXPECT_LT(seconds.count(), 20);  // quadratic would take hours
  }
}

// ---- text that is not UTF-8, streams, threads

TEST(Tokenizer, IllFormedTextIsReadAsReplacementCharacters) {
  const auto tokenizer = load(plain_document());
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("a\xff\xe4\xbd z")), "a\uFFFD\uFFFD z");
  EXPECT_EQ(tokenizer->encode(""), Ids{});
}

TEST(StreamDecoder, NeverEndsInsideACharacter) {
  const auto tokenizer = load(plain_document());  // one token a byte
  const std::string text = "aé你🙂\u200d!";
  StreamDecoder decoder(*tokenizer);
  std::string whole;
  for (const TokenId id : tokenizer->encode(text)) {
    const std::string part = decoder.push(id);
    EXPECT_TRUE(base::is_valid_utf8(part));
    EXPECT_EQ(part.find("\uFFFD"), part.npos);
    whole += part;
  }
  EXPECT_EQ(whole + decoder.finish(), text);
}

TEST(StreamDecoder, EqualsTheLossyWhole) {
  const auto tokenizer = load(plain_document());
  std::mt19937 rng(9);
  for (int round = 0; round < 2000; ++round) {
    Ids ids;
    constexpr TokenId kInteresting[] = {'a', 0x80, 0xBF, 0xC3, 0xE4, 0xBD, 0xED, 0xA0, 0xF0, 0x9F, 0x99, 0xFF, 0xC0};
    for (std::size_t i = 0, n = rng() % 10; i < n; ++i) ids.push_back(kInteresting[rng() % std::size(kInteresting)]);
    StreamDecoder decoder(*tokenizer);
    std::string whole;
    for (const TokenId id : ids) whole += decoder.push(id);
    EXPECT_EQ(whole + decoder.finish(), base::to_valid_utf8(tokenizer->decode(ids)));
  }
}

TEST(Tokenizer, IsSharedByThreads) {
  const auto tokenizer = real("deepseek_v3");
  const std::string text = "Hello, world! 你好，世界！今天是2025年1月20日。";
  const Ids expected = tokenizer->encode(text);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (std::size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 300; ++i) wrong[t] += tokenizer->encode(text) == expected ? 0 : 1;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

// ---- what files say about BOS and EOS

TEST(Tokenizer, TheTemplateSaysWhetherBosIsAdded) {
  json::object document = plain_document();
  add_token(document, 256, "<s>", {.special = true});
  EXPECT_FALSE(load(document)->adds_bos());
  document["post_processor"] =
      json::parse(R"({"type":"Sequence","processors":[{"type":"ByteLevel"},{"type":"TemplateProcessing",
    "single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[],
    "special_tokens":{"<s>":{"id":"<s>","ids":[256],"tokens":["<s>"]}}}]})");
  const auto tokenizer = load(document);
  EXPECT_TRUE(tokenizer->adds_bos());
  EXPECT_EQ(tokenizer->bos(), 256);
  EXPECT_EQ(tokenizer->encode("a", ControlText::parse), Ids{'a'});  // never added here
}

class CheckpointFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::filesystem::path tiny = std::filesystem::path(MINKE_SOURCE_DIR) / "tests/golden/tiny/llama";
    for (const char* name : {"config.json", "model.safetensors"})
      std::filesystem::copy_file(tiny / name, folder_ / name);
  }
  void write(const char* name, const json::value& value) { std::ofstream(folder_ / name) << json::serialize(value); }
  std::unique_ptr<Tokenizer> open() { return Tokenizer::open(*formats::Checkpoint::open(folder_.string())); }

  test::TempFolder temporary_;
  std::filesystem::path folder_ = temporary_.path();
};

TEST_F(CheckpointFolder, ReadsTheConfigsBesideTheTokenizer) {
  json::object document = plain_document();
  add_token(document, 256, "<s>", {.special = true});
  add_token(document, 257, "</s>", {.special = true});
  write("tokenizer.json", document);
  write("tokenizer_config.json", {{"add_bos_token", true}, {"bos_token", "<s>"}, {"eos_token", {{"content", "</s>"}}}});
  write("generation_config.json", {{"eos_token_id", {257, 10, 99999999, -1}}});
  const auto tokenizer = open();
  EXPECT_TRUE(tokenizer->adds_bos());
  EXPECT_EQ(tokenizer->bos(), 256);
  EXPECT_EQ(tokenizer->eos(), (Ids{10, 257}));
}

TEST_F(CheckpointFolder, WithoutATokenizerSaysSo) {
  try {
    open();
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::not_found);
    EXPECT_NE(error.message().find("tokenizer.json"), std::string::npos);
  }
}

}  // namespace
}  // namespace minke::text
