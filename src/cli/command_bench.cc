// minke bench: how fast a model runs here, in llama-bench's terms.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include <CLI/CLI.hpp>

#include "base/cat.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "cli/bench_kernels.h"
#include "cli/bench_layer.h"
#include "cli/bench_speed.h"
#include "cli/command.h"
#include "cli/command_bench_constrain.h"
#include "cli/command_bench_engine.h"
#include "cli/interrupt.h"
#include "cli/machine.h"
#include "cli/model_source.h"
#include "cli/output.h"
#include "cli/version.h"

namespace minke::cli {
namespace {

constexpr std::size_t kMostThreads = 1024;
constexpr std::size_t kMostRows = 65536;
constexpr std::size_t kMostRuns = 10000;
constexpr std::size_t kMostTests = 100000;

struct BenchFlags {
  std::vector<std::string> positional, models;
  std::vector<std::string> prompts, gens, depths, pairs, threads, batches, ubatches, frontiers;
  std::string cache_k, cache_v, format, error_format;
  std::size_t repetitions = 5, delay = 0;
  bool no_warmup = false, progress = false, verbose = false, kernels = false;
  std::vector<std::string> types, rows;
  std::string layer;
  double bandwidth = 0;
  std::vector<std::string> ignored;
  EngineFlags engine;
};

/// Flags of llama-bench that choose among devices and ways to load, which there are none of here.
constexpr std::array<std::string_view, 16> kForeignFlags = {
    "--n-gpu-layers", "--flash-attn", "--mmap",      "--split-mode",  "--main-gpu", "--no-kv-offload",
    "--embeddings",   "--device",     "--poll",      "--prio",        "--numa",     "--cpu-mask",
    "--cpu-strict",   "--load-mode",  "--n-cpu-moe", "--tensor-split"};

std::vector<std::size_t> counts_or(const std::vector<std::string>& texts, std::string_view flag, std::size_t least,
                                   std::vector<std::size_t> fallback) {
  return texts.empty() ? std::move(fallback) : parse_counts(texts, flag, least);
}

/// "a,b" -> a, b, as llama-bench takes models.
std::vector<std::string> split_models(const std::vector<std::string>& texts) {
  std::vector<std::string> models;
  for (const std::string& text : texts) {
    for (std::size_t at = 0; at <= text.size();) {
      const std::size_t comma = std::min(text.find(',', at), text.size());
      if (comma > at) models.push_back(text.substr(at, comma - at));
      at = comma + 1;
    }
  }
  return models;
}

/// The cache keeps keys and values in one type.
void take_cache_types(BenchFlags& flags) {
  for (const std::string* type : {&flags.cache_k, &flags.cache_v}) {
    if (type->empty()) continue;
    if (!flags.engine.kv_type.empty() && flags.engine.kv_type != *type) {
      throw base::Error(base::ErrorCode::unsupported,
                        base::cat("-ctk, -ctv, --kv-type: expected one type for keys and values, got ",
                                  flags.engine.kv_type, " and ", *type));
    }
    flags.engine.kv_type = *type;
  }
}

std::vector<std::size_t> threads_of(const BenchFlags& flags) {
  std::vector<std::size_t> threads = counts_or(flags.threads, "-t", 1, {base::default_thread_count()});
  if (std::ranges::max(threads) > kMostThreads) {
    throw UsageError(base::cat("-t: expected at most ", kMostThreads), "");
  }
  return threads;
}

SpeedSettings settings_of(BenchFlags& flags) {
  take_cache_types(flags);
  SpeedSettings settings;
  settings.models = split_models(flags.models);
  settings.models.insert(settings.models.begin(), flags.positional.begin(), flags.positional.end());
  if (settings.models.empty()) {
    throw UsageError("bench: which model?", "minke bench MODEL, or -m MODEL");
  }
  BenchLengths lengths;
  lengths.prompts = counts_or(flags.prompts, "-p", 0, lengths.prompts);
  lengths.gens = counts_or(flags.gens, "-n", 0, lengths.gens);
  lengths.depths = counts_or(flags.depths, "-d", 0, lengths.depths);
  for (const std::string& pair : flags.pairs) lengths.pairs.push_back(parse_pair(pair));
  settings.tests = plan_tests(lengths);
  settings.threads = threads_of(flags);
  settings.batches = counts_or(flags.batches, "-b", 1, {2048});
  settings.ubatches = counts_or(flags.ubatches, "-ub", 1, {512});
  settings.repetitions = flags.repetitions;
  settings.delay = flags.delay;
  settings.warmup = !flags.no_warmup;
  settings.verbose = flags.progress || flags.verbose;
  settings.engine = flags.engine;
  const std::size_t setups = settings.threads.size() * settings.batches.size() * settings.ubatches.size();
  if (settings.tests.empty()) {
    throw UsageError("bench: -p and -n leave nothing to measure", "give one a length above 0");
  }
  if (settings.tests.size() > kMostTests / setups) {
    throw UsageError(base::cat("bench: expected at most ", kMostTests, " tests, got more"), "");
  }
  return settings;
}

/// One or two printers: standard output, and with -oe standard error.
class Printers {
 public:
  Printers(const BenchFlags& flags, RecordFormat fallback, const std::vector<TableColumn>& columns)
      : out_(STDOUT_FILENO, "standard output") {
    format_ = flags.format.empty() ? fallback : record_format_from_name(flags.format).value_or(fallback);
    add(format_, columns, [this](std::string_view text) {
      out_.write(text);
      out_.flush();
    });
    if (const auto error_format = record_format_from_name(flags.error_format)) add(*error_format, columns, note);
  }
  void print(const Record& record) {
    for (RecordPrinter& printer : printers_) printer.print(record);
  }
  void finish() {
    for (RecordPrinter& printer : printers_) printer.finish();
    if (format_ == RecordFormat::md) {
      out_.write(base::cat("\nbuild: ", build_commit(), " (", build_number(), "), ", processor_name(), "\n"));
    }
    out_.flush();
  }

