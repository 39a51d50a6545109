#include "models/convert.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "base/new_file.h"
#include "base/xxh64.h"
#include "formats/tiled.h"
#include "formats/tiled_texts.h"
#include "models/packing.h"

namespace minke::models {

namespace {

using base::cat;
using base::Error;
using base::ErrorCode;
using formats::DType;
using formats::TensorLayout;
using formats::TiledTensor;

constexpr std::string_view kRopeDivisors = "rope_freqs.weight";

/// A write is split among the threads: one alone fills the page cache at 2 GB/s.
constexpr std::size_t kWritePiece = std::size_t{1} << 20;

/// Writes bytes at a place of the file, on all threads; the first error is thrown when all are done.
class ParallelWrite {
 public:
  ParallelWrite(base::NewFile& file, base::ThreadPool& pool) : file_(file), pool_(pool) {}

  /// `hash` takes the bytes in meanwhile.
  void operator()(std::uint64_t offset, std::span<const std::byte> bytes, base::Xxh64& hash) {
    const std::size_t pieces = (bytes.size() + kWritePiece - 1) / kWritePiece;
    std::optional<Error> failed;
    std::atomic_flag taken;
    const auto task = [&](std::size_t index) {
      if (index == 0) return hash.update(bytes);
      const std::size_t at = (index - 1) * kWritePiece;
      try {
        file_.write_at(offset + at, bytes.subspan(at, std::min(kWritePiece, bytes.size() - at)));
      } catch (const Error& error) {
        if (!taken.test_and_set()) failed = error;
      }
    };
    pool_.run(1 + pieces, task);
    if (failed) throw Error(*failed);
  }

 private:
  base::NewFile& file_;
  base::ThreadPool& pool_;
};

/// Lists the tensors of the tiled file in the order of the forward pass, and hands each to `put`, with what makes its
/// matrices or its values. Planning and writing both are this walk, so they cannot disagree.
class TiledWalk : public WeightVisitor {
 public:
  /// `packing`: null while planning.
  TiledWalk(const formats::Checkpoint& source, const DecoderConfig& config, Packing* packing)
      : source_(source), config_(config), packing_(packing), tensors_(source, config) {}

  void linear(Role role, std::int64_t layer, std::int64_t rows, std::int64_t cols, bool bias, Linear&) override {
    const formats::TensorView& tensor = tensors_.matrix(role, layer, rows, cols);
    use_scales(tensor);
    put_matrices(tensor.name, tensor.dtype, {rows, cols},
                 [&](std::int64_t) { return packing_->matrix(role, layer, rows, cols); });
    if (!bias) return;
    put_values(tensors_.vector(role, layer, ".bias", rows), [&] { return packing_->bias(role, layer, rows); });
  }

  void vector(Role role, std::int64_t layer, std::int64_t size, std::vector<float>&) override {
    put_values(tensors_.vector(role, layer, weight_suffix(role, source_.kind()), size),
               [&] { return packing_->vector(role, layer, size); });
  }

  void experts(Role role, std::int64_t layer, std::int64_t count, std::int64_t rows, std::int64_t cols,
               std::vector<kernels::PackedMatrix>&) override {
    if (source_.kind() == formats::CheckpointKind::gguf) return stack(role, layer, count, rows, cols);
    for (std::int64_t i = 0; i < count; ++i) {
      const formats::TensorView& tensor = tensors_.expert(role, layer, i, rows, cols);
      use_scales(tensor);
      put_matrices(tensor.name, tensor.dtype, {rows, cols},
                   [&](std::int64_t) { return packing_->expert(role, layer, i, count, rows, cols); });
    }
  }

  void latent_heads(std::int64_t layer, MlaWeights&) override {
    const MlaConfig& mla = config_.attention.mla;
    const std::int64_t heads = config_.attention.heads;
    if (!tensors_.has(Role::kv_b, layer) && tensors_.has(Role::k_b, layer)) {
      stack(Role::k_b, layer, heads, mla.kv_lora_rank, mla.qk_nope_head_dim);
      return stack(Role::v_b, layer, heads, mla.v_head_dim, mla.kv_lora_rank);
    }
    const formats::TensorView& tensor =
        tensors_.matrix(Role::kv_b, layer, heads * (mla.qk_nope_head_dim + mla.v_head_dim), mla.kv_lora_rank);
    use_scales(tensor);
    const auto keys = [&](DType type) {
      return [this, layer, type](std::int64_t head) { return packing_->latent_keys(layer, head, type); };
    };
    const DType fast = transposed_type(tensor.dtype, kernels::Numerics::fast);
    const DType exact = transposed_type(tensor.dtype, kernels::Numerics::exact);
    const std::string name = tensor_name(Role::k_b, layer, source_.kind()) + ".weight";
    const std::vector<std::int64_t> shape{heads, mla.kv_lora_rank, mla.qk_nope_head_dim};
    put_matrices(name, fast, shape, keys(fast));
    if (exact != fast) put_matrices(cat(name, kExactSuffix), exact, shape, keys(exact));
    put_matrices(tensor_name(Role::v_b, layer, source_.kind()) + ".weight", tensor.dtype,
                 {heads, mla.v_head_dim, mla.kv_lora_rank},
                 [&](std::int64_t head) { return packing_->latent_values(layer, head); });
    if (packing_ != nullptr) packing_->finish_latent(layer);
  }

