// Grammars by llguidance (https://github.com/guidance-ai/llguidance), a Rust library, through its C interface.
#include <pthread.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <exception>
#include <utility>

#include <llguidance.h>

#include "base/error.h"
#include "base/signals_blocked.h"
#include "constrain/grammar.h"
#include "constrain/time_allowance.h"

namespace minke::constrain {
namespace {

using base::cat;
using base::Error;
using base::ErrorCode;

struct FreeTokenizer {
  void operator()(LlgTokenizer* tokenizer) const noexcept { llg_free_tokenizer(tokenizer); }
};
struct FreeMatcher {
  void operator()(LlgMatcher* matcher) const noexcept { llg_free_matcher(matcher); }
};
using MatcherPointer = std::unique_ptr<LlgMatcher, FreeMatcher>;
struct FreeHandle {
  void operator()(LlgCancellationHandle* handle) const noexcept { llg_free_cancellation_handle(handle); }
};

/// What the library calls back into, kept alive by every constraint.
struct Tokens {
  std::function<std::vector<engine::TokenId>(std::string_view)> encode;
  std::unique_ptr<LlgTokenizer, FreeTokenizer> tokenizer;
  std::shared_ptr<TimeKeeper> keeper = std::make_shared<TimeKeeper>();
};

/// An LlgTokenizeFn: nothing may be thrown into Rust.
std::size_t tokenize(const void* user, const std::uint8_t* bytes, std::size_t size, std::uint32_t* out,
                     std::size_t room) noexcept {
  try {
    const std::string text(bytes, bytes + size);
    const std::vector<engine::TokenId> ids = static_cast<const Tokens*>(user)->encode(text);
    for (std::size_t i = 0; i < std::min(room, ids.size()); ++i) out[i] = static_cast<std::uint32_t>(ids[i]);
    return ids.size();
  } catch (const std::exception&) {
    return 0;
  }
}

// The library's limits bound single masks, to some tens of milliseconds, but not what it takes to go on with a token
// (seconds, for an ambiguous grammar), nor all masks of a reply together; and others' masks wait for it. So a reply's
// grammar has 1 s of processor time to begin with and 20 ms with each token: masks of ordinary grammars, over 152k
// tokens, take a hundredth of that.
constexpr TimeAllowance::Rates kTime{.first = std::chrono::seconds(1), .each = std::chrono::milliseconds(20)};

/// The library's limits, its own defaults but where noted.
LlgParserLimits limits() {
  LlgParserLimits result{};       // 0: the default
  result.max_items_in_row = 250;  // of 2000: an ambiguous grammar takes seconds for a token there
  result.initial_lexer_fuel = 1000000;
  result.step_lexer_fuel = 200000;
  result.step_max_items = 50000;
  result.max_lexer_states = 20000;  // of 250000: 1 or 2 kB each, in every sample
  result.max_grammar_size = 500000;
  result.precompute_large_lexemes = true;
  result.verbose_errors = false;  // errors go to callers: no dumps of parsers
  return result;
}

std::string matcher_error(LlgMatcher* matcher) {
  const char* text = llg_matcher_get_error(matcher);
  std::string message = text == nullptr ? "unknown" : text;
  while (!message.empty() && std::isspace(static_cast<unsigned char>(message.back())) != 0) message.pop_back();
  constexpr std::size_t kMost = 1000;
  if (message.size() > kMost) message.resize(kMost);
  return message;
}

/// A grammar that is well-formed, but asks for more than a reply's share.
Error cut_off(Grammar::Kind kind, std::string_view why) {
  return {ErrorCode::unsupported, cat("the ", to_string(kind), " was cut off: ", why),
          "It is too ambiguous or too large at this place: make it simpler."};
}

class Matcher final : public engine::TokenConstraint {
 public:
  Matcher(std::shared_ptr<const Tokens> tokens, MatcherPointer matcher, Grammar::Kind kind)
      : tokens_(std::move(tokens)), matcher_(std::move(matcher)), kind_(kind) {}

  std::unique_ptr<engine::TokenConstraint> clone() const override {
    return std::make_unique<Matcher>(tokens_, MatcherPointer(llg_clone_matcher(matcher_.get())), kind_);
  }

  void mask(std::span<std::uint32_t> allowed) override {
    const std::size_t bytes = llg_matcher_get_mask_byte_size(matcher_.get());
    own_.resize(bytes / sizeof(std::uint32_t));
    work([&] { return llg_matcher_compute_mask_into(matcher_.get(), own_.data(), bytes); });
    // A model may have more logits than its vocabulary has tokens.
    const std::size_t both = std::min(own_.size(), allowed.size());
    std::copy_n(own_.begin(), both, allowed.begin());
    std::fill(allowed.begin() + static_cast<std::ptrdiff_t>(both), allowed.end(), 0);
  }

  void accept(std::int32_t token) override {
    work([&] { return llg_matcher_consume_token(matcher_.get(), static_cast<std::uint32_t>(token)); });
    allowance_->earn();
  }

 private:
  template <class Call>
  void work(const Call& call) {
    start_time();
    int result = 0;
    {
      const TimeAllowance::Spending spending(*allowance_);
      result = call();
    }
    if (llg_matcher_is_cancelled(matcher_.get()) || allowance_->used_up())
      throw cut_off(kind_,
                    cat("it takes more than ", kTime.first / std::chrono::milliseconds(1), " ms of computing, beside ",
                        kTime.each / std::chrono::milliseconds(1), " ms for each token"));
    if (result != 0) throw cut_off(kind_, matcher_error(matcher_.get()));
  }
  /// With the first work: what is only ever cloned needs no time.
  void start_time() {
    if (allowance_) return;
    handle_.reset(llg_matcher_get_cancellation_handle(matcher_.get()));
    allowance_ = std::make_unique<TimeAllowance>(tokens_->keeper, kTime, [this] { llg_cancel(handle_.get()); });
  }

