#include "cli/completion.h"

#include <algorithm>

#include "base/cat.h"

namespace minke::cli {
namespace {

// What lists the store's models, in every shell: the first column without its heading.
constexpr const char* kModels = "minke list 2>/dev/null | awk 'NR > 1 { print $1 }'";

std::string joined(const std::vector<std::string>& words, std::string_view separator) {
  std::string text;
  for (const std::string& word : words) text += base::cat(text.empty() ? std::string_view() : separator, word);
  return text;
}

/// Within single quotes of a shell.
std::string single_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out.push_back(c == '\n' ? ' ' : c);
    }
  }
  return out + "'";
}

std::string first_sentence(std::string_view text) {
  return std::string(text.substr(0, std::min(text.find('\n'), text.size())));
}

/// Calls `visit` with each command below `command` and the words that lead to it: {"eval", "ppl"}.
template <typename Visit>
void for_each_command(const CommandInfo& command, std::vector<std::string>& words, const Visit& visit) {
  visit(command, words);
  for (const CommandInfo& child : command.commands) {
    words.push_back(child.name);
    for_each_command(child, words, visit);
    words.pop_back();
  }
}

std::vector<std::string> flag_names(const CommandInfo& command) {
  std::vector<std::string> names;
  for (const FlagInfo& flag : command.flags) names.insert(names.end(), flag.names.begin(), flag.names.end());
  return names;
}

std::vector<std::string> command_names(const CommandInfo& command) {
  std::vector<std::string> names;
  names.reserve(command.commands.size());
  for (const CommandInfo& child : command.commands) names.push_back(child.name);
  return names;
}

// ---- bash

/// A case's branch: the values behind one flag.
std::string bash_value(const FlagInfo& flag) {
  const std::vector<std::string> choices = flag.choices();
  if (choices.empty() && !flag.names_file()) return {};
  return base::cat("        ", joined(flag.names, "|"), ") ",
                   choices.empty() ? "COMPREPLY=($(compgen -f -- \"$current\"))"
                                   : base::cat("COMPREPLY=($(compgen -W ", single_quoted(joined(choices, " ")),
                                               " -- \"$current\"))"),
                   "; return ;;\n");
}

std::string bash_script(const CommandInfo& program) {
  std::string known;
  std::string values;
  std::string words_of;
  std::vector<std::string> path;
  for_each_command(program, path, [&](const CommandInfo& command, const std::vector<std::string>& words) {
    const std::string name = joined(words, " ");
    if (!command.commands.empty()) {
      known += base::cat("      ", single_quoted(name), ") names=", single_quoted(joined(command_names(command), " ")),
                         " ;;\n");
    }
    std::string behind;
    for (const FlagInfo& flag : command.flags) {
      if (!flag.positional() && !flag.value.empty()) behind += bash_value(flag);
    }
    if (!behind.empty()) {
      values += base::cat("    ", single_quoted(name), ")\n      case $previous in\n", behind, "      esac ;;\n");
    }
    std::vector<std::string> offered = command_names(command);
    const std::vector<std::string> flags = flag_names(command);
    offered.insert(offered.end(), flags.begin(), flags.end());
    words_of += base::cat("    ", single_quoted(name), ") words=", single_quoted(joined(offered, " ")),
                          command.takes_model() ? " models=1" : "", " ;;\n");
  });
  return base::cat(
      "# bash completion for minke; written by \"minke completion bash\"\n"
      "_minke() {\n"
      "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command= names= words= models= "
      "word at\n"
      "  for ((at = 1; at < COMP_CWORD; at++)); do\n"
      "    word=${COMP_WORDS[at]}\n"
      "    names=\n"
      "    case $command in\n",
      known,
      "    esac\n"
      "    if [[ \" $names \" == *\" $word \"* ]]; then command=\"${command:+$command }$word\"; fi\n"
      "  done\n"
      "  case $command in\n",
      values,
      "  esac\n"
      "  case $command in\n",
      words_of,
      "  esac\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      "  if [[ -n $models && $current != -* ]]; then\n"
      "    # A colon parts words in bash: what stands before it is no part of the word that is completed.\n"
      "    local line=${COMP_LINE:0:COMP_POINT} typed names\n"
      "    typed=${line##* }\n"
      "    names=$(compgen -W \"$(",
      kModels,
      ")\" -- \"$typed\")\n"
      "    if [[ $typed == *:* ]]; then names=$(sed \"s/^[^:]*://\" <<<\"$names\"); fi\n"
      "    COMPREPLY+=($names $(compgen -f -- \"$current\"))\n"
      "  fi\n"
      "}\n"
      "complete -o filenames -F _minke minke\n");
}

// ---- zsh

/// Within the brackets of an _arguments specification.
std::string zsh_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

std::string zsh_action(const FlagInfo& flag) {
  const std::vector<std::string> choices = flag.choices();
  if (!choices.empty()) return base::cat("(", joined(choices, " "), ")");
  if (flag.value.find("MODEL") != std::string::npos) return "_minke_models";
  return flag.names_file() ? "_files" : " ";
}

