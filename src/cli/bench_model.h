// A loaded model that is being measured.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/bench_plan.h"
#include "cli/bench_speed.h"
#include "cli/record.h"
#include "engine/engine.h"
#include "formats/checkpoint.h"
#include "models/estimate.h"

namespace minke::cli {

/// What is the same for every test of a model file.
struct BenchFile {
  std::shared_ptr<const formats::Checkpoint> checkpoint;
  std::string given;  ///< as the user named it
  std::string type;   ///< "qwen2 1.5B Q4_K - Medium"
  models::ModelSizes sizes;
};
BenchFile open_bench_file(const Session& session, const std::string& model);

class BenchModel {
 public:
  /// Loads. `batch`: most rows of a step.
  BenchModel(const Session& session, const BenchFile& file, const EngineFlags& flags, std::size_t threads,
             std::size_t batch, std::size_t context);

  /// Tokens [0, count) of a text without meaning, the same in every run; text `variant` is another one.
  std::vector<engine::TokenId> tokens(std::size_t count, std::uint32_t variant) const;

  /// Reads `prompt` tokens after `depth` cached ones, then decodes `gen` one by one. False when stopped.
  bool run(const BenchTest& test, const Stop& stopped);
  /// Brings the cache to `depth` tokens. False when stopped.
  bool fill(std::size_t depth, const Stop& stopped);

  engine::EngineInfo info() const { return engine_->info(); }

 private:
  std::unique_ptr<engine::Engine> engine_;
  std::vector<engine::TokenId> text_;
};

}  // namespace minke::cli
