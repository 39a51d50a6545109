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
  return base::cat(weights, "work space ", megabytes(plan.workspace_bytes), " + ", plan.context, " tokens of context ",
                   megabytes(plan.context * plan.kv_bytes_per_token));
}

}  // namespace

MemoryPlan plan_memory(const models::DecoderConfig& config, const models::ModelSizes& sizes, kernels::KvType kv_type,
                       std::size_t wanted, std::size_t chunk, std::uint64_t available) {
  MemoryPlan plan;
  plan.weight_bytes = sizes.weight_bytes;
  plan.kv_bytes_per_token = models::kv_bytes_per_token(config, kv_type);
  plan.workspace_bytes =
      models::workspace_bytes(config, chunk) + sizeof(float) * static_cast<std::uint64_t>(config.vocab_size);
  plan.weights_mapped = sizes.mapped;
  const auto tokens_beside = [&](std::uint64_t fixed) {
    return available > fixed ? (available - fixed) / plan.kv_bytes_per_token : 0;
  };
  const std::uint64_t beside_all = tokens_beside(plan.weight_bytes + plan.workspace_bytes);
  const std::uint64_t fits = plan.weights_mapped ? tokens_beside(plan.workspace_bytes) : beside_all;
  const std::uint64_t suits = std::max(beside_all, std::min(fits, kCrowdedContext));
  const auto trained = static_cast<std::size_t>(config.max_position_embeddings);
  plan.context = wanted != 0 ? wanted : std::min<std::size_t>(trained, suits / kernels::kKvBlock * kernels::kKvBlock);
  const std::size_t least = wanted != 0 ? wanted : std::min(trained, kLeastContext);
  if (fits < least) {
    plan.context = least;
    throw base::Error(base::ErrorCode::out_of_memory,
                      base::cat("not enough memory: ", needs(plan), " = ", megabytes(plan.total()), ", but ",
                                megabytes(available), " are available"),
                      fits >= kLeastContext ? base::cat("A context of ", fits / kernels::kKvBlock * kernels::kKvBlock,
                                                        " tokens would fit (--ctx-size).")
                                            : std::string("Use a smaller model or quantisation, or free memory."));
  }
  return plan;
}

}  // namespace minke::engine
