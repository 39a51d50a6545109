#include "engine/memory_plan.h"

#include <algorithm>
#include <string>

#include "base/error.h"

namespace minke::engine {

namespace {

/// Below this a chat cannot be held; saying so beats loading.
constexpr std::size_t kLeastContext = 256;

/// Of a mapped model that does not fit into memory: enough for a conversation, little beside the weights.
constexpr std::uint64_t kCrowdedContext = 4096;

std::string megabytes(std::uint64_t bytes) { return base::cat((bytes + 999'999) / 1'000'000, " MB"); }

std::string needs(const MemoryPlan& plan) {
  const std::string weights =
      plan.weights_mapped ? std::string() : base::cat("weights ", megabytes(plan.weight_bytes), " + ");
  return base::cat(weights, "work space ", megabytes(plan.workspace_bytes), " + ", plan.cache_tokens,
                   " tokens of context ", megabytes(plan.cache_tokens * plan.kv_bytes_per_token));
}

std::size_t whole_blocks(std::size_t tokens) {
  return (tokens + kernels::kKvBlock - 1) / kernels::kKvBlock * kernels::kKvBlock;
}

}  // namespace

MemoryPlan plan_memory(const models::DecoderConfig& config, const models::ModelSizes& sizes, kernels::KvType kv_type,
                       const MemoryRequest& request) {
  MemoryPlan plan;
  plan.weight_bytes = sizes.weight_bytes;
  plan.kv_bytes_per_token = models::kv_bytes_per_token(config, kv_type);
  plan.workspace_bytes = models::workspace_bytes(config, request.rows) +
                         sizeof(float) * static_cast<std::uint64_t>(config.vocab_size) * request.logit_rows;
  plan.weights_mapped = sizes.mapped;
  const auto tokens_beside = [&](std::uint64_t fixed) {
    const std::uint64_t left = request.available > fixed ? request.available - fixed : 0;
    return left / plan.kv_bytes_per_token / kernels::kKvBlock * kernels::kKvBlock;
  };
  const std::uint64_t beside_all = tokens_beside(plan.weight_bytes + plan.workspace_bytes);
  const std::uint64_t fits = plan.weights_mapped ? tokens_beside(plan.workspace_bytes) : beside_all;
  const std::uint64_t suits = std::max(beside_all, std::min(fits, kCrowdedContext));
  const auto trained = static_cast<std::size_t>(config.max_position_embeddings);
  plan.context = request.context != 0 ? request.context : std::min<std::size_t>(trained, suits);
  const std::size_t least = whole_blocks(request.context != 0 ? request.context : std::min(trained, kLeastContext));
  const std::size_t cache = std::max(least, whole_blocks(request.cache_tokens));
  if (fits < cache) {
    if (request.context == 0) plan.context = least;
    plan.cache_tokens = cache;
    throw base::Error(base::ErrorCode::out_of_memory,
                      base::cat("not enough memory: ", needs(plan), " = ", megabytes(plan.total()), ", but ",
                                megabytes(request.available), " are available"),
                      fits >= kLeastContext ? base::cat("A context of ", fits, " tokens would fit (--ctx-size).")
                                            : std::string("Use a smaller model or quantisation, or free memory."));
  }
  const std::size_t context = whole_blocks(plan.context);
  if (request.cache_tokens != 0) {
    plan.cache_tokens = std::max(context, whole_blocks(request.cache_tokens));
  } else {
    const std::uint64_t others = std::min<std::uint64_t>((request.sequences - 1) * static_cast<std::uint64_t>(context),
                                                         (std::max<std::uint64_t>(suits, context) - context) / 2);
    plan.cache_tokens = context + static_cast<std::size_t>(others) / kernels::kKvBlock * kernels::kKvBlock;
  }
  return plan;
}

}  // namespace minke::engine
