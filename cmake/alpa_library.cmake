# One folder of src/alpa = one static library + one test program. New files need no edit here: they are globbed, and
# Ninja looks for new ones at each build.
#
#   alpa_library(plan DEPS sharding ir PACKAGES nlohmann_json::nlohmann_json)
#
#   *.cc               target alpa_plan (static, position independent)
#   *_test.cc          build/tests/alpa_plan_test, one ctest per TEST, label unit
#   *_engine_test.cc   build/tests/alpa_plan_engine_test, label engine: may open libalpa_xla.so; not built without XLA
#
# A folder that has no sources yet is an empty library.
include(GoogleTest)

add_custom_target(alpa_unit_tests)    # everything that `ctest -L unit` runs
add_custom_target(alpa_engine_tests)  # everything that `ctest -L engine` runs

# What nearly every file includes, compiled once for libraries and once, with GTest, for test programs. Files include it all
# the same: tools/check_own_headers compiles them without.
set(ALPA_HEADERS <fmt/format.h> <algorithm> <functional> <map> <memory> <optional> <string> <vector>)

# Warnings, and precompiled headers: those of target `like`, or (without it) HEADERS of its own.
function(alpa_compile name)
  cmake_parse_arguments(ARG "" "LIKE" "HEADERS" ${ARGN})
  target_compile_options(${name} PRIVATE ${ALPA_WARNINGS} "SHELL:-Xclang -fno-pch-timestamp")  # the latter for ccache
  if(ARG_LIKE)
    target_precompile_headers(${name} REUSE_FROM ${ARG_LIKE})
  else()
    target_precompile_headers(${name} PRIVATE ${ARG_HEADERS})
  endif()
endfunction()
file(WRITE ${PROJECT_BINARY_DIR}/headers.cc "")

add_library(alpa_headers STATIC ${PROJECT_BINARY_DIR}/headers.cc)
target_link_libraries(alpa_headers PRIVATE fmt::fmt)
alpa_compile(alpa_headers HEADERS ${ALPA_HEADERS})

add_executable(alpa_test_headers ${PROJECT_BINARY_DIR}/headers.cc)  # its code is made like that of tests
target_link_libraries(alpa_test_headers PRIVATE GTest::gmock GTest::gtest_main fmt::fmt spdlog::spdlog)
alpa_compile(alpa_test_headers HEADERS <gmock/gmock.h> <gtest/gtest.h> ${ALPA_HEADERS})

function(alpa_library folder)
  cmake_parse_arguments(ARG "" "" "DEPS;PACKAGES" ${ARGN})
  alpa_glob_folder()
  alpa_add_static(alpa_${folder} "${sources}")
  alpa_link(alpa_${folder} "${ARG_DEPS}" "${ARG_PACKAGES}")
  alpa_folder_tests(${folder} alpa_${folder} "${tests}" "${engine_tests}")
endfunction()

# Sets sources, tests and engine_tests to the files of the current folder.
macro(alpa_glob_folder)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  set(engine_tests ${sources})
  list(FILTER engine_tests INCLUDE REGEX "_engine_test\\.cc$")
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER tests EXCLUDE REGEX "_engine_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
endmacro()

# A static library of these sources; without sources an empty one.
function(alpa_add_static target sources)
  if(sources)
    add_library(${target} STATIC ${sources})
    target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(${target} PRIVATE fmt::fmt)
    alpa_compile(${target} LIKE alpa_headers)
  else()
    add_library(${target} INTERFACE)
    target_include_directories(${target} INTERFACE ${PROJECT_SOURCE_DIR}/src)
  endif()
endfunction()

# Links alpa_<dep> for each dep, and the packages; both are passed on to whoever links the target.
function(alpa_link target deps packages)
  get_target_property(type ${target} TYPE)
  set(scope PUBLIC)
  if(type STREQUAL "INTERFACE_LIBRARY")
    set(scope INTERFACE)
  endif()
  list(TRANSFORM deps PREPEND alpa_)
  target_link_libraries(${target} ${scope} ${deps} ${packages})
endfunction()

# The two test programs of a folder.
function(alpa_folder_tests folder library tests engine_tests)
  if(tests)
    alpa_test(alpa_${folder}_test SOURCES ${tests} LIBRARIES ${library})
  endif()
  if(engine_tests AND ALPA_WITH_XLA)
    alpa_test(alpa_${folder}_engine_test ENGINE SOURCES ${engine_tests} LIBRARIES ${library} alpa_xla_api)
  endif()
endfunction()

# A GTest program build/tests/<name>, its tests known to ctest. Runs with the project's root as working directory.
# ENGINE: it opens libalpa_xla.so, whose path it gets as ALPA_XLA_LIBRARY.
function(alpa_test name)
  cmake_parse_arguments(ARG "ENGINE" "" "SOURCES;LIBRARIES;PACKAGES" ${ARGN})
  if(ARG_ENGINE AND NOT ALPA_WITH_XLA)
    return()
  endif()
  add_executable(${name} ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_definitions(${name} PRIVATE ALPA_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE ${ARG_LIBRARIES} ${ARG_PACKAGES} GTest::gmock GTest::gtest_main fmt::fmt spdlog::spdlog)
  alpa_compile(${name} LIKE alpa_test_headers)
  if(ARG_ENGINE)
    add_dependencies(${name} alpa_xla)
    add_dependencies(alpa_engine_tests ${name})
    gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
      PROPERTIES LABELS engine TIMEOUT 600
                 ENVIRONMENT "ALPA_XLA_LIBRARY=${PROJECT_BINARY_DIR}/libalpa_xla.so;TF_CPP_MIN_LOG_LEVEL=2")
  else()
    add_dependencies(alpa_unit_tests ${name})
    gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
      PROPERTIES LABELS unit TIMEOUT 120)
  endif()
endfunction()
