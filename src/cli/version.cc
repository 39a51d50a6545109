#include "cli/version.h"

#include "base/cat.h"
#include "build_commit.h"  // written by cmake/commit.cmake: kBuildCommit, kBuildNumber
#include "constrain/grammar.h"

// Set by the build for this file.
#if !defined(MINKE_VERSION) || !defined(MINKE_BUILD_TYPE)
#error "MINKE_VERSION and MINKE_BUILD_TYPE must be defined"
#endif

namespace minke::cli {
namespace {

constexpr const char* kArchitecture =
#if defined(__x86_64__)
    "x86-64";
#elif defined(__aarch64__)
    "arm64";
#elif defined(__riscv)
    "riscv";
#else
    "other";
#endif

}  // namespace

std::string program_text() {
#if defined(__clang__)
  const std::string compiler = "Clang " __clang_version__;
#else
  const std::string compiler = "GCC " __VERSION__;
#endif
  const std::string_view type = std::string_view(MINKE_BUILD_TYPE).empty() ? "unnamed build type" : MINKE_BUILD_TYPE;
  return base::cat("minke ", MINKE_VERSION, "\n", compiler, ", ", type, ", ", kArchitecture, "\n");
}

std::string version_number() { return MINKE_VERSION; }

std::string constrained_text() {
  std::string library = constrain::library_version();
  return library.empty() ? "not in this build" : library;
}

std::string version_text() { return base::cat(program_text(), "constrained output: ", constrained_text(), "\n"); }

std::string build_commit() { return kBuildCommit; }

std::int64_t build_number() { return kBuildNumber; }

}  // namespace minke::cli
