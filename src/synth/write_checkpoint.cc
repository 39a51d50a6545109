#include "synth/write_checkpoint.h"

#include <algorithm>
#include <exception>
#include <mutex>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/bytes.h"
#include "base/error.h"
#include "base/new_file.h"
#include "formats/gguf_writer.h"
#include "formats/safetensors_writer.h"
#include "synth/gguf_keys.h"
#include "synth/random_values.h"

namespace minke::synth {

namespace {

namespace json = boost::json;
using base::cat;
using base::Error;
using base::ErrorCode;

/// Bytes that one task fills and writes at once, about; and how many tasks are between two looks at the clock.
constexpr std::uint64_t kPieceBytes = std::uint64_t{1} << 20;
constexpr std::size_t kPiecesPerRound = 64;

/// Fills a file's tensors, a round of pieces at a time.
class Filler {
 public:
  Filler(const WriteOptions& options, std::uint64_t total, base::ThreadPool& pool)
      : options_(options), total_(total), pool_(pool), buffers_(kPiecesPerRound) {}

  void fill(std::span<const PlannedTensor> tensors, const formats::FileLayout& layout, base::NewFile& file) {
    file_ = &file;
    for (std::size_t i = 0; i < tensors.size(); ++i) cut(tensors[i], layout.offsets[i]);
    run();
  }

 private:
  struct Piece {
    const PlannedTensor* tensor;
    std::uint64_t first, count;   // elements
    std::uint64_t offset, bytes;  // in the file
  };

  void cut(const PlannedTensor& tensor, std::uint64_t offset) {
    const formats::DTypeInfo& type = formats::info(tensor.spec.dtype);
    const std::uint64_t bytes = formats::data_bytes(tensor.spec);
    const std::uint64_t elements = bytes / type.block_bytes * type.block_elements;
    const std::uint64_t unit = fill_unit(tensor.spec.dtype);
    const std::uint64_t step =
        std::max<std::uint64_t>(kPieceBytes / type.block_bytes * type.block_elements / unit, 1) * unit;
    for (std::uint64_t first = 0; first < elements; first += step) {
      const std::uint64_t count = std::min(step, elements - first);
      const auto in_bytes = [&](std::uint64_t n) { return n / type.block_elements * type.block_bytes; };
      pieces_.push_back({&tensor, first, count, offset + in_bytes(first), in_bytes(count)});
      if (pieces_.size() == kPiecesPerRound) run();
    }
  }

  void run() {
    pool_.run(pieces_.size(), [this](std::size_t index) { fill_piece(index); });
    if (failure_) std::rethrow_exception(failure_);
    for (const Piece& piece : pieces_) done_ += piece.bytes;
    pieces_.clear();
    if (options_.progress && !options_.progress(done_, total_)) throw Error(ErrorCode::cancelled, "stopped");
  }

  void fill_piece(std::size_t index) {
    try {
      const Piece& piece = pieces_[index];
      buffers_[index].resize(piece.bytes);
      fill_values(*piece.tensor, tables_, options_.seed, piece.first, piece.count, buffers_[index].data());
      file_->write_at(piece.offset, buffers_[index]);
    } catch (...) {  // tasks of the pool may not throw
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
    }
  }

