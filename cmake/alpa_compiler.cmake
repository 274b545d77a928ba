# What holds for every file of ours: C++20, warnings are errors, lld, ccache, hidden symbols.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)  # the static libraries go into the program and into libalpa_xla.so
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  message(FATAL_ERROR "alpa is built with clang (XLA's headers and the precompiled header are tried with it only); "
                      "use ./dev build, or set CMAKE_CXX_COMPILER=clang++-14")
endif()

add_compile_options(-fcolor-diagnostics)
add_link_options(-fuse-ld=lld -Wl,--as-needed)
set(ALPA_WARNINGS -Wall -Wextra -Werror -Wshadow-uncaptured-local -Wnon-virtual-dtor -Woverloaded-virtual)

if(ALPA_SANITIZE)
  if(ALPA_WITH_XLA)
    message(FATAL_ERROR "ALPA_SANITIZE needs ALPA_WITH_XLA=OFF: the XLA wheel is not instrumented")
  endif()
  add_compile_options(-fsanitize=${ALPA_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${ALPA_SANITIZE})
endif()

# ccache serves translation units that use a precompiled header only with these settings (ccache manual, "Precompiled
# headers"); clang must then keep time stamps out of the .pch.
find_program(ALPA_CCACHE ccache)
if(ALPA_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${ALPA_CCACHE})
endif()
