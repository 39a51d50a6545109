#include "engine/fingerprint.h"

#include <sys/stat.h>

#include <algorithm>

#include <boost/json/serialize.hpp>

#include "base/build_id.h"

namespace minke::engine {
namespace {

/// Of each file: the header of most formats, 1 ms to hash.
constexpr std::size_t kBeginning = 256 << 10;

/// Of a tensor, from its middle. 512 tensors at most, evenly chosen: each may be a page to be read from the disk.
constexpr std::size_t kSample = 64, kSampledTensors = 512;

void add_text(base::Sha256& hash, std::string_view text) { hash.add_number(text.size()).add(text); }

void add_file(base::Sha256& hash, const base::MappedFile& file) {
  const std::span<const std::byte> data = file.data();
  struct stat status {};
  if (::stat(file.path().c_str(), &status) == 0)
    hash.add_number(static_cast<std::uint64_t>(status.st_mtim.tv_sec))
        .add_number(static_cast<std::uint64_t>(status.st_mtim.tv_nsec));
  hash.add_number(data.size()).add(data.first(std::min(data.size(), kBeginning)));
}

}  // namespace

base::Digest fingerprint(const formats::Checkpoint& checkpoint, std::string_view kernels, kernels::Numerics numerics,
                         kernels::KvType kv_type) {
  base::Sha256 hash;
  add_text(hash, "minke keys and values");
  hash.add(base::build_id());
  add_text(hash, kernels);
  hash.add_number(static_cast<std::uint64_t>(numerics)).add_number(static_cast<std::uint64_t>(kv_type));
  hash.add_number(static_cast<std::uint64_t>(checkpoint.kind())).add_number(checkpoint.is_tiled() ? 1 : 0);
  add_text(hash, boost::json::serialize(checkpoint.config()));
  hash.add_number(checkpoint.files().size());
  for (const auto& file : checkpoint.files()) add_file(hash, *file);
  const auto tensors = checkpoint.tensors();
  const std::size_t stride = std::max<std::size_t>(1, tensors.size() / kSampledTensors);
  for (std::size_t i = 0; i < tensors.size(); i += stride) {
    const std::span<const std::byte> data = tensors[i].data;
    hash.add_number(data.size()).add(data.subspan(data.size() / 2, std::min(kSample, data.size() - data.size() / 2)));
  }
  return hash.finish();
}

}  // namespace minke::engine
