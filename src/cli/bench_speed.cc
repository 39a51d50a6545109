#include "cli/bench_speed.h"

#include <chrono>
#include <ctime>
#include <thread>

#include "base/cat.h"
#include "cli/bench_model.h"
#include "cli/machine.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/text_format.h"
#include "cli/version.h"

namespace minke::cli {
namespace {

using Clock = std::chrono::steady_clock;

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts = {};
  ::gmtime_r(&now, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

/// What a test was run with.
struct Setup {
  std::size_t batch = 0, ubatch = 0, threads = 0;
};

/// What llama-bench says of settings that a program for processors alone does not have.
void add_fixed_fields(Record& record) {
  record.add("cpu_mask", "0x0");
  record.add("cpu_strict", false);
  record.add("poll", std::int64_t{50});
}

void add_gpu_fields(Record& record) {
  record.add("n_gpu_layers", std::int64_t{0});
  record.add("n_cpu_moe", std::int64_t{0});
  record.add("split_mode", "none");
  record.add("main_gpu", std::int64_t{0});
  record.add("no_kv_offload", false);
  record.add("flash_attn", true);
  record.add("devices", "none");
  record.add("tensor_split", "0.00");
  record.add("tensor_buft_overrides", "none");
  record.add("use_mmap", false);
  record.add("embeddings", false);
  record.add("no_op_offload", std::int64_t{0});
}

std::int64_t signed_of(std::uint64_t value) { return static_cast<std::int64_t>(value); }

Record record_start(const BenchFile& file, const engine::EngineInfo& info, const Setup& setup) {
  Record record;
  record.add("build_commit", build_commit());
  record.add("build_number", build_number());
  record.add("cpu_info", processor_name());
  record.add("gpu_info", "");
  record.add("backends", "CPU");
  record.add("kernels", info.kernels);
  record.add("numerics", std::string(kernels::to_string(info.numerics)));
  record.add("model_filename", file.given);
  record.add("model_type", file.type);
  record.add("model_size", signed_of(file.sizes.file_bytes));
  record.add("model_n_params", signed_of(file.sizes.parameters));
  record.add("n_batch", signed_of(setup.batch));
  record.add("n_ubatch", signed_of(setup.ubatch));
  record.add("n_threads", signed_of(setup.threads));
  add_fixed_fields(record);
  const std::string type(kernels::to_string(info.kv_type));
  record.add("type_k", type);
  record.add("type_v", type);
  add_gpu_fields(record);
  return record;
}

void add_times(const std::vector<std::int64_t>& nanoseconds, std::size_t tokens, Record& record) {
  std::vector<double> times, rates;
  for (const std::int64_t ns : nanoseconds) {
    times.push_back(static_cast<double>(ns));
    rates.push_back(1e9 * static_cast<double>(tokens) / static_cast<double>(ns));
  }
  const Spread time = spread_of(times), rate = spread_of(rates);
  record.add("avg_ns", static_cast<std::int64_t>(time.mean));
  record.add("stddev_ns", static_cast<std::int64_t>(time.deviation));
  record.add("avg_ts", rate.mean);
  record.add("stddev_ts", rate.deviation);
  record.add("samples_ns", nanoseconds);
  record.add("samples_ts", rates);
}

std::int64_t nanoseconds_since(Clock::time_point start) {
  return std::max<std::int64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count(), 1);
}

class SpeedRun {
 public:
  SpeedRun(const Session& session, const SpeedSettings& settings, const Stop& stopped, const RecordSink& sink)
      : session_(session),
        settings_(settings),
        stopped_(stopped),
        sink_(sink),
        progress_("bench", session.environment.stderr_terminal) {
    total_ = settings.tests.size() * settings.models.size() * settings.threads.size() * settings.batches.size() *
             settings.ubatches.size();
  }