 private:
  void add(RecordFormat format, const std::vector<TableColumn>& columns, RecordPrinter::Write write) {
    printers_.emplace_back(format, columns, std::move(write));
  }

  Output out_;
  RecordFormat format_ = RecordFormat::md;
  std::vector<RecordPrinter> printers_;
};

int bench_frontiers(const Session& session, const BenchFlags& flags, const SpeedSettings& settings,
                    const Stop& stopped) {
  std::vector<std::size_t> frontiers = parse_counts(flags.frontiers, "--frontiers", 1);
  std::ranges::sort(frontiers);
  frontiers.erase(std::unique(frontiers.begin(), frontiers.end()), frontiers.end());
  const std::vector<std::size_t> gens = counts_or(flags.gens, "-n", 0, {32});
  Printers printers(flags, RecordFormat::csv, frontier_columns());
  const bool complete = run_frontiers(session, settings, frontiers, gens.front(), stopped,
                                      [&](const Record& record) { printers.print(record); });
  printers.finish();
  return complete ? 0 : kInterruptedStatus;
}

std::vector<formats::DType> types_of(const BenchFlags& flags) {
  std::vector<formats::DType> types;
  for (const std::string& name : flags.types) {
    for (const formats::DType type : packable_types()) {
      if (formats::info(type).name == name) types.push_back(type);
    }
  }
  return types;
}

std::vector<std::string> type_names() {
  std::vector<std::string> names;
  for (const formats::DType type : packable_types()) names.emplace_back(formats::info(type).name);
  return names;
}

std::vector<std::size_t> rows_of(const BenchFlags& flags, std::vector<std::size_t> fallback) {
  std::vector<std::size_t> rows = counts_or(flags.rows, "--rows", 1, std::move(fallback));
  if (std::ranges::max(rows) > kMostRows) {
    throw UsageError(base::cat("--rows: expected at most ", kMostRows), "");
  }
  return rows;
}

int bench_layer(const Session& session, BenchFlags& flags) {
  take_cache_types(flags);
  LayerSettings settings;
  settings.model = flags.layer;
  settings.path = shape_path(flags.layer, session.environment.store());
  settings.engine = flags.engine;
  settings.threads = threads_of(flags).front();
  settings.tokens = rows_of(flags, settings.tokens);
  settings.contexts = counts_or(flags.depths, "-d", 1, settings.contexts);
  const std::vector<formats::DType> types = types_of(flags);
  if (types.size() > 1) throw UsageError("--layer takes one of --types", "");
  if (!types.empty()) settings.dtype = types.front();
  settings.bandwidth = flags.bandwidth * 1e9;
  settings.show_progress = session.environment.stderr_terminal;
  const InterruptScope interrupt;
  Printers printers(flags, RecordFormat::md, layer_columns());
  const bool complete = run_layer(
      settings, [&interrupt] { return interrupt.requested(); }, [&](const Record& r) { printers.print(r); });
  printers.finish();
  return complete ? 0 : kInterruptedStatus;
}

int bench_kernels(BenchFlags& flags) {
  const engine::EngineOptions options = flags.engine.options(kernels::Numerics::fast);
  KernelSettings settings;
  settings.isa = options.isa.value_or(kernels::best_isa());
  settings.numerics = options.numerics;
  settings.threads = threads_of(flags);
  settings.rows = rows_of(flags, settings.rows);
  settings.types = types_of(flags);
  const InterruptScope interrupt;
  Printers printers(flags, RecordFormat::md, kernel_columns());
  const bool complete = run_kernels(
      settings, [&interrupt] { return interrupt.requested(); }, [&](const Record& r) { printers.print(r); });
  printers.finish();
  return complete ? 0 : kInterruptedStatus;
}

int bench(const Session& session, BenchFlags& flags) {
  if (flags.kernels) return bench_kernels(flags);
  if (!flags.layer.empty()) return bench_layer(session, flags);
  const SpeedSettings settings = settings_of(flags);
  for (const std::string& flag : flags.ignored) {
    note(base::cat("minke: ", flag, " chooses nothing here: there are no devices but the processor\n"));
  }
  const InterruptScope interrupt;
  const Stop stopped = [&interrupt] { return interrupt.requested(); };
  if (!flags.frontiers.empty()) return bench_frontiers(session, flags, settings, stopped);
  Printers printers(flags, RecordFormat::md, speed_columns(settings));
  const bool complete = run_speed(session, settings, stopped, [&](const Record& record) { printers.print(record); });
  printers.finish();
  return complete ? 0 : kInterruptedStatus;
}

void add_lengths(CLI::App& app, BenchFlags& flags) {
  const auto list = [&app](const char* names, std::vector<std::string>& values, const char* text) {
    return app.add_option(names, values, text)->allow_extra_args(false)->option_text("N,..");
  };
  list("-p,--n-prompt", flags.prompts, "Tokens of prompts to read (default: 512; 0: none)");
  list("-n,--n-gen", flags.gens, "Tokens to decode (default: 128; 0: none)");
  list("--pg", flags.pairs, "-pg PP,TG: a prompt and then a decode, timed together")->option_text("PP,TG");
  list("-d,--n-depth", flags.depths, "Tokens in the context before, not timed (default: 0; --layer: 4k,32k)");
  list("-t,--threads", flags.threads, "Threads (default: the physical cores that this process may use)");
  list("-b,--batch-size", flags.batches, "Tokens handed over at once (default: 2048)");
  list("--ubatch-size", flags.ubatches, "-ub N: most tokens of one step (default: 512)");
  list("--frontiers", flags.frontiers,
       "Instead: prefill speed between these contexts and decode speed at each, such as 2k,4k,8k,16k,32k,64k; CSV");
}

void add_flags(CLI::App& app, BenchFlags& flags) {
  app.add_option("MODEL", flags.positional, "Store names or paths")->option_text("");
  app.add_option("-m,--model", flags.models, "The same, as llama-bench has it")
      ->allow_extra_args(false)
      ->option_text("MODEL");
  add_lengths(app, flags);
  app.add_option("-r,--repetitions", flags.repetitions, "Runs of each test (default: 5)")
      ->check(CLI::Range(std::size_t{1}, kMostRuns))
      ->option_text("N");
  app.add_option("--delay", flags.delay, "Seconds to wait before each test")
      ->check(CLI::Range(std::size_t{0}, std::size_t{3600}))
      ->option_text("S");
  app.add_flag("--no-warmup", flags.no_warmup, "Do not run each test once before it is timed");
  const auto formats = CLI::IsMember(record_format_names());
  app.add_option("-o,--output", flags.format, "Format on standard output (default: md)")
      ->check(formats)
      ->option_text("md|json|jsonl|csv");
  app.add_option("--output-err", flags.error_format, "-oe: a second copy on standard error")
      ->check(formats)
      ->option_text("FORMAT");
  app.add_option("--cache-type-k", flags.cache_k, "-ctk: as --kv-type")
      ->check(CLI::IsMember({"f32", "bf16", "q8"}))
      ->option_text("TYPE");
  app.add_option("--cache-type-v", flags.cache_v, "-ctv: as --kv-type")
      ->check(CLI::IsMember({"f32", "bf16", "q8"}))
      ->option_text("TYPE");
  app.add_flag("--progress", flags.progress, "A line on standard error for each run");
  app.add_flag("-v,--verbose", flags.verbose, "The same");
  app.add_flag("--kernels", flags.kernels,
               "Instead: the products alone, per weight type and rows, beside this machine's limits; needs no model");
  app.add_option("--layer", flags.layer,
                 "Instead: one full-size layer of a model that need not fit here, with random weights: a name in "
                 "data/shapes, a config.json or a MODEL")
      ->option_text("SHAPE");
  app.add_option("--bandwidth", flags.bandwidth,
                 "With --layer: project the whole model to a machine that reads so fast")
      ->check(CLI::Range(0.001, 1e6))
      ->option_text("GB/s");
  app.add_option("--types", flags.types, "With --kernels, --layer: weight types (default: all; the model's own)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::IsMember(type_names()))
      ->option_text("TYPE,..");
  app.add_option("--rows", flags.rows, "With --kernels, --layer: tokens at once (default: 1,8,64,512)")
      ->allow_extra_args(false)
      ->option_text("N,..");
  add_arithmetic_flags(app, flags.engine);
  for (const std::string_view name : kForeignFlags) {
    app.add_option_function<std::string>(
           std::string(name), [&flags, name](const std::string&) { flags.ignored.emplace_back(name); }, "")
        ->group("");
  }
  app.footer(
      "Several values: 512,2048 or -p 512 -p 2048 or ranges 1-4, 64-256+64, 128-1024*2; k and m count 1,024s.\n"
      "llama-bench's one-dash flags work (-pg, -ub, -ctk, -ctv, -oe), and its JSON and CSV keys are the same;\n"
      "its flags for devices (-ngl, -fa, ...) are taken and choose nothing. Ctrl-C prints what is measured.\n\n"
      "Examples:\n"
      "  minke bench qwen2.5-coder:1.5b -p 512,2048 -n 128 -d 0,4096 -t 1,2\n"
      "  minke bench ./a.gguf ./b.gguf -p 512 -n 0 -o json\n"
      "  minke bench smollm2 --frontiers 512,1k,2k,4k > frontiers.csv\n"
      "  minke bench --kernels --types Q4_K,Q6_K -t 1,2\n"
      "  minke bench --layer deepseek-v3 -d 4k,32k --bandwidth 400");
}

}  // namespace

void add_bench_command(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("bench", "Measure how fast a model runs here");
  const auto flags = std::make_shared<BenchFlags>();
  add_flags(*command, *flags);
  CLI::App* engine = add_bench_engine_command(*command, session);
  CLI::App* constrain = add_bench_constrain_command(*command, session);
  command->parse_complete_callback([&session, flags, engine, constrain] {
    if (engine->parsed() || constrain->parsed()) return;
    session.action = [&session, flags] { return bench(session, *flags); };
  });
}

}  // namespace minke::cli