  const WriteOptions& options_;
  std::uint64_t total_, done_ = 0;
  base::ThreadPool& pool_;
  ValueTables tables_;
  base::NewFile* file_ = nullptr;
  std::vector<Piece> pieces_;
  std::vector<std::vector<std::byte>> buffers_;
  std::mutex mutex_;
  std::exception_ptr failure_;
};

void check_disk(const std::string& output, std::uint64_t needed) {
  const std::uint64_t free = base::free_disk_space(output);
  if (needed > free)
    throw Error(ErrorCode::io, cat(output, ": ", needed, " bytes are needed, the disk has ", free, " free"),
                "choose another folder, a smaller --type or fewer --layers");
}

std::vector<formats::TensorSpec> specs_of(std::span<const PlannedTensor> tensors) {
  std::vector<formats::TensorSpec> specs;
  specs.reserve(tensors.size());
  for (const PlannedTensor& tensor : tensors) specs.push_back(tensor.spec);
  return specs;
}

std::uint64_t sum_of_bytes(std::span<const formats::TensorSpec> specs) {
  std::uint64_t sum = 0;
  for (const formats::TensorSpec& spec : specs) sum = base::checked_add(sum, formats::data_bytes(spec), spec.name);
  return sum;
}

void write_file(const std::string& path, std::span<const PlannedTensor> tensors, const formats::FileLayout& layout,
                const WriteOptions& options, Filler& filler) {
  base::NewFile file(path);
  if (!options.sparse) file.reserve(layout.size);
  file.set_size(layout.size);
  file.write_at(0, layout.header);
  if (!options.sparse) filler.fill(tensors, layout, file);
  file.commit();
}

std::string_view dtype_name(formats::DType base) {
  if (base == formats::DType::f32) return "float32";
  return base == formats::DType::f16 ? "float16" : "bfloat16";
}

/// The configuration as it was, but for the layers and the type that were asked for.
std::string config_text(const formats::Checkpoint& source, const models::DecoderConfig& config, const Recipe& recipe) {
  json::object object = source.config();
  object["num_hidden_layers"] = config.num_hidden_layers;
  object[object.contains("dtype") ? "dtype" : "torch_dtype"] = dtype_name(recipe.base);
  for (const std::string_view key : {"mlp_layer_types", "layer_types"})
    if (json::value* value = object.if_contains(key); value != nullptr && value->is_array()) {
      json::array& list = value->get_array();
      list.resize(std::min(list.size(), static_cast<std::size_t>(config.num_hidden_layers)));
    }
  if (recipe.base != formats::DType::f8_e4m3) {
    object.erase("quantization_config");
  } else if (!object.contains("quantization_config")) {
    object["quantization_config"] = {{"activation_scheme", "dynamic"},
                                     {"fmt", "e4m3"},
                                     {"quant_method", "fp8"},
                                     {"weight_block_size", json::array{128, 128}}};
  }
  return json::serialize(object) + "\n";
}

void write_text(const std::string& path, const std::string& text) {
  base::NewFile file(path);
  file.write_at(0, text);
  file.commit();
}

Written write_gguf(const models::DecoderConfig& config, const WriteOptions& options,
                   std::span<const PlannedTensor> tensors, const std::string& output, base::ThreadPool& pool) {
  const auto specs = specs_of(tensors);
  const formats::FileLayout layout =
      formats::lay_out_gguf(gguf_keys(config, *options.plan.recipe, options.name), specs);
  if (!options.sparse) check_disk(output, layout.size);
  Filler filler(options, sum_of_bytes(specs), pool);
  write_file(output, tensors, layout, options, filler);
  return {specs.size(), 1, layout.size};
}

Written write_safetensors(const formats::Checkpoint& source, const models::DecoderConfig& config,
                          const WriteOptions& options, std::span<const PlannedTensor> tensors,
                          const std::string& output, base::ThreadPool& pool) {
  const auto specs = specs_of(tensors);
  const auto shards = formats::cut_into_shards(specs, options.shard_bytes);
  const std::uint64_t total = sum_of_bytes(specs);
  // Headers take some hundred bytes a tensor.
  if (!options.sparse) check_disk(output, base::checked_add(total, 512 * specs.size() + 4096, "the folder"));
  base::NewFolder folder(output);
  Filler filler(options, total, pool);
  write_text(folder.part() + "/config.json", config_text(source, config, *options.plan.recipe));
  Written written{specs.size(), shards.size(), 0};
  for (const formats::Shard& shard : shards) {
    const auto layout = formats::lay_out_safetensors(std::span(specs).subspan(shard.first, shard.count));
    write_file(cat(folder.part(), "/", shard.file), tensors.subspan(shard.first, shard.count), layout, options, filler);
    written.bytes += layout.size;
  }
  if (shards.size() > 1)
    write_text(folder.part() + "/model.safetensors.index.json", formats::safetensors_index(specs, shards));
  folder.commit();
  return written;
}

}  // namespace

void keep_layers(models::DecoderConfig& config, std::int64_t layers) {
  if (layers < 1 || layers > config.num_hidden_layers)
    throw Error(ErrorCode::invalid_argument,
                cat("--layers: expected 1 to ", config.num_hidden_layers, ", got ", layers));
  config.num_hidden_layers = layers;
  config.feed_forward.kinds.resize(static_cast<std::size_t>(layers));
}

Written write_checkpoint(const formats::Checkpoint& source, const models::DecoderConfig& config,
                         const WriteOptions& options, const std::string& output, base::ThreadPool& pool) {
  const std::vector<PlannedTensor> tensors = plan_tensors(config, options.plan);
  return options.plan.kind == formats::CheckpointKind::gguf
             ? write_gguf(config, options, tensors, output, pool)
             : write_safetensors(source, config, options, tensors, output, pool);
}

}  // namespace minke::synth
