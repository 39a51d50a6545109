// Where and how much the engine keeps on disk.
#pragma once

#include <cstdint>
#include <string>

#include "cli/environment.h"
#include "engine/engine.h"

namespace CLI {
class App;
}

namespace minke::cli {

struct CacheFlags {
  std::string folder;
  std::uint64_t disk = 8'000'000'000;

  /// Sets the options of the cache on disk, and the secret. A secret that cannot be had is warned of; there is no cache
  /// on disk then.
  void apply(const Environment& environment, engine::EngineOptions& options) const;
};

void add_cache_flags(CLI::App& app, CacheFlags& flags);

}  // namespace minke::cli
