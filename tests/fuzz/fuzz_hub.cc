// What a hub sends: replies, lists of files, links to further pages; names and addresses; galleries. The first byte
// says which of them the rest is.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "hub/gallery.h"
#include "hub/http_client.h"
#include "hub/hub_client.h"
#include "hub/hub_name.h"
#include "hub/model_choice.h"
#include "hub/url.h"

namespace {

using namespace minke;

void read_reply(std::string_view text) {
  constexpr std::uint64_t kMost = 4096;
  std::uint64_t body = 0;
  hub::parse_reply(text, kMost, [&](std::span<const std::byte> bytes) { body += bytes.size(); });
  if (body > kMost) std::abort();
}

void read_tree(std::string_view text) {
  hub::Repository repo{.name = "user/repo", .commit = {}, .files = hub::parse_tree(text, "page")};
  for (const hub::RepoFile& file : repo.files) {
    if (!hub::is_safe_path(file.path) || file.path.find("..") == 0) std::abort();
  }
  std::string why;
  if (hub::choose_best(repo, {.bytes = 1000, .beside = 10, .weight_bytes = 1.1}, why).files.empty()) std::abort();
}

void read_url(std::string_view text) {
  const hub::Url url = hub::parse_url(text, "address");
  // What is written is read as the same.
  if (hub::parse_url(url.text(), "address").text() != url.text()) std::abort();
  hub::follow_location(url, text);
}

void read_name(std::string_view text) {
  const auto name = hub::parse_hub_name(text);
  if (name && !hub::is_repo_name(name->repo)) std::abort();
  if (name && !name->what.empty() && !hub::is_safe_path(name->what)) std::abort();
}

void read(unsigned kind, std::string_view text) {
  switch (kind % 6) {
    case 0:
      return read_reply(text);
    case 1:
      return read_tree(text);
    case 2:
      hub::next_link(text);
      return;
    case 3:
      return read_url(text);
    case 4:
      return read_name(text);
    default:
      hub::Gallery().add(text, "gallery");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  try {
    read(data[0], std::string_view(reinterpret_cast<const char*>(data) + 1, size - 1));
  } catch (const base::Error&) {
    // What is refused is refused by an Error.
  }
  return 0;
}
