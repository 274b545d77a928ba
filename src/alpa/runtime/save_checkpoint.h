// The state of a run onto disk: DIR/step-00000010/{shard-00000-of-00004.safetensors, ..., manifest.json}, by one
// process or by several that share the file system.
//
// A checkpoint appears as a whole or not at all: all write into a hidden folder beside and flush; when all are done the
// first joins what they wrote into one manifest and renames the folder (docs/design/05-checkpoints.md).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/ir/module.h"
#include "alpa/ir/step.h"
#include "alpa/runtime/manifest.h"
#include "alpa/runtime/peers.h"
#include "alpa/runtime/safetensors.h"

namespace alpa::runtime {

// A block of state tensor number `tensor` (counted among the state inputs).
struct StateBlock {
  size_t tensor = 0;
  Block block;

  bool operator==(const StateBlock&) const = default;
};

// Each state tensor as one block: what a process writes that is alone.
std::vector<StateBlock> WholeState(const ir::Module& module, const ir::StepSignature& signature);

struct SaveOptions {
  int keep = 0;            // of the sound checkpoints of this model up to this step, only so many stay; 0: all
  Siblings siblings = {};  // whose checkpoints count as this model's
};

// Removes the oldest checkpoints of this model up to `step`, so that options.keep sound ones stay. Damaged ones do not
// count, so the last one that is good is never removed for one that is not.
void RemoveOldCheckpoints(const std::filesystem::path& dir, int64_t step, const ir::Module& module,
                          const SaveOptions& options);

// Writes the checkpoint of `info.step` into `dir`, which is made if need be. Each process gives the blocks it writes
// (all together hold each element of the state once, e.g. OwnedBlocks of its devices) and, by their number in that
// list, their values; all give the same `dir`, `info`, model and options. Returns the folder. A checkpoint of the same
// step and model is replaced, also a damaged one; kMismatch when that folder holds anything else. kIo with the reason
// (naming the file), `values`' errors, kInvalidInput when the blocks are not those of the state: then nothing has
// changed. All get the same outcome.
Result<std::filesystem::path> SaveCheckpoint(const std::filesystem::path& dir, const CheckpointInfo& info,
                                             const ir::Module& module, const ir::StepSignature& signature,
                                             const std::vector<StateBlock>& blocks, const TensorProvider& values,
                                             const SaveOptions& options = {}, const Peers& peers = {});

// The same of the whole state by one process; `state` gives state tensors by their number.
Result<std::filesystem::path> SaveCheckpoint(const std::filesystem::path& dir, const CheckpointInfo& info,
                                             const ir::Module& module, const ir::StepSignature& signature,
                                             const TensorProvider& state, const SaveOptions& options = {});

// To be asked before a run that will save into `dir`: kIo when it cannot be written or made, kMismatch when it holds
// checkpoints of another model that is no sibling. Creates nothing.
Status CheckCheckpointFolder(const std::filesystem::path& dir, const ir::Module& module, const Siblings& siblings = {});

}  // namespace alpa::runtime
