// The processes that save or load one checkpoint together.
#pragma once

#include <functional>

#include "alpa/base/result.h"

namespace alpa::runtime {

// How this process agrees with the others; without them (the default) it agrees with itself. The functions are called
// by the thread that saves, by all processes in the same order: where that is a thread of its own (BackgroundSaver),
// they must not mix with what other threads communicate (a communicator of their own).
struct Peers {
  int rank = 0;   // of this process, 0 .. count - 1
  int count = 1;  // processes
  // The same outcome everywhere (process::AgreeOn): ok when all are; else the error of the first process that has one.
  // Returns when all have called it. An error when one of them is gone.
  std::function<Status(const Status& mine)> agree = [](const Status& mine) { return mine; };
};

}  // namespace alpa::runtime
