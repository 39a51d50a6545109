# Instruction-set sources: each compiled with its own flags. They export one table each and no weak symbol
# (tests/script/check_isa_symbols.sh looks with nm), so that code built for AVX-512 never ends up on
# everyone's path. Kernels do not throw; -fno-exceptions keeps out the (weak) reference to the unwinder.
set(isa_level ${MINKE_ISA_LEVEL})
set(isa_scalar_level -O1)
if(MINKE_SANITIZE)
  set(isa_level -O1 ${MINKE_LANES_OPTIONS})
  list(APPEND isa_scalar_level ${MINKE_LANES_OPTIONS})
endif()
set(isa_dir ${CMAKE_CURRENT_LIST_DIR})
target_sources(minke_kernels PRIVATE ${isa_dir}/isa_scalar.cc ${isa_dir}/isa_peak_scalar.cc)
# The definition that the others are held to, not a fast path: -O3 unrolls its sixteen-lane loops for over a
# minute of compile time (GCC 12), -O1 takes a third.
set_source_files_properties(${isa_dir}/isa_scalar.cc PROPERTIES COMPILE_OPTIONS "${isa_scalar_level};-fno-exceptions")

if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  # GCC 12 warns about the undefined operands inside its own AVX-512 headers (its bug 105593).
  set(isa_quiet "$<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized;-Wno-maybe-uninitialized>")
  set(isa_avx2_flags ${isa_level} -fno-exceptions -mavx2 -mfma -mf16c)
  set(isa_avx512_flags ${isa_level} -fno-exceptions -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni
      -mprefer-vector-width=512 ${isa_quiet})
  target_sources(minke_kernels PRIVATE ${isa_dir}/isa_avx2.cc ${isa_dir}/isa_avx512.cc)
  set_source_files_properties(${isa_dir}/isa_avx2.cc PROPERTIES COMPILE_OPTIONS "${isa_avx2_flags}")
  set_source_files_properties(${isa_dir}/isa_avx512.cc PROPERTIES COMPILE_OPTIONS "${isa_avx512_flags}")
  target_sources(minke_kernels PRIVATE ${isa_dir}/isa_peak_avx2.cc ${isa_dir}/isa_peak_avx512.cc)
  set_source_files_properties(${isa_dir}/isa_peak_avx2.cc PROPERTIES COMPILE_OPTIONS "${isa_avx2_flags}")
  set_source_files_properties(${isa_dir}/isa_peak_avx512.cc PROPERTIES COMPILE_OPTIONS "${isa_avx512_flags}")
  # The assembly in it is its own; Clang's assembler wants to be told all the same.
  target_sources(minke_kernels PRIVATE ${isa_dir}/isa_amx.cc ${isa_dir}/isa_peak_amx.cc)
  set_source_files_properties(${isa_dir}/isa_amx.cc ${isa_dir}/isa_peak_amx.cc PROPERTIES COMPILE_OPTIONS
    "${isa_avx512_flags};-mavx512bf16;-mavx512vbmi;-mamx-tile;-mamx-int8;-mamx-bf16")
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64|ARM64")
  # From plain Armv8.0 (Cortex-A72, Kunpeng 916, Phytium) on; dotprod: Cortex-A76, Neoverse N1, Kunpeng 920;
  # i8mm: Neoverse V1 and N2.
  function(isa_neon name architecture)
    target_sources(minke_kernels PRIVATE ${isa_dir}/isa_${name}.cc)
    set_source_files_properties(${isa_dir}/isa_${name}.cc PROPERTIES
      COMPILE_OPTIONS "${isa_level};-fno-exceptions;-march=${architecture}")
  endfunction()
  isa_neon(neon armv8-a)
  isa_neon(neon_dotprod armv8.2-a+dotprod)
  isa_neon(neon_i8mm armv8.2-a+dotprod+i8mm)
endif()
set_source_files_properties(${isa_dir}/isa_peak_scalar.cc PROPERTIES COMPILE_OPTIONS "-O2;-fno-exceptions")
