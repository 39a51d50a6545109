#include "cli/fetch_model.h"

#include <chrono>

#include "base/cat.h"
#include "base/error.h"
#include "cli/output.h"
#include "cli/pull_progress.h"
#include "cli/text_format.h"
#include "hub/pull.h"

namespace minke::cli {
namespace {

std::string result_text(const std::string& name, const hub::PullResult& result, double seconds) {
  if (result.was_here) return base::cat(name, " is here already and up to date\n");
  std::string text = base::cat(name, ": ", byte_text(result.bytes), ", every hash is right");
  if (result.shared > 0) text += base::cat("; ", byte_text(result.shared), " linked from the Hugging Face cache");
  if (result.fetched > 0 && seconds > 0) {
    text += base::cat("; fetched ", byte_text(result.fetched), " at ",
                      byte_text(static_cast<std::uint64_t>(static_cast<double>(result.fetched) / seconds)), "/s");
  }
  return base::cat(text, "\n");
}

}  // namespace

std::string choice_text(const HubChoice& choice) {
  std::uint64_t bytes = 0;
  for (const hub::RepoFile& file : choice.request.files) bytes += file.size;
  std::string text = base::cat(choice.request.repo.name, ": ",
                               choice.variant.quant.empty() ? "" : choice.variant.quant + ", ", byte_text(bytes));
  if (choice.request.files.size() > 1) text += base::cat(" in ", choice.request.files.size(), " files");
  if (!choice.why.empty()) text += base::cat(" (", choice.why, ")");
  return printable(text);
}

std::string memory_text(const HubChoice& choice) {
  if (!choice.memory) return {};
  const ChoiceMemory& memory = *choice.memory;
  return base::cat("  with a context of ", grouped(memory.context), " tokens it takes ", byte_text(memory.need),
                   " of memory, ", memory.need > memory.room ? "and there are " : "of ", byte_text(memory.room), "\n");
}

void fetch_model(const HubAccess& access, const hub::ModelStore& store, const HubChoice& choice,
                 const FetchOptions& given) {
  const std::string& name = choice.request.name;
  hub::DownloadOptions options;
  options.connections = given.connections;
  options.retry.attempts = given.retries;
  PullProgress progress(name, given.terminal);
  hub::PullEvents events;
  events.waiting = [&] { note(base::cat(name, ": waiting for another fetch of this model\n")); };
  events.resuming = [&](std::uint64_t bytes) {
    note(base::cat(name, ": ", byte_text(bytes), " are here of an earlier run\n"));
  };
  events.progress = [&](const hub::DownloadProgress& p) { progress.update(p); };
  events.checking = [&](std::uint64_t done, std::uint64_t total) { progress.checking(done, total); };
  const auto start = std::chrono::steady_clock::now();
  hub::PullResult result;
  try {
    result = hub::pull(store, access.options, access.cache, choice.request, options, events);
  } catch (const base::Error& error) {
    progress.clear();
    if (error.code() == base::ErrorCode::cancelled)
      note("stopped; what was fetched is kept, and the same command goes on\n");
    throw;
  }
  progress.clear();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  note(result_text(name, result, seconds));
}

}  // namespace minke::cli
