# Cross-building the tests of base to engine for 64-bit Arm on Debian (g++-12-aarch64-linux-gnu); they run under
# qemu-user. Preset `arm64`. Programs for use are built on the machine itself, with the preset `release`.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++-12)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc-12)  # GoogleTest asks for one
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

# Boost is headers only here, and the build machine's will do, if its other headers stay out of sight.
set(minke_boost_parent /usr/include)
if(EXISTS /usr/local/include/boost/version.hpp)
  set(minke_boost_parent /usr/local/include)
endif()
set(minke_headers ${CMAKE_BINARY_DIR}/headers)
if(NOT EXISTS ${minke_headers}/boost)
  file(MAKE_DIRECTORY ${minke_headers})
  file(CREATE_LINK ${minke_boost_parent}/boost ${minke_headers}/boost SYMBOLIC)
endif()
set(Boost_NO_BOOST_CMAKE ON)
set(Boost_INCLUDE_DIR ${minke_headers} CACHE PATH "Boost's headers")

# GoogleTest from its source (Debian: googletest), as no package has it for another processor.
set(MINKE_GTEST_SOURCE /usr/src/googletest CACHE PATH "GoogleTest's source, built beside the tests")
