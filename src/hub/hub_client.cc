#include "hub/hub_client.h"

#include <algorithm>
#include <charconv>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/quote.h"
#include "formats/json.h"

namespace minke::hub {

namespace json = boost::json;
using base::cat;
using base::Error;
using base::ErrorCode;

namespace {

constexpr std::uint64_t kMaxPage = 32u << 20;
constexpr std::size_t kMaxPageValues = 2'000'000;
constexpr std::size_t kMaxFiles = 100'000;
constexpr std::size_t kMaxPages = 1000;
constexpr std::size_t kMaxPath = 1024;
constexpr std::size_t kMaxRepoPart = 96;
constexpr std::size_t kCommitDigits = 40;
constexpr std::uint64_t kMaxFileSize = std::uint64_t{1} << 44;  // 16 TiB

bool is_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

bool is_repo_part(std::string_view text) {
  return !text.empty() && text.size() <= kMaxRepoPart && text != "." && text != ".." && text.front() != '-' &&
         std::all_of(text.begin(), text.end(), is_name_byte);
}

const json::value* find(const json::object& object, std::string_view key) {
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &found->value();
}

std::string string_of(const json::object& object, std::string_view key) {
  const json::value* value = find(object, key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::uint64_t size_of(const json::object& object, std::string_view source, std::string_view path) {
  const json::value* value = find(object, "size");
  if (value != nullptr && value->is_int64() && value->get_int64() >= 0 &&
      static_cast<std::uint64_t>(value->get_int64()) <= kMaxFileSize)
    return static_cast<std::uint64_t>(value->get_int64());
  throw Error(ErrorCode::format, cat(source, ": ", base::quote_name(path), ": expected a size from 0 to 2^44"));
}

RepoFile parse_file(const json::object& entry, std::string_view source) {
  RepoFile file;
  file.path = string_of(entry, "path");
  if (!is_safe_path(file.path))
    throw Error(ErrorCode::format, cat(source, ": expected a file's relative path, got ", base::quote_name(file.path)));
  const json::value* lfs = find(entry, "lfs");
  const json::object& sized = lfs != nullptr && lfs->is_object() ? lfs->get_object() : entry;
  file.size = size_of(sized, source, file.path);
  const std::string oid = string_of(sized, "oid");
  const HashKind expected = &sized == &entry ? HashKind::git_blob : HashKind::sha256;
  if (!parse_hash(oid, file.hash) || file.hash.kind != expected)
    throw Error(ErrorCode::format,
                cat(source, ": ", base::quote_name(file.path), ": expected its hash, got ", base::quote_name(oid)));
  return file;
}

std::chrono::seconds retry_after(const HttpHead& head) {
  constexpr std::int64_t kLongest = 7L * 24 * 3600;
  const std::string_view text = head.field("retry-after");
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || seconds < 0)
    return std::chrono::seconds(0);
  return std::chrono::seconds(std::min(seconds, kLongest));
}

/// What a status other than success means, and what to do.
[[noreturn]] void fail(const HttpHead& head, const Url& endpoint, const std::string& repo, std::string_view what,
                       bool with_token) {
  const std::string_view code = head.field("x-error-code");
  const std::string page = cat(endpoint.scheme, "://", endpoint.authority(), "/", repo);
  if (head.status == 429 || head.status == 503) {
    const std::chrono::seconds wait = retry_after(head);
    throw BusyError(cat(head.url.authority(), ": asks to wait (", head.status,
                        wait.count() > 0 ? cat(", ", wait.count(), " s") : std::string(), ")"),
                    wait);
  }
  if (head.status >= 500)
    throw BusyError(cat(head.url.authority(), ": failed (", head.status, ")"), std::chrono::seconds(0));
  if (code == "GatedRepo" || head.status == 403) {
    throw Error(ErrorCode::io,
                cat(repo, ": this repository is gated: the hub gives it to those who accepted its terms"),
                cat("accept them at ", page,
                    with_token ? "; the token (HF_TOKEN) must be of the same user and may read gated repositories"
                               : ", make a token in your settings there, and set HF_TOKEN"));
  }
  if (head.status == 401) {
    throw Error(ErrorCode::io,
                with_token ? cat(repo, ": the hub does not take the token, or there is no such repository")
                           : cat(repo, ": there is no such repository, or it is a private one"),
                with_token ? "is HF_TOKEN right and not out of date? Is the name right?"
                           : "is the name right? A private one needs HF_TOKEN");
  }
  if (head.status == 404) {
    const std::string_view missing = code == "RevisionNotFound" ? "has no such revision: " : "not there: ";
    throw Error(ErrorCode::not_found, cat(repo, ": ", missing, what), cat("look at ", page));
  }
  throw Error(ErrorCode::io, cat(repo, ": ", what, ": the hub answered ", head.status));
}

/// "bytes FIRST-LAST/TOTAL"
bool parse_content_range(std::string_view text, std::uint64_t& first, std::uint64_t& last, std::uint64_t& total) {
  constexpr std::string_view kUnit = "bytes ";
  if (!text.starts_with(kUnit)) return false;
  text.remove_prefix(kUnit.size());
  const auto number = [&text](std::uint64_t& value, char end) {
    const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc()) return false;
    text.remove_prefix(static_cast<std::size_t>(at - text.data()));
    if (end == '\0') return text.empty();
    if (!text.starts_with(end)) return false;
    text.remove_prefix(1);
    return true;
  };
  return number(first, '-') && number(last, '/') && number(total, '\0');
}

/// What the hub's own heads say of the file, where they say it, must be what was listed.
void check_identity(const HttpReply& reply, const Repository& repo, const RepoFile& file) {
  const auto check = [&](const HttpHead& head) {
    if (const std::string_view commit = head.field("x-repo-commit"); !commit.empty() && commit != repo.commit)
      throw Error(
          ErrorCode::format,
          cat(repo.name, ": ", file.path, ": expected revision ", repo.commit, ", got ", base::quote_name(commit)),
          "the repository changed meanwhile: run the command again");
    FileHash hash;
    if (parse_hash(head.field("x-linked-etag"), hash) && hash.kind == file.hash.kind && hash != file.hash)
      throw Error(ErrorCode::format,
                  cat(repo.name, ": ", file.path, ": expected the contents ", file.hash.digits, ", the hub offers ",
                      hash.digits),
                  "the repository changed meanwhile: run the command again");
  };
  for (const HttpHead& head : reply.redirects) check(head);
  check(reply.head);
}

[[noreturn]] void wrong_length(const Repository& repo, const RepoFile& file, std::string_view got) {
  throw Error(ErrorCode::format,
              cat(repo.name, ": ", file.path, ": expected a file of ", file.size, " bytes, got ", got),
              "the repository changed meanwhile, or something on the way changes what it passes on");
}

/// Throws unless the body will be just `range` of `file`. How many leading bytes are to be skipped.
std::uint64_t check_reply(const HttpReply& reply, const Repository& repo, const RepoFile& file, ByteRange range,
                          const Url& endpoint, bool with_token) {
  const HttpHead& head = reply.head;
  if (head.status == 416) wrong_length(repo, file, "a shorter one");
  if (head.status != 200 && head.status != 206) fail(head, endpoint, repo.name, file.path, with_token);
  check_identity(reply, repo, file);
  const std::string_view type = head.field("content-type");
  if (type.starts_with("text/html") && !file.path.ends_with(".html"))
    throw Error(
        ErrorCode::format,
        cat(repo.name, ": ", file.path, ": got a page of HTML instead of the file, from ", head.url.authority()),
        "a login page of the network, or a proxy's error? Open that address in a browser");
  if (head.status == 206) {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::uint64_t total = 0;
    if (!parse_content_range(head.field("content-range"), first, last, total))
      throw Error(ErrorCode::format, cat(repo.name, ": ", file.path, ": a part without Content-Range"));
    if (total != file.size) wrong_length(repo, file, cat(total));
    if (first != range.first || last != range.first + range.size - 1)
      throw Error(ErrorCode::format, cat(repo.name, ": ", file.path, ": expected bytes ", range.first, " to ",
                                         range.first + range.size - 1, ", got ", first, " to ", last));
    if (const auto length = head.length(); length && *length != range.size) wrong_length(repo, file, cat(*length));
    return 0;
  }
  if (const auto length = head.length(); length && *length != file.size) wrong_length(repo, file, cat(*length));
  return range.first;
}

struct Done {};

}  // namespace

bool is_repo_name(std::string_view text) {
  const std::size_t slash = text.find('/');
  return slash != std::string_view::npos && is_repo_part(text.substr(0, slash)) && is_repo_part(text.substr(slash + 1));
}

bool is_safe_path(std::string_view path) {
  if (path.empty() || path.size() > kMaxPath) return false;
  while (true) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, slash);
    const bool plain = std::all_of(part.begin(), part.end(), [](char c) {
      return static_cast<unsigned char>(c) >= 32 && c != 127 && c != '\\' && c != ':';
    });
    if (part.empty() || part == "." || part == ".." || part.size() > 255 || !plain) return false;
    if (slash == path.size()) return true;
    path.remove_prefix(slash + 1);
  }
}

