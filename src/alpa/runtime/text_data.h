// Training data from text: next-byte prediction.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/ir/module.h"
#include "alpa/runtime/data_source.h"

namespace alpa::runtime {

// Reads text (corpus.h) for a model with two integer batch inputs of one shape [batch, seq]: the first gets windows of
// seq bytes, the second (or the one that is called labels, targets or y) the same windows one byte further. Windows do
// not overlap. Each epoch goes through them in a permutation of its own, chosen by the seed. kMismatch when the model
// has other batch inputs, distinguishes fewer values than the text has, or the text is shorter than one batch; and the
// errors of ReadCorpus.
Result<std::unique_ptr<DataSource>> OpenTextData(const std::vector<std::string>& paths,
                                                 const std::vector<BatchInput>& inputs, const ir::Module& module,
                                                 const DataOptions& options);

}  // namespace alpa::runtime
