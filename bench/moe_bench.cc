// One mixture-of-experts layer of V2-Lite's shape (64 experts of 1408 x 2048, 6 of them per token, shared ones of
// 2816), random Q4_K weights: the whole feed-forward block, router included, for 1 to 512 tokens. Counters: G
// multiply-adds/s of the experts, and GB/s of the weights that some token chose, each read once.
//
//   moe_bench --benchmark_filter='rows:1/'
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/cat.h"
#include "base/random.h"
#include "kernels/ops.h"
#include "machine_limits.h"
#include "models/blocks.h"

namespace {

using namespace minke;

constexpr std::size_t kHidden = 2048, kInner = 1408, kExperts = 64, kTop = 6, kShared = 2816;

models::DecoderConfig make_config() {
  models::DecoderConfig config;
  config.hidden_size = kHidden;
  config.max_position_embeddings = 4096;
  config.attention.heads = 16;
  config.attention.kv_heads = 16;
  config.attention.head_dim = 128;
  config.attention.rope.dim = 128;
  config.feed_forward.kinds = {models::FeedForwardKind::moe};
  models::MoeConfig& moe = config.feed_forward.moe;
  moe.n_routed_experts = kExperts;
  moe.num_experts_per_tok = kTop;
  moe.moe_intermediate_size = kInner;
  moe.shared_intermediate_size = kShared;
  moe.routing = models::Routing::softmax_greedy;
  return config;
}

/// Q4_K of random integers and small scales (fp16 scales below 0x3c00).
kernels::PackedMatrix random_matrix(std::size_t rows, std::size_t cols, std::uint32_t seed, base::ThreadPool& pool) {
  const formats::DTypeInfo& type = formats::info(formats::DType::q4_k);
  std::vector<std::byte> bytes(rows * cols / type.block_elements * type.block_bytes);
  for (std::size_t i = 0; i < bytes.size(); i += 16) {
    const auto words = base::philox4x32({static_cast<std::uint32_t>(i), seed, 0, 0}, {1, 2});
    std::memcpy(bytes.data() + i, words.data(), std::min<std::size_t>(16, bytes.size() - i));
  }
  for (std::size_t i = 1; i < bytes.size(); i += 2) bytes[i] &= std::byte{0xbf};
  return kernels::PackedMatrix::pack(
      {.name = "bench", .dtype = formats::DType::q4_k, .rows = rows, .cols = cols, .data = bytes}, pool);
}

models::MoeWeights make_weights(base::ThreadPool& pool) {
  models::MoeWeights weights;
  std::vector<float> router(kExperts * kHidden);
  for (std::size_t i = 0; i < router.size(); ++i) router[i] = static_cast<float>(base::uniform(3, 1, i) - 0.5);
  weights.router.weight = kernels::PackedMatrix::pack({.name = "router",
                                                       .dtype = formats::DType::f32,
                                                       .rows = kExperts,
                                                       .cols = kHidden,
                                                       .data = std::as_bytes(std::span(router))},
                                                      pool);
  for (std::uint32_t e = 0; e < kExperts; ++e) {
    weights.gate.push_back(random_matrix(kInner, kHidden, 3 * e, pool));
    weights.up.push_back(random_matrix(kInner, kHidden, 3 * e + 1, pool));
    weights.down.push_back(random_matrix(kHidden, kInner, 3 * e + 2, pool));
  }
  weights.shared.gate.weight = random_matrix(kShared, kHidden, 1000, pool);
  weights.shared.up.weight = random_matrix(kShared, kHidden, 1001, pool);
  weights.shared.down.weight = random_matrix(kHidden, kShared, 1002, pool);
  return weights;
}

void run(benchmark::State& state, std::size_t rows, std::size_t threads) {
  base::ThreadPool pool(threads);
  static const models::DecoderConfig config = make_config();
  static const models::MoeWeights weights = make_weights(pool);
  static const bench::ReadLimit read_limit;
  const kernels::Isa isa = kernels::best_isa();
  const kernels::Ops ops(kernels::kernel_table(isa), pool, kernels::Numerics::fast);
  models::Workspace workspace(config, rows);
  // Other tokens in every run, so that one row meets experts that no cache holds.
  constexpr std::size_t kBatches = 16;
  std::vector<float> x(kBatches * rows * kHidden), norm(kHidden, 1.0f);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(base::uniform(3, 9, i) - 0.5);
  const kernels::KvLayout layout{};
  const models::StepContext step{ops, config, layout, std::span(std::as_const(workspace.rows)), {}, workspace};
  const double peak = bench::integer_limit(isa, pool), read = read_limit.measure(pool);
  double bytes = 0;
  std::size_t batch = 0;
  for (auto _ : state) {
    std::copy_n(x.begin() + static_cast<std::ptrdiff_t>(batch * rows * kHidden), rows * kHidden,
                workspace.hidden.begin());
    ops.add_norm_prepare(workspace.hidden.data(), nullptr, rows, kHidden, norm.data(), 1e-6f, workspace.normed.data(),
                         workspace.activations);
    models::feed_forward_moe(step, weights);
    benchmark::DoNotOptimize(workspace.delta.data());
    batch = (batch + 1) % kBatches;
    for (std::size_t e = 0; e < kExperts; ++e)
      if (workspace.plan.first[e + 1] > workspace.plan.first[e])
        bytes += static_cast<double>(weights.gate[e].bytes() + weights.up[e].bytes() + weights.down[e].bytes());
    bytes += static_cast<double>(2 * weights.shared.gate.weight.bytes() + weights.shared.down.weight.bytes());
  }
  const double products = static_cast<double>(state.iterations()) *
                          static_cast<double>(rows * 3 * kHidden * (kTop * kInner + kShared)) / 1e9;
  using benchmark::Counter;
  state.counters["GMAC/s"] = Counter(products, Counter::kIsRate);
  state.counters["GB/s"] = Counter(bytes / 1e9, Counter::kIsRate);
  state.counters["of_read_%"] = Counter(100 * bytes / 1e9 / read, Counter::kIsRate);
  if (peak > 0) state.counters["of_peak_%"] = Counter(100 * products / peak, Counter::kIsRate);
  state.counters["tok/s"] = Counter(static_cast<double>(state.iterations() * rows), Counter::kIsRate);
}

}  // namespace

int main(int argc, char** argv) {
  for (const std::size_t threads : {1U, 2U})
    for (const std::size_t rows : {1U, 8U, 64U, 512U})
      benchmark::RegisterBenchmark(base::cat("v2lite/rows:", rows, "/threads:", threads).c_str(),
                                   [=](benchmark::State& state) { run(state, rows, threads); })
          ->UseRealTime()
          ->Unit(benchmark::kMillisecond);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
