// What the store knows of a model that it was given: .minke.json in the model's folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace minke::hub {

inline constexpr const char* kRecordName = ".minke.json";

struct RecordedFile {
  std::string name;  ///< in the model's folder
  std::uint64_t bytes = 0;
  std::string hash;  ///< SHA-256 or Git blob, by its length; empty when it was not computed
};

struct StoreRecord {
  std::string source;  ///< "hub", "import", "ollama"; of script/fetch-model: "packages"
  std::string origin;  ///< where it is from: an endpoint, a path
  std::string repo, revision, commit;
  std::vector<RecordedFile> files;
};

/// nullopt when there is none, or none that is understood.
std::optional<StoreRecord> read_record(const std::filesystem::path& folder);

/// Writes it whole or not at all. Error(io).
void write_record(const std::filesystem::path& folder, const StoreRecord& record);

}  // namespace minke::hub
