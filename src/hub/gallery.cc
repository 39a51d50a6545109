#include "hub/gallery.h"

#include <algorithm>
#include <array>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/error.h"
#include "base/quote.h"
#include "formats/json.h"
#include "hub/gallery_json.h"  // written by CMake: kGalleryJson, script/gallery.json
#include "hub/hub_client.h"
#include "hub/model_store.h"

namespace minke::hub {

namespace json = boost::json;
using base::cat;
using base::Error;
using base::ErrorCode;

namespace {

constexpr std::size_t kMaxEntries = 10'000;
constexpr std::size_t kMaxText = 1000;

/// Whole models' averages, embeddings included (llama.cpp's own table for 8 billion parameters; smaller models take up
/// to a tenth more).
constexpr std::array<std::pair<std::string_view, double>, 15> kBits = {{{"BF16", 16},
                                                                        {"F16", 16},
                                                                        {"SAFETENSORS", 16},
                                                                        {"Q8_0", 8.5},
                                                                        {"Q6_K", 6.6},
                                                                        {"Q5_K_M", 5.7},
                                                                        {"Q5_0", 5.6},
                                                                        {"Q4_K_M", 4.9},
                                                                        {"Q4_1", 5.1},
                                                                        {"Q4_0", 4.7},
                                                                        {"Q4_K_S", 4.7},
                                                                        {"Q3_K_M", 4.0},
                                                                        {"Q2_K_XL", 3.0},
                                                                        {"UD-Q2_K_XL", 3.0},
                                                                        {"Q2_K", 3.2}}};

[[noreturn]] void refuse(std::string_view source, std::size_t index, std::string_view why) {
  throw Error(ErrorCode::format, cat(source, ": models[", index, "]: ", why));
}

class EntryReader {
 public:
  EntryReader(const json::object& object, std::string_view source, std::size_t index)
      : object_(object), source_(source), index_(index) {}

  std::string text(std::string_view key) const {
    const json::value* value = find(key);
    if (value == nullptr) return {};
    return text_of(*value, key);
  }

  std::vector<std::string> texts(std::string_view key) const {
    std::vector<std::string> out;
    const json::value* value = find(key);
    if (value == nullptr) return out;
    if (!value->is_array()) refuse(source_, index_, cat(key, ": expected a list"));
    for (const json::value& entry : value->get_array()) out.push_back(text_of(entry, key));
    return out;
  }

  std::uint64_t number(std::string_view key) const {
    const json::value* value = find(key);
    return value == nullptr ? 0 : number_of(*value, key);
  }

  std::map<std::string, std::uint64_t> sizes(std::string_view key) const {
    std::map<std::string, std::uint64_t> out;
    const json::value* value = find(key);
    if (value == nullptr) return out;
    if (!value->is_object()) refuse(source_, index_, cat(key, ": expected an object"));
    for (const auto& [name, size] : value->get_object()) out[std::string(name)] = number_of(size, key);
    return out;
  }

 private:
  const json::value* find(std::string_view key) const {
    const auto found = object_.find(key);
    return found == object_.end() ? nullptr : &found->value();
  }

  std::string text_of(const json::value& value, std::string_view key) const {
    if (!value.is_string() || value.get_string().size() > kMaxText)
      refuse(source_, index_, cat(key, ": expected a text"));
    return std::string(value.get_string());
  }

  std::uint64_t number_of(const json::value& value, std::string_view key) const {
    if (!value.is_int64() || value.get_int64() < 0) refuse(source_, index_, cat(key, ": expected a whole number"));
    return static_cast<std::uint64_t>(value.get_int64());
  }

