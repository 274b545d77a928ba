# Packages of the distribution (see the list in ./dev). Everything of XLA comes from alpa_xla_wheel.cmake instead;
# Debian's protobuf and abseil must not be linked beside it.
find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(GTest REQUIRED)
find_package(benchmark REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(Python3 REQUIRED COMPONENTS Interpreter)