  /// What no visitor is told of; and nothing else may be left.
  void finish() {
    if (const formats::TensorView* divisors = source_.find(kRopeDivisors))
      put_values(*divisors, [&] { return read_vector(*divisors); });
    tensors_.check_all_used();
  }

 protected:
  /// A tensor of `count` matrices, each made by `make(i)`; or of values.
  virtual void put(TiledTensor tensor, std::int64_t count,
                   const std::function<kernels::PackedMatrix(std::int64_t)>& make) = 0;
  virtual void put(TiledTensor tensor, const std::function<std::vector<float>()>& make) = 0;

 private:
  void stack(Role role, std::int64_t layer, std::int64_t count, std::int64_t rows, std::int64_t cols) {
    const formats::TensorView& tensor = tensors_.stack(role, layer, count, rows, cols);
    put_matrices(tensor.name, tensor.dtype, {count, rows, cols},
                 [&](std::int64_t i) { return packing_->expert(role, layer, i, count, rows, cols); });
  }

  /// The scales go into the tiles.
  void use_scales(const formats::TensorView& tensor) {
    if (tensor.dtype == DType::f8_e4m3) tensors_.scales(tensor);
  }

  void put_matrices(const std::string& name, DType dtype, const std::vector<std::int64_t>& shape,
                    const std::function<kernels::PackedMatrix(std::int64_t)>& make) {
    TiledTensor tensor{.name = name, .dtype = dtype, .layout = TensorLayout::tiles, .shape{shape.begin(), shape.end()}};
    const std::int64_t count = shape.size() == 3 ? shape.front() : 1;
    const std::size_t last = tensor.shape.size() - 1;
    tensor.bytes =
        base::checked_mul(static_cast<std::uint64_t>(count),
                          kernels::PackedMatrix::packed_bytes(dtype, tensor.shape[last - 1], tensor.shape[last]), name);
    put(std::move(tensor), count, make);
  }

  void put_values(const formats::TensorView& values, const std::function<std::vector<float>()>& make) {
    put({.name = values.name, .shape = values.shape, .bytes = values.elements() * sizeof(float)}, make);
  }

 protected:
  const formats::Checkpoint& source_;

 private:
  const DecoderConfig& config_;
  Packing* packing_;
  CheckedTensors tensors_;
};

class Planner final : public TiledWalk {
 public:
  Planner(const formats::Checkpoint& source, const DecoderConfig& config) : TiledWalk(source, config, nullptr) {}

  std::vector<TiledTensor> tensors;
  std::uint64_t bytes = 0;

 private:
  void add(TiledTensor tensor) {
    bytes = base::checked_add(bytes, tensor.bytes, source_.path());
    tensors.push_back(std::move(tensor));
  }
  void put(TiledTensor tensor, std::int64_t, const std::function<kernels::PackedMatrix(std::int64_t)>&) override {
    add(std::move(tensor));
  }
  void put(TiledTensor tensor, const std::function<std::vector<float>()>&) override { add(std::move(tensor)); }
};

/// Packs and writes what was planned, and notes the checksums.
class Writer final : public TiledWalk {
 public:
  Writer(const formats::Checkpoint& source, const DecoderConfig& config, Packing& packing,
         std::span<TiledTensor> planned, base::NewFile& file, base::ThreadPool& pool, std::uint64_t total,
         const ConvertProgress& progress)
      : TiledWalk(source, config, &packing),
        planned_(planned),
        write_(file, pool),
        total_(total),
        progress_(progress) {}

 private:
  void put(TiledTensor, std::int64_t count, const std::function<kernels::PackedMatrix(std::int64_t)>& make) override {
    TiledTensor& tensor = planned_[next_++];
    base::Xxh64 hash;
    std::uint64_t at = tensor.offset;
    for (std::int64_t i = 0; i < count; ++i) {
      const kernels::PackedMatrix matrix = make(i);
      write(at, {matrix.data(), static_cast<std::size_t>(matrix.bytes())}, hash);
      at += matrix.bytes();
    }
    tensor.checksum = hash.digest();
  }