  const json::object& object_;
  std::string_view source_;
  std::size_t index_;
};

GalleryEntry parse_entry(const json::value& value, std::string_view source, std::size_t index) {
  if (!value.is_object()) refuse(source, index, "expected an object");
  const EntryReader read(value.get_object(), source, index);
  GalleryEntry entry{.name = read.text("name"),
                     .title = read.text("title"),
                     .repo = read.text("repo"),
                     .original = read.text("original"),
                     .license = read.text("license"),
                     .languages = read.text("languages"),
                     .architecture = read.text("architecture"),
                     .shape = read.text("shape"),
                     .missing = read.text("missing"),
                     .aliases = read.texts("aliases"),
                     .quants = read.texts("quants"),
                     .parameters = read.number("parameters"),
                     .active = read.number("active"),
                     .files = read.sizes("files"),
                     .source = {}};
  if (parse_store_name(entry.name) != entry.name)
    refuse(source, index, cat("name: expected a store name, got ", base::quote_name(entry.name)));
  for (const std::string& alias : entry.aliases) {
    if (parse_store_name(alias) != alias)
      refuse(source, index, cat("aliases: expected a store name, got ", base::quote_name(alias)));
  }
  if (!is_repo_name(entry.repo))
    refuse(source, index, cat("repo: expected USER/REPO, got ", base::quote_name(entry.repo)));
  return entry;
}

std::string lowered(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

bool is_called(const GalleryEntry& entry, std::string_view name) {
  return entry.name == name || std::find(entry.aliases.begin(), entry.aliases.end(), name) != entry.aliases.end();
}

}  // namespace

std::optional<double> bits_per_weight(std::string_view quant) noexcept {
  for (const auto& [name, bits] : kBits) {
    if (lowered(name) == lowered(quant)) return bits;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> GalleryEntry::bytes(std::string_view quant) const {
  if (const auto found = files.find(std::string(quant)); found != files.end()) return found->second;
  const auto bits = bits_per_weight(quant);
  if (!bits || parameters == 0) return std::nullopt;
  return static_cast<std::uint64_t>(static_cast<double>(parameters) * *bits / 8);
}

Gallery Gallery::built_in() {
  Gallery gallery;
  gallery.add(kGalleryJson, "gallery.json");
  for (GalleryEntry& entry : gallery.entries_) entry.source.clear();
  return gallery;
}

void Gallery::add(std::string_view text, std::string_view source) {
  const json::object object = formats::parse_json_object(text, source);
  const auto models = object.find("models");
  if (models == object.end() || !models->value().is_array())
    throw Error(ErrorCode::format, cat(source, ": expected \"models\", a list"));
  const json::array& list = models->value().get_array();
  if (list.size() + entries_.size() > kMaxEntries)
    throw Error(ErrorCode::format, cat(source, ": more than ", kMaxEntries, " models"));
  for (std::size_t i = 0; i < list.size(); ++i) {
    GalleryEntry entry = parse_entry(list[i], source, i);
    entry.source = source;
    // A later file's word holds: its name and aliases are taken from whoever had them.
    std::erase_if(entries_, [&](const GalleryEntry& old) { return old.name == entry.name; });
    for (GalleryEntry& old : entries_)
      std::erase_if(old.aliases, [&](const std::string& alias) { return is_called(entry, alias); });
    entries_.push_back(std::move(entry));
  }
}

std::optional<GalleryHit> Gallery::find(std::string_view text) const {
  const std::string name = lowered(text);
  for (const GalleryEntry& entry : entries_) {
    if (is_called(entry, name)) return GalleryHit{.entry = &entry, .quant = {}};
  }
  for (const GalleryEntry& entry : entries_) {
    for (const std::string& quant : entry.quants) {
      const std::string suffix = lowered(quant);
      for (const char separator : {'-', ':'}) {
        if (name.size() <= suffix.size() + 1 || !name.ends_with(suffix)) continue;
        if (name[name.size() - suffix.size() - 1] != separator) continue;
        const std::string_view stem = std::string_view(name).substr(0, name.size() - suffix.size() - 1);
        if (is_called(entry, stem)) return GalleryHit{.entry = &entry, .quant = quant};
      }
    }
  }
  return std::nullopt;
}

std::string store_name_of(const GalleryEntry& entry, std::string_view quant) {
  if (quant.empty()) return entry.name;
  const char separator = entry.name.find(':') == std::string::npos ? ':' : '-';
  return lowered(cat(entry.name, separator, quant));
}

}  // namespace minke::hub
