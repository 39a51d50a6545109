#include "cli/manual.h"

#include <algorithm>
#include <string_view>

#include "base/cat.h"

namespace minke::cli {
namespace {

/// Text as roff prints it literally; a line must not begin with what roff takes for a request.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out.push_back(c);
    }
  }
  return out;
}

/// A request's argument.
std::string roff_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : escaped(text)) out += c == '"' ? std::string("\\(dq") : std::string(1, c);
  return out + "\"";
}

std::string flag_entry(const FlagInfo& flag) {
  std::string head;
  for (const std::string& name : flag.names) head += base::cat(head.empty() ? "" : ", ", "\\fB", escaped(name), "\\fR");
  if (!flag.value.empty()) head += base::cat(head.empty() ? "" : " ", "\\fI", escaped(flag.value), "\\fR");
  return base::cat(".TP\n", head, "\n", escaped(flag.text), "\n");
}

std::string flag_entries(const CommandInfo& command) {
  std::string text;
  std::string group;
  for (const FlagInfo& flag : command.flags) {
    // Each command has it; the page's reader knows.
    if (std::ranges::find(flag.names, "--help") != flag.names.end()) continue;
    if (flag.group != group && !flag.positional() && flag.group != "Options") {
      text += base::cat(".PP\n", escaped(flag.group), ":\n");
    }
    group = flag.positional() ? group : flag.group;
    text += flag_entry(flag);
  }
  return text;
}

std::string literally(std::string_view text) {
  if (text.empty()) return {};
  return base::cat(".PP\n.nf\n", escaped(text), "\n.fi\n");
}

std::string synopsis(const CommandInfo& command, const std::string& name) {
  std::string line = base::cat("\\fB", escaped(name), "\\fR [\\fIOPTIONS\\fR]");
  for (const FlagInfo& flag : command.flags) {
    if (flag.positional()) line += base::cat(" \\fI", escaped(flag.value), "\\fR");
  }
  if (!command.commands.empty()) line += " \\fICOMMAND\\fR";
  return line + "\n";
}

void write_command(const CommandInfo& command, const std::string& name, std::string& out) {
  out += base::cat(".SS ", roff_quoted(name), "\n", synopsis(command, name), ".PP\n", escaped(command.summary), "\n",
                   flag_entries(command), literally(command.footer));
  for (const CommandInfo& child : command.commands) write_command(child, base::cat(name, " ", child.name), out);
}

}  // namespace

std::string manual_page(const CommandInfo& program, const std::string& version) {
  std::string page = base::cat(".TH MINKE 1 \"\" ", roff_quoted(base::cat("minke ", version)), " \"User Commands\"\n",
                               ".SH NAME\nminke \\- large language models on the processors you own\n.SH SYNOPSIS\n",
                               synopsis(program, program.name), ".SH DESCRIPTION\n", escaped(program.summary), "\n",
                               flag_entries(program), literally(program.footer), ".SH COMMANDS\n");
  for (const CommandInfo& command : program.commands) {
    write_command(command, base::cat(program.name, " ", command.name), page);
  }
  return page;
}

}  // namespace minke::cli
