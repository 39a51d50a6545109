// What the commands need to know of the process they run in, read once at start.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "hub/model_store.h"

namespace minke::cli {

struct Environment {
  std::string minke_models;    ///< $MINKE_MODELS
  std::string xdg_data_home;   ///< $XDG_DATA_HOME
  std::string xdg_state_home;  ///< $XDG_STATE_HOME
  std::string xdg_cache_home;  ///< $XDG_CACHE_HOME
  std::string home;            ///< $HOME
  /// All whose name begins so, sorted by it.
  std::vector<std::pair<std::string, std::string>> minke_variables;
  bool stdin_terminal = false;
  bool stdout_terminal = false;
  bool stderr_terminal = false;
  /// Escape sequences are welcome on the terminals: NO_COLOR is unset or empty and TERM is not "dumb".
  bool styled = false;

  /// Reads the environment and asks whether the three standard streams are terminals.
  static Environment read();

  /// The store that these variables name.
  hub::ModelStore store() const;
  /// This program's folder of data that is worth keeping, and of what can be made again, as the XDG specification has
  /// them; empty when there is no home.
  std::string data_folder() const;
  std::string cache_folder() const;
};

}  // namespace minke::cli
