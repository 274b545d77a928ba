# Writes a C++ file that holds data/clusters/*.toml: cmake -DFILES=a.toml;b.toml -DOUT=shipped.cc -P embed_clusters.cmake
set(entries "")
list(SORT FILES)
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  string(REGEX REPLACE "\\.toml$" "" name ${name})
  file(READ ${file} text)
  string(APPEND entries "    {\"${name}\", R\"TOML(${text})TOML\"},\n")
endforeach()
file(WRITE ${OUT} "// Made by cmake/embed_clusters.cmake from data/clusters/*.toml.
#include \"alpa/cluster/shipped.h\"

namespace alpa::cluster {
namespace {
constexpr ShippedFile kFiles[] = {
${entries}};
}  // namespace

std::span<const ShippedFile> ShippedFiles() { return kFiles; }

}  // namespace alpa::cluster
")
