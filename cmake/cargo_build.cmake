# cmake -DCARGO=PROGRAM -DSOURCE=FOLDER -DTARGET=FOLDER -DRESULT=FILE [-DFLAGS=LIST] -P cargo_build.cmake
# Builds the crate in SOURCE as its Cargo.lock has it. RESULT: the library that comes of it. FLAGS: more for cargo.
execute_process(COMMAND ${CARGO} build --release --locked --quiet --manifest-path ${SOURCE}/Cargo.toml
                        --target-dir ${TARGET} ${FLAGS} RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "cargo could not build ${SOURCE}; -DMINKE_CONSTRAIN=OFF leaves it out")
endif()
# Cargo leaves alone what it finds up to date; the build wants a result that is newer than what it is made from. Touched
# only then: other builds of this tree link it, too.
foreach(source ${SOURCE}/Cargo.toml ${SOURCE}/Cargo.lock ${SOURCE}/lib.rs ${CMAKE_CURRENT_LIST_FILE})
  if(${source} IS_NEWER_THAN ${RESULT})
    file(TOUCH ${RESULT})
  endif()
endforeach()
