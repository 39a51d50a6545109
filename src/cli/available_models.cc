#include "cli/available_models.h"

#include <algorithm>
#include <array>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/cat.h"
#include "base/memory.h"
#include "cli/text_format.h"

namespace minke::cli {
namespace {

/// The quantisation to propose: Q4_K_M, else the nearest listed one, that fits.
void propose(const hub::GalleryEntry& entry, std::uint64_t room, AvailableModel& model) {
  std::vector<std::string> order = entry.quants;
  std::stable_partition(order.begin(), order.end(), [](const std::string& quant) { return quant == "Q4_K_M"; });
  for (const std::string& quant : order) {
    const auto bytes = entry.bytes(quant);
    if (!bytes) continue;
    const bool fits = *bytes <= room;
    const bool better = model.bytes == 0 || (fits && !model.fits) || (!fits && !model.fits && *bytes < model.bytes);
    if (!better) continue;
    model.quant = quant;
    model.bytes = *bytes;
    model.exact = entry.files.contains(quant);
    model.fits = fits;
  }
  if (model.quant.empty() && !order.empty()) model.quant = order.front();
}

std::string size_text(const AvailableModel& model) {
  if (model.bytes == 0) return "?";
  return base::cat(model.exact ? "" : "~", byte_text(model.bytes));
}

std::string state_text(const AvailableModel& model) {
  if (model.here) return "here";
  if (!model.entry->missing.empty()) return base::cat("not yet: ", model.entry->missing);
  if (model.bytes == 0) return "size not known";
  return model.fits ? "fits" : "too large";
}

}  // namespace

std::uint64_t memory_for_models() { return base::available_memory() / 10 * 9; }

std::uint64_t room_for_weights() {
  const std::uint64_t room = memory_for_models();
  return room > kUsualContextBytes ? room - kUsualContextBytes : 0;
}

std::vector<AvailableModel> available_models(const hub::ModelStore& store, std::uint64_t room) {
  const std::vector<hub::StoredModel> stored = store.list();
  std::vector<AvailableModel> models;
  for (const hub::GalleryEntry& entry : store.gallery().entries()) {
    AvailableModel model{.entry = &entry, .quant = {}};
    propose(entry, room, model);
    model.here =
        std::any_of(stored.begin(), stored.end(), [&](const hub::StoredModel& s) { return s.name == entry.name; });
    models.push_back(std::move(model));
  }
  return models;
}

std::string available_table(const std::vector<AvailableModel>& models) {
  std::size_t width = 4;
  for (const AvailableModel& model : models) width = std::max(width, model.entry->name.size());
  std::string text = base::cat(padded("NAME", width), "  ", padded("QUANT", 11), "  ", padded_left("SIZE", 9), "  ",
                               padded_left("PARAMETERS", 10), "  ", padded("LICENCE", 15), "  STATE\n");
  for (const AvailableModel& model : models) {
    const hub::GalleryEntry& entry = *model.entry;
    text += base::cat(padded(entry.name, width), "  ", padded(printable(model.quant), 11), "  ",
                      padded_left(size_text(model), 9), "  ",
                      padded_left(entry.parameters == 0 ? "?" : count_text(entry.parameters), 10), "  ",
                      padded(printable(entry.license), 15), "  ", printable(state_text(model)));
    for (std::size_t i = 0; i < entry.aliases.size(); ++i)
      text += base::cat(i == 0 ? "  (also " : ", ", entry.aliases[i], i + 1 == entry.aliases.size() ? ")" : "");
    text += "\n";
  }
  return text;
}

std::string available_json(const std::vector<AvailableModel>& models) {
  const auto texts = [](const std::vector<std::string>& list) {
    boost::json::array out;
    for (const std::string& text : list) out.emplace_back(text);
    return out;
  };
  boost::json::array rows;
  for (const AvailableModel& model : models) {
    const hub::GalleryEntry& entry = *model.entry;
    boost::json::object row;
    row["name"] = entry.name;
    row["aliases"] = texts(entry.aliases);
    row["title"] = entry.title;
    row["repo"] = entry.repo;
    row["quants"] = texts(entry.quants);
    row["license"] = entry.license;
    row["architecture"] = entry.architecture;
    if (entry.parameters > 0) row["parameters"] = entry.parameters;
    if (entry.active > 0) row["active"] = entry.active;
    row["quant"] = model.quant;
    if (model.bytes > 0) {
      row["bytes"] = model.bytes;
      row["estimated"] = !model.exact;
    }
    row["fits"] = model.fits;
    row["here"] = model.here;
    if (!entry.missing.empty()) row["missing"] = entry.missing;
    rows.push_back(std::move(row));
  }
  return boost::json::serialize(rows) + "\n";
}

}  // namespace minke::cli
