#include "cli/prompt_input.h"

#include <poll.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/text_file.h"

namespace minke::cli {
namespace {

constexpr int kPatienceMs = 2000;

/// A pipe that nobody closes looks like a program that hangs: says what it waits for.
std::string read_pipe() {
  pollfd descriptor = {STDIN_FILENO, POLLIN, 0};
  if (::poll(&descriptor, 1, kPatienceMs) == 0) {
    note("minke: waiting for standard input (give the prompt with -p to leave it alone)\n");
  }
  return read_standard_input();
}

void append_part(std::string& prompt, const std::string& part) {
  if (part.empty()) return;
  if (!prompt.empty()) prompt += "\n\n";
  prompt += part;
}

}  // namespace

std::optional<std::string> read_prompt(const PromptFlags& flags, const Environment& environment, bool exact) {
  std::string prompt = flags.positional.value_or("");
  if (flags.text) append_part(prompt, *flags.text);
  if (flags.file) {
    std::string part = read_text_file(*flags.file);
    if (!exact) strip_final_newline(part);
    append_part(prompt, part);
  }
  const bool leave_input = flags.text || flags.file || environment.stdin_terminal;
  if (!leave_input) {
    std::string part = read_pipe();
    if (!exact) strip_final_newline(part);
    append_part(prompt, part);
  }
  if (flags.positional || flags.text || flags.file || !prompt.empty()) return prompt;
  if (environment.stdin_terminal) return std::nullopt;
  throw UsageError("there is no prompt, and standard input is empty",
                   "give one as PROMPT, with -p TEXT or -f FILE, or start in a terminal to chat");
}

}  // namespace minke::cli
