// Linear products: GB/s of packed weights and G multiply-adds/s, per type, rows and instruction set, and both as
// shares of what the machine could do at most just before (machine_limits.h).
//
//   kernels_bench --benchmark_filter='fast/avx512.*/Q4_K'
//
// The matrices are 8960 x 1536 (Qwen2.5-1.5B's feed-forward); enough copies are multiplied in turn that
// weights come from memory, as they do in a decode step.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/cat.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "kernels/codec.h"
#include "kernels/kernel_table.h"
#include "kernels/ops.h"
#include "machine_limits.h"

namespace {

using minke::formats::DType;
namespace kernels = minke::kernels;

constexpr std::size_t kOutputs = 8960, kInputs = 1536;
/// More than any L3 that we meet.
constexpr std::size_t kSetBytes = std::size_t{200} << 20;

/// Bytes of a file's matrix: small scales, random integers.
std::vector<std::byte> make_weights(DType type) {
  const minke::formats::DTypeInfo& t = minke::formats::info(type);
  std::vector<std::byte> bytes(kOutputs * kInputs / t.block_elements * t.block_bytes);
  for (std::size_t i = 0; i < bytes.size(); i += 16) {
    const auto words = minke::base::philox4x32({static_cast<std::uint32_t>(i), 0, 0, 0}, {1, 2});
    std::memcpy(bytes.data() + i, words.data(), std::min<std::size_t>(16, bytes.size() - i));
  }
  // Any fp16 below 0x7c00 is finite: clear the top exponent bit wherever a half may be.
  if (type == DType::f8_e4m3) {  // 0x7f and 0xff are NaN
    for (std::byte& b : bytes) b &= std::byte{0xfe};
    return bytes;
  }
  if (type == DType::mxfp4) {
    for (std::size_t i = 0; i < bytes.size(); i += t.block_bytes) bytes[i] = std::byte{0x78};
    return bytes;
  }
  if (type == DType::f32 || type == DType::bf16) {  // 2^-7 to 1: nothing subnormal, which takes processors long
    for (std::size_t i = t.block_bytes - 1; i < bytes.size(); i += t.block_bytes)
      bytes[i] = (bytes[i] & std::byte{0x81}) | std::byte{0x3c};
    return bytes;
  }
  const std::size_t step = t.block_elements == 1 ? t.block_bytes : 2;
  for (std::size_t i = step - 1; i < bytes.size(); i += step) bytes[i] &= std::byte{0xbf};
  return bytes;
}

const minke::bench::ReadLimit& read_limit() {
  static const minke::bench::ReadLimit limit;
  return limit;
}

void linear(benchmark::State& state, DType type, kernels::Isa isa, kernels::Numerics numerics, std::size_t rows,
            std::size_t threads) {
  minke::base::ThreadPool pool(threads);
  const std::vector<std::byte> bytes = make_weights(type);
  const std::vector<std::byte> scales(type == DType::f8_e4m3 ? kOutputs * kInputs / 4096 : 0, std::byte{0x3c});
  std::vector<kernels::PackedMatrix> set;
  std::size_t size = 0;
  const bool from_memory = rows <= 16;
  while (size < (from_memory ? kSetBytes : 1)) {
    set.push_back(kernels::PackedMatrix::pack({"bench", type, kOutputs, kInputs, bytes, {}, scales}, pool));
    size += set.back().bytes();
  }
  const kernels::Ops ops(kernels::kernel_table(isa), pool, numerics);
  std::vector<float> x(rows * kInputs), y(rows * kOutputs);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(minke::base::uniform(1, 2, i) - 0.5);
  kernels::Activations activations(rows, kInputs);
  const double read = read_limit().measure(pool), integer = minke::bench::integer_limit(isa, pool);
  std::size_t next = 0;
  for (auto _ : state) {
    ops.prepare(x.data(), rows, kInputs, kInputs, activations);
    ops.linear(activations, set[next], nullptr, y.data(), kOutputs);
    next = (next + 1) % set.size();
  }
  const double runs = static_cast<double>(state.iterations());
  const double bytes_read = runs * static_cast<double>(set[0].bytes()) / 1e9;
  const double products = runs * static_cast<double>(rows * kOutputs * kInputs) / 1e9;
  const auto rate = [&](const char* name, double value) {
    state.counters[name] = benchmark::Counter(value, benchmark::Counter::kIsRate);
  };
  rate("GB/s", bytes_read);
  rate("GMAC/s", products);
  if (from_memory) rate("of_read_%", 100 * bytes_read / read);
  if (integer > 0 && numerics == kernels::Numerics::fast && kernels::find_codec(type) != nullptr)
    rate("of_peak_%", 100 * products / integer);
  state.counters["read_limit"] = read;
  state.counters["peak"] = integer;
}

void add(DType type, kernels::Isa isa, kernels::Numerics numerics, std::size_t rows, std::size_t threads) {
  const std::string name = minke::base::cat(to_string(numerics), "/", to_string(isa), "/",
                                            minke::formats::info(type).name, "/rows:", rows, "/threads:", threads);
  benchmark::RegisterBenchmark(name.c_str(),
                               [=](benchmark::State& state) { linear(state, type, isa, numerics, rows, threads); })
      ->UseRealTime()
      ->MeasureProcessCPUTime()
      ->Unit(benchmark::kMillisecond);
}

void add_all() {
  std::vector<std::size_t> thread_counts = {1};
  if (minke::base::default_thread_count() > 1) thread_counts.push_back(minke::base::default_thread_count());
  for (const kernels::Numerics numerics : {kernels::Numerics::fast, kernels::Numerics::exact}) {
    for (const kernels::Isa isa : kernels::available_isas()) {
      for (const DType type :
           {DType::f32,    DType::f16,    DType::bf16,    DType::q4_0,  DType::q4_1,  DType::q5_0,
            DType::q5_1,   DType::q8_0,   DType::q2_k,    DType::q3_k,  DType::q4_k,  DType::q5_k,
            DType::q6_k,   DType::iq4_nl, DType::iq4_xs,  DType::iq1_s, DType::iq1_m, DType::iq2_xxs,
            DType::iq2_xs, DType::iq2_s,  DType::iq3_xxs, DType::iq3_s, DType::mxfp4, DType::f8_e4m3}) {
        for (const std::size_t rows : {1U, 2U, 4U, 8U, 16U, 64U, 512U}) {
          for (const std::size_t threads : thread_counts) add(type, isa, numerics, rows, threads);
        }
      }
    }
  }
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