  std::shared_ptr<const Tokens> tokens_;  // outlives matcher_
  MatcherPointer matcher_;
  Grammar::Kind kind_;
  std::unique_ptr<LlgCancellationHandle, FreeHandle> handle_;
  std::unique_ptr<TimeAllowance> allowance_;  // ends first: it uses handle_
  std::vector<std::uint32_t> own_;
};

/// Of those that a person can do something about: what is well-formed, and not to be had.
bool is_unsupported(std::string_view message) {
  return message.find("nimplemented") != std::string_view::npos ||
         message.find("not supported") != std::string_view::npos ||
         message.find("nsupported") != std::string_view::npos ||
         message.find("Unknown format") != std::string_view::npos;
}

/// Runs `work` on a thread with a large stack: the library's parsers descend as deep as grammars do, and nothing else
/// bounds that. Reserved, not taken.
void on_large_stack(const std::function<void()>& work) {
  constexpr std::size_t kStackBytes = std::size_t{512} << 20;
  struct Job {
    const std::function<void()>& work;
    std::exception_ptr thrown;
  } job{work, nullptr};
  const auto entry = [](void* argument) -> void* {
    auto* self = static_cast<Job*>(argument);
    try {
      self->work();
    } catch (...) {
      self->thrown = std::current_exception();
    }
    return nullptr;
  };
  pthread_t thread{};
  {
    const base::SignalsBlocked blocked;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, kStackBytes);
    const int failed = pthread_create(&thread, &attributes, entry, &job);
    pthread_attr_destroy(&attributes);
    if (failed != 0) throw base::io_error("constrained output", "start a thread", failed);
  }
  pthread_join(thread, nullptr);
  if (job.thrown) std::rethrow_exception(job.thrown);
}

}  // namespace

struct Vocabulary::Impl {
  std::shared_ptr<const Tokens> tokens;
};

std::string library_version() {
  std::string version = llg_get_version();  // "llguidance@1.9.1 derivre@0.3.13"
  version.resize(std::min(version.size(), version.find(' ')));
  std::replace(version.begin(), version.end(), '@', ' ');
  return version;
}

Vocabulary::Vocabulary(Options options) : impl_(std::make_unique<Impl>()) {
  if (!options.tokens || options.tokens->size() == 0 || options.ends.empty() || !options.encode)
    throw Error(ErrorCode::invalid_argument,
                "constrained output: expected a vocabulary with a token that ends replies");
  // Control tokens are marked by a byte that no text has; a plain token that begins with it is left out.
  std::vector<std::uint32_t> lengths;
  std::string bytes;
  for (std::size_t i = 0; i < options.tokens->size(); ++i) {
    const auto id = static_cast<engine::TokenId>(i);
    const std::string_view text = options.tokens->of(id);
    const std::size_t before = bytes.size();
    if (options.tokens->is_control(id)) bytes.push_back('\xff');
    if (options.tokens->is_control(id) || !text.starts_with('\xff')) bytes.append(text);
    lengths.push_back(static_cast<std::uint32_t>(bytes.size() - before));
  }
  auto tokens = std::make_shared<Tokens>();
  tokens->encode = std::move(options.encode);
  std::vector<LlgToken> more;
  for (std::size_t i = 1; i < options.ends.size(); ++i) more.push_back(static_cast<LlgToken>(options.ends[i]));
  LlgTokenizerInitV2 init{};
  init.struct_size = sizeof(init);
  init.vocab_size = static_cast<std::uint32_t>(lengths.size());
  init.tok_eos = static_cast<LlgToken>(options.ends[0]);
  init.token_lens = lengths.data();
  init.token_bytes = reinterpret_cast<const std::uint8_t*>(bytes.data());
  init.tokenize_assumes_string = true;  // ill-formed UTF-8 is ours to replace, not to keep
  init.tokenize_fn = tokenize;
  init.tokenize_user_data = tokens.get();
  init.tok_eos_extra = more.data();
  init.tok_eos_extra_count = static_cast<std::uint32_t>(more.size());
  char message[512] = {};
  tokens->tokenizer.reset(llg_new_tokenizer_v2(&init, message, sizeof(message)));
  if (!tokens->tokenizer) throw Error(ErrorCode::unsupported, cat("constrained output: ", message));
  impl_->tokens = std::move(tokens);
}

Vocabulary::~Vocabulary() = default;

std::shared_ptr<const engine::TokenConstraint> Vocabulary::compile(const Grammar& grammar) const {
  const LibraryGrammar given = library_grammar(grammar);
  MatcherPointer matcher;
  on_large_stack([&] {
    LlgConstraintInit init{};
    llg_constraint_init_set_defaults(&init, impl_->tokens->tokenizer.get());
    init.log_stderr_level = 0;
    init.limits = limits();
    matcher.reset(llg_new_matcher(&init, given.type, given.text.c_str()));
    if (!llg_matcher_is_error(matcher.get())) return;
    const std::string reason = matcher_error(matcher.get());
    matcher.reset();
    throw Error(is_unsupported(reason) ? ErrorCode::unsupported : ErrorCode::invalid_argument,
                cat(to_string(grammar.kind), ": ", reason));
  });
  return std::make_shared<const Matcher>(impl_->tokens, std::move(matcher), grammar.kind);
}

}  // namespace minke::constrain
