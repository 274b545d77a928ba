// Training data in NumPy files.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/runtime/data_source.h"

namespace alpa::runtime {

// Opens one array per batch input, in the input's type and shape except that its batch dimension counts all examples
// (inputs without a batch dimension: exactly their shape, the same every step):
//   .npz files   members by the input's name or the last key of it ("ids" for "batch.ids"); by order when the inputs
//   have
//                no names. Several files are parts of one data set, one after the other
//   .npy files   one per input, called by the file's name without extension
// Each epoch goes through the examples in a permutation of its own, chosen by the seed. Arrays of up to 256 MiB are
// kept in memory, their checksums verified; larger stored ones are read example by example, without checksums.
// kMismatch (naming file and member, expected and got) for another type or trailing shape, arrays of different numbers
// of examples, fewer examples than one batch, or missing members; kInvalidArgument for a mixture of .npz and .npy;
// kNotFound, kIo, kCorrupt, kUnsupported as npz.h.
Result<std::unique_ptr<DataSource>> OpenArrayData(const std::vector<std::string>& paths, std::vector<BatchInput> inputs,
                                                  const DataOptions& options);

}  // namespace alpa::runtime