std::vector<RepoFile> parse_tree(std::string_view text, std::string_view source) {
  const json::value page = formats::parse_json(text, source, kMaxPageValues);
  if (!page.is_array()) throw Error(ErrorCode::format, cat(source, ": expected a list of files"));
  std::vector<RepoFile> files;
  for (const json::value& entry : page.get_array()) {
    if (!entry.is_object()) throw Error(ErrorCode::format, cat(source, ": expected a list of objects"));
    if (string_of(entry.get_object(), "type") == "file") files.push_back(parse_file(entry.get_object(), source));
  }
  return files;
}

std::string next_link(std::string_view header) {
  // <https://..>; rel="next", <..>; rel="last"
  while (!header.empty()) {
    const std::size_t open = header.find('<');
    const std::size_t close = header.find('>', open == std::string_view::npos ? 0 : open);
    if (open == std::string_view::npos || close == std::string_view::npos) return {};
    const std::string_view address = header.substr(open + 1, close - open - 1);
    header.remove_prefix(close + 1);
    const std::string_view parameters = header.substr(0, header.find('<'));
    if (parameters.find("rel=\"next\"") != std::string_view::npos) return std::string(address);
  }
  return {};
}

HubClient::HubClient(HubOptions options)
    : options_(std::move(options)), endpoint_(parse_url(options_.endpoint, "HF_ENDPOINT")), http_(options_.network) {
  while (endpoint_.target.ends_with('/')) endpoint_.target.pop_back();
  const std::string& token = options_.token;
  if (!std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < 127; }))
    throw Error(ErrorCode::invalid_argument, "HF_TOKEN: expected printable ASCII without blanks");
}

