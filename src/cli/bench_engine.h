// minke bench engine: many users at once.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "cli/bench_model.h"
#include "cli/record.h"

namespace minke::cli {

struct CrowdSettings {
  std::string model;
  std::size_t users = 16, prompt = 256, output = 64;
  double rate = 0;           ///< requests per second, at random (Poisson); 0: as `every` says
  double every = 0;          ///< seconds from one request to the next; 0: all at once
  double shared_prefix = 0;  ///< share of the prompt that all have in common, [0, 1]
  /// Tokens of one more prompt, of another user, that comes when every user has a quarter of its output; 0: none.
  std::size_t long_prompt = 0;
  double target_inter_token = 0;  ///< seconds; EngineOptions'
  EngineFlags engine;
};

/// nullopt when stopped.
std::optional<Record> run_crowd(const Session& session, const CrowdSettings& settings, const Stop& stopped);
/// A two-column table for people.
std::string crowd_table(const Record& record);

}  // namespace minke::cli
