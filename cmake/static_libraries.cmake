# MINKE_STATIC: what is not part of the C library comes from archives, so that the program needs nothing but that.
option(MINKE_STATIC "Link third-party libraries and libstdc++ statically" OFF)
if(MINKE_STATIC)
  set(CMAKE_FIND_LIBRARY_SUFFIXES .a)
  set(OPENSSL_USE_STATIC_LIBS ON)
  set(Boost_USE_STATIC_LIBS ON)
  add_link_options(-static-libstdc++ -static-libgcc)
endif()
