// Saves while training goes on.
#pragma once

#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "alpa/base/result.h"

namespace alpa::runtime {

// What a save leaves: the checkpoint's folder, or why there is none.
using SaveOutcome = Result<std::filesystem::path>;

// Runs one save at a time on a thread of its own. What it saves must be its own: a copy of the state in host memory,
// since the devices' is handed over to the next step. For one thread that uses it.
class BackgroundSaver {
 public:
  BackgroundSaver() = default;
  BackgroundSaver(const BackgroundSaver&) = delete;
  BackgroundSaver& operator=(const BackgroundSaver&) = delete;
  // Waits for the save that is under way.
  ~BackgroundSaver();

  // Whether a save is under way, for which Start() and Wait() would wait.
  bool busy() const;
  // Starts `save`, once the one before has ended. The error of that one, and then `save` is not run; kEnvironment when
  // no thread can be started.
  Status Start(std::function<SaveOutcome()> save);
  // The error of a save that has ended since the last call of Start, Poll or Wait. Does not wait.
  Status Poll();
  // Waits; the folder of the last save, nothing when there was none, or its error.
  Result<std::optional<std::filesystem::path>> Wait();

 private:
  Status Join();

  mutable std::mutex mutex_;
  bool running_ = false;                // under mutex_
  std::optional<SaveOutcome> outcome_;  // under mutex_; of a save whose thread may still have to be joined
  std::optional<std::filesystem::path> last_;
  std::thread thread_;
};

}  // namespace alpa::runtime
