#include "cli/cache_flags.h"

#include <CLI/CLI.hpp>

#include "base/cat.h"
#include "base/error.h"
#include "cli/installation_secret.h"
#include "cli/output.h"

namespace minke::cli {

void CacheFlags::apply(const Environment& environment, engine::EngineOptions& options) const {
  options.on_warning = [](const std::string& text) { warn(text); };
  const std::string caches = environment.cache_folder(), data = environment.data_folder();
  const std::string chosen = !folder.empty() ? folder : caches.empty() ? std::string() : caches + "/kv";
  if (disk == 0 || chosen.empty() || data.empty()) return;
  try {
    options.secret = installation_secret(data);
    options.cache_folder = chosen;
    options.cache_disk = disk;
  } catch (const base::Error& error) {
    warn(base::cat("no cache on disk: ", error.message(), error.hint().empty() ? "" : ". ", error.hint()));
  }
}

void add_cache_flags(CLI::App& app, CacheFlags& flags) {
  constexpr const char* kGroup = "What is kept of earlier prompts";
  app.add_option("--cache-disk", flags.disk,
                 "Most that keys and values of earlier prompts take on disk, e.g. 20GB; 0: none are kept there "
                 "(default: 8GB)")
      ->transform(CLI::AsSizeValue(true))
      ->option_text("SIZE")
      ->group(kGroup);
  app.add_option("--cache-dir", flags.folder, "Where (default: minke/kv in the XDG cache folder)")
      ->option_text("FOLDER")
      ->group(kGroup);
}

}  // namespace minke::cli
