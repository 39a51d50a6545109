#include "cli/api_keys.h"

#include <algorithm>
#include <string_view>

#include "base/cat.h"
#include "base/error.h"
#include "base/quote.h"
#include "cli/text_file.h"

namespace minke::cli {
namespace {

constexpr std::uint64_t kMaxKeyFile = std::uint64_t{1} << 20;
/// Shorter ones can be guessed by trying.
constexpr std::size_t kLeastKey = 8;

void add_key(std::string_view text, std::vector<server::ApiKey>& keys) {
  const std::size_t colon = text.find(':');
  std::string name = colon == text.npos ? base::cat("key-", keys.size() + 1) : std::string(text.substr(0, colon));
  const std::string_view key = colon == text.npos ? text : text.substr(colon + 1);
  if (key.size() < kLeastKey || name.empty()) {
    throw base::Error(base::ErrorCode::invalid_argument,
                      base::cat("the API key ", base::quote_name(name), " has ", key.size(), " characters; at least ",
                                kLeastKey, " are needed"),
                      "a key is written KEY or NAME:KEY");
  }
  if (std::any_of(keys.begin(), keys.end(), [&](const server::ApiKey& one) { return one.name == name; })) {
    throw base::Error(base::ErrorCode::invalid_argument,
                      base::cat("there are two API keys named ", base::quote_name(name)));
  }
  keys.push_back(server::make_api_key(std::move(name), key));
}

std::string_view trimmed(std::string_view line) {
  const std::size_t first = line.find_first_not_of(" \t\r");
  if (first == line.npos) return {};
  return line.substr(first, line.find_last_not_of(" \t\r") - first + 1);
}

}  // namespace

std::vector<server::ApiKey> read_api_keys(const std::vector<std::string>& keys, const std::string& file) {
  std::vector<server::ApiKey> result;
  for (const std::string& key : keys) add_key(key, result);
  if (file.empty()) return result;
  const std::string text = read_text_file(file, kMaxKeyFile);
  const std::size_t before = result.size();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = trimmed(std::string_view(text).substr(at, end - at));
    if (!line.empty() && !line.starts_with('#')) add_key(line, result);
    at = end + 1;
  }
  if (result.size() == before)
    throw base::Error(base::ErrorCode::format, base::cat(file, ": there is no API key in it"));
  return result;
}

}  // namespace minke::cli
