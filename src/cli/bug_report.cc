#include "cli/bug_report.h"

#include <gnu/libc-version.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <string_view>

#include "base/cat.h"
#include "cli/text_format.h"
#include "cli/version.h"

namespace minke::cli {
namespace {

constexpr std::array<std::string_view, 4> kSecretWords = {"KEY", "TOKEN", "SECRET", "PASSWORD"};

/// PRETTY_NAME of os-release(5).
std::string system_name() {
  std::ifstream file("/etc/os-release");
  constexpr std::string_view kName = "PRETTY_NAME=";
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(kName)) continue;
    std::string name = line.substr(kName.size());
    std::erase(name, '"');
    return name;
  }
  return "unknown system";
}

std::string system_text() {
  utsname name{};
  const bool known = ::uname(&name) == 0;
  return base::cat(system_name(), ", kernel ", known ? name.release : "unknown", ", glibc ", ::gnu_get_libc_version());
}

std::string without_home(std::string text, const std::string& home) {
  if (home.size() < 2) return text;
  for (std::size_t at = text.find(home); at != std::string::npos; at = text.find(home, at + 1))
    text.replace(at, home.size(), "~");
  return text;
}

std::string variables_text(const Environment& environment) {
  std::string text;
  for (const auto& [name, value] : environment.minke_variables) {
    const bool secret =
        std::ranges::any_of(kSecretWords, [&](std::string_view word) { return name.find(word) != std::string::npos; });
    text += base::cat(name, "=", secret ? std::string("(not shown)") : printable(value), "\n");
  }
  return text.empty() ? "none\n" : text;
}

}  // namespace

std::string bug_report(const MachineReport& machine, const Environment& environment) {
  std::string text = base::cat(
      "### What I did\n\n(the command, and the model if it is public)\n\n### What I expected, and what happened\n\n"
      "(the output, with \"-v\" if it is about a reply)\n\n### The program and the machine\n\n```\n",
      version_text(), "commit ", build_commit(), "\n", system_text(), "\n", machine_text(machine),
      "```\n\n### MINKE_ variables\n\n```\n", variables_text(environment), "```\n");
  return without_home(std::move(text), environment.home);
}

}  // namespace minke::cli