std::string zsh_function_name(const std::vector<std::string>& words) {
  return base::cat("_minke", words.empty() ? "" : "_", joined(words, "_"));
}

std::string zsh_flag(const FlagInfo& flag) {
  std::string lines;
  const std::string text = zsh_escaped(first_sentence(flag.text));
  for (const std::string& name : flag.names) {
    const std::string value = flag.value.empty() ? "" : base::cat(":", zsh_escaped(flag.value), ":", zsh_action(flag));
    lines += base::cat("    ", single_quoted(base::cat(name, "[", text, "]", value)), " \\\n");
  }
  if (flag.positional())
    lines += base::cat("    ", single_quoted(base::cat(":", zsh_escaped(flag.value), ":", zsh_action(flag))), " \\\n");
  return lines;
}

std::string zsh_function(const CommandInfo& command, const std::vector<std::string>& words) {
  std::string text = base::cat(zsh_function_name(words), "() {\n");
  if (!command.commands.empty()) text += "  local context state state_descr line\n  typeset -A opt_args\n";
  text += "  _arguments -s \\\n";
  for (const FlagInfo& flag : command.flags) text += zsh_flag(flag);
  if (command.commands.empty()) return text + "    && return\n}\n";
  text += "    '1: :->command' '*:: :->rest'\n  case $state in\n    command)\n      local -a commands=(\n";
  for (const CommandInfo& child : command.commands) {
    text += base::cat("        ", single_quoted(base::cat(child.name, ":", zsh_escaped(first_sentence(child.summary)))),
                      "\n");
  }
  text += "      )\n      _describe command commands ;;\n    rest)\n      case $line[1] in\n";
  for (const CommandInfo& child : command.commands) {
    std::vector<std::string> below = words;
    below.push_back(child.name);
    text += base::cat("        ", child.name, ") ", zsh_function_name(below), " ;;\n");
  }
  return text + "      esac ;;\n  esac\n}\n";
}

std::string zsh_script(const CommandInfo& program) {
  std::string functions;
  std::vector<std::string> path;
  for_each_command(program, path, [&](const CommandInfo& command, const std::vector<std::string>& words) {
    functions += zsh_function(command, words);
  });
  return base::cat(
      "#compdef minke\n"
      "# written by \"minke completion zsh\"\n"
      "_minke_models() {\n"
      "  local -a models=(${(f)\"$(",
      kModels,
      ")\"})\n"
      "  compadd -a models\n"
      "  _files\n"
      "}\n",
      functions, "if [[ $funcstack[1] == _minke ]]; then _minke \"$@\"; else compdef _minke minke; fi\n");
}

// ---- fish

std::string fish_flag(const FlagInfo& flag, std::string_view condition) {
  std::string line = base::cat("complete -c minke ", condition);
  for (const std::string& name : flag.names) {
    line += name.starts_with("--") ? base::cat(" -l ", name.substr(2)) : base::cat(" -s ", name.substr(1));
  }
  const std::vector<std::string> choices = flag.choices();
  if (!choices.empty()) {
    line += base::cat(" -x -a ", single_quoted(joined(choices, " ")));
  } else if (!flag.value.empty()) {
    line += flag.names_file() ? " -r -F" : " -x";
  }
  return base::cat(line, " -d ", single_quoted(first_sentence(flag.text)), "\n");
}

std::string fish_script(const CommandInfo& program) {
  std::string text = "# fish completion for minke; written by \"minke completion fish\"\n";
  std::vector<std::string> path;
  for_each_command(program, path, [&](const CommandInfo& command, const std::vector<std::string>& words) {
    std::string seen;
    for (const std::string& word : words)
      seen += base::cat(seen.empty() ? "" : "; and ", "__fish_seen_subcommand_from ", word);
    const std::vector<std::string> below = command_names(command);
    std::string before = seen;
    if (!below.empty()) {
      before += base::cat(before.empty() ? "" : "; and ", "not __fish_seen_subcommand_from ", joined(below, " "));
    }
    const std::string here = before.empty() ? std::string() : base::cat("-n ", single_quoted(before));
    for (const CommandInfo& child : command.commands) {
      text += base::cat("complete -c minke ", here, " -f -a ", child.name, " -d ",
                        single_quoted(first_sentence(child.summary)), "\n");
    }
    if (command.takes_model()) {
      text +=
          base::cat("complete -c minke ", here, " -a ", single_quoted(base::cat("(", kModels, ")")), " -d 'Model'\n");
    }
    for (const FlagInfo& flag : command.flags) {
      if (!flag.positional()) text += fish_flag(flag, here);
    }
  });
  return text;
}

}  // namespace

const std::vector<std::string>& completion_shells() {
  static const std::vector<std::string> kShells = {"bash", "zsh", "fish"};
  return kShells;
}

std::string completion_script(const CommandInfo& program, std::string_view shell) {
  if (shell == "zsh") return zsh_script(program);
  if (shell == "fish") return fish_script(program);
  return bash_script(program);
}

}  // namespace minke::cli
