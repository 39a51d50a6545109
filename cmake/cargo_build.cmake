# cmake -DCARGO=PROGRAM -DSOURCE=FOLDER -DTARGET=FOLDER -P cargo_build.cmake
# Builds the crate in SOURCE as its Cargo.lock has it, and copies llguidance's C header, which is in its package, to
# TARGET/include.
execute_process(COMMAND ${CARGO} build --release --locked --quiet --manifest-path ${SOURCE}/Cargo.toml
                        --target-dir ${TARGET} RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "cargo could not build ${SOURCE}; -DMINKE_CONSTRAIN=OFF leaves it out")
endif()
execute_process(COMMAND ${CARGO} metadata --format-version 1 --locked --offline --manifest-path ${SOURCE}/Cargo.toml
                OUTPUT_VARIABLE metadata ERROR_VARIABLE errors RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "cargo metadata: ${errors}")
endif()
string(JSON count LENGTH "${metadata}" packages)
math(EXPR last "${count} - 1")
foreach(i RANGE ${last})
  string(JSON name GET "${metadata}" packages ${i} name)
  if(name STREQUAL "llguidance")
    string(JSON manifest GET "${metadata}" packages ${i} manifest_path)
    get_filename_component(folder "${manifest}" DIRECTORY)
    file(MAKE_DIRECTORY ${TARGET}/include)
    configure_file(${folder}/llguidance.h ${TARGET}/include/llguidance.h COPYONLY)
  endif()
endforeach()
# Cargo leaves alone what it finds up to date; the build wants results that are newer than what they are made from.
set(results ${TARGET}/include/llguidance.h ${TARGET}/release/libminke_constrain.a)
foreach(result ${results})
  foreach(source ${SOURCE}/Cargo.toml ${SOURCE}/Cargo.lock ${SOURCE}/lib.rs ${CMAKE_CURRENT_LIST_FILE})
    if(${source} IS_NEWER_THAN ${result})
      file(TOUCH ${results})
    endif()
  endforeach()
endforeach()
