#include "cli/model_report.h"

#include <algorithm>

#include "base/cat.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "cli/command.h"
#include "cli/sampling_choice.h"
#include "synth/plan.h"

namespace minke::cli {
namespace {

constexpr std::uint64_t kUsualContexts[] = {4096, 32768};

void describe_sampling(std::optional<text::Encoding> encoding, text::Thinking thinking, ModelReport& report) {
  const SamplingChoice choice = choose_sampling({}, report.sampling, encoding, thinking);
  report.sampling_text = base::cat(sampling_text(choice.params), " (", choice.source, ")");
}

void describe_text(const formats::Checkpoint& checkpoint, const ChatFlags& chat, ModelReport& report) {
  try {
    const TextModel plain = open_plain_text(checkpoint);
    report.tokenizer = plain.tokenizer->description();
    if (const auto choice = chat.encoding_choice()) {
      report.encoding = text::to_string(*choice);
      report.encoding_note = "as asked";
      return;
    }
    const auto detected =
        text::ChatEncoding::detect(checkpoint.chat_template(), models::architecture_name(checkpoint), *plain.tokenizer);
    report.encoding = text::to_string(detected.encoding->kind());
    report.encoding_note = detected.warning.empty() ? "recognised by its template" : detected.warning;
  } catch (const base::Error& error) {
    // A checkpoint without a tokenizer, or with one that is not read, still has everything else to show.
    std::string& missing = report.tokenizer.empty() ? report.tokenizer : report.encoding_note;
    missing = base::cat("none: ", error.message());
  }
}

void describe_metadata(const formats::Checkpoint& checkpoint, ModelReport& report) {
  if (const auto* name = checkpoint.metadata().find_string("general.name")) report.name = *name;
  if (const auto* licence = checkpoint.metadata().find_string("general.license")) report.licence = *licence;
}

MemoryNeed memory_need(const ModelReport& report, std::uint64_t context, std::size_t chunk) {
  const std::uint64_t blocks = (context + kernels::kKvBlock - 1) / kernels::kKvBlock;
  return {context, (report.sizes.mapped ? 0 : report.sizes.weight_bytes) +
                       blocks * kernels::kKvBlock * report.kv_bytes_per_token +
                       models::workspace_bytes(report.config, chunk)};
}

}  // namespace

ShownModel open_shown_model(const hub::ModelStore& store, const std::string& model, const std::string& type) {
  if (!is_configuration(model)) {
    if (!type.empty())
      throw UsageError(base::cat("--type: ", model, " has weights, and they have their types"),
                       "--type is for a config.json alone");
    const auto checkpoint = open_checkpoint(store, model);
    return {checkpoint, checkpoint, {}};
  }
  ShownModel shown;
  shown.source = formats::Checkpoint::open_config(model);
  const models::DecoderConfig config = models::read_config(*shown.source);
  synth::PlanOptions options;
  options.recipe = type.empty() ? &synth::own_recipe(*shown.source) : &synth::find_recipe(type);
  options.kind = synth::suits(*options.recipe, formats::CheckpointKind::safetensors)
                     ? formats::CheckpointKind::safetensors
                     : formats::CheckpointKind::gguf;
  shown.weights = synth::planned_checkpoint(*shown.source, config, options);
  shown.planned = options.recipe->name;
  return shown;
}

ModelReport sizes_of(const ShownModel& model, const EngineFlags& flags) {
  const formats::Checkpoint& checkpoint = *model.source;
  const engine::EngineOptions options = flags.options(kernels::Numerics::fast);
  ModelReport report;
  report.path = model.planned.empty() ? checkpoint.path() : checkpoint.config_path();
  report.kind = model.weights->kind();
  report.planned = model.planned;
  describe_metadata(checkpoint, report);
  report.config = models::read_config(checkpoint);
  report.sizes = models::measure(*model.weights, report.config, options.numerics);
  report.numerics = options.numerics;
  report.isa = options.isa.value_or(kernels::best_isa());
  const bool exact = options.numerics == kernels::Numerics::exact;
  report.kv_type = options.kv_type.value_or(exact ? kernels::KvType::f32 : kernels::KvType::bf16);
  report.kv_bytes_per_token = models::kv_bytes_per_token(report.config, report.kv_type);
  const auto trained = static_cast<std::uint64_t>(std::max<std::int64_t>(report.config.max_position_embeddings, 1));
  if (options.context != 0) report.memory.push_back(memory_need(report, options.context, options.chunk));
  for (const std::uint64_t context : kUsualContexts)
    if (trained > context) report.memory.push_back(memory_need(report, context, options.chunk));
  report.memory.push_back(memory_need(report, trained, options.chunk));
  return report;
}

ModelReport report_on(const ShownModel& model, const ChatFlags& chat, const EngineFlags& flags) {
  const formats::Checkpoint& checkpoint = *model.source;
  ModelReport report = sizes_of(model, flags);
  report.sampling = models::read_sampling_defaults(checkpoint);
  describe_text(checkpoint, chat, report);
  describe_sampling(text::encoding_from_name(report.encoding), chat.thinking(), report);
  report.threads = flags.threads == 0 ? base::default_thread_count() : flags.threads;
  base::ThreadPool pool(report.threads);
  const Limits limits = measure_limits(report.isa, pool);
  report.read_bandwidth = limits.read_bandwidth;
  report.speed = estimate_speed(report.sizes, report.config, limits, report.threads, report.numerics);
  return report;
}

}  // namespace minke::cli
