// What `minke show` tells of a model: gathered here, printed by command_show.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/model_source.h"
#include "cli/options.h"
#include "cli/speed_estimate.h"
#include "models/config.h"
#include "models/estimate.h"

namespace minke::cli {

struct MemoryNeed {
  std::uint64_t context = 0;
  std::uint64_t bytes = 0;  ///< packed weights (not a mapped file's), KV cache and workspace
};

/// One of the forms in which a repository has a model that is not here, scaled from the one whose headers were read.
struct VariantFit {
  std::string quant;         ///< or "safetensors"
  std::uint64_t bytes = 0;   ///< to fetch
  std::uint64_t memory = 0;  ///< at the first of ModelReport::memory's contexts
  double decode = 0;         ///< tokens a second to be expected
  bool fits = false;         ///< that memory may be taken (memory_for_models)
  bool chosen = false;       ///< what `minke pull` takes, and the rest of the report is of
  bool readable = true;      ///< false: of a type that this program lacks
};

struct ModelReport {
  std::string path;
  std::string name, licence;  ///< from the metadata; may be empty
  formats::CheckpointKind kind = formats::CheckpointKind::safetensors;
  std::string planned;  ///< the type that sizes are computed for, where only the configuration is here
  models::DecoderConfig config;
  models::ModelSizes sizes;
  models::SamplingDefaults sampling;
  std::string sampling_text;  ///< what a reply gets when no flag says otherwise, and why
  kernels::KvType kv_type = kernels::KvType::bf16;
  kernels::Numerics numerics = kernels::Numerics::fast;
  kernels::Isa isa = kernels::Isa::scalar;
  std::uint64_t kv_bytes_per_token = 0;
  std::vector<MemoryNeed> memory;  ///< at the context that was asked for, 4,096 and 32,768 tokens, the trained length
  std::string tokenizer;           ///< description, or why there is none
  std::string encoding;            ///< name; empty when there is none
  std::string encoding_note;       ///< how it was told, or why there is none
  double read_bandwidth = 0;       ///< bytes per second, measured
  std::size_t threads = 0;
  SpeedEstimate speed;
  /// Of a model that is not here.
  std::vector<VariantFit> variants;
  std::uint64_t headers_fetched = 0, memory_free = 0;
  std::string pull;  ///< what to give `minke pull`
};

/// What `minke show` looks at: a checkpoint, or a configuration and the checkpoint it describes.
struct ShownModel {
  std::shared_ptr<const formats::Checkpoint> source;   ///< what was opened: configuration, texts
  std::shared_ptr<const formats::Checkpoint> weights;  ///< the same, or a plan
  std::string planned;                                 ///< as in ModelReport
};

/// Opens MODEL; a config.json, or a folder that holds one and no weights, is planned in `type` (by default the
/// configuration's own). UsageError for a type where the weights are there.
ShownModel open_shown_model(const hub::ModelStore& store, const std::string& model, const std::string& type);

/// What of a report is the model's alone, and takes no time: configuration, types, sizes, memory. Errors as
/// read_config, measure.
ModelReport sizes_of(const ShownModel& model, const EngineFlags& engine);

/// Measures what the machine reads and computes, so it takes half a second. Errors as Checkpoint::open, read_config,
/// measure.
ModelReport report_on(const ShownModel& model, const ChatFlags& chat, const EngineFlags& engine);

/// "linear, factor 4", "yarn, factor 4 over 32,768"; "none".
std::string rope_text(const models::RopeConfig& rope);

std::string report_text(const ModelReport& report);
std::string report_json(const ModelReport& report, std::span<const formats::TensorView> tensors);
/// A line for each tensor: name, type, shape, bytes.
std::string tensors_text(std::span<const formats::TensorView> tensors);

}  // namespace minke::cli
