# A header that names the commit that is built. Included, it defines minke_commit_header(); run as a script
# (cmake -DOUT=FILE -DSOURCE=FOLDER -P commit.cmake) it writes the file.
if(CMAKE_SCRIPT_MODE_FILE)
  set(commit "unknown")
  set(number 0)
  find_package(Git QUIET)
  if(GIT_FOUND)
    execute_process(COMMAND ${GIT_EXECUTABLE} -C ${SOURCE} rev-parse --short HEAD
                    OUTPUT_VARIABLE text OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
    execute_process(COMMAND ${GIT_EXECUTABLE} -C ${SOURCE} rev-list --count HEAD
                    OUTPUT_VARIABLE count OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE count_failed)
    if(failed EQUAL 0 AND count_failed EQUAL 0)
      set(commit "${text}")
      set(number "${count}")
    endif()
  endif()
  set(content "#pragma once\n#include <cstdint>\n")
  string(APPEND content "inline constexpr const char* kBuildCommit = \"${commit}\";\n")
  string(APPEND content "inline constexpr std::int64_t kBuildNumber = ${number};\n")
  set(before "")
  if(EXISTS ${OUT})
    file(READ ${OUT} before)
  endif()
  if(NOT before STREQUAL content)
    file(WRITE ${OUT} "${content}")
  endif()
  return()
endif()

set(minke_commit_script ${CMAKE_CURRENT_LIST_FILE})

# Depends on the log of HEAD, so that nothing runs while there is no new commit.
function(minke_commit_header out)
  set(log "")
  find_package(Git QUIET)
  if(GIT_FOUND)
    execute_process(COMMAND ${GIT_EXECUTABLE} -C ${PROJECT_SOURCE_DIR} rev-parse --git-path logs/HEAD
                    OUTPUT_VARIABLE log OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    get_filename_component(log "${log}" ABSOLUTE BASE_DIR ${PROJECT_SOURCE_DIR})
    if(NOT EXISTS "${log}" OR IS_DIRECTORY "${log}")
      set(log "")
    endif()
  endif()
  add_custom_command(OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DSOURCE=${PROJECT_SOURCE_DIR} -P ${minke_commit_script}
    DEPENDS ${log} ${minke_commit_script} COMMENT "Naming the commit" VERBATIM)
  set_source_files_properties(cli/version.cc PROPERTIES OBJECT_DEPENDS ${out})
endfunction()
