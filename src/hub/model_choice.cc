#include "hub/model_choice.h"

#include <algorithm>
#include <array>
#include <map>

#include "base/error.h"
#include "base/quote.h"
#include "hub/model_files.h"

namespace minke::hub {

using base::cat;
using base::Error;
using base::ErrorCode;

namespace {

/// Quantisations as files are named by them, best quality first.
constexpr std::array<std::string_view, 44> kQuants = {
    "F32",    "BF16",   "F16",     "FP8",    "Q8_K_XL", "Q8_0",   "Q6_K_XL", "Q6_K_L", "Q6_K",   "Q5_K_XL", "Q5_K_L",
    "Q5_K_M", "Q5_K_S", "Q5_1",    "Q5_0",   "Q4_K_XL", "Q4_K_L", "Q4_K_M",  "IQ4_NL", "Q4_1",   "MXFP4",   "Q4_K_S",
    "IQ4_XS", "Q4_0",   "Q3_K_XL", "Q3_K_L", "Q3_K_M",  "IQ3_M",  "IQ3_S",   "Q3_K_S", "IQ3_XS", "IQ3_XXS", "Q2_K_XL",
    "Q2_K_L", "Q2_K",   "Q2_K_S",  "IQ2_M",  "IQ2_S",   "IQ2_XS", "IQ2_XXS", "IQ1_M",  "IQ1_S",  "TQ2_0",   "TQ1_0"};
/// The usual compromise of size and quality, then what comes nearest to it.
constexpr std::array<std::string_view, 7> kUsual = {"Q4_K_M", "UD-Q4_K_XL", "Q4_K_XL", "Q4_K_L",
                                                    "Q4_K_S", "Q4_0",       "Q4_1"};
constexpr std::string_view kUnsloth = "UD-";

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

std::string uppered(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), upper);
  return out;
}

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

/// "model.Q8_0-00001-of-00002.gguf" and "model.Q8_0.gguf" -> "model.Q8_0"
std::string_view stem(std::string_view name) {
  constexpr std::string_view kSuffix = ".gguf";
  constexpr std::size_t kSplit = std::string_view("-00001-of-00002").size();
  const bool split = parse_split_name(name).part > 0;
  return name.substr(0, name.size() - kSuffix.size() - (split ? kSplit : 0));
}

bool is_model_gguf(std::string_view path) {
  const std::string name = uppered(base_name(path));
  return name.ends_with(".GGUF") && path.ends_with(".gguf") && name.find("MMPROJ") == std::string::npos &&
         name.find("IMATRIX") == std::string::npos;
}

std::string names_of(const std::vector<ModelVariant>& list) {
  constexpr std::size_t kMost = 30;
  std::string text;
  for (std::size_t i = 0; i < std::min(list.size(), kMost); ++i) {
    const ModelVariant& variant = list[i];
    const std::string name =
        variant.quant.empty() ? base::quote_name(base_name(variant.files.front().path)) : variant.quant;
    text += cat(i == 0 ? "" : ", ", name);
  }
  return list.size() > kMost ? cat(text, " and ", list.size() - kMost, " more") : text;
}

std::optional<ModelVariant> safetensors_variant(const Repository& repo) {
  constexpr std::array<std::string_view, 4> kTexts = {"tokenizer.json", "tokenizer_config.json",
                                                      "generation_config.json", "special_tokens_map.json"};
  ModelVariant variant;
  bool config = false;
  bool weights = false;
  for (const RepoFile& file : repo.files) {
    if (file.path.find('/') != std::string::npos) continue;
    const bool tensors = file.path.ends_with(".safetensors") && file.path.starts_with("model");
    const bool text = std::find(kTexts.begin(), kTexts.end(), file.path) != kTexts.end();
    const bool index = file.path == "model.safetensors.index.json";
    const bool settings =
        file.path == "config.json" || file.path.starts_with("chat_template.") || file.path.starts_with("LICENSE");
    if (!tensors && !text && !index && !settings) continue;
    config = config || file.path == "config.json";
    weights = weights || file.path == "model.safetensors" || index;
    variant.files.push_back(file);
    variant.bytes += file.size;
  }
  return config && weights ? std::optional(std::move(variant)) : std::nullopt;
}

/// All parts of a split file, in order, and nothing else.
bool is_complete(ModelVariant& variant) {
  std::sort(variant.files.begin(), variant.files.end(),
            [](const RepoFile& a, const RepoFile& b) { return a.path < b.path; });
  const SplitName first = parse_split_name(base_name(variant.files.front().path));
  if (first.part == 0) return variant.files.size() == 1;
  if (variant.files.size() != first.parts) return false;
  for (std::size_t i = 0; i < variant.files.size(); ++i) {
    const SplitName split = parse_split_name(base_name(variant.files[i].path));
    if (split.part != i + 1 || split.parts != first.parts) return false;
  }
  return true;
}

/// Same file, whatever the folder: the path, the name, or the name without .gguf.
bool is_called(const ModelVariant& variant, std::string_view what) {
  return std::any_of(variant.files.begin(), variant.files.end(), [what](const RepoFile& file) {
    return file.path == what || base_name(file.path) == what ||
           (file.path.ends_with(".gguf") && stem(base_name(file.path)) == what);
  });
}

}  // namespace

bool is_readable(const ModelVariant& variant) noexcept { return !variant.quant.starts_with("TQ"); }

std::size_t quant_rank(std::string_view quant) noexcept {
  if (quant.starts_with(kUnsloth)) quant.remove_prefix(kUnsloth.size());
  return static_cast<std::size_t>(std::find(kQuants.begin(), kQuants.end(), quant) - kQuants.begin());
}

