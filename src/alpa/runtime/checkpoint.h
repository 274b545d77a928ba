// The state of a run from disk: checked as a whole, then read in any blocks, whatever blocks it was written in.
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
#include "alpa/runtime/peers.h"
#include "alpa/runtime/safetensors.h"

namespace alpa::runtime {

// A checkpoint that has been checked as a whole.
class Checkpoint {
 public:
  // Opens the one in `folder` and checks that its files are what the manifest says, and every `of`-th of them from
  // number `part` on byte by byte, so that several processes can share that work. Errors as LoadCheckpoint.
  static Result<Checkpoint> Open(const std::filesystem::path& folder, const ir::Module& module,
                                 const ir::StepSignature& signature, const Siblings& siblings = {}, int part = 0,
                                 int of = 1);

  const CheckpointInfo& info() const { return manifest_.info; }
  // With the inputs of the model that it was opened for.
  const Manifest& manifest() const { return manifest_; }
  const std::filesystem::path& folder() const { return folder_; }
  // The value of state input `input` of the module: an InputProvider for Trainer. kIo, kCorrupt when the file has
  // changed.
  Result<ir::HostTensor> Value(int32_t input) const;
  // A block of state tensor number `tensor` (counted among the state inputs), which must lie in it; put together from
  // the stored blocks that it touches, of which only the rows (slices of the first dimension) needed are read. Errors
  // as Value.
  Result<ir::HostTensor> ReadBlock(size_t tensor, const Block& block) const;

 private:
  Checkpoint(std::filesystem::path folder, Manifest manifest, std::vector<SafetensorsFile> shards)
      : folder_(std::move(folder)), manifest_(std::move(manifest)), shards_(std::move(shards)) {}
  Status CheckShard(size_t shard) const;
  Result<const SafetensorsFile::Entry*> Find(const ManifestTensor& tensor, const ManifestBlock& stored) const;
  Result<ir::HostTensor> ReadStored(const ManifestTensor& tensor, const ManifestBlock& stored) const;

  std::filesystem::path folder_;
  Manifest manifest_;
  std::vector<SafetensorsFile> shards_;  // as manifest_.shards
};

// Opens the checkpoint of `step`, or the newest, in `dir` (or `dir` itself when it is one) and checks all of it: every
// checksum, and that it is of this model, or of a sibling with the same state. One tensor at a time is in memory.
// Changes nothing.
// kNotFound: no such folder, no checkpoint, or not of that step (the steps there are listed). kCorrupt (naming the
// file): manifest or shards missing, truncated or damaged. kMismatch: of another model, or no checkpoint of alpa.
// kUnsupported: of another version of alpa.
Result<Checkpoint> LoadCheckpoint(const std::filesystem::path& dir, std::optional<int64_t> step,
                                  const ir::Module& module, const ir::StepSignature& signature,
                                  const Siblings& siblings = {});

// A checkpoint to go on from, and what was wrong with the newer ones, newest first.
struct NewestSound {
  Checkpoint checkpoint;
  std::vector<Error> damaged;
};
// The newest checkpoint in `dir` that is not damaged. Each process of `peers` checks a part of the shards, and all take
// the same. Errors as LoadCheckpoint, those of the newest where all are damaged; one of another model is not skipped.
Result<NewestSound> LoadNewestSound(const std::filesystem::path& dir, const ir::Module& module,
                                    const ir::StepSignature& signature, const Siblings& siblings = {},
                                    const Peers& peers = {});

}  // namespace alpa::runtime
