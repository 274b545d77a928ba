// Where a run begins: the values of the step's inputs.
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

// Gives the initial value of each input when it is asked for, so that not all need be in memory. Immutable.
class InitialValues {
 public:
  virtual ~InitialValues() = default;
  // Of input `input` of the module, in exactly its shape. kNotFound when this source has no value for a batch input;
  // kCorrupt, kIo when a file is damaged.
  virtual Result<ir::HostTensor> Value(int32_t input) const = 0;
  // One sentence for reports: "gpt_tiny.json (init rules)".
  virtual std::string Describe() const = 0;
  // What this source calls the inputs; empty when it does not name them.
  virtual std::vector<std::string> names() const { return {}; }
};

// Opens what `source` names, and checks it against the module before any long work:
//   FILE.npz          members in/0000, in/0001, ... by index, as the golden files have them; f32 members serve for bf16
//                     inputs. kMismatch when the file holds samples only, or other shapes
//   FILE.json         the init rules in `args` (init_rule.h)
//   FILE.safetensors  by name (UniqueInputNames). All parameters must be there; master copies follow their parameter,
//                     other state that is missing begins at zero
//   random:SEED       rules read off the graph (guess_init.h)
// kInvalidArgument for anything else, kNotFound, kIo, kCorrupt, kInvalidInput, kMismatch naming the input.
// `module` and `signature` must outlive the result.
Result<std::unique_ptr<InitialValues>> OpenInitialValues(const std::string& source, const ir::Module& module,
                                                         const ir::StepSignature& signature);

// The values of all batch inputs, in order: what a run without data trains on.
Result<std::vector<ir::HostTensor>> InitialBatch(const InitialValues& values, const ir::StepSignature& signature);

}  // namespace alpa::runtime
