// The archive of GCC 12's libstdc++ takes random_device's numbers from arc4random, which glibc has from 2.36 on only;
// this one lets the packaged program run with 2.34 (Ubuntu 22.04 has 2.35). Linked with MINKE_STATIC alone.
#include <sys/random.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>

extern "C" std::uint32_t arc4random() noexcept {
  std::uint32_t value = 0;
  while (::getrandom(&value, sizeof value, 0) != sizeof value) {
    // Four bytes come whole or not at all, and a kernel without the call is older than any that glibc 2.34 comes with.
    if (errno != EINTR) std::abort();
  }
  return value;
}
