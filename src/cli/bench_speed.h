// Measuring a model's speed as llama-bench does: reading prompts and decoding, at given depths.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cli/bench_plan.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/record.h"

namespace minke::cli {

struct SpeedSettings {
  std::vector<std::string> models;
  std::vector<BenchTest> tests;
  std::vector<std::size_t> threads, batches, ubatches;
  std::size_t repetitions = 5;
  std::size_t delay = 0;  ///< seconds before each test
  bool warmup = true;
  bool verbose = false;
  EngineFlags engine;  ///< threads and context are not used
};

using RecordSink = std::function<void(const Record&)>;
using Stop = std::function<bool()>;

/// Runs every test of every model, thread count and batch size, models outermost, and hands over a record of each
/// one with llama-bench's keys. A test that was stopped is handed over with the samples that it has. False when
/// `stopped` said so.
bool run_speed(const Session& session, const SpeedSettings& settings, const Stop& stopped, const RecordSink& sink);

/// The columns of llama-bench's table; those of settings with one value only are left out.
std::vector<TableColumn> speed_columns(const SpeedSettings& settings);

/// Speed along a growing context: from one frontier to the next the prompt is read and timed, there `gen` tokens are
/// decoded `repetitions` times and forgotten. One record per frontier. Frontiers ascend.
bool run_frontiers(const Session& session, const SpeedSettings& settings, const std::vector<std::size_t>& frontiers,
                   std::size_t gen, const Stop& stopped, const RecordSink& sink);
std::vector<TableColumn> frontier_columns();

}  // namespace minke::cli