std::string quant_in_name(std::string_view file_name) {
  const std::string name = uppered(file_name.ends_with(".gguf") ? stem(file_name) : file_name);
  std::string_view best;
  for (const std::string_view quant : kQuants) {
    const bool ends = name.ends_with(quant) && name.size() > quant.size();
    const char before = ends ? name[name.size() - quant.size() - 1] : '\0';
    if (ends && (before == '-' || before == '.' || before == '_') && quant.size() > best.size()) best = quant;
  }
  if (best.empty()) return {};
  const bool dynamic = name.size() > best.size() + kUnsloth.size() &&
                       name.compare(name.size() - best.size() - kUnsloth.size(), kUnsloth.size(), kUnsloth) == 0;
  return cat(dynamic ? kUnsloth : std::string_view(), best);
}

std::vector<ModelVariant> variants(const Repository& repo) {
  std::map<std::string, ModelVariant> by_stem;
  bool pickled = false;
  for (const RepoFile& file : repo.files) {
    pickled = pickled || file.path.ends_with(".bin") || file.path.ends_with(".pt") || file.path.ends_with(".pth");
    if (!is_model_gguf(file.path)) continue;
    const std::string_view name = base_name(file.path);
    const std::size_t folder = file.path.size() - name.size();
    ModelVariant& variant = by_stem[cat(file.path.substr(0, folder), stem(name))];
    variant.gguf = true;
    variant.quant = quant_in_name(name);
    variant.files.push_back(file);
    variant.bytes += file.size;
  }
  std::vector<ModelVariant> list;
  for (auto& [name, variant] : by_stem) {
    if (is_complete(variant)) list.push_back(std::move(variant));
  }
  if (auto safetensors = safetensors_variant(repo)) list.push_back(std::move(*safetensors));
  if (list.empty())
    throw Error(ErrorCode::unsupported,
                cat(repo.name, ": expected a .gguf file, or config.json with model.safetensors, got ",
                    repo.files.size(), " files without"),
                pickled
                    ? "pickled checkpoints (.bin, .pt) are never read; look for a repository with safetensors or GGUF"
                    : "look for a repository with safetensors or GGUF");
  std::sort(list.begin(), list.end(), [](const ModelVariant& a, const ModelVariant& b) { return a.bytes < b.bytes; });
  return list;
}

ModelVariant choose_named(const Repository& repo, std::string_view what) {
  const std::vector<ModelVariant> list = variants(repo);
  const std::string wanted = uppered(what);
  std::vector<const ModelVariant*> meant;
  for (const ModelVariant& variant : list) {
    if (is_called(variant, what)) return variant;
    const bool safetensors = !variant.gguf && wanted == "SAFETENSORS";
    if (safetensors || (!variant.quant.empty() && variant.quant == wanted)) meant.push_back(&variant);
  }
  if (meant.size() == 1) return *meant.front();
  if (meant.empty()) {
    throw Error(ErrorCode::not_found, cat(repo.name, ": no ", base::quote_name(what), " in it"),
                cat("there are: ", names_of(list)));
  }
  std::string paths;
  for (const ModelVariant* variant : meant) paths += cat(paths.empty() ? "" : ", ", variant->files.front().path);
  throw Error(ErrorCode::invalid_argument, cat(repo.name, ": several files are ", wanted, ": ", paths),
              cat("name the file: ", repo.name, ":", meant.front()->files.front().path));
}

std::uint64_t MemoryRoom::need(std::uint64_t file_bytes) const noexcept {
  constexpr double kMost = 0x1p60;  // files' sizes are what the hub says
  const double need = static_cast<double>(beside) + weight_bytes * static_cast<double>(file_bytes);
  return static_cast<std::uint64_t>(std::clamp(need, 0.0, kMost));
}

ModelVariant choose_best(const Repository& repo, const MemoryRoom& room, std::string& why) {
  const std::vector<ModelVariant> list = variants(repo);
  if (list.size() == 1) {
    why = "the only one there";
    return list.front();
  }
  const auto fits = [&room](const ModelVariant& variant) {
    return room.need(variant.bytes) <= room.bytes && is_readable(variant);
  };
  std::string too_large;
  for (const std::string_view usual : kUsual) {
    for (const ModelVariant& variant : list) {
      if (variant.quant != usual) continue;
      if (!fits(variant)) {
        if (too_large.empty()) too_large = cat("; ", variant.quant, " does not");
        continue;
      }
      why = cat("the usual compromise of size and quality, and it fits this machine", too_large);
      return variant;
    }
  }
  // No four bits, or they do not fit: the best below; else the smallest above.
  const std::size_t usual_rank = quant_rank(kUsual.front());
  const auto order = [usual_rank](const ModelVariant& variant) {
    const std::size_t rank = quant_rank(variant.quant);
    return rank >= usual_rank ? rank - usual_rank : kQuants.size() + usual_rank - rank;
  };
  const ModelVariant* best = nullptr;
  for (const ModelVariant& variant : list) {
    if (variant.gguf && fits(variant) && (best == nullptr || order(variant) < order(*best))) best = &variant;
  }
  if (best != nullptr) {
    why = cat("the best that fits this machine", too_large);
    return *best;
  }
  for (const ModelVariant& variant : list) {
    if (variant.gguf || !fits(variant)) continue;
    why = "the weights as they were published; they fit this machine";
    return variant;
  }
  const auto readable = std::find_if(list.begin(), list.end(), is_readable);
  if (readable == list.end()) {
    why = "the smallest; none is of a type that is read";
    return list.front();
  }
  why = "the smallest, and yet too large for this machine's memory";
  return *readable;
}

}  // namespace minke::hub
