// A file of the cache on disk, any bytes under the name of a block that is looked for. Byte 0 even: the bytes as they
// are; odd: with a checksum that is right, or nothing would pass it. Nothing may crash or hang, and what is taken must
// be a file that says everything that was asked for.
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>

#include "base/xxh64.h"
#include "fuzz_input.h"
#include "support/disk_blocks.h"
#include "support/temp_folder.h"

namespace {

using namespace minke;

constexpr std::size_t kBytes = 64;

void sign(std::string& file) {
  if (file.size() < 32) return;
  std::memset(file.data() + 24, 0, 8);
  const std::uint64_t sum = base::xxh64(std::as_bytes(std::span(file)));
  std::memcpy(file.data() + 24, &sum, 8);
}

/// docs/formats.md, byte by byte, without the reader's own code.
bool says_all(const std::string& file, const test::DiskBlock& block) {
  const base::Digest model = test::digest_of("model");
  const auto is = [&](std::size_t at, const void* bytes, std::size_t count) {
    return std::memcmp(file.data() + at, bytes, count) == 0;
  };
  return file.size() == 512 + kBytes && is(0, "MINKEKV\0\1\0\0\0\0\2\0\0", 16) && is(32, model.data(), 32) &&
         is(64, block.realm.data(), 32) && is(96, block.parent.data(), 32) && is(128, block.name.data(), 32) &&
         is(168, block.tokens.data(), 256);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1 || size > 4096) return 0;
  static const test::TempFolder folder(test::TempFolder::Place::memory);
  static const auto chain = test::chain_of(1, 1, kBytes);
  static test::DiskUser user({.folder = folder.file("kv"), .bytes = 1 << 20, .least_free = 0}, kBytes);
  std::string file(fuzz::text_of(data + 1, size - 1));
  if (data[0] % 2 == 1) sign(file);
  folder.write("kv/" + engine::DiskFolder::file_name(chain[0].parent, chain[0].name), file);
  user.load(chain, [&](const test::DiskBlock& block, const std::vector<std::byte>& got) {
    if (!says_all(file, block) || std::memcmp(file.data() + 512, got.data(), kBytes) != 0) std::abort();
  });
  return 0;
}
