# Flags that every target of ours gets.
#   -Wno-missing-field-initializers: designated initialisers that name what differs are the style here; the
#   rest keep the defaults in the struct.
#   -ffp-contract=off: the order and rounding of every floating-point operation is part of the contract
#   (docs/architecture.md, "Determinism"); the compiler may not fuse what the source does not fuse.
add_library(minke_flags INTERFACE)
target_compile_options(minke_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Wold-style-cast -Wno-missing-field-initializers -Werror
  -ffp-contract=off -fno-math-errno)
# What the cache on disk tells builds apart by (base/build_id.h).
target_link_options(minke_flags INTERFACE -Wl,--build-id=sha1)
target_include_directories(minke_flags INTERFACE ${PROJECT_SOURCE_DIR}/src)
# Third-party headers must not raise our warnings.
target_include_directories(minke_flags SYSTEM INTERFACE ${Boost_INCLUDE_DIRS})

if(MINKE_SANITIZE)
  target_compile_options(minke_flags INTERFACE -fsanitize=${MINKE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(minke_flags INTERFACE -fsanitize=${MINKE_SANITIZE})
endif()
if(MINKE_FUZZ)
  target_compile_options(minke_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
