// Models by short names: where they are, and what is known of them before anything is fetched.
//
// script/gallery.json is built in; users' own files of the same form are added to it, or replace entries of the same
// name. Per model: `name` (a store name), `repo` (USER/REPO), and, as far as known, `aliases`, `title`, `original`
// (where it was published), `quants` (the first fitting one is proposed), `license`, `languages`, `architecture`,
// `parameters`, `active` (of them, per token), `shape` (of data/shapes), `files` ({quant: bytes}), `missing` (why it
// does not run yet).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace minke::hub {

struct GalleryEntry {
  std::string name, title, repo, original, license, languages, architecture, shape, missing;
  std::vector<std::string> aliases, quants;
  std::uint64_t parameters = 0, active = 0;  ///< 0: not known; `active` 0: all
  std::map<std::string, std::uint64_t> files;
  std::string source;  ///< the file it is from; empty for the built-in one

  /// Bytes of the weights in `quant`: what `files` says, else about what the parameters take; nullopt when neither is
  /// known.
  std::optional<std::uint64_t> bytes(std::string_view quant) const;
};

/// An entry, and the quantisation that the name asked for ("r1:1.5b-q8_0"); empty when it asked for none.
struct GalleryHit {
  const GalleryEntry* entry = nullptr;
  std::string quant;
};

class Gallery {
 public:
  Gallery() = default;
  static Gallery built_in();

  /// Adds the models of a gallery file; `source` names it in messages. Error(format).
  void add(std::string_view json, std::string_view source);

  std::span<const GalleryEntry> entries() const noexcept { return entries_; }
  /// By name or alias, in any case, with "-QUANT" behind it or not.
  std::optional<GalleryHit> find(std::string_view name) const;

 private:
  std::vector<GalleryEntry> entries_;
};

/// The store name of an entry's model in a quantisation: "deepseek-r1:1.5b-q8_0", "smollm2:q8_0".
std::string store_name_of(const GalleryEntry& entry, std::string_view quant);

/// Bits that a weight takes on average, of a whole model; nullopt for a name that is not known.
std::optional<double> bits_per_weight(std::string_view quant) noexcept;

}  // namespace minke::hub
