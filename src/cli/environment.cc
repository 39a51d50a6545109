#include "cli/environment.h"

#include <unistd.h>

#include <cstdlib>

namespace minke::cli {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

}  // namespace

Environment Environment::read() {
  Environment env;
  env.minke_models = variable("MINKE_MODELS");
  env.xdg_data_home = variable("XDG_DATA_HOME");
  env.xdg_state_home = variable("XDG_STATE_HOME");
  env.xdg_cache_home = variable("XDG_CACHE_HOME");
  env.home = variable("HOME");
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
