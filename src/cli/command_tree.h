// What the program's commands and flags are, as values: completions and the manual page are written from it.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace minke::cli {

struct FlagInfo {
  std::vector<std::string> names;  ///< "-t", "--threads"; empty: a positional argument
  std::string value;               ///< as --help writes it: "N", "fast|exact", "FILE"; empty: a flag without one
  std::string text;
  std::string group;

  bool positional() const { return names.empty(); }
  bool names_file() const;
  /// The literal ones of "auto|off|N": auto, off.
  std::vector<std::string> choices() const;
};

struct CommandInfo {
  std::string name;     ///< "run"; the program's own: "minke"
  std::string summary;  ///< a line
  std::string footer;   ///< examples and further text, lines as --help prints them
  std::vector<FlagInfo> flags;
  std::vector<CommandInfo> commands;

  bool takes_model() const;
};

/// Commands and flags without a description are left out.
CommandInfo describe(const CLI::App& app);

}  // namespace minke::cli
