// Every malformed checkpoint gives a typed error that names the item, in under a second and 64 MB.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <set>

#include "base/error.h"
#include "formats/checkpoint.h"
#include "formats/file_builder.h"
#include "formats/gguf.h"
#include "formats/hostile_cases.h"
#include "formats/safetensors.h"
#include "support/counted_new.h"

namespace minke::formats::testing {
namespace {

constexpr std::size_t kMaxExtraBytes = std::size_t{64} << 20;
/// Of processor time: a busy machine is no fault of the parsers.
constexpr double kMaxSeconds = 1;

double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

struct Cost {
  double seconds = 0;
  std::size_t bytes = 0;
};

std::vector<HostileCase> all_cases() {
  std::vector<HostileCase> all;
  for (const auto& make : {hostile_gguf_cases, hostile_split_gguf_cases, hostile_safetensors_cases, hostile_index_cases,
                           hostile_json_cases, hostile_tiled_cases})
    for (HostileCase& one : make()) all.push_back(std::move(one));
  return all;
}

Cost check(const HostileCase& one) {
  const TempFolder folder;
  for (const auto& [name, content] : one.files) folder.write(name, content);
  const std::string path = one.open.empty() ? folder.path() : folder.path() + "/" + one.open;
  const std::size_t before = test::allocated.load();
  test::peak.store(before);
  const double start = processor_seconds();
  try {
    Checkpoint::open(path);
    ADD_FAILURE() << one.name << ": opened";
  } catch (const base::Error& error) {
    EXPECT_NE(error.message().find(folder.path()), std::string::npos)
        << one.name << ": names no file: " << error.message();
    EXPECT_NE(error.message().find(one.item), std::string::npos)
        << one.name << ": expected " << one.item << " in: " << error.message();
    EXPECT_LT(error.message().size(), 1000u) << one.name;
    using base::ErrorCode;
    const std::set<ErrorCode> fitting{ErrorCode::format, ErrorCode::unsupported, ErrorCode::not_found, ErrorCode::io,
                                      ErrorCode::invalid_argument};
    EXPECT_TRUE(fitting.contains(error.code())) << one.name << ": " << to_string(error.code());
  } catch (const std::exception& error) {
    ADD_FAILURE() << one.name << ": an untyped error: " << error.what();
  }
  const Cost cost{processor_seconds() - start, test::peak.load() - before};
  EXPECT_LT(cost.seconds, kMaxSeconds) << one.name;
  EXPECT_LT(cost.bytes, kMaxExtraBytes) << one.name;
  return cost;
}

TEST(Hostile, EveryCaseGivesATypedErrorThatNamesTheItem) {
  const std::vector<HostileCase> cases = all_cases();
  EXPECT_GE(cases.size(), 200u);
  Cost worst;
  for (const HostileCase& one : cases) {
    const Cost cost = check(one);
    worst.seconds = std::max(worst.seconds, cost.seconds);
    worst.bytes = std::max(worst.bytes, cost.bytes);
  }
  std::printf("%zu malformed checkpoints; at most %.0f ms and %.1f MB each\n", cases.size(), worst.seconds * 1e3,
              static_cast<double>(worst.bytes) / 1e6);
}

TEST(Hostile, CasesDiffer) {
  std::set<std::string> contents;
  for (const HostileCase& one : all_cases()) {
    std::string key = one.open;
    for (const auto& [name, content] : one.files) key += name + content;
    EXPECT_TRUE(contents.insert(key).second) << one.name;
  }
}

// The base of the cases is well-formed: each fails for its own change.
TEST(Hostile, TheUnchangedFilesOpen) {
  const TempFolder folder;
  EXPECT_EQ(Checkpoint::open(folder.write("m.gguf", small_gguf().build()))->tensors().size(), 3u);
  folder.write("config.json", "{}");
  folder.write("model.safetensors", small_safetensors());
  EXPECT_EQ(Checkpoint::open(folder.path())->tensors().size(), 3u);
}

// Cut after every byte: the parsers see a file that is a part of a good one.
TEST(Hostile, EveryPrefixIsRefused) {
  const std::string gguf = small_gguf().build(), tensors = small_safetensors();
  const auto bytes = [](const std::string& s) { return std::as_bytes(std::span(s)); };
  for (std::size_t size = 0; size < gguf.size(); ++size)
    EXPECT_THROW(parse_gguf(bytes(gguf).first(size), size, "m"), base::Error) << size;
  for (std::size_t size = 0; size < tensors.size(); ++size)
    EXPECT_THROW(parse_safetensors(bytes(tensors).first(size), size, "m"), base::Error) << size;
}

// Single changed bytes either give a well-formed file or a typed error, never anything else.
TEST(Hostile, EveryChangedByteIsTypedOrFine) {
  const auto bytes = [](const std::string& s) { return std::as_bytes(std::span(s)); };
  std::string gguf = small_gguf().build(), tensors = small_safetensors();
  std::size_t fine = 0, refused = 0;
  const auto tried = [&](const auto& parse) {
    try {
      parse();
      ++fine;
    } catch (const base::Error&) {
      ++refused;
    }
  };
  for (std::size_t i = 0; i < gguf.size(); ++i)
    for (const int flip : {0x01, 0x80, 0xFF}) {
      gguf[i] = static_cast<char>(gguf[i] ^ flip);
      tried([&] { parse_gguf(bytes(gguf), gguf.size(), "m"); });
      gguf[i] = static_cast<char>(gguf[i] ^ flip);
    }
  for (std::size_t i = 0; i < tensors.size(); ++i)
    for (const int flip : {0x01, 0x02, 0x80, 0xFF}) {
      tensors[i] = static_cast<char>(tensors[i] ^ flip);
      tried([&] { parse_safetensors(bytes(tensors), tensors.size(), "m"); });
      tensors[i] = static_cast<char>(tensors[i] ^ flip);
    }
  EXPECT_GT(fine, 0u);
  EXPECT_GT(refused, 0u);
}

}  // namespace
}  // namespace minke::formats::testing
