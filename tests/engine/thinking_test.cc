#include "engine/thinking.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/error.h"

namespace minke::engine {
namespace {

constexpr std::int32_t kBegin = 1, kEnd = 2, kStop = 3, kWait = 4, kNewline = 5;

/// Feeds a control as the engine does: what is forced comes before what the model draws.
struct Replay {
  Replay(const ThinkingOptions& given, std::size_t most) : options(given), control(options, most) {}
  void draw(std::int32_t token) {
    while (!control.forced().empty()) take(control.forced().front());
    take(control.redirect(token, token == kStop));
  }
  void settle() {
    while (!control.forced().empty()) take(control.forced().front());
  }
  void take(std::int32_t token) {
    row.push_back(token);
    control.took(row, token == kNewline ? "\n" : "x");
  }
  ThinkingOptions options;
  ThinkingControl control;
  std::vector<std::int32_t> row;
};

using Row = std::vector<std::int32_t>;

TEST(Thinking, OpensWithTheFirstTokenOrNotAtAll) {
  const ThinkingOptions options{.begin = kBegin, .end = kEnd};
  Replay opened(options, 100);
  for (const std::int32_t token : {kNewline, kBegin, 10, 11, kEnd, 12}) opened.draw(token);
  EXPECT_TRUE(opened.control.answering());
  EXPECT_EQ(opened.control.tokens(), 2u);
  Replay answered(options, 100);
  for (const std::int32_t token : {10, kBegin, 11}) answered.draw(token);
  EXPECT_TRUE(answered.control.answering());
  EXPECT_EQ(answered.control.tokens(), 0u);
}

TEST(Thinking, IsClosedAtItsMost) {
  Replay run({.begin = kBegin, .end = kEnd, .open = true, .max_tokens = 3, .close = {kNewline, kEnd, kNewline}}, 100);
  for (const std::int32_t token : {10, 11, 12, 13}) run.draw(token);
  EXPECT_EQ(run.row, (Row{10, 11, 12, kNewline, kEnd, kNewline, 13}));
  EXPECT_TRUE(run.control.answering());
  // None at all.
  Replay none({.begin = kBegin, .end = kEnd, .max_tokens = 0}, 100);
  for (const std::int32_t token : {kBegin, 11}) none.draw(token);
  EXPECT_EQ(none.row, (Row{kBegin, kEnd, 11}));
}

TEST(Thinking, ThreeQuartersOfTheReplyUnlessSaidOtherwise) {
  Replay run({.end = kEnd, .open = true}, 40);
  for (std::int32_t i = 0; i < 39; ++i) run.draw(100 + i);
  EXPECT_EQ(run.control.tokens(), 30u);
  EXPECT_EQ(std::count(run.row.begin(), run.row.end(), kEnd), 1);
  Replay endless({.end = kEnd, .open = true, .max_tokens = ~std::size_t{0}}, 40);
  for (std::int32_t i = 0; i < 39; ++i) endless.draw(100 + i);
  EXPECT_TRUE(endless.control.thinking());
}

TEST(Thinking, GoesOnWhenItWouldCloseTooEarly) {
  const ThinkingOptions options{.end = kEnd, .open = true, .min_tokens = 5, .wait = {kWait, kNewline}, .most_waits = 2};
  Replay run(options, 1000);
  for (const std::int32_t token : {10, kEnd, 11, kEnd, 12, kEnd, 13}) run.draw(token);
  // The third close comes after seven tokens.
  EXPECT_EQ(run.row, (Row{10, kWait, kNewline, 11, kWait, kNewline, 12, kEnd, 13}));
  Replay insistent(options, 1000);
  for (const std::int32_t token : {kEnd, kEnd, kEnd, 13}) insistent.draw(token);
  EXPECT_EQ(insistent.row, (Row{kWait, kNewline, kWait, kNewline, kEnd, 13})) << "no more than two waits";
}

TEST(Thinking, AReplyDoesNotEndInsideIt) {
  Replay run({.end = kEnd, .open = true, .close = {kNewline, kEnd}}, 100);
  for (const std::int32_t token : {10, kStop, 11, kStop}) run.draw(token);
  EXPECT_EQ(run.row, (Row{10, kNewline, kEnd, 11, kStop}));
  Replay waiting({.end = kEnd, .open = true, .min_tokens = 9, .wait = {kWait}, .most_waits = 1}, 100);
  for (const std::int32_t token : {10, kStop}) waiting.draw(token);
  EXPECT_EQ(waiting.row, (Row{10, kWait}));
}

TEST(Thinking, ACycleClosesIt) {
  for (const std::size_t period : {1, 3, 40, 256}) {
    Replay run({.end = kEnd, .open = true}, 100000);
    for (std::int32_t i = 0; i < 50; ++i) run.draw(1000 + i);
    std::size_t drawn = 0;
    while (run.control.thinking() && drawn < 3000) {
      run.draw(100 + static_cast<std::int32_t>(drawn++ % period));
      run.settle();
    }
    const std::size_t most = std::max(CycleDetector::kTokens, CycleDetector::kRepeats * period);
    EXPECT_EQ(drawn, most) << "period " << period;
  }
  Replay let({.end = kEnd, .open = true, .close_cycles = false}, 100000);
  for (int i = 0; i < 500; ++i) let.draw(7);
  EXPECT_TRUE(let.control.thinking());
}

TEST(Thinking, NearlyACycleIsNone) {
  Replay run({.end = kEnd, .open = true}, 1000000);
  // The same 20 tokens, but each time one of them is another: a table, a list, a count.
  for (std::int32_t i = 0; i < 4000; ++i) run.draw(i % 20 == 7 ? 100 + i : i % 20 + 20);
  EXPECT_TRUE(run.control.thinking());
  // Periods beyond the longest looked for.
  Replay wide({.end = kEnd, .open = true}, 1000000);
  for (std::int32_t i = 0; i < 3000; ++i) wide.draw(100 + i % 300);
  EXPECT_TRUE(wide.control.thinking());
}

TEST(Thinking, WithoutAClosingTokenThereIsNone) {
  Replay run({}, 10);
  for (const std::int32_t token : {kBegin, kStop}) run.draw(token);
  EXPECT_EQ(run.row, (Row{kBegin, kStop}));
  EXPECT_TRUE(run.control.answering());
}

TEST(Thinking, WhatIsWrongIsNamed) {
  const auto message = [](const ThinkingOptions& options) -> std::string {
    try {
      options.validate(100);
    } catch (const base::Error& error) {
      return error.message();
    }
    return "";
  };
  EXPECT_EQ(message({}), "");
  EXPECT_NE(message({.max_tokens = 5}).find("thinking.end"), std::string::npos);
  EXPECT_NE(message({.end = 100}).find("thinking.end"), std::string::npos);
  EXPECT_NE(message({.begin = 100, .end = 1}).find("thinking.begin"), std::string::npos);
  EXPECT_NE(message({.end = 1, .close = {2}}).find("thinking.close"), std::string::npos);
  EXPECT_NE(message({.end = 1, .close = {1, 100}}).find("thinking.close"), std::string::npos);
  EXPECT_NE(message({.end = 1, .min_tokens = 3}).find("thinking.wait"), std::string::npos);
  EXPECT_NE(message({.end = 1, .wait = {1}}).find("thinking.wait"), std::string::npos);
  EXPECT_NE(message({.end = 1, .max_tokens = 2, .min_tokens = 3, .wait = {2}}).find("min_tokens"), std::string::npos);
  EXPECT_NE(message({.end = 1, .most_waits = 5000}).find("most_waits"), std::string::npos);
}

}  // namespace
}  // namespace minke::engine
