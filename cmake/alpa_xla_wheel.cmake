# Target alpa_xla_wheel: XLA's headers and its two shared libraries, as ./dev unpacked them under ALPA_DEPS:
#   xla-<version>/include, xla-<version>/libtensorflow_{cc,framework}.so.2, llvm-headers-<major>/{llvm,llvm-c}
if(DEFINED ENV{XDG_CACHE_HOME} AND NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
  set(default_deps "$ENV{XDG_CACHE_HOME}/alpa")
else()
  set(default_deps "$ENV{HOME}/.cache/alpa")
endif()
set(ALPA_DEPS "${default_deps}" CACHE PATH "Folder into which ./dev unpacks XLA and the LLVM headers")

set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/pins.env)
file(STRINGS ${CMAKE_CURRENT_LIST_DIR}/pins.env pins REGEX "^[A-Z0-9_]+=")
foreach(pin ${pins})
  string(REGEX MATCH "^([A-Z0-9_]+)=(.*)$" _ ${pin})
  set(${CMAKE_MATCH_1} ${CMAKE_MATCH_2})
endforeach()
set(xla ${ALPA_DEPS}/xla-${XLA_WHEEL_VERSION})
set(llvm ${ALPA_DEPS}/llvm-headers-${LLVM_MAJOR})
foreach(file ${xla}/libtensorflow_cc.so.2 ${xla}/libtensorflow_framework.so.2 ${xla}/include/xla/shape.h
             ${llvm}/llvm/ADT/ArrayRef.h ${llvm}/llvm-c/Core.h)
  if(NOT EXISTS ${file})
    message(FATAL_ERROR "${file} is missing.\n./dev build installs it; to build without XLA: -DALPA_WITH_XLA=OFF")
  endif()
endforeach()

add_library(alpa_xla_wheel INTERFACE)
set(external ${xla}/include/external)
target_include_directories(alpa_xla_wheel SYSTEM INTERFACE
  ${xla}/include
  ${external}/llvm-project/mlir/include
  ${llvm}
  ${external}/highwayhash
  ${external}/farmhash_archive/src
  ${external}/com_google_protobuf/src
  ${external}/shardy
  ${external}/stablehlo
  ${xla}/include/xla/mlir_hlo)
target_compile_definitions(alpa_xla_wheel INTERFACE
  NDEBUG  # in debug builds too: the layout of tsl::AsyncValue differs without it
  LLVM_DISABLE_ABI_BREAKING_CHECKS_ENFORCING=1)
target_link_directories(alpa_xla_wheel INTERFACE ${xla})
target_link_libraries(alpa_xla_wheel INTERFACE -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2)
