// Attention of one layer: Qwen2.5-1.5B's (12 heads, 2 kv heads, 128), SmolLM2's (9, 3, 64), and the latent form of
// V2-Lite (16 heads, 576 / 512) and V3 (128 heads); one row at several contexts, and 512 rows of a prompt. Counters:
// GFLOP/s (two per multiply-add of what the mask leaves), their share of what fused multiply-adds from registers reach
// just before, and the bytes of keys and values read once.
//
//   attention_bench --benchmark_filter='qwen/avx512/bf16'
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/cat.h"
#include "base/random.h"
#include "kernels/isa.h"
#include "kernels/ops.h"
#include "machine_limits.h"

namespace {

using namespace minke;
using namespace minke::kernels;

struct Shape {
  const char* name;
  std::size_t heads, kv_heads, k_dim, v_dim;
  KvForm form;
  KvLayout layout(KvType type) const { return {kv_heads, k_dim, v_dim, type, form}; }
  std::size_t q_stride() const { return form == KvForm::latent ? layout(KvType::f32).k_stride() : k_dim; }
};
constexpr Shape kShapes[] = {{"qwen", 12, 2, 128, 128, KvForm::heads},
                             {"smollm", 9, 3, 64, 64, KvForm::heads},
                             {"v2lite", 16, 1, 576, 512, KvForm::latent},
                             {"v3", 128, 1, 576, 512, KvForm::latent}};

struct alignas(64) Line {
  std::byte bytes[64];
};

/// `layers` times one sequence of random keys and values, so that decoding walks through memory as a model does.
class Sequence {
 public:
  Sequence(const Ops& ops, const Shape& shape, KvType type, std::size_t tokens, std::size_t layers)
      : layout_(shape.layout(type)) {
    const std::size_t blocks = (tokens + kKvBlock - 1) / kKvBlock, stride = layers * layout_.bytes() / 64;
    memory_.resize(blocks * stride);
    for (std::size_t b = 0; b < blocks; ++b) pointers_.push_back(memory_[b * stride].bytes);
    view_.push_back({pointers_.data()});
    const std::size_t k_width = shape.kv_heads * shape.k_dim, v_width = shape.kv_heads * shape.v_dim;
    std::vector<float> k(kKvBlock * k_width), v(kKvBlock * v_width);
    for (std::size_t i = 0; i < k.size(); ++i) k[i] = static_cast<float>(base::uniform(1, 1, i)) - 0.5f;
    for (std::size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>(base::uniform(1, 2, i)) - 0.5f;
    for (std::size_t layer = 0; layer < layers; ++layer)
      for (std::size_t b = 0; b < blocks; ++b) {
        std::vector<RowRef> rows;
        for (std::size_t t = 0; t < kKvBlock; ++t) rows.push_back({0, static_cast<std::uint32_t>(b * kKvBlock + t)});
        const std::size_t offset = layer * layout_.bytes();
        if (shape.form == KvForm::latent)
          ops.store_latent(layout_, offset, rows, view_, k.data(), k_width);
        else
          ops.store_kv(layout_, offset, rows, view_, k.data(), k_width, v.data(), v_width);
      }
  }
  const KvLayout& layout() const { return layout_; }
  const std::vector<KvView>& view() const { return view_; }

 private:
  KvLayout layout_;
  std::vector<Line> memory_;
  std::vector<std::byte*> pointers_;
  std::vector<KvView> view_;
};

void run(benchmark::State& state, const Shape& shape, Isa isa, KvType type, std::size_t threads, std::size_t begin,
         std::size_t rows_count) {
  base::ThreadPool pool(threads);
  const Ops ops(kernel_table(isa), pool, Numerics::fast);
  // One row: enough layers that the cache comes from memory as far as a model's would.
  const std::size_t layers = rows_count == 1 ? std::max<std::size_t>(1, (std::size_t{28} << 12) / (begin + 1)) : 1;
  const Sequence sequence(ops, shape, type, begin + rows_count, std::min<std::size_t>(layers, 28));
  std::vector<RowRef> rows;
  double pairs = 0;
  for (std::size_t r = 0; r < rows_count; ++r) {
    rows.push_back({0, static_cast<std::uint32_t>(begin + r)});
    pairs += static_cast<double>(begin + r + 1);
  }
  const std::size_t ldq = shape.heads * shape.q_stride(), ldo = shape.heads * shape.v_dim;
  std::vector<float> q(rows_count * ldq), out(rows_count * ldo);
  for (std::size_t i = 0; i < q.size(); ++i) q[i] = static_cast<float>(base::uniform(1, 3, i)) - 0.5f;
  std::vector<float> parts(Ops::attention_parts(sequence.layout(), shape.heads, 1, begin + rows_count));
  const double peak = 2 * bench::float_limit(isa, pool);
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(shape.k_dim)));
  std::size_t layer = 0;
  for (auto _ : state) {
    ops.attention(sequence.layout(), layer * sequence.layout().bytes(), rows, sequence.view(), shape.heads, q.data(),
                  ldq, scale, out.data(), ldo, parts);
    benchmark::DoNotOptimize(out.data());
    layer = (layer + 1) % std::min<std::size_t>(layers, 28);
  }
  using benchmark::Counter;
  const double flops = pairs * static_cast<double>(shape.heads * (shape.k_dim + shape.v_dim)) * 2e-9;
  state.counters["GFLOP/s"] = Counter(flops, Counter::kIsIterationInvariantRate);
  state.counters["of_peak_%"] = Counter(100 * flops / peak, Counter::kIsIterationInvariantRate);
  state.counters["peak"] = peak;
  const std::size_t per_token = sequence.layout().bytes() / kKvBlock;
  state.counters["GB/s"] =
      Counter(static_cast<double>((begin + rows_count) * per_token) * 1e-9, Counter::kIsIterationInvariantRate);
}

void add(const Shape& shape, Isa isa, KvType type, std::size_t threads) {
  const std::string prefix = base::cat(shape.name, "/", to_string(isa), "/", to_string(type));
  const auto add_one = [&](const std::string& what, std::size_t begin, std::size_t rows) {
    benchmark::RegisterBenchmark(base::cat(prefix, "/", what, "/threads:", threads).c_str(),
                                 [=](benchmark::State& s) { run(s, shape, isa, type, threads, begin, rows); })
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
  };
  for (const std::size_t context : {256U, 1024U, 4096U, 16384U}) add_one(base::cat("decode:", context), context - 1, 1);
  for (const std::size_t begin : {0U, 4096U}) add_one(base::cat("prefill:", begin, "+512"), begin, 512);
}

void add_all() {
  for (const Shape& shape : kShapes)
    for (const Isa isa : available_isas())
      for (const KvType type : {KvType::bf16, KvType::f32, KvType::q8})
        for (const std::size_t threads : {1U, 2U})
          if (isa != Isa::scalar) add(shape, isa, type, threads);
}

}  // namespace

int main(int argc, char** argv) {
  add_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
