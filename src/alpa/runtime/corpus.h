// Text files as one string of bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "alpa/base/result.h"

namespace alpa::runtime {

struct Corpus {
  std::string bytes;  // the files one after the other, a zero byte between them
  int64_t files = 0;
};

// Reads files and folders. Files are taken in the order given; folders with all that lies below, sorted by path,
// without hidden names, links, empty and binary files (those with a zero byte), and what builds leave behind (build,
// build-*, cmake-build-*, node_modules, target, __pycache__). kInvalidInput when a file that is named itself is binary,
// or there is no text at all; kNotFound, kIo; kUnsupported above 4 GiB.
Result<Corpus> ReadCorpus(const std::vector<std::string>& paths);

}  // namespace alpa::runtime
