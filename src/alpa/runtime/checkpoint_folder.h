// How checkpoints lie in their folder: DIR/step-00000010, and .step-00000010.tmpPID while one is written or removed
// (.step-00000010.tmp while several processes write it).
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
// Where this process writes it, or where `writers` processes, which need one name, write it.
std::filesystem::path TemporaryCheckpointPath(const std::filesystem::path& dir, int64_t step, int writers = 1);

// Gives `temporary` the name `target`; a folder that was there is removed. kIo, with `target` as it was.
Status MoveIntoPlace(const std::filesystem::path& temporary, const std::filesystem::path& target);

// Removes a checkpoint such that an interruption does not leave half of it.
void RemoveCheckpoint(const CheckpointEntry& entry);

// Removes the temporary folders of processes that no longer run, of this one, and those without a number: whoever
// saves is the only run that does.
void RemoveStale(const std::filesystem::path& dir);

}  // namespace alpa::runtime