  bool run() {
    for (const std::string& model : settings_.models) {
      const BenchFile file = open_bench_file(session_, model);
      for (const std::size_t ubatch : settings_.ubatches) {
        for (const std::size_t batch : settings_.batches) {
          for (const std::size_t threads : settings_.threads) {
            if (!run_setup(file, {.batch = batch, .ubatch = ubatch, .threads = threads})) return false;
          }
        }
      }
    }
    return true;
  }

 private:
  bool run_setup(const BenchFile& file, const Setup& setup) {
    std::size_t context = 1;
    for (const BenchTest& test : settings_.tests) context = std::max(context, test.context());
    BenchModel model(session_, file, settings_.engine, setup.threads, std::min(setup.batch, setup.ubatch), context);
    for (const BenchTest& test : settings_.tests) {
      if (settings_.delay > 0) std::this_thread::sleep_for(std::chrono::seconds(settings_.delay));
      const bool complete = run_test(file, setup, test, model);
      if (!complete || stopped_()) return false;
      ++done_;
    }
    return true;
  }

  void show(const BenchTest& test, std::size_t run) {
    const std::string text = base::cat(test.name(), ", run ", run, " of ", settings_.repetitions);
    progress_.update(done_ * settings_.repetitions + run, total_ * settings_.repetitions, text);
    if (settings_.verbose) note(base::cat("minke: bench ", done_ + 1, " of ", total_, ": ", text, "\n"));
  }

  /// One decoded token and the whole prompt, as llama-bench warms up.
  bool warm_up(const BenchTest& test, BenchModel& model) {
    return model.run({.prompt = test.prompt, .gen = test.gen > 0 ? std::size_t{1} : 0, .depth = 0}, stopped_);
  }

  bool run_test(const BenchFile& file, const Setup& setup, const BenchTest& test, BenchModel& model) {
    Record record = record_start(file, model.info(), setup);
    record.add("n_prompt", signed_of(test.prompt));
    record.add("n_gen", signed_of(test.gen));
    record.add("n_depth", signed_of(test.depth));
    record.add("test_time", utc_now());
    show(test, 0);
    if (settings_.warmup && !warm_up(test, model)) return false;
    std::vector<std::int64_t> samples;
    while (samples.size() < settings_.repetitions && model.fill(test.depth, stopped_)) {
      const auto start = Clock::now();
      if (!model.run(test, stopped_)) break;
      samples.push_back(nanoseconds_since(start));
      show(test, samples.size());
    }
    const bool complete = samples.size() == settings_.repetitions;
    if (samples.empty()) return false;
    add_times(samples, test.tokens(), record);
    progress_.clear();
    sink_(record);
    return complete;
  }

