// The cluster files that ship with alpa (data/clusters/*.toml), put into the program when it is built.
#pragma once

#include <span>
#include <string_view>

namespace alpa::cluster {

struct ShippedFile {
  std::string_view name;  // "p3.16xlarge"
  std::string_view text;  // TOML
};

// In alphabetical order.
std::span<const ShippedFile> ShippedFiles();

}  // namespace alpa::cluster
