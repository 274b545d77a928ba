// The state of a run on disk: DIR/step-00000010/{state.safetensors, manifest.json}.
//
// A checkpoint appears as a whole or not at all: it is written to a hidden folder beside, flushed, and renamed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/ir/host_tensor.h"
#include "alpa/ir/module.h"
#include "alpa/ir/step.h"
#include "alpa/runtime/checkpoint_folder.h"
#include "alpa/runtime/manifest.h"
#include "alpa/runtime/safetensors.h"

namespace alpa::runtime {

struct SaveOptions {
  int keep = 0;  // of the checkpoints of this model up to this step, only so many stay; 0: all
};

// Writes the checkpoint of `info.step` into `dir`, which is made if need be; `state` gives the state tensors one after
// the other by their number among the state inputs. Returns its folder. A checkpoint of the same step and model is
// replaced; kMismatch when that folder holds anything else. kIo with the reason; then nothing has changed.
Result<std::filesystem::path> SaveCheckpoint(const std::filesystem::path& dir, const CheckpointInfo& info,
                                             const ir::Module& module, const ir::StepSignature& signature,
                                             const TensorProvider& state, const SaveOptions& options = {});

// A checkpoint that has been checked as a whole.
class Checkpoint {
 public:
  // Opens the one in `folder`. Errors as LoadCheckpoint.
  static Result<Checkpoint> Open(const std::filesystem::path& folder, const ir::Module& module,
                                 const ir::StepSignature& signature);

  const CheckpointInfo& info() const { return manifest_.info; }
  const Manifest& manifest() const { return manifest_; }
  const std::filesystem::path& folder() const { return folder_; }
  // The value of state input `input` of the module: an InputProvider for Trainer. kIo, kCorrupt when the file has
  // changed.
  Result<ir::HostTensor> Value(int32_t input) const;

 private:
  Checkpoint(std::filesystem::path folder, Manifest manifest, SafetensorsFile file)
      : folder_(std::move(folder)), manifest_(std::move(manifest)), file_(std::move(file)) {}
  Result<ir::HostTensor> Read(const ManifestTensor& tensor) const;

  std::filesystem::path folder_;
  Manifest manifest_;
  SafetensorsFile file_;
};

// Opens the checkpoint of `step`, or the newest, in `dir` (or `dir` itself when it is one) and checks all of it: every
// checksum, and that it is of this model. One tensor at a time is in memory. Changes nothing.
// kNotFound: no such folder, no checkpoint, or not of that step (the steps there are listed). kCorrupt (naming the
// file): manifest or tensors missing, truncated or damaged. kMismatch: of another model, or no checkpoint of alpa.
// kUnsupported: of another version of alpa.
Result<Checkpoint> LoadCheckpoint(const std::filesystem::path& dir, std::optional<int64_t> step,
                                  const ir::Module& module, const ir::StepSignature& signature);

// To be asked before a run that will save into `dir`: kIo when it cannot be written or made, kMismatch when it holds
// checkpoints of another model. Creates nothing.
Status CheckCheckpointFolder(const std::filesystem::path& dir, const ir::Module& module);

}  // namespace alpa::runtime
