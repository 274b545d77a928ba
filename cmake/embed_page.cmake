# Writes a C++ file that holds the files of src/alpa/report/page: cmake -DFILES=a.js;b.css -DOUT=page_asset.cc -P embed_page.cmake
set(entries "")
list(SORT FILES)
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  file(READ ${file} text)
  string(APPEND entries "    {\"${name}\", R\"PAGE(${text})PAGE\"},\n")
endforeach()
file(WRITE ${OUT} "// Made by cmake/embed_page.cmake from src/alpa/report/page.
#include \"alpa/report/page_asset.h\"

#include \"alpa/base/result.h\"

namespace alpa::report {
namespace {
struct Asset {
  std::string_view name, text;
};
constexpr Asset kAssets[] = {
${entries}};
}  // namespace

std::string_view PageAsset(std::string_view name) {
  for (const Asset& asset : kAssets) {
    if (asset.name == name) return asset.text;
  }
  ALPA_CHECK(false, \"the page has this file\");
  return {};
}

}  // namespace alpa::report
")