  const Session& session_;
  const SpeedSettings& settings_;
  const Stop& stopped_;
  const RecordSink& sink_;
  Progress progress_;
  std::size_t done_ = 0, total_ = 0;
};

TableColumn integer_column(std::string title, const std::string& key) {
  return {std::move(title), 7, true, [key](const Record& r) { return base::cat(r.integer(key)); }};
}

TableColumn text_column(std::string title, const std::string& key, std::size_t width) {
  return {std::move(title), width, false, [key](const Record& r) { return r.text(key); }};
}

std::string test_name(const Record& r) {
  return BenchTest{.prompt = static_cast<std::size_t>(r.integer("n_prompt")),
                   .gen = static_cast<std::size_t>(r.integer("n_gen")),
                   .depth = static_cast<std::size_t>(r.integer("n_depth"))}
      .name();
}

std::string binary_size(const Record& r) {
  const auto bytes = static_cast<double>(r.integer("model_size"));
  constexpr double kMi = 1024.0 * 1024.0, kGi = 1024.0 * kMi;
  return bytes >= kGi ? fixed_text(bytes / kGi, 2) + " GiB" : fixed_text(bytes / kMi, 2) + " MiB";
}

}  // namespace

bool run_speed(const Session& session, const SpeedSettings& settings, const Stop& stopped, const RecordSink& sink) {
  return SpeedRun(session, settings, stopped, sink).run();
}

std::vector<TableColumn> speed_columns(const SpeedSettings& settings) {
  std::vector<TableColumn> columns;
  columns.push_back(text_column("model", "model_type", 30));
  columns.push_back({"size", 10, true, binary_size});
  columns.push_back({"params", 10, true, [](const Record& r) {
                       return count_text(static_cast<std::uint64_t>(r.integer("model_n_params")));
                     }});
  columns.push_back(text_column("backend", "backends", 10));
  columns.push_back(text_column("kernels", "kernels", 11));
  columns.push_back(integer_column("threads", "n_threads"));
  if (settings.batches.size() > 1) columns.push_back(integer_column("n_batch", "n_batch"));
  if (settings.ubatches.size() > 1) columns.push_back(integer_column("n_ubatch", "n_ubatch"));
  if (!settings.engine.numerics.empty()) columns.push_back(text_column("numerics", "numerics", 6));
  if (!settings.engine.kv_type.empty()) {
    columns.push_back(text_column("type_k", "type_k", 6));
    columns.push_back(text_column("type_v", "type_v", 6));
  }
  columns.push_back({"test", 15, true, test_name});
  columns.push_back({"t/s", 20, true, [](const Record& r) {
                       return base::cat(fixed_text(r.number("avg_ts"), 2), " ± ", fixed_text(r.number("stddev_ts"), 2));
                     }});
  return columns;
}

bool run_frontiers(const Session& session, const SpeedSettings& settings, const std::vector<std::size_t>& frontiers,
                   std::size_t gen, const Stop& stopped, const RecordSink& sink) {
  for (const std::string& name : settings.models) {
    const BenchFile file = open_bench_file(session, name);
    for (const std::size_t threads : settings.threads) {
      const Setup setup{.batch = settings.batches.front(), .ubatch = settings.ubatches.front(), .threads = threads};
      BenchModel model(session, file, settings.engine, threads, std::min(setup.batch, setup.ubatch),
                       frontiers.back() + gen);
      if (settings.warmup &&
          !model.run({.prompt = std::min<std::size_t>(frontiers.front(), setup.ubatch), .gen = 1}, stopped)) {
        return false;
      }
      Progress progress("bench", session.environment.stderr_terminal);
      std::size_t before = 0;
      for (const std::size_t frontier : frontiers) {
        progress.update(before, frontiers.back(), base::cat("context ", frontier));
        Record record = record_start(file, model.info(), setup);
        const auto start = Clock::now();
        if (!model.run({.prompt = frontier - before, .gen = 0, .depth = before}, stopped)) return false;
        const double prefill = 1e-9 * static_cast<double>(nanoseconds_since(start));
        std::vector<double> rates;
        while (gen > 0 && rates.size() < settings.repetitions) {
          const auto decode = Clock::now();
          if (!model.run({.prompt = 0, .gen = gen, .depth = frontier}, stopped)) return false;
          rates.push_back(static_cast<double>(gen) * 1e9 / static_cast<double>(nanoseconds_since(decode)));
        }
        const Spread decode = spread_of(rates);
        record.add("n_ctx", signed_of(frontier));
        record.add("n_prompt", signed_of(frontier - before));
        record.add("prefill_ts", static_cast<double>(frontier - before) / prefill);
        record.add("n_gen", signed_of(gen));
        record.add("decode_ts", decode.mean);
        record.add("decode_stddev_ts", decode.deviation);
        record.add("kv_bytes", signed_of(frontier * model.info().kv_bytes_per_token));
        progress.clear();
        sink(record);
        before = frontier;
      }
    }
  }
  return true;
}

std::vector<TableColumn> frontier_columns() {
  const auto rate = [](std::string title, const std::string& key) {
    return TableColumn{std::move(title), 10, true, [key](const Record& r) { return fixed_text(r.number(key), 2); }};
  };
  return {text_column("model", "model_type", 30), integer_column("threads", "n_threads"),
          integer_column("context", "n_ctx"), rate("prefill t/s", "prefill_ts"), rate("decode t/s", "decode_ts")};
}

}  // namespace minke::cli
