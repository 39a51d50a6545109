#include "hub/import.h"

#include <algorithm>
#include <array>
#include <optional>
#include <system_error>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/error.h"
#include "formats/json.h"
#include "hub/file_hash.h"
#include "hub/model_choice.h"
#include "hub/model_files.h"
#include "hub/store_lock.h"
#include "hub/store_record.h"

namespace minke::hub {

namespace fs = std::filesystem;
namespace json = boost::json;
using base::cat;
using base::Error;
using base::ErrorCode;

namespace {

constexpr std::uint64_t kMaxManifest = 1u << 20;
constexpr int kManifestDepth = 3;  // HOST/USER/NAME/TAG
constexpr std::size_t kMaxManifests = 10'000;

void check(const std::error_code& error, const fs::path& path, std::string_view action) {
  if (error) throw base::io_error(path.string(), action, error.value());
}

bool belongs_to_safetensors(std::string_view name) {
  constexpr std::array<std::string_view, 3> kEndings = {".safetensors", ".json", ".jinja"};
  return !name.starts_with('.') && std::any_of(kEndings.begin(), kEndings.end(),
                                               [name](std::string_view ending) { return name.ends_with(ending); });
}

std::vector<LinkedFile> folder_files(const fs::path& folder) {
  std::vector<LinkedFile> files;
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    const std::string name = entries->path().filename().string();
    std::error_code ignored;
    if (belongs_to_safetensors(name) && entries->is_regular_file(ignored)) files.push_back({name, entries->path()});
  }
  check(error, folder, "read the folder");
  std::sort(files.begin(), files.end(), [](const LinkedFile& a, const LinkedFile& b) { return a.name < b.name; });
  return files;
}

std::string five_digits(std::uint32_t number) {
  std::string digits = cat(number);
  return std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits;
}

/// The blob of a manifest's one layer of weights.
std::optional<OllamaModel> read_manifest(const fs::path& root, const fs::path& path) {
  json::object manifest;
  try {
    manifest = formats::read_json_object(path.string(), kMaxManifest);
  } catch (const Error&) {
    return std::nullopt;
  }
  const auto layers = manifest.find("layers");
  if (layers == manifest.end() || !layers->value().is_array()) return std::nullopt;
  std::optional<OllamaModel> model;
  for (const json::value& layer : layers->value().get_array()) {
    if (!layer.is_object()) return std::nullopt;
    const json::object& object = layer.get_object();
    const auto type = object.find("mediaType");
    if (type == object.end() || type->value() != "application/vnd.ollama.image.model") continue;
    const auto digest = object.find("digest");
    const auto size = object.find("size");
    // Two of them: a model with an adapter, or one that is split otherwise than GGUF is.
    if (model || digest == object.end() || size == object.end() || !digest->value().is_string() ||
        !size->value().is_int64() || size->value().get_int64() < 0)
      return std::nullopt;
    std::string_view digits = digest->value().get_string();
    constexpr std::string_view kKind = "sha256:";
    FileHash hash;
    if (!digits.starts_with(kKind)) return std::nullopt;
    digits.remove_prefix(kKind.size());
    if (!parse_hash(digits, hash) || hash.kind != HashKind::sha256) return std::nullopt;
    model = OllamaModel{.name = {},
                        .blob = root / "blobs" / cat("sha256-", digits),
                        .bytes = static_cast<std::uint64_t>(size->value().get_int64())};
  }
  return model;
}

/// registry.ollama.ai/library/NAME/TAG is NAME:TAG.
std::string ollama_name(const fs::path& relative) {
  std::string name = relative.generic_string();
  for (const std::string_view usual : {"registry.ollama.ai/", "library/"}) {
    if (name.starts_with(usual)) name.erase(0, usual.size());
  }
  name[name.rfind('/')] = ':';
  return name;
}

}  // namespace

