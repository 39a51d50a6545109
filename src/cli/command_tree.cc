#include "cli/command_tree.h"

#include <algorithm>
#include <cctype>
#include <string_view>

#include <CLI/CLI.hpp>

#include "base/cat.h"

namespace minke::cli {
namespace {

FlagInfo describe_flag(const CLI::Option& option) {
  FlagInfo flag;
  for (const std::string& name : option.get_snames()) flag.names.push_back(base::cat("-", name));
  for (const std::string& name : option.get_lnames()) flag.names.push_back(base::cat("--", name));
  flag.value = option.get_option_text();
  if (flag.value.empty() && option.get_items_expected_max() > 0) {
    flag.value = flag.positional() ? option.get_name() : option.get_type_name();
  }
  if (flag.positional()) flag.value = option.get_name();
  flag.text = option.get_description();
  flag.group = option.get_group();
  return flag;
}

}  // namespace

bool FlagInfo::names_file() const {
  return value.find("FILE") != std::string::npos || value.find("FOLDER") != std::string::npos ||
         value.find("PATH") != std::string::npos;
}

std::vector<std::string> FlagInfo::choices() const {
  std::vector<std::string> found;
  if (value.find('|') == std::string::npos) return found;
  for (std::size_t at = 0; at <= value.size();) {
    const std::size_t end = std::min(value.find('|', at), value.size());
    const std::string_view word = std::string_view(value).substr(at, end - at);
    const bool literal = !word.empty() && std::ranges::all_of(word, [](unsigned char c) {
      return std::islower(c) != 0 || std::isdigit(c) != 0 || c == '-' || c == '_';
    });
    if (literal) found.emplace_back(word);
    at = end + 1;
  }
  return found;
}

bool CommandInfo::takes_model() const {
  return std::ranges::any_of(
      flags, [](const FlagInfo& flag) { return flag.positional() && flag.value.find("MODEL") != std::string::npos; });
}

CommandInfo describe(const CLI::App& app) {
  CommandInfo command;
  command.name = app.get_name();
  command.summary = app.get_description();
  command.footer = app.get_footer();
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_description().empty()) command.flags.push_back(describe_flag(*option));
  }
  for (const CLI::App* child : app.get_subcommands({})) {
    if (!child->get_description().empty()) command.commands.push_back(describe(*child));
  }
  return command;
}

}  // namespace minke::cli
