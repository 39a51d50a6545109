# Constrained output is llguidance's work, a Rust library: built by cargo while the C++ compiles, from the registry that
# this machine's cargo uses, at the versions and checksums of rust/Cargo.lock. All builds of a source tree share one, in
# build/rust. Without cargo (or with -DMINKE_CONSTRAIN=OFF) without.cc takes its place, and the options are refused.
set(MINKE_CONSTRAIN "AUTO" CACHE STRING "Constrained output, which needs Rust's cargo: AUTO, ON or OFF")
set_property(CACHE MINKE_CONSTRAIN PROPERTY STRINGS AUTO ON OFF)

set(minke_rust ${CMAKE_CURRENT_SOURCE_DIR}/constrain/rust)
set(minke_rust_target ${PROJECT_SOURCE_DIR}/build/rust)
set(minke_rust_least 1.87)  # as the crate says

# minke_find_cargo(REASON): sets MINKE_CARGO, or the variable named to why there is none.
function(minke_find_cargo reason)
  set(${reason} "" PARENT_SCOPE)
  # The thread sanitizer does not see Rust's locks, and would report what they guard.
  if(MINKE_SANITIZE MATCHES "thread")
    set(${reason} "not under the thread sanitizer" PARENT_SCOPE)
    return()
  endif()
  find_program(MINKE_CARGO cargo HINTS $ENV{HOME}/.cargo/bin)
  if(NOT MINKE_CARGO)
    set(${reason} "there is no cargo" PARENT_SCOPE)
    return()
  endif()
  execute_process(COMMAND ${MINKE_CARGO} --version OUTPUT_VARIABLE text ERROR_QUIET)
  if(NOT text MATCHES "cargo ([0-9]+\\.[0-9]+)" OR CMAKE_MATCH_1 VERSION_LESS minke_rust_least)
    string(STRIP "${text}" text)
    set(${reason} "cargo ${minke_rust_least} is needed, this is '${text}'" PARENT_SCOPE)
  endif()
endfunction()

# minke_rust_for_target(REASON): in a cross build, what cargo is to be told (minke_cargo_flags) and the folder in
# build/rust where its result will be (minke_rust_place). Rust's own library for that processor comes with rustc
# (rustup target add), or lies among the other libraries for it (script/lib/arm_libraries.sh).
function(minke_rust_for_target reason)
  set(triple ${CMAKE_SYSTEM_PROCESSOR}-unknown-linux-gnu)
  get_filename_component(folder ${MINKE_CARGO} DIRECTORY)
  execute_process(COMMAND ${folder}/rustc --print target-libdir --target ${triple}
                  OUTPUT_VARIABLE own OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  file(GLOB found ${own}/libstd-*.rlib)
  set(flags --target ${triple} --config "target.${triple}.linker='${CMAKE_CXX_COMPILER}'")
  if(NOT found)
    list(GET CMAKE_FIND_ROOT_PATH 0 root)
    file(GLOB found ${root}/lib/rustlib/${triple}/lib/libstd-*.rlib)
    list(APPEND flags --config "target.${triple}.rustflags=['--sysroot=${root}']")
  endif()
  if(NOT found)
    set(${reason} "Rust has no standard library for ${triple} here" PARENT_SCOPE)
  endif()
  set(minke_cargo_flags ${flags} PARENT_SCOPE)
  set(minke_rust_place ${triple}/release PARENT_SCOPE)
endfunction()

# minke_fetch_crates(REASON): packages into cargo's own cache, and llguidance's C header out of its package: the C++ that
# includes it need not wait for the library then.
function(minke_fetch_crates reason)
  set(header ${minke_rust_target}/include/llguidance.h)
  if(NOT ${minke_rust}/Cargo.lock IS_NEWER_THAN ${header})
    return()
  endif()
  execute_process(COMMAND ${MINKE_CARGO} fetch --locked --quiet --manifest-path ${minke_rust}/Cargo.toml
                  RESULT_VARIABLE failed ERROR_VARIABLE text)
  if(failed)
    set(${reason} "cargo cannot get its packages: ${text}" PARENT_SCOPE)
    return()
  endif()
  execute_process(COMMAND ${MINKE_CARGO} metadata --format-version 1 --locked --offline
                          --manifest-path ${minke_rust}/Cargo.toml
                  OUTPUT_VARIABLE metadata ERROR_VARIABLE text RESULT_VARIABLE failed)
  # {"name":"llguidance", ... "manifest_path":"FOLDER/Cargo.toml"}
  string(REGEX MATCH "\"([^\"]*/llguidance-[0-9.]+)/Cargo.toml\"" found "${metadata}")
  if(failed OR NOT EXISTS ${CMAKE_MATCH_1}/llguidance.h)
    set(${reason} "cargo's package of llguidance has no header: ${text}" PARENT_SCOPE)
    return()
  endif()
  file(COPY_FILE ${CMAKE_MATCH_1}/llguidance.h ${header}.new)
  file(RENAME ${header}.new ${header})
  file(TOUCH ${header})
endfunction()

set(minke_constrain_off "it was switched off")
if(NOT MINKE_CONSTRAIN STREQUAL "OFF")
  minke_find_cargo(minke_constrain_off)
  set(minke_cargo_flags "")
  set(minke_rust_place release)
  if(CMAKE_CROSSCOMPILING AND NOT minke_constrain_off)
    minke_rust_for_target(minke_constrain_off)
  endif()
  if(NOT minke_constrain_off)
    file(MAKE_DIRECTORY ${minke_rust_target}/include)
    minke_fetch_crates(minke_constrain_off)
  endif()
  if(minke_constrain_off AND NOT MINKE_CONSTRAIN STREQUAL "AUTO")
    message(FATAL_ERROR "MINKE_CONSTRAIN=${MINKE_CONSTRAIN}: ${minke_constrain_off}")
  endif()
endif()

if(minke_constrain_off)
  message(STATUS "Constrained output: left out (${minke_constrain_off})")
  set_source_files_properties(constrain/llguidance.cc PROPERTIES HEADER_FILE_ONLY ON)
else()
  set(minke_llguidance ${minke_rust_target}/${minke_rust_place}/libminke_constrain.a)
  # A pool of its own: beside the compiler, and one at a time. Only programs depend on it, by the library's path.
  set_property(GLOBAL APPEND PROPERTY JOB_POOLS minke_rust=1)
  add_custom_command(OUTPUT ${minke_llguidance}
    COMMAND ${CMAKE_COMMAND} -DCARGO=${MINKE_CARGO} -DSOURCE=${minke_rust} -DTARGET=${minke_rust_target}
            -DRESULT=${minke_llguidance} "-DFLAGS=${minke_cargo_flags}" -P ${PROJECT_SOURCE_DIR}/cmake/cargo_build.cmake
    DEPENDS ${minke_rust}/Cargo.toml ${minke_rust}/Cargo.lock ${minke_rust}/lib.rs
            ${PROJECT_SOURCE_DIR}/cmake/cargo_build.cmake
    JOB_POOL minke_rust COMMENT "Building llguidance" VERBATIM)
  add_custom_target(minke_rust_library DEPENDS ${minke_llguidance})
  set_source_files_properties(constrain/without.cc PROPERTIES HEADER_FILE_ONLY ON)
  target_include_directories(minke_constrain SYSTEM PRIVATE ${minke_rust_target}/include)
  target_link_libraries(minke_constrain PUBLIC ${minke_llguidance} ${CMAKE_DL_LIBS} m)
endif()