Url HubClient::api_url(const std::string& path) const {
  Url url = endpoint_;
  url.target += path;
  return url;
}

std::string HubClient::json_text(const Url& url, const std::string& repo, HttpReply& reply) const {
  HttpRequest request{.url = url, .token = options_.token, .accept = "application/json", .max_body = kMaxPage};
  std::string text;
  reply = http_.get(
      request,
      [&](const HttpReply& got) {
        if (got.head.status != 200) fail(got.head, endpoint_, repo, "the list of its files", !options_.token.empty());
        if (got.head.field("content-type").starts_with("text/html"))
          throw Error(ErrorCode::format,
                      cat(got.head.url.authority(), ": got a page of HTML instead of the hub's answer"),
                      "a login page of the network, or a proxy's error? Is HF_ENDPOINT right?");
        return true;
      },
      [&](std::span<const std::byte> bytes) {
        text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      });
  return text;
}

Repository HubClient::list(const std::string& repo, const std::string& revision) const {
  if (!is_repo_name(repo))
    throw Error(ErrorCode::invalid_argument, cat("expected USER/REPO, got ", base::quote_name(repo)));
  HttpReply reply;
  const Url about = api_url(cat("/api/models/", repo, "/revision/", escape_path(revision)));
  const json::object info = formats::parse_json_object(json_text(about, repo, reply), about.text());
  Repository result{.name = string_of(info, "id"), .commit = string_of(info, "sha"), .files = {}};
  FileHash commit;
  if (!parse_hash(result.commit, commit) || result.commit.size() != kCommitDigits)
    throw Error(ErrorCode::format,
                cat(about.text(), ": expected \"sha\", a commit, got ", base::quote_name(result.commit)));
  if (!is_repo_name(result.name)) result.name = repo;
  Url page = api_url(cat("/api/models/", result.name, "/tree/", result.commit, "?recursive=true"));
  for (std::size_t pages = 0;;) {
    std::vector<RepoFile> files = parse_tree(json_text(page, result.name, reply), page.text());
    result.files.insert(result.files.end(), std::make_move_iterator(files.begin()),
                        std::make_move_iterator(files.end()));
    if (result.files.size() > kMaxFiles)
      throw Error(ErrorCode::unsupported, cat(result.name, ": more than ", kMaxFiles, " files"));
    const std::string next = next_link(reply.head.field("link"));
    if (next.empty()) return result;
    if (++pages > kMaxPages)
      throw Error(ErrorCode::format, cat(result.name, ": a list of more than ", kMaxPages, " pages"));
    const Url following = follow_location(reply.head.url, next);
    if (!same_origin(following, endpoint_))
      throw Error(ErrorCode::format,
                  cat(page.text(), ": its next page is on another host: ", base::quote_name(following.host)));
    page = following;
  }
}

