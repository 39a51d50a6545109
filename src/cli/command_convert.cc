// minke convert: a model into the form that maps in place.
#include <unistd.h>

#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "base/cat.h"
#include "base/error.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/model_source.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/text_format.h"
#include "models/convert.h"

namespace minke::cli {
namespace {

struct ConvertFlags {
  std::string model, output, verify;
  std::size_t threads = 0;
};

/// A bar, and an end on Ctrl-C.
class Watch {
 public:
  Watch(std::string label, bool enabled) : progress_(std::move(label), enabled) {}

  models::ConvertProgress callback() {
    return [this](std::uint64_t done, std::uint64_t total) {
      progress_.update(done, total, base::cat(byte_text(done), " of ", byte_text(total)));
      return !interrupt_.requested();
    };
  }
  void clear() { progress_.clear(); }

 private:
  InterruptScope interrupt_;
  Progress progress_;
};

int verify(const Session& session, const ConvertFlags& flags, base::ThreadPool& pool) {
  Watch watch("verifying", session.environment.stderr_terminal);
  const std::size_t tensors = models::verify_tiled(flags.verify, pool, watch.callback());
  watch.clear();
  note(base::cat("minke: ", flags.verify, ": ", grouped(tensors), " tensors, all as they were written\n"));
  return 0;
}

int convert(const Session& session, const ConvertFlags& flags) {
  base::ThreadPool pool(flags.threads == 0 ? base::default_thread_count() : flags.threads);
  if (!flags.verify.empty()) {
    if (!flags.model.empty() || !flags.output.empty())
      throw UsageError("--verify: expected neither MODEL nor --output beside it", "minke convert --verify FILE");
    return verify(session, flags, pool);
  }
  if (flags.model.empty() || flags.output.empty())
    throw UsageError(base::cat(flags.model.empty() ? "MODEL" : "--output", " is missing"),
                     "minke convert MODEL -o OUT.minke");
  // The ending is what MODEL is known by.
  if (!flags.output.ends_with(".minke"))
    throw UsageError(base::cat("--output: expected a name that ends in .minke, got ", flags.output), "");
  const auto source = open_checkpoint(session.environment.store(), flags.model);
  const models::DecoderConfig config = models::read_config(*source);
  Watch watch("converting", session.environment.stderr_terminal);
  const models::Converted done = models::convert(*source, config, flags.output, pool, watch.callback());
  watch.clear();
  if (done.left_out > 0)
    note(base::cat("minke: ", grouped(done.left_out),
                   " tensors of multi-token prediction layers, which are not used yet, were left out\n"));
  note(base::cat("minke: ", flags.output, ": ", config.architecture, ", ", grouped(done.tensors), " tensors, ",
                 byte_text(done.bytes), " (", byte_text(done.source_bytes), " before)\n"));
  return 0;
}

}  // namespace

void add_convert_command(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("convert", "Write a model in the form that starts at once");
  const auto flags = std::make_shared<ConvertFlags>();
  command->add_option("MODEL", flags->model, "Store name or path")->option_text("");
  command->add_option("-o,--output", flags->output, "The .minke file to make")->option_text("OUT.minke");
  command->add_option("--verify", flags->verify, "Instead: read all of a .minke file and compare its checksums")
      ->option_text("FILE");
  command->add_option("-t,--threads", flags->threads, "Threads (default: physical cores)")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1024}))
      ->option_text("N");
  command->footer(
      "A .minke file holds the weights as they are multiplied, on every processor, with the configuration, the\n"
      "tokenizer and the chat template: MODEL for every command, without another file. Its weights are mapped, not\n"
      "loaded: a start takes as long for 100 GB as for 1 GB, and memory is the page cache's, shared by all "
      "processes.\n\n"
      "Examples:\n"
      "  minke convert qwen2.5-coder:1.5b -o coder.minke\n"
      "  minke run coder.minke\n"
      "  minke convert --verify coder.minke");
  command->parse_complete_callback(
      [&session, flags] { session.action = [&session, flags] { return convert(session, *flags); }; });
}

}  // namespace minke::cli
