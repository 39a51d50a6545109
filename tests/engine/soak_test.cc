// Thousands of random requests from several callers: short and long ones, some too long, cancelled, left, refused; with
// stop strings and grammars, some of which ask for too much or take their time; with a small cache in memory and on
// disk, and guesses. None is lost, every block comes back, memory stays as it was.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <random>
#include <string>
#include <thread>

#include "base/error.h"
#include "models/config.h"
#include "support/constraints.h"
#include "support/golden.h"
#include "support/grammars.h"
#include "support/replies.h"
#include "support/temp_folder.h"

namespace minke::engine {
namespace {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MINKE_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(MINKE_SANITIZED)
constexpr bool kSanitized = true;  // memory that was freed is kept: the sanitizer tells of leaks itself
#else
constexpr bool kSanitized = false;
#endif
constexpr std::size_t kContext = 256;
constexpr std::size_t kCallers = 12;

std::uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

class Caller {
 public:
  struct Counts {
    std::size_t finished = 0, cancelled = 0, left = 0, too_long = 0, overloaded = 0, cut_off = 0, tokens = 0;
    std::size_t stop_strings = 0, grammars = 0;  ///< replies that ended so
  };
  using Grammars = std::vector<std::shared_ptr<const TokenConstraint>>;

  Caller(Engine& engine, const Grammars& grammars, std::uint32_t seed)
      : engine_(engine), grammars_(grammars), random_(seed) {}

  /// One request to its end, whatever that is.
  void ask() {
    Request request = random_request();
    const std::size_t samples = request.samples, prompt = request.tokens.size(), most = request.max_tokens;
    const bool draws = request.pooling == Pooling::none;
    const std::shared_ptr<const TokenConstraint> grammar = request.constraint;
    Reply reply;
    try {
      reply = engine_.submit(std::move(request));
    } catch (const base::Error& error) {
      const bool too_long = error.code() == base::ErrorCode::context_overflow;
      ++(too_long ? counts_.too_long : counts_.overloaded);
      EXPECT_TRUE(too_long ? prompt > kContext : error.code() == base::ErrorCode::overloaded) << error.message();
      return;
    }
    const std::size_t fate = draw(10);
    if (fate == 0) {
      ++counts_.left;
      if (draw(2) == 0) reply.wait(std::chrono::milliseconds(draw(4)));
      return;  // the reply is dropped
    }
    if (fate == 1) {
      reply.wait(std::chrono::milliseconds(draw(4)));
      reply.cancel();
    }
    const test::Collected all = test::collect(reply, samples);
    EXPECT_TRUE(all.complete);
    bool cancelled = false, cut_off = false;
    for (const auto& sample : all.samples) {
      if (sample.end.error) {
        EXPECT_TRUE(asks_too_much_) << sample.end.error->message();
        EXPECT_EQ(sample.end.error->code(), base::ErrorCode::overloaded);
        EXPECT_LE(sample.tokens.size(), kTooMuch);
        cut_off = true;
        continue;
      }
      if (grammar) {
        EXPECT_TRUE(test::obeys(*grammar, sample.tokens, engine_.vocab_size()));
        counts_.grammars += sample.end.reason == FinishReason::stop ? 1 : 0;
      }
      counts_.stop_strings += sample.end.stop_string ? 1 : 0;
      cancelled = cancelled || sample.end.reason == FinishReason::cancelled;
      counts_.tokens += sample.tokens.size();
      if (most != 0) {
        EXPECT_LE(sample.tokens.size(), most);
      }
      EXPECT_LE(prompt + sample.tokens.size(), kContext + 1);
      EXPECT_LE(sample.end.usage.accepted_tokens, sample.end.usage.drafted_tokens);
      if (draws && sample.end.reason == FinishReason::length) {
        EXPECT_EQ(sample.tokens.size(), most);
      }
    }
    EXPECT_TRUE(!cancelled || fate == 1) << "nobody asked for that";
    ++(cut_off ? counts_.cut_off : cancelled ? counts_.cancelled : counts_.finished);
  }

  const Counts& counts() const { return counts_; }

 private:
  std::size_t draw(std::size_t below) { return random_() % below; }

  Request random_request() {
    const std::size_t vocab = engine_.vocab_size();
    Request request;
    // Beginnings in common, some of them repetitive; one in twenty does not fit.
    const std::size_t stem = draw(6),
                      length = draw(20) == 0 ? kContext + 1 + draw(50) : 1 + draw(draw(3) == 0 ? 250 : 90);
    for (std::size_t i = 0; i < length; ++i)
      request.tokens.push_back(
          static_cast<TokenId>(stem < 3 ? (i % (7 + stem) + stem * 40) % vocab : (i * i * 31 + stem * 977) % vocab));
    if (draw(2) == 0) request.tokens.back() = static_cast<TokenId>(draw(vocab));
    request.sampling.temperature = draw(2) == 0 ? 0 : 0.8;
    request.sampling.seed = random_();
    if (draw(4) == 0) request.sampling.frequency_penalty = 0.5;
    request.max_tokens = draw(12) == 0 ? 0 : 1 + draw(draw(4) == 0 ? 80 : 10);
    if (draw(3) == 0)
      for (int i = 0; i < 5; ++i) request.stop_tokens.push_back(static_cast<TokenId>(draw(vocab)));
    if (draw(6) == 0) request.min_tokens = draw(8);
    if (draw(4) == 0) request.stop_strings = {"ab", "c d", "efgh", "}"};
    asks_too_much_ = false;
    if (draw(3) == 0) constrain(request);
    request.identity = std::to_string(draw(5));
    request.salt = std::to_string(draw(3));
    if (draw(4) == 0) request.shared_prefix = draw(200);
    request.priority = draw(5) == 0 ? Priority::batch : Priority::interactive;
    if (draw(10) == 0) request.samples = 1 + draw(3);
    if (draw(5) == 0) request.logprobs = draw(4);
    if (draw(15) == 0) request.prompt_logprobs = true;
    if (draw(15) == 0) {
      request.pooling = draw(2) == 0 ? Pooling::mean : Pooling::last;
      request.samples = 1;
      request.logprobs.reset();
      request.prompt_logprobs = false;
      request.constraint.reset();
    }
    return request;
  }

