# Instruction-set sources: each compiled with its own flags. They export one table each and no weak symbol
# (tests/script/check_isa_symbols.sh looks with nm), so that code built for AVX-512 never ends up on
# everyone's path. Kernels do not throw; -fno-exceptions keeps out the (weak) reference to the unwinder.
# Sanitizers multiply the code; at -O3 these files would take minutes each.
set(isa_level -O3)
if(MINKE_SANITIZE)
  set(isa_level -O1)
endif()
set(isa_dir ${CMAKE_CURRENT_LIST_DIR})
target_sources(minke_kernels PRIVATE ${isa_dir}/isa_scalar.cc ${isa_dir}/isa_peak_scalar.cc)
# The definition that the others are held to, not a fast path: -O3 unrolls its sixteen-lane loops for over a
# minute of compile time (GCC 12), -O1 takes a third.
set_source_files_properties(${isa_dir}/isa_scalar.cc PROPERTIES COMPILE_OPTIONS "-O1;-fno-exceptions")

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
endif()
set_source_files_properties(${isa_dir}/isa_peak_scalar.cc PROPERTIES COMPILE_OPTIONS "-O2;-fno-exceptions")
