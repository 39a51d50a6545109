// minke gen: random checkpoints of real shapes, to measure and to test on.
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>

#include <CLI/CLI.hpp>

#include "base/cat.h"
#include "base/error.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/text_format.h"
#include "synth/write_checkpoint.h"

namespace minke::cli {
namespace {

struct GenFlags {
  std::string config, output, type, format;
  std::uint64_t seed = 1, shard_size = std::uint64_t{1} << 32;
  std::int64_t layers = 0;
  double deviation = 0;
  std::size_t threads = 0;
  bool sparse = false;
};

formats::CheckpointKind kind_of(const GenFlags& flags) {
  if (flags.format == "gguf") return formats::CheckpointKind::gguf;
  if (flags.format == "safetensors") return formats::CheckpointKind::safetensors;
  return flags.output.ends_with(".gguf") ? formats::CheckpointKind::gguf : formats::CheckpointKind::safetensors;
}

synth::PlanOptions plan_options(const GenFlags& flags, const formats::Checkpoint& source) {
  synth::PlanOptions options;
  options.kind = kind_of(flags);
  options.deviation = flags.deviation;
  const bool gguf = options.kind == formats::CheckpointKind::gguf;
  if (!flags.type.empty()) {
    options.recipe = &synth::find_recipe(flags.type);
  } else {
    options.recipe = gguf ? &synth::find_recipe("q4_k_m") : &synth::own_recipe(source);
  }
  if (!synth::suits(*options.recipe, options.kind))
    throw UsageError(
        base::cat("--type ", options.recipe->name, ": ", gguf ? "a GGUF" : "safetensors", " cannot hold it"),
        gguf ? "fp8 is for --format safetensors" : "safetensors hold f32, f16, bf16 and fp8");
  return options;
}

int gen(const Session& session, const GenFlags& flags) {
  const auto source = formats::Checkpoint::open_config(flags.config);
  models::DecoderConfig config = models::read_config(*source);
  if (flags.layers > config.num_hidden_layers)
    throw UsageError(base::cat("--layers: the configuration has ", config.num_hidden_layers, ", got ", flags.layers),
                     "");
  if (flags.layers > 0) synth::keep_layers(config, flags.layers);
  synth::WriteOptions options;
  options.plan = plan_options(flags, *source);
  options.seed = flags.seed;
  options.shard_bytes = flags.shard_size;
  options.sparse = flags.sparse;
  options.name = base::cat(std::filesystem::path(flags.config).stem().string(), ", random weights");
  const InterruptScope interrupt;
  Progress progress("writing", session.environment.stderr_terminal);
  options.progress = [&](std::uint64_t done, std::uint64_t total) {
    progress.update(done, total, byte_text(done));
    return !interrupt.requested();
  };
  base::ThreadPool pool(flags.threads == 0 ? base::default_thread_count() : flags.threads);
  const synth::Written written = synth::write_checkpoint(*source, config, options, flags.output, pool);
  progress.clear();
  note(base::cat("minke: ", flags.output, ": ", config.architecture, ", ", options.plan.recipe->name, ", ",
                 grouped(written.tensors), " tensors, ", byte_text(written.bytes), " in ", written.files,
                 written.files == 1 ? " file" : " files", flags.sparse ? ", no data" : "", "\n"));
  return 0;
}

}  // namespace

void add_gen_command(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("gen", "Write a checkpoint of random weights in a real shape");
  const auto flags = std::make_shared<GenFlags>();
  command->add_option("CONFIG", flags->config, "A config.json, or a folder that holds one")
      ->required()
      ->option_text("");
  command->add_option("-o,--output", flags->output, "The .gguf file or the safetensors folder to make")
      ->required()
      ->option_text("OUT");
  const std::vector<std::string> types = synth::recipe_names();
  command
      ->add_option("--type", flags->type,
                   base::cat("Types of the weights: ", CLI::detail::join(types, ", "),
                             "; by default q4_k_m for a GGUF, else the configuration's own"))
      ->check(CLI::IsMember(types, CLI::ignore_case))
      ->option_text("TYPE");
  command->add_option("--format", flags->format, "gguf or safetensors; by default told by OUT's ending")
      ->check(CLI::IsMember({"gguf", "safetensors"}))
      ->option_text("FORMAT");
  command->add_option("--seed", flags->seed, "The same seed gives the same bytes (default 1)")->option_text("N");
  command->add_option("--layers", flags->layers, "Only the first N layers")
      ->check(CLI::PositiveNumber)
      ->option_text("N");
  command->add_option("--std", flags->deviation, "Deviation of matrices (default 1 / sqrt(inputs))")
      ->check(CLI::Range(1e-6, 100.0))
      ->option_text("X");
  command->add_option("--shard-size", flags->shard_size, "safetensors: most bytes in a file (default 4GiB)")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::PositiveNumber)
      ->option_text("SIZE");
  command->add_option("-t,--threads", flags->threads, "Threads (default: physical cores)")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1024}))
      ->option_text("N");
  command->add_flag("--sparse", flags->sparse, "Headers alone: the data are holes in the files, and read as zeros");
  command->footer(
      "For measuring and testing: a model of random weights says nothing sensible, but costs what a real one costs.\n"
      "A GGUF has no tokenizer. data/shapes/ has the configurations of published models.\n\n"
      "Examples:\n"
      "  minke gen data/shapes/deepseek-v2-lite.json -o v2-lite.gguf --type q4_k_m\n"
      "  minke gen data/shapes/deepseek-v3.json -o v3-4-layers --layers 4 --type fp8");
  command->parse_complete_callback(
      [&session, flags] { session.action = [&session, flags] { return gen(session, *flags); }; });
}

}  // namespace minke::cli
