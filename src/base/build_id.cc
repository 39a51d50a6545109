#include "base/build_id.h"

#include <elf.h>
#include <link.h>
#include <sys/stat.h>

#include <cstring>

namespace minke::base {
namespace {

struct Search {
  Sha256 hash;
  bool found = false;
};

constexpr std::size_t padded(std::size_t bytes) { return (bytes + 3) / 4 * 4; }

/// One segment of notes: name length, content length, type, then both, each padded to four bytes.
void read_notes(const std::byte* at, std::size_t left, Search& search) {
  while (left >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    std::memcpy(&note, at, sizeof note);
    const std::size_t name = sizeof note, content = name + padded(note.n_namesz);
    const std::size_t end = content + padded(note.n_descsz);
    if (end > left) return;
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && std::memcmp(at + name, "GNU", 4) == 0 &&
        note.n_descsz > 0) {
      search.hash.add(std::span(at + content, note.n_descsz));
      search.found = true;
    }
    at += end;
    left -= end;
  }
}

/// Called for the program first, then for its libraries, which are not looked at.
int look(dl_phdr_info* program, std::size_t /*size*/, void* given) {
  for (int i = 0; i < program->dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = program->dlpi_phdr[i];
    if (header.p_type != PT_NOTE) continue;
    // The system's own numbers: addresses of what is mapped.
    const auto* at = reinterpret_cast<const std::byte*>(program->dlpi_addr + header.p_vaddr);  // NOLINT
    read_notes(at, header.p_memsz, *static_cast<Search*>(given));
  }
  return 1;
}

}  // namespace

Digest build_id() {
  Search search;
  ::dl_iterate_phdr(look, &search);
  if (!search.found) {
    struct stat status {};
    if (::stat("/proc/self/exe", &status) == 0)
      search.hash.add_number(static_cast<std::uint64_t>(status.st_size))
          .add_number(static_cast<std::uint64_t>(status.st_mtim.tv_sec))
          .add_number(static_cast<std::uint64_t>(status.st_mtim.tv_nsec));
  }
  return search.hash.finish();
}

}  // namespace minke::base
