#include "cli/bench_kernels.h"

#include <string>

#include "base/cat.h"
#include "base/memory.h"
#include "base/thread_pool.h"
#include "cli/bench_limits.h"
#include "cli/machine.h"
#include "cli/random_weights.h"
#include "cli/text_format.h"
#include "cli/version.h"
#include "kernels/codec.h"
#include "kernels/ops.h"

namespace minke::cli {
namespace {

constexpr std::size_t kOutputs = 8960, kInputs = 1536;
/// More than most last caches hold; those that hold more are seen as shares beyond 100 %.
constexpr std::size_t kSetBytes = std::size_t{256} << 20;
/// With more rows than this weights are used often enough that where they come from does not matter.
constexpr std::size_t kStreamedRows = 16;

struct Case {
  formats::DType dtype = formats::DType::f32;
  std::size_t rows = 1;
};

double seconds_for(const std::vector<kernels::PackedMatrix>& set, const Case& c, const kernels::Ops& ops) {
  const std::vector<float> x = random_floats(c.rows * kInputs, /*seed=*/2);
  std::vector<float> y(c.rows * kOutputs);
  kernels::Activations activations(c.rows, kInputs);
  const std::size_t used = c.rows <= kStreamedRows ? set.size() : 1;
  std::size_t next = 0;
  return seconds_of([&] {
    ops.prepare(x.data(), c.rows, kInputs, kInputs, activations);
    ops.linear(activations, set[next], nullptr, y.data(), kOutputs);
    next = (next + 1) % used;
  });
}

Record record_of(const Case& c, const kernels::Ops& ops, const Limits& limits, std::uint64_t bytes, double seconds) {
  const ArithmeticLimit arithmetic = arithmetic_limit(limits, c.dtype, ops.numerics());
  const double operations = 2.0 * static_cast<double>(c.rows) * kOutputs * kInputs / seconds;
  const double read = static_cast<double>(bytes) / seconds;
  Record record;
  record.add("build_commit", build_commit());
  record.add("cpu_info", processor_name());
  record.add("kernels", std::string(kernels::name(ops.table())));
  record.add("numerics", std::string(kernels::to_string(ops.numerics())));
  record.add("n_threads", static_cast<std::int64_t>(ops.pool().size()));
  record.add("type", std::string(formats::info(c.dtype).name));
  record.add("n_rows", static_cast<std::int64_t>(c.rows));
  record.add("n_outputs", static_cast<std::int64_t>(kOutputs));
  record.add("n_inputs", static_cast<std::int64_t>(kInputs));
  record.add("weight_bytes", static_cast<std::int64_t>(bytes));
  record.add("seconds", seconds);
  record.add("bytes_per_second", read);
  record.add("operations_per_second", operations);
  record.add("bandwidth_limit", limits.read_bandwidth);
  record.add("arithmetic", arithmetic.name);
  record.add("arithmetic_limit", arithmetic.rate);
  record.add("bandwidth_share", read / limits.read_bandwidth);
  record.add("arithmetic_share", operations / arithmetic.rate);
  return record;
}

TableColumn number_column(std::string title, const std::string& key, double scale, int decimals) {
  return {std::move(title), 8, true, [=](const Record& r) { return fixed_text(r.number(key) * scale, decimals); }};
}

TableColumn text_column(std::string title, const std::string& key) {
  return {std::move(title), 8, false, [=](const Record& r) { return r.text(key); }};
}

TableColumn count_column(std::string title, const std::string& key) {
  return {std::move(title), 4, true, [=](const Record& r) { return base::cat(r.integer(key)); }};
}

}  // namespace

std::vector<formats::DType> packable_types() {
  std::vector<formats::DType> types = {formats::DType::f32, formats::DType::f16, formats::DType::bf16,
                                       formats::DType::f8_e4m3};
  for (const kernels::CodecSpec& codec : kernels::kCodecs) types.push_back(codec.dtype);
  return types;
}

bool run_kernels(const KernelSettings& settings, const std::function<bool()>& stopped,
                 const std::function<void(const Record&)>& sink) {
  for (const std::size_t threads : settings.threads) {
    base::ThreadPool pool(threads);
    const kernels::Ops ops(kernels::kernel_table(settings.isa), pool, settings.numerics);
    const Limits limits = measure_limits(settings.isa, pool);
    for (const formats::DType type : settings.types.empty() ? packable_types() : settings.types) {
      std::vector<kernels::PackedMatrix> set;
      std::uint64_t size = 0;
      while (size < kSetBytes) {
        set.push_back(random_matrix("bench", type, kOutputs, kInputs, set.size(), pool));
        size += set.back().bytes();
      }
      for (const std::size_t rows : settings.rows) {
        if (stopped()) return false;
        const Case c{.dtype = type, .rows = rows};
        sink(record_of(c, ops, limits, set.front().bytes(), seconds_for(set, c, ops)));
      }
    }
  }
  return true;
}

std::vector<TableColumn> kernel_columns() {
  return {text_column("type", "type"),
          count_column("rows", "n_rows"),
          count_column("threads", "n_threads"),
          number_column("us", "seconds", 1e6, 1),
          number_column("GB/s", "bytes_per_second", 1e-9, 1),
          number_column("% of read", "bandwidth_share", 100, 0),
          number_column("GFLOP/s", "operations_per_second", 1e-9, 0),
          text_column("limit", "arithmetic"),
          number_column("% of limit", "arithmetic_share", 100, 0),
          number_column("read GB/s", "bandwidth_limit", 1e-9, 1),
          number_column("limit GFLOP/s", "arithmetic_limit", 1e-9, 0)};
}

}  // namespace minke::cli
