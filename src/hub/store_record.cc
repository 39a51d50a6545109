#include "hub/store_record.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/error.h"
#include "base/new_file.h"
#include "formats/json.h"

namespace minke::hub {

namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

constexpr std::uint64_t kMaxRecord = 8u << 20;

std::string text_of(const json::object& object, std::string_view key) {
  const auto found = object.find(key);
  return found != object.end() && found->value().is_string() ? std::string(found->value().get_string()) : std::string();
}

std::uint64_t number_of(const json::object& object, std::string_view key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->value().is_int64() || found->value().get_int64() < 0) return 0;
  return static_cast<std::uint64_t>(found->value().get_int64());
}

}  // namespace

std::optional<StoreRecord> read_record(const fs::path& folder) {
  json::object object;
  try {
    object = formats::read_json_object((folder / kRecordName).string(), kMaxRecord);
  } catch (const base::Error&) {
    return std::nullopt;
  }
  StoreRecord record{.source = text_of(object, "source"),
                     .origin = text_of(object, "origin"),
                     .repo = text_of(object, "repo"),
                     .revision = text_of(object, "revision"),
                     .commit = text_of(object, "commit"),
                     .files = {}};
  if (object.contains("packages")) {
    record.source = "packages";
    record.files.push_back({text_of(object, "file"), number_of(object, "bytes"), text_of(object, "sha256")});
  }
  if (const auto files = object.find("files"); files != object.end() && files->value().is_array()) {
    for (const json::value& entry : files->value().get_array()) {
      if (!entry.is_object()) continue;
      const json::object& file = entry.get_object();
      record.files.push_back({text_of(file, "name"), number_of(file, "bytes"), text_of(file, "hash")});
    }
  }
  return record;
}

void write_record(const fs::path& folder, const StoreRecord& record) {
  json::object object;
  object["source"] = record.source;
  object["origin"] = record.origin;
  if (!record.repo.empty()) object["repo"] = record.repo;
  if (!record.revision.empty()) object["revision"] = record.revision;
  if (!record.commit.empty()) object["commit"] = record.commit;
  json::array files;
  for (const RecordedFile& file : record.files) {
    json::object entry;
    entry["name"] = file.name;
    entry["bytes"] = file.bytes;
    if (!file.hash.empty()) entry["hash"] = file.hash;
    files.push_back(std::move(entry));
  }
  object["files"] = std::move(files);
  base::NewFile file((folder / kRecordName).string());
  file.write_at(0, json::serialize(object) + "\n");
  file.commit();
}

}  // namespace minke::hub
