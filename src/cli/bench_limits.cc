#include "cli/bench_limits.h"

#include "engine/bandwidth.h"
#include "kernels/codec.h"

namespace minke::cli {

Limits measure_limits(kernels::Isa isa, base::ThreadPool& pool) {
  return {.read_bandwidth = engine::measure_read_bandwidth(pool), .peak = kernels::measure_peak(isa, pool), .isa = isa};
}

ArithmeticLimit arithmetic_limit(const Limits& limits, formats::DType dtype, kernels::Numerics numerics) {
  const kernels::CodecSpec* codec = kernels::find_codec(dtype);
  if (codec == nullptr || numerics == kernels::Numerics::exact) return {"fp32", limits.peak.fp32};
  if (codec->low_bits + codec->high_bits <= 4 && limits.peak.int4 > limits.peak.int8) {
    return {"int4", limits.peak.int4};
  }
  return {"int8", limits.peak.int8};
}

}  // namespace minke::cli
