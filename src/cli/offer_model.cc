#include "cli/offer_model.h"

#include <unistd.h>

#include <cerrno>
#include <optional>

#include "base/cat.h"
#include "base/error.h"
#include "cli/fetch_model.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/remote_model.h"
#include "cli/text_format.h"

namespace minke::cli {
namespace {

/// The rest of a line, byte by byte: what follows it is for others to read. None at the end of the input.
std::optional<std::string> read_line() {
  constexpr std::size_t kMost = 4096;
  std::string line;
  while (line.size() < kMost) {
    char c = 0;
    const ssize_t count = ::read(STDIN_FILENO, &c, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return std::nullopt;
    if (c == '\n') break;
    line.push_back(c);
  }
  return line;
}

bool is_agreed(const std::string& question) {
  note(question);
  const std::optional<std::string> line = read_line();
  if (!line) return false;
  std::string word;
  for (const char c : *line)
    if (c != ' ' && c != '\t' && c != '\r') word.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
  return word.empty() || word == "y" || word == "yes";
}

std::string offer_text(const std::string& model, const HubChoice& choice, const ModelReport& report) {
  const MemoryNeed& need = report.memory.front();
  return base::cat("minke: ", printable(model), " is not here. ", choice_text(choice), "\n       It needs ",
                   byte_text(need.bytes), " of memory at a context of ", grouped(need.context), " tokens (",
                   byte_text(report.memory_free), " are free); here it reads prompts at about ",
                   rate_text(report.speed.prefill), " tokens/s and replies at ", rate_text(report.speed.decode), ".\n",
                   need.bytes > report.memory_free ? "       That is more than is free.\n" : "");
}

}  // namespace

std::string offer_model(const Session& session, const std::string& model, const OfferOptions& options) {
  const Environment& environment = session.environment;
  const hub::ModelStore store = environment.store();
  if (!is_remote(store, model)) return model;
  const bool can_ask = environment.stdin_terminal && environment.stderr_terminal;
  if (!options.yes && !can_ask) return model;  // whoever opens it says how it is fetched
  const RemoteModel remote(session, store, model, options.engine);
  const HubChoice& choice = remote.choice();
  ModelReport report;
  remote.naming([&] { report = report_on(remote.shown(), options.chat, options.engine); });
  remote.complete(report);
  note(offer_text(model, choice, report));
  if (!options.yes && !is_agreed(base::cat("Download ", byte_text(choice.variant.bytes), " from ",
                                           printable(remote.label()), "? [Y/n] ")))
    throw base::Error(base::ErrorCode::not_found, base::cat(model, ": not here, and not fetched"),
                      base::cat("fetch it: minke pull ", model));
  const InterruptScope interrupt;
  const HubAccess access = hub_access(environment, [&interrupt] { return interrupt.requested(); });
  fetch_model(access, store, choice, {.terminal = environment.stderr_terminal});
  return choice.request.name;
}

}  // namespace minke::cli