  void constrain(Request& request) {
    request.stop_tokens = {test::kWordEnd};
    const std::size_t which = draw(grammars_.size() + 2);
    asks_too_much_ = which == grammars_.size();
    if (asks_too_much_) request.max_tokens = 2 * kTooMuch;
    request.constraint = which < grammars_.size() ? grammars_[which]
                         : asks_too_much_         ? std::make_shared<test::Rising>(60, test::kWordEnd, kTooMuch)
                                                  : std::make_shared<test::Rising>(1 + draw(30), test::kWordEnd);
    if (draw(3) == 0)
      request.constraint =
          std::make_shared<test::Napping>(request.constraint, 1 + draw(8), std::chrono::microseconds(draw(4000)));
  }

  static constexpr std::size_t kTooMuch = 9;  // tokens after which such a grammar is cut off

  Engine& engine_;
  const Grammars& grammars_;
  bool asks_too_much_ = false;  // the request that was made last
  std::mt19937 random_;
  Counts counts_;
};

void soak(std::size_t requests) {
  const auto checkpoint = formats::Checkpoint::open(test::tiny_folder("deepseek_v3"));
  const test::TempFolder folder;
  std::atomic<int> warnings{0};
  EngineOptions options{.threads = 2, .context = kContext, .chunk = 48, .sequences = 6, .cache_tokens = 512};
  options.queue = 16;
  options.secret = "a secret";
  options.cache_folder = folder.file("kv");
  options.cache_disk = 3'000'000;
  options.cache_least_free = 0;
  options.on_warning = [&](const std::string&) { ++warnings; };
  options.token_bytes = test::json_words(static_cast<std::size_t>(models::read_config(*checkpoint).vocab_size));
  const Caller::Grammars grammars = test::some_grammars(options.token_bytes);
  Engine engine(*checkpoint, options);
  const auto ask = [&](std::size_t count, std::uint32_t seed) {
    std::vector<Caller> callers;
    for (std::size_t i = 0; i < kCallers; ++i)
      callers.emplace_back(engine, grammars, seed + static_cast<std::uint32_t>(i));
    std::vector<std::thread> threads;
    threads.reserve(kCallers);
    for (Caller& caller : callers)
      threads.emplace_back([&caller, count] {
        for (std::size_t i = 0; i < count / kCallers; ++i) caller.ask();
      });
    for (std::thread& thread : threads) thread.join();
    test::expect_idle(engine);
    Caller::Counts all;
    for (const Caller& caller : callers) {
      const Caller::Counts& c = caller.counts();
      all.finished += c.finished;
      all.cancelled += c.cancelled;
      all.left += c.left;
      all.too_long += c.too_long;
      all.overloaded += c.overloaded;
      all.cut_off += c.cut_off;
      all.stop_strings += c.stop_strings;
      all.grammars += c.grammars;
    }
    EXPECT_EQ(all.finished + all.cancelled + all.left + all.too_long + all.overloaded + all.cut_off,
              count / kCallers * kCallers);
    EXPECT_GT(all.stop_strings, 0u);
    EXPECT_GT(all.grammars, 0u);
    EXPECT_GT(all.cut_off, 0u);
    EXPECT_GT(all.finished, count / 3);
    EXPECT_GT(all.left, 0u);
    EXPECT_GT(all.too_long, 0u);
    EXPECT_GT(all.cancelled, 0u);
  };
  ask(requests / 4, 1);  // what grows once has grown
  const std::uint64_t before = resident_bytes();
  ask(requests - requests / 4, 1000);
  const std::uint64_t after = resident_bytes();
  // The allocator's arenas grow by 6 MB over some thousands of requests, most of it grammars'; then no more, in 20,000.
  // A sanitizer's keep what was freed.
  const std::uint64_t more = kSanitized ? std::uint64_t{1} << 40 : 10u << 20;
  EXPECT_LT(after, before + more) << "bytes more";
  const EngineHealth health = engine.health();
  EXPECT_GT(health.accepted, 0u);
  EXPECT_GT(health.cache_hits, 0u);
  EXPECT_GT(health.preemptions, 0u);
  EXPECT_GT(health.disk_read, 0u);
  EXPECT_EQ(health.disk_refused, 0u);
  EXPECT_LE(health.disk_bytes, options.cache_disk);
  EXPECT_EQ(warnings.load(), 0);
}

TEST(Soak, ThousandRequests) { soak(kSanitized ? 400 : 1000); }
TEST(Soak, DISABLED_LongTenThousandRequests) { soak(10'000); }

}  // namespace
}  // namespace minke::engine
