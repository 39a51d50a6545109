#include "engine/ngram_drafter.h"

#include <algorithm>
#include <bit>

namespace minke::engine {
namespace {

/// Tokens that must agree at least: one is chance.
constexpr std::size_t kLeast = 2;
/// Agreement beyond this says no more.
constexpr std::size_t kLongest = 16;
/// Earlier places that are compared, latest first: a text of one word must not make a step slow.
constexpr std::size_t kMostPlaces = 16;
constexpr std::size_t kMostHeads = std::size_t{1} << 16;
constexpr std::uint32_t kNone = ~std::uint32_t{0};

/// The places where each pair of tokens ends, chained from the latest on. 8 bytes a token.
class NgramIndex final : public DraftState {
 public:
  explicit NgramIndex(std::size_t most_tokens)
      : heads_(std::min(std::bit_ceil(std::max<std::size_t>(most_tokens, 16)), kMostHeads), kNone),
        before_(most_tokens + 1, kNone) {}

  /// Knows every pair but the last, which nothing follows yet.
  void extend(std::span<const TokenId> history) noexcept {
    const std::size_t end = std::min(history.size(), before_.size());
    for (; known_ + 1 < end; ++known_) {
      if (known_ == 0) continue;
      std::uint32_t& head = heads_[slot(history[known_ - 1], history[known_])];
      before_[known_] = head;
      head = static_cast<std::uint32_t>(known_);
    }
  }

  struct Match {
    std::size_t next = 0;    ///< place of what followed
    std::size_t length = 0;  ///< tokens that agree; 0: there is none
  };
  Match longest(std::span<const TokenId> history) const noexcept {
    Match best;
    if (history.size() < kLeast + 1) return best;
    const std::size_t last = history.size() - 1;
    std::size_t places = 0;
    for (std::uint32_t at = heads_[slot(history[last - 1], history[last])]; at != kNone && places < kMostPlaces;
         at = before_[at], ++places) {
      std::size_t length = 0;
      while (length < kLongest && length <= at && history[at - length] == history[last - length]) ++length;
      if (length >= kLeast && length > best.length) best = {.next = at + std::size_t{1}, .length = length};
      if (best.length == kLongest) break;
    }
    return best;
  }

 private:
  std::size_t slot(TokenId first, TokenId second) const noexcept {
    const std::uint64_t pair =
        static_cast<std::uint64_t>(static_cast<std::uint32_t>(first)) << 32 | static_cast<std::uint32_t>(second);
    return (pair * 0x9E3779B97F4A7C15u) >> 32 & (heads_.size() - 1);  // Fibonacci hashing
  }

  std::vector<std::uint32_t> heads_, before_;
  std::size_t known_ = 0;
};

}  // namespace

std::uint8_t NgramDrafter::evidence_of(std::size_t length) noexcept {
  return length >= 9 ? 3 : length >= 5 ? 2 : length >= 3 ? 1 : 0;
}

std::unique_ptr<DraftState> NgramDrafter::open(std::size_t most_tokens) {
  return std::make_unique<NgramIndex>(most_tokens);
}

void NgramDrafter::draft(std::span<DraftJob> jobs) noexcept {
  for (DraftJob& job : jobs) {
    job.count = 0;
    if (job.state == nullptr) continue;
    auto& index = static_cast<NgramIndex&>(*job.state);
    index.extend(job.history);
    const NgramIndex::Match match = index.longest(job.history);
    if (match.length == 0) continue;
    // Past the end of the history the guess goes on with itself: what repeats with a short period.
    for (; job.count < job.most; ++job.count) {
      const std::size_t from = match.next + job.count;
      job.tokens[job.count] = from < job.history.size() ? job.history[from] : job.tokens[from - job.history.size()];
      job.evidence[job.count] = evidence_of(match.length + job.count);
    }
  }
}

}  // namespace minke::engine