std::vector<LinkedFile> model_files(const fs::path& path) {
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error).lexically_normal();
  check(error, path, "find");
  if (fs::is_directory(absolute, error)) return folder_files(absolute);
  const std::string name = absolute.filename().string();
  const SplitName split = parse_split_name(name);
  if (split.part == 0) {
    // What is told by its first bytes may have any name; the store goes by names.
    const bool known = name.ends_with(".gguf") || name.ends_with(".minke");
    return {{known ? name : cat(name, ".gguf"), absolute}};
  }
  std::vector<LinkedFile> files;
  const std::string stem = name.substr(0, name.size() - std::string_view("00001-of-00002.gguf").size());
  for (std::uint32_t part = 1; part <= split.parts; ++part) {
    const std::string file = cat(stem, five_digits(part), "-of-", five_digits(split.parts), ".gguf");
    const fs::path target = absolute.parent_path() / file;
    if (!fs::is_regular_file(target, error))
      throw Error(ErrorCode::not_found, cat(target.string(), ": part ", part, " of ", split.parts, " is missing"));
    files.push_back({file, target});
  }
  return files;
}

std::string name_for_file(const fs::path& path) {
  std::string name = path.filename().string();
  if (name.empty()) name = path.parent_path().filename().string();
  const SplitName split = parse_split_name(name);
  if (split.part > 0) name.resize(name.size() - std::string_view("-00001-of-00002.gguf").size());
  for (const std::string_view ending : {".gguf", ".minke"}) {
    if (name.ends_with(ending)) name.resize(name.size() - ending.size());
  }
  const std::string quant = quant_in_name(name);
  if (!quant.empty()) {
    name.resize(name.size() - quant.size() - 1);
    name += cat(":", quant);
  }
  return parse_store_name(name).value_or(std::string());
}

StoredModel link_model(const ModelStore& store, std::string_view name, const std::vector<LinkedFile>& files,
                       std::string_view source, std::string_view origin) {
  const std::optional<std::string> store_name = parse_store_name(name);
  if (!store_name) throw Error(ErrorCode::invalid_argument, cat("'", name.substr(0, 200), "' is not a store name"));
  const fs::path folder = store.root() / folder_for_name(*store_name);
  const fs::path temporary = store.root() / ".tmp";
  std::error_code error;
  fs::create_directories(temporary, error);
  check(error, temporary, "create the folder");
  const StoreLock lock(temporary / cat(folder.filename().string(), ".lock"), *store_name);
  if (fs::exists(fs::symlink_status(folder, error)))
    throw Error(ErrorCode::invalid_argument, cat(*store_name, ": there is a model of that name: ", folder.string()),
                "another name: --name NAME");
  const fs::path fresh = temporary / cat("import-", folder.filename().string());
  fs::remove_all(fresh, error);
  fs::create_directory(fresh, error);
  check(error, fresh, "create the folder");
  StoreRecord record{.source = std::string(source),
                     .origin = std::string(origin),
                     .repo = {},
                     .revision = {},
                     .commit = {},
                     .files = {}};
  for (const LinkedFile& file : files) {
    fs::create_symlink(file.target, fresh / file.name, error);
    check(error, fresh / file.name, "create the link");
    record.files.push_back({file.name, fs::file_size(file.target, error), {}});
    check(error, file.target, "look at");
  }
  write_record(fresh, record);
  fs::rename(fresh, folder, error);
  check(error, folder, "put the model in its place");
  const FolderContents contents = inspect_folder(folder);
  return {.name = *store_name,
          .path = contents.problem.empty() ? contents.path : folder.string(),
          .bytes = contents.bytes,
          .modified = contents.modified,
          .format = contents.format,
          .problem = contents.problem,
          .linked = contents.linked};
}

std::vector<OllamaModel> ollama_models(const fs::path& root) {
  std::vector<OllamaModel> models;
  const fs::path manifests = root / "manifests";
  std::error_code error;
  fs::recursive_directory_iterator entries(manifests, fs::directory_options::skip_permission_denied, error);
  for (; !error && entries != fs::recursive_directory_iterator(); entries.increment(error)) {
    std::error_code ignored;
    if (entries.depth() > kManifestDepth) entries.disable_recursion_pending();
    if (entries.depth() != kManifestDepth || !entries->is_regular_file(ignored)) continue;
    auto model = read_manifest(root, entries->path());
    if (!model || fs::file_size(model->blob, ignored) != model->bytes || ignored) continue;
    model->name = ollama_name(entries->path().lexically_relative(manifests));
    models.push_back(std::move(*model));
    if (models.size() >= kMaxManifests) break;
  }
  std::sort(models.begin(), models.end(), [](const OllamaModel& a, const OllamaModel& b) { return a.name < b.name; });
  return models;
}

}  // namespace minke::hub
