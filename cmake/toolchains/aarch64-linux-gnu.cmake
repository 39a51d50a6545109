# Cross-building for 64-bit Arm on Debian (g++-12-aarch64-linux-gnu): the tests of base to engine (preset `arm64`), and the
# packages (`package-arm64`). What is built runs under qemu-user.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++-12)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc-12)  # GoogleTest asks for one
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)
# dpkg would name the machine that builds.
set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE arm64)
# The program's libraries, put there by script/lib/arm_libraries.sh; the tests do without.
get_filename_component(minke_libraries ${CMAKE_CURRENT_LIST_DIR}/../../build/libraries-arm64 ABSOLUTE)
set(CMAKE_FIND_ROOT_PATH ${minke_libraries} /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

# Boost and CLI11 are headers only here, and the build machine's will do, if its other headers stay out of sight.
set(minke_headers ${CMAKE_BINARY_DIR}/headers)
file(MAKE_DIRECTORY ${minke_headers})
foreach(minke_library boost CLI)
  foreach(minke_parent /usr/include /usr/local/include)
    if(EXISTS ${minke_parent}/${minke_library})
      file(CREATE_LINK ${minke_parent}/${minke_library} ${minke_headers}/${minke_library} SYMBOLIC)
    endif()
  endforeach()
endforeach()
set(Boost_NO_BOOST_CMAKE ON)
set(Boost_INCLUDE_DIR ${minke_headers} CACHE PATH "Boost's headers")

# GoogleTest from its source (Debian: googletest), as no package has it for another processor.
set(MINKE_GTEST_SOURCE /usr/src/googletest CACHE PATH "GoogleTest's source, built beside the tests")
