// The data a step trains on: one batch after the other.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/ir/host_tensor.h"
#include "alpa/ir/module.h"
#include "alpa/ir/step.h"

namespace alpa::runtime {

// A batch input of the step, as a data source sees it.
struct BatchInput {
  int32_t input = -1;  // its index among the module's inputs
  std::string name;    // empty: unknown
  ir::Shape shape;
  int batch_dim = -1;  // the dimension that counts examples; -1: the same array every step

  bool operator==(const BatchInput&) const = default;
};

// The batch inputs in order; batch_dims has an entry per input of the module (negative: none).
std::vector<BatchInput> BatchInputs(const ir::Module& module, const ir::StepSignature& signature,
                                    const std::vector<int>& batch_dims);

// An endless sequence of batches, each a tensor per batch input. What batch number `position` holds depends on the
// position alone, so that a run resumed at a position sees what it would have seen.
class DataSource {
 public:
  virtual ~DataSource() = default;

  // The batch at the present position, which then moves on by one; after an error it stays.
  Result<std::vector<ir::HostTensor>> Next();
  // How many batches came before the next one.
  int64_t position() const { return position_; }
  // Makes `position` (at least 0, else kInvalidArgument) the next batch.
  Status Seek(int64_t position);

  // What data this is, without its position: equal texts mean equal data. For reports and checkpoints.
  virtual std::string Describe() const = 0;
  // Batches until each example was seen once (a rest that fills no batch is left out, another one each epoch).
  virtual int64_t batches_per_epoch() const = 0;
  // Whether all batches are equal.
  virtual bool constant() const { return false; }

 protected:
  virtual Result<std::vector<ir::HostTensor>> Batch(int64_t position) = 0;

 private:
  int64_t position_ = 0;
};

// How many batches of another size come before the place in the same data that `position` batches come before, when an
// epoch is `per_epoch` batches of the one and `other_per_epoch` of the other size (both above 0): the same epoch and
// share of it, rounded up to a whole batch.
int64_t PositionInBatchesOf(int64_t position, int64_t per_epoch, int64_t other_per_epoch);

// The same batch every time: for golden runs and benchmarks. `description` says where it comes from.
std::unique_ptr<DataSource> MakeFixedBatch(std::vector<ir::HostTensor> batch, std::string description);

struct DataOptions {
  uint64_t seed = 0;  // chooses the order of the examples
};

// Opens the data at `paths` by their kind: .npz and .npy files as arrays (array_data.h), anything else, files and
// folders, as text (text_data.h). kInvalidArgument for no path or a mixture; the errors of those two.
Result<std::unique_ptr<DataSource>> OpenData(const std::vector<std::string>& paths, const ir::Module& module,
                                             const ir::StepSignature& signature, const std::vector<int>& batch_dims,
                                             const DataOptions& options);

}  // namespace alpa::runtime