  void put(TiledTensor, const std::function<std::vector<float>()>& make) override {
    TiledTensor& tensor = planned_[next_++];
    const std::vector<float> values = make();
    base::Xxh64 hash;
    write(tensor.offset, std::as_bytes(std::span(values)), hash);
    tensor.checksum = hash.digest();
  }

  void write(std::uint64_t at, std::span<const std::byte> bytes, base::Xxh64& hash) {
    write_(at, bytes, hash);
    done_ += bytes.size();
    if (progress_ && !progress_(done_, total_)) throw Error(ErrorCode::cancelled, "converting was cancelled");
  }

  std::span<TiledTensor> planned_;
  ParallelWrite write_;
  std::size_t next_ = 0;
  std::uint64_t done_ = 0, total_;
  const ConvertProgress& progress_;
};

void walk(TiledWalk& walk, const DecoderConfig& config) {
  DecoderWeights unused;
  visit_weights(config, unused, walk);
  walk.finish();
}

void check_room(const std::string& path, std::uint64_t needed) {
  const std::uint64_t room = base::free_disk_space(path);
  if (room < needed)
    throw Error(ErrorCode::io, cat(path, ": needs ", needed, " bytes, but the disk has ", room, " left"),
                "free some, or choose another disk");
}

}  // namespace

Converted convert(const formats::Checkpoint& source, const DecoderConfig& config, const std::string& path,
                  base::ThreadPool& pool, const ConvertProgress& progress) {
  if (source.is_tiled())
    throw Error(ErrorCode::invalid_argument, cat(source.path(), ": the file is tiled already"),
                "it can be run as it is");
  const auto texts = formats::texts_for_tiled(source);
  formats::TiledHeader header;
  header.source =
      source.kind() == formats::CheckpointKind::gguf ? formats::TiledSource::gguf : formats::TiledSource::safetensors;
  for (const auto& [name, text] : texts) header.texts.push_back({name, text});
  Planner planner(source, config);
  walk(planner, config);
  header.tensors = std::move(planner.tensors);
  formats::place_tiled(header);

  base::NewFile file(path);
  check_room(path, header.file_bytes);
  file.set_size(header.file_bytes);
  file.reserve(header.file_bytes);
  const LoadProgress no_progress;
  Packing packing(source, config, pool, no_progress);
  Writer writer(source, config, packing, header.tensors, file, pool, planner.bytes, progress);
  walk(writer, config);
  source.check_files();
  file.write_at(0, formats::tiled_header_bytes(header));
  file.commit();

  Converted result{.tensors = header.tensors.size(), .bytes = header.file_bytes, .source_bytes = source.tensor_bytes()};
  for (const formats::TensorView& tensor : source.tensors()) result.left_out += is_nextn(tensor.name, config) ? 1 : 0;
  return result;
}

std::size_t verify_tiled(const std::string& path, base::ThreadPool& pool, const ConvertProgress& progress) {
  const auto file = base::MappedFile::open(path);
  const formats::TiledHeader header = formats::parse_tiled(file->data(), path);
  std::uint64_t done = 0, total = 0;
  for (const TiledTensor& tensor : header.tensors) total += tensor.bytes;
  // As many at a time as there are threads, so that progress is told and a stop is heard between.
  for (std::size_t first = 0; first < header.tensors.size(); first += pool.size()) {
    const std::size_t count = std::min(pool.size(), header.tensors.size() - first);
    const std::span<const TiledTensor> batch = std::span(header.tensors).subspan(first, count);
    std::vector<std::uint64_t> checksums(count);
    const auto task = [&](std::size_t i) {
      const auto data = file->data().subspan(batch[i].offset, batch[i].bytes);
      checksums[i] = base::xxh64(data);
      file->release(data);
    };
    pool.run(count, task);
    file->check();
    for (std::size_t i = 0; i < count; ++i) {
      if (checksums[i] != batch[i].checksum)
        throw Error(ErrorCode::format,
                    cat(path, ": tensor ", batch[i].name, ": the data at bytes ", batch[i].offset, " to ",
                        batch[i].offset + batch[i].bytes, " are damaged: their checksum is another"),
                    "copy or convert the file again");
      done += batch[i].bytes;
    }
    if (progress && !progress(done, total)) throw Error(ErrorCode::cancelled, "verifying was cancelled");
  }
  return header.tensors.size();
}

}  // namespace minke::models
