# What keeps a build from scratch short on two cores.

# minke_precompile(TARGET HEADER...): headers that most of a target's files parse, parsed once.
# GCC 12 then warns of what it inlines from its own <string> and <vector> (its bugs 105329, 105651).
function(minke_precompile target)
  target_precompile_headers(${target} PRIVATE ${ARGN})
  target_compile_options(${target} PRIVATE
    $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds;-Wno-stringop-overflow;-Wno-restrict>)
endfunction()

# minke_not_hot(TARGET): speed does not matter in it. -O3 takes up to twice as long to compile as -O1 (GCC 12), -O1 with
# sanitizers 2.5 times as long as -O0 (Clang 16).
function(minke_not_hot target)
  if(MINKE_SANITIZE)
    target_compile_options(${target} PRIVATE -O0)
  elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_options(${target} PRIVATE -O1)
  endif()
endfunction()

# For files of loops over lanes, all of it inlined, which sanitizers multiply: Clang 16 takes 88 s for AVX-512's file and
# eleven minutes for the tests' twin of matrix tiles. With accesses checked by calls, without checks of pointers that are
# never null, and without coverage, which tells a fuzzer nothing here, 14 s and one minute.
set(MINKE_LANES_OPTIONS)
if(MINKE_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  set(MINKE_LANES_OPTIONS -mllvm -asan-instrumentation-with-call-threshold=0
    -fno-sanitize=null,object-size,pointer-overflow,return,unreachable,vptr
    -fno-sanitize-coverage=inline-8bit-counters,indirect-calls,trace-cmp,pc-table)
endif()
