// A hub of models that speaks Hugging Face's protocol: what a repository holds, and bytes of its files.
//
//   GET ENDPOINT/api/models/REPO/revision/REVISION              {"sha": COMMIT, "gated": .., "id": REPO}
//   GET ENDPOINT/api/models/REPO/tree/COMMIT?recursive=true     [{"type": "file", "path", "size", "oid", "lfs": {..}}],
//                                                               further pages by Link: <..>; rel="next"
//   GET ENDPOINT/REPO/resolve/COMMIT/FILE                       the bytes, or a redirect to who has them
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hub/file_hash.h"
#include "hub/http_client.h"

namespace minke::hub {

inline constexpr std::string_view kDefaultEndpoint = "https://huggingface.co";

struct HubOptions {
  std::string endpoint{kDefaultEndpoint};
  std::string token;  ///< empty: none; sent to the endpoint alone
  NetworkOptions network;
};

/// The hub asks to wait, or fails in a way that may pass.
class BusyError : public base::Error {
 public:
  BusyError(std::string message, std::chrono::seconds wait)
      : base::Error(base::ErrorCode::overloaded, std::move(message),
                    "run the command again later: what is here is kept"),
        wait_(wait) {}
  std::chrono::seconds wait() const noexcept { return wait_; }  ///< as Retry-After says; 0 when it does not

 private:
  std::chrono::seconds wait_;
};

struct RepoFile {
  std::string path;  ///< relative, with '/', checked: no empty, "." or ".." part
  std::uint64_t size = 0;
  FileHash hash;
};

struct Repository {
  std::string name;    ///< "user/repo" as the hub writes it now; another than asked for when it has moved
  std::string commit;  ///< that the files are of: 40 hexadecimal digits
  std::vector<RepoFile> files;
};

class HubClient {
 public:
  /// Error(invalid_argument) for an endpoint or token that cannot be.
  explicit HubClient(HubOptions options);

  const HubOptions& options() const noexcept { return options_; }
  std::string endpoint() const { return endpoint_.text(); }

  /// What REPO holds at REVISION (a branch, a tag, a commit). At most 100,000 files.
  /// Errors: not_found, io (a gated repository, a token that is not taken; the hint says what to do), BusyError,
  /// TransportError, format (an answer that is none).
  Repository list(const std::string& repo, const std::string& revision) const;

  /// A file's bytes [range.first, range.first + range.size), all of them, in order. `on_body` may throw to stop. Before
  /// the first byte it is checked that the reply is what was asked for: these bytes of a file of this size and hash.
  /// Error(format) when the hub gives something else (a page of HTML, another length, another revision).
  void read(const Repository& repo, const RepoFile& file, ByteRange range,
            const std::function<void(std::span<const std::byte>)>& on_body) const;

  /// A whole small file, its hash checked. Error(format) also when it is longer than `max_bytes`.
  std::string read_all(const Repository& repo, const RepoFile& file, std::uint64_t max_bytes) const;

 private:
  std::string json_text(const Url& url, const std::string& repo, HttpReply& reply) const;
  Url api_url(const std::string& path) const;

  HubOptions options_;
  Url endpoint_;
  HttpClient http_;
};

/// A tree page's files; directories are left out. Error(format). `source` names the page in messages.
std::vector<RepoFile> parse_tree(std::string_view json, std::string_view source);

/// The address in a Link header's rel="next"; empty when there is none.
std::string next_link(std::string_view link_header);

/// "user/repo", each part of letters, digits, '.', '_' and '-', at most 96 characters.
bool is_repo_name(std::string_view text);

/// A relative path that stays in its folder on every system.
bool is_safe_path(std::string_view path);

}  // namespace minke::hub
