// How checkpoints lie in their folder: DIR/step-00000010, and .step-00000010.tmpPID while one is written or removed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "alpa/base/result.h"

namespace alpa::runtime {

struct CheckpointEntry {
  int64_t step = 0;
  std::filesystem::path folder;

  bool operator==(const CheckpointEntry&) const = default;
};

// The checkpoints in `dir` by step, not looked into. Unfinished ones are not listed. kNotFound when there is no such
// folder, kIo.
Result<std::vector<CheckpointEntry>> ListCheckpoints(const std::filesystem::path& dir);

// Where the checkpoint of `step` lies.
std::filesystem::path CheckpointPath(const std::filesystem::path& dir, int64_t step);
// Where this process writes it.
std::filesystem::path TemporaryCheckpointPath(const std::filesystem::path& dir, int64_t step);

// Gives `temporary` the name `target`; a folder that was there is removed. kIo, with `target` as it was.
Status MoveIntoPlace(const std::filesystem::path& temporary, const std::filesystem::path& target);

// Removes a checkpoint such that an interruption does not leave half of it.
void RemoveCheckpoint(const CheckpointEntry& entry);

// Removes the temporary folders of processes that no longer run, and of this one.
void RemoveStale(const std::filesystem::path& dir);

}  // namespace alpa::runtime
