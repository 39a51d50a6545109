// Which files of a repository are one model.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hub/hub_client.h"

namespace minke::hub {

/// One model among a repository's files: a .gguf (or all parts of a split one), or the safetensors with what belongs to
/// them.
struct ModelVariant {
  std::string
      quant;  ///< as its name spells it: "Q4_K_M", "UD-Q4_K_XL", "BF16"; empty for safetensors, or when it has none
  std::vector<RepoFile> files;
  std::uint64_t bytes = 0;
  bool gguf = false;
};

/// Whether this program reads weights of the type that its name tells: all of ggml's but the ternary ones (TQ).
bool is_readable(const ModelVariant& variant) noexcept;

/// The quantisation that a file's name ends in ("model-Q4_K_M.gguf", "model.Q8_0-00001-of-00002.gguf"), in capitals;
/// empty when there is none.
std::string quant_in_name(std::string_view file_name);

/// Rank of a quantisation among those of one model, best quality first; unknown ones last.
std::size_t quant_rank(std::string_view quant) noexcept;

/// Every model in the repository, smallest first. Projectors of images (mmproj) and importance matrices are none.
/// Error(unsupported) when there is none, saying what there is instead (pickled checkpoints).
std::vector<ModelVariant> variants(const Repository& repo);

/// The one that `what` names: a quantisation, in any case, or a file or its path. Error(not_found) listing those
/// that there are; invalid_argument when several are meant.
ModelVariant choose_named(const Repository& repo, std::string_view what);

/// The memory that there is for a model, and what it takes, as far as its files' sizes tell.
struct MemoryRoom {
  std::uint64_t bytes = 0;   ///< that it may take
  std::uint64_t beside = 0;  ///< what it takes beside its weights: its context, work space
  double weight_bytes = 1;   ///< that a byte of its files takes in memory

  /// Of a model with files of so many bytes.
  std::uint64_t need(std::uint64_t file_bytes) const noexcept;
};

/// Without a name: of quantisations of 4 to 5 bits the usual compromise (Q4_K_M first), the best of those that need no
/// more memory than there is; else the largest smaller one; else the smallest of all. `why` says so.
ModelVariant choose_best(const Repository& repo, const MemoryRoom& room, std::string& why);

}  // namespace minke::hub