void HubClient::read(const Repository& repo, const RepoFile& file, ByteRange range,
                     const std::function<void(std::span<const std::byte>)>& on_body) const {
  const bool whole = range.first == 0 && range.size == file.size;
  HttpRequest request{.url = api_url(cat("/", repo.name, "/resolve/", repo.commit, "/", escape_path(file.path))),
                      .token = options_.token,
                      .max_body = file.size};
  if (!whole) request.range = range;
  std::uint64_t skip = 0;
  std::uint64_t left = range.size;
  const auto on_head = [&](const HttpReply& reply) {
    skip = check_reply(reply, repo, file, range, endpoint_, !options_.token.empty());
    return true;
  };
  const auto take = [&](std::span<const std::byte> bytes) {
    // A server that knows no ranges sends everything: what comes before is skipped.
    const auto before = static_cast<std::size_t>(std::min<std::uint64_t>(skip, bytes.size()));
    skip -= before;
    bytes = bytes.subspan(before);
    bytes = bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(left, bytes.size())));
    left -= bytes.size();
    if (!bytes.empty()) on_body(bytes);
    if (left == 0 && !whole) throw Done{};
  };
  try {
    http_.get(request, on_head, take);
  } catch (const Done&) {
    return;
  }
  // A body without a length, ended by closing the connection.
  if (left > 0) throw TransportError(cat(repo.name, ": ", file.path, ": ended ", left, " bytes early"));
}

std::string HubClient::read_all(const Repository& repo, const RepoFile& file, std::uint64_t max_bytes) const {
  if (file.size > max_bytes)
    throw Error(ErrorCode::format,
                cat(repo.name, ": ", file.path, ": expected at most ", max_bytes, " bytes, got ", file.size));
  if (file.size == 0) return {};
  std::string text;
  Hasher hasher(file.hash.kind, file.size);
  read(repo, file, {.first = 0, .size = file.size}, [&](std::span<const std::byte> bytes) {
    hasher.add(bytes);
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  });
  if (const std::string got = hasher.finish(); got != file.hash.digits)
    throw Error(ErrorCode::format,
                cat(repo.name, ": ", file.path, ": expected contents with the hash ", file.hash.digits, ", got ", got));
  return text;
}

}  // namespace minke::hub
