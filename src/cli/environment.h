// What the commands need to know of the process they run in, read once at start.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "hub/model_store.h"

namespace minke::cli {

struct Environment {
  std::string minke_models;     ///< $MINKE_MODELS
  std::string xdg_data_home;    ///< $XDG_DATA_HOME
  std::string xdg_state_home;   ///< $XDG_STATE_HOME
  std::string xdg_cache_home;   ///< $XDG_CACHE_HOME
  std::string home;             ///< $HOME
  std::string xdg_config_home;  ///< $XDG_CONFIG_HOME
  /// Of Hugging Face's programs, as they understand them.
  std::string hf_endpoint, hf_token, hf_token_path, hf_home, hf_hub_cache, hf_hub_offline;
  /// In small letters or capitals; the small ones win, as elsewhere.
  std::string https_proxy, http_proxy, no_proxy;
  std::string ssl_cert_file;  ///< $SSL_CERT_FILE
  std::string ollama_models;  ///< $OLLAMA_MODELS
  /// All whose name begins so, sorted by it.
  std::vector<std::pair<std::string, std::string>> minke_variables;
  bool stdin_terminal = false;
  bool stdout_terminal = false;
  bool stderr_terminal = false;
  /// Escape sequences are welcome on the terminals: NO_COLOR is unset or empty and TERM is not "dumb".
  bool styled = false;

  /// Reads the environment and asks whether the three standard streams are terminals.
  static Environment read();

  /// The store that these variables name, with the gallery: the program's own, and the files gallery/*.json of the
  /// configuration folder in the order of their names. Errors of what is in them.
  hub::ModelStore store() const;
  /// This program's folder of data that is worth keeping, and of what can be made again, as the XDG specification has
  /// them; empty when there is no home.
  std::string data_folder() const;
  std::string cache_folder() const;
  std::string config_folder() const;
};

}  // namespace minke::cli
