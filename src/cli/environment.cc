#include "cli/environment.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace minke::cli {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::vector<std::pair<std::string, std::string>> variables_of(std::string_view prefix) {
  std::vector<std::pair<std::string, std::string>> found;
  for (char** at = ::environ; at != nullptr && *at != nullptr; ++at) {
    const std::string_view entry = *at;
    const std::size_t equals = entry.find('=');
    if (!entry.starts_with(prefix) || equals == std::string_view::npos) continue;
    found.emplace_back(entry.substr(0, equals), entry.substr(equals + 1));
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace

Environment Environment::read() {
  Environment env;
  env.minke_models = variable("MINKE_MODELS");
  env.xdg_data_home = variable("XDG_DATA_HOME");
  env.xdg_state_home = variable("XDG_STATE_HOME");
  env.xdg_cache_home = variable("XDG_CACHE_HOME");
  env.home = variable("HOME");
  env.minke_variables = variables_of("MINKE_");
  env.stdin_terminal = ::isatty(STDIN_FILENO) == 1;
  env.stdout_terminal = ::isatty(STDOUT_FILENO) == 1;
  env.stderr_terminal = ::isatty(STDERR_FILENO) == 1;
  env.styled = variable("NO_COLOR").empty() && variable("TERM") != "dumb";
  return env;
}

std::string Environment::data_folder() const {
  if (xdg_data_home.starts_with('/')) return xdg_data_home + "/minke";
  return home.empty() ? std::string() : home + "/.local/share/minke";
}

std::string Environment::cache_folder() const {
  if (xdg_cache_home.starts_with('/')) return xdg_cache_home + "/minke";
  return home.empty() ? std::string() : home + "/.cache/minke";
}

hub::ModelStore Environment::store() const {
  return hub::ModelStore(hub::store_root(minke_models, xdg_data_home, home));
}

}  // namespace minke::cli
