# RE2 (BSD; Debian: libre2-dev), for the regular expressions of `run --vote`.
find_path(RE2_INCLUDE_DIR re2/re2.h)
find_library(RE2_LIBRARY re2)
if(NOT RE2_INCLUDE_DIR OR NOT RE2_LIBRARY)
  message(FATAL_ERROR "RE2 was not found (Debian: libre2-dev; script/bootstrap installs it)")
endif()
target_include_directories(minke_cli SYSTEM PRIVATE ${RE2_INCLUDE_DIR})
target_link_libraries(minke_cli PUBLIC ${RE2_LIBRARY})
