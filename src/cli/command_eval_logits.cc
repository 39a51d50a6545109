// minke eval logits: every position's raw logits, for comparison with other programs.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include <CLI/CLI.hpp>

#include "base/cat.h"
#include "base/error.h"
#include "cli/command.h"
#include "cli/command_eval.h"
#include "cli/id_list.h"
#include "cli/interrupt.h"
#include "cli/model_source.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/text_file.h"
#include "engine/engine.h"

namespace minke::cli {
namespace {

struct LogitsFlags {
  std::string model, ids, output;
  std::size_t chunk = 0;
  EngineFlags engine;
};

/// A file that appears under its name only when it is complete; other things than regular files (pipes, devices,
/// standard output) are written in place.
class ResultFile {
 public:
  explicit ResultFile(std::string path) : path_(std::move(path)) {
    std::error_code ignored;
    const auto status = std::filesystem::status(path_, ignored);
    in_place_ = path_ == "-" || (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status));
    if (path_ == "-") {
      fd_ = STDOUT_FILENO;
    } else {
      written_ = in_place_ ? path_ : path_ + ".part";
      fd_ = ::open(written_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
      if (fd_ < 0) throw base::io_error(written_, "open", errno);
    }
    out_.emplace(fd_, path_ == "-" ? std::string("standard output") : path_);
  }

  ~ResultFile() {
    if (fd_ >= 0 && fd_ != STDOUT_FILENO) ::close(fd_);
    if (!done_ && !in_place_) ::unlink(written_.c_str());
  }
  ResultFile(const ResultFile&) = delete;
  ResultFile& operator=(const ResultFile&) = delete;

  Output& out() { return *out_; }

  void finish() {
    out_->flush();
    if (fd_ != STDOUT_FILENO) {
      const int result = ::close(fd_);
      fd_ = -1;
      if (result != 0) throw base::io_error(written_, "close", errno);
    }
    if (!in_place_ && ::rename(written_.c_str(), path_.c_str()) != 0) throw base::io_error(path_, "rename", errno);
    done_ = true;
  }

 private:
  std::string path_, written_;
  bool in_place_ = false, done_ = false;
  int fd_ = -1;
  std::optional<Output> out_;
};

std::vector<text::TokenId> read_ids(const std::string& argument) {
  std::vector<text::TokenId> ids = argument.starts_with('@')
                                       ? parse_ids(read_text_file(argument.substr(1)), argument.substr(1))
                                       : parse_ids(argument, "--ids");
  if (ids.empty()) throw UsageError("--ids: there are none", "give token ids: --ids 1,2,3");
  return ids;
}

int eval_logits(const Session& session, const LogitsFlags& flags) {
  const std::vector<text::TokenId> ids = read_ids(flags.ids);
  const auto checkpoint = open_checkpoint(session.environment.store(), flags.model);
  engine::EngineOptions options = flags.engine.options(kernels::Numerics::exact);
  options.context = ids.size();
  if (flags.chunk > 0) options.chunk = flags.chunk;
  Progress loading("loading", session.environment.stderr_terminal);
  options.progress = [&loading](std::uint64_t done, std::uint64_t total) { loading.update(done, total); };
  engine::Engine engine(*checkpoint, options);
  loading.clear();
  for (const std::string& warning : engine.info().warnings) warn(warning);
  const InterruptScope interrupt;
  ResultFile file(flags.output);
  Progress progress("logits", session.environment.stderr_terminal);
  engine.logits(ids, flags.chunk, [&](std::size_t row, std::span<const float> logits) {
    file.out().write_bytes(std::as_bytes(logits));
    progress.update(row + 1, ids.size());
    return !interrupt.requested();
  });
  progress.clear();
  if (interrupt.requested()) return kInterruptedStatus;
  file.finish();
  note(base::cat("minke: ", ids.size(), " positions of ", engine.vocab_size(), " logits, ",
                 kernels::to_string(engine.info().numerics), ", ", engine.info().kernels, "\n"));
  return 0;
}

}  // namespace

void add_eval_logits_command(CLI::App& eval, Session& session) {
  CLI::App* command = eval.add_subcommand("logits", "Write every position's raw logits");
  const auto flags = std::make_shared<LogitsFlags>();
  command->add_option("MODEL", flags->model, "Store name or path")->required()->option_text("");
  command->add_option("--ids", flags->ids, "Token ids: 1,2,3, or @FILE with ids or a JSON array; nothing is added")
      ->required()
      ->option_text("IDS");
  command->add_option("-o,--output", flags->output, "File for [positions][vocab] little-endian fp32; - is stdout")
      ->required()
      ->option_text("FILE");
  command->add_option("--chunk", flags->chunk, "Most positions in one step; the result never depends on it")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1} << 20))
      ->option_text("N");
  add_engine_flags(*command, flags->engine, ContextFlag::without);
  command->footer(
      "Row i follows ids[0..i]. The default arithmetic is exact. No tokenizer is needed.\n\nExample:\n"
      "  minke eval logits ./model --ids 1,15,7 -o logits.f32");
  command->parse_complete_callback(
      [&session, flags] { session.action = [&session, flags] { return eval_logits(session, *flags); }; });
}

}  // namespace minke::cli
