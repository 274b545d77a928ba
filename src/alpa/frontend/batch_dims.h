// Where the batch lies in every value of a step: the analysis behind microbatches and data parallelism.
//
// Cut the batch into m equal blocks of examples. A value is then one of: the same for every block, itself cut into
// blocks, a sum over the blocks, something that is only known when those sums are complete, or none of these. That is
// sharding propagation over an axis of time, done for all m at once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/ir/module.h"
#include "alpa/ir/step.h"

namespace alpa::frontend {

enum class BatchKind : uint8_t {
  kNone,     // does not depend on the batch
  kBatched,  // block k of the value, along `dim`, follows from block k of the batch
  kPartial,  // the sum over k of what each block gives: an accumulation, or a linear function of one
  kReduced,  // follows from complete sums (or maxima, ...) over the batch
  kMixed,    // examples are mixed in some other way
};
std::string_view Name(BatchKind kind);  // "none", "batched", "partial", "reduced", "mixed"

struct BatchInfo {
  BatchKind kind = BatchKind::kNone;
  bool uses_state = false;  // depends on weights or other floating state, so it may cost a forward pass to know
  int dim = -1;             // batched: the dimension along which the blocks lie
  int level = 0;            // rounds of accumulation that must be complete before this value can be computed
  int64_t parts = 1;        // batched: the most blocks, and every legal number of blocks divides it
  ir::OpId origin = -1;     // partial, reduced, mixed: the op where the examples came together

  bool operator==(const BatchInfo&) const = default;
};
// "batched(dim 0, 16 parts)", "partial from op 12".
std::string ToString(const BatchInfo& info);

// Something on the way that matters for cutting the batch.
struct BatchEvent {
  enum class Kind : uint8_t {
    kNeedsComplete,  // `op` works on blocks but reads the complete value that `origin` sums up
    kFolded,         // `op` reduces over the batch by something that is not a sum
    kMixed,          // `op` mixes examples (`why`)
    kRegrouped,      // `op` puts examples together: `parts` blocks are possible, fewer than before
    kPosition,       // `op` combines block k with part k of a value that does not come from the batch (`origin`)
  };
  Kind kind = Kind::kMixed;
  ir::OpId op = -1;
  ir::OpId origin = -1;
  bool uses_state = false;  // needs-complete: the value read uses state
  bool random = false;      // position: the value read is made of random bits
  int64_t parts = 0;
  std::string why;    // what the op does, as the end of a sentence: "sorts along the batch"
  std::string inner;  // the op inside a loop or branch that is meant, described
};

struct BatchAnalysis {
  int64_t batch_size = 0;          // 0: no input carries a batch
  std::vector<int> input_dims;     // per input of the module: its batch dimension, -1 when it has none
  std::vector<BatchInfo> values;   // by ValueId
  std::vector<BatchEvent> events;  // in program order

  const BatchInfo& value(ir::ValueId v) const { return values[static_cast<size_t>(v)]; }
};

struct BatchOptions {
  // Batch dimension per input of the module, -1 for none; empty: inferred (InferBatchDims).
  std::vector<int> input_batch_dims;
  // The dimension that is the batch wherever inputs agree along it (`--batch-dim`); others follow by extent.
  std::optional<int> batch_dim;
};

// Which dimension of each batch input is the batch. The batch size is the extent that most batch inputs have as
// dimension 0, at least two, or else as dimension 0 or 1; inputs without that extent have no batch dimension (a
// learning rate, a random key). Where this reading mixes examples and the next best does not, the next best is taken,
// so that [time, batch] is recognised where the model tells them apart. State inputs get -1.
std::vector<int> InferBatchDims(const ir::Module& module, const std::vector<ir::InputRole>& roles);

// Propagates the batch through the module, in time linear in its size. kInvalidArgument when options do not fit the
// module, or give inputs different batch sizes.
Result<BatchAnalysis> AnalyzeBatch(const ir::Module& module, const std::vector<ir::InputRole>& roles,
                                   const BatchOptions& options);

}  // namespace alpa::frontend
