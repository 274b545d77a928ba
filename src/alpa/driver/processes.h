// The processes of a run, as the commands see them: nothing special when there is one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "alpa/base/result.h"
#include "alpa/base/units.h"
#include "alpa/process/group.h"
#include "alpa/process/watch.h"
#include "alpa/runtime/peers.h"

namespace alpa::driver {

struct Processes {
  std::unique_ptr<process::Group> world;  // null: this process alone
  std::unique_ptr<process::Watch> watch;
  process::Activity* activity = nullptr;  // of the main thread

  int64_t count() const { return world == nullptr ? 1 : world->size(); }
  bool first() const { return world == nullptr || world->rank() == 0; }  // the one that prints and writes files
  // What the main thread is doing, for messages when a process dies or hangs; `waiting` (perhaps for others): it is not
  // to blame when nothing moves.
  void At(const std::string& text, bool waiting = false) const;
  // process::AgreeOn and AgreeOnValue.
  Status Agree(const Status& mine) const;
  Status AgreeOnValue(const std::string& what, const std::string& value) const;
  // The largest of the numbers that the processes give.
  Result<int> Largest(int mine) const;
  // For what they do together beside the rest, in a thread of its own; `name` must not be used twice.
  runtime::Peers Peers(std::string_view name) const;
  // While the result lives, a SIGTERM that says nothing of the death of another process calls `wish` instead of ending
  // all. Of one process alone: nothing.
  [[nodiscard]] std::shared_ptr<void> OnSigterm(std::function<void()> wish) const;
  // Of an error in the midst of what the processes do together: with several, ends all of them with it and does not
  // return.
  Status EndWith(const Status& status) const;
};

// Joins the other processes that mpirun or srun has started, if any, and watches over them: see process::WatchOptions.
// In all processes but the first what goes to stdout from then on is thrown away. Errors of process::OpenWorld.
Result<Processes> OpenProcesses(Seconds hang_limit, std::function<void()> before_ending);

// To be called at the end of a command with its outcome, on which the processes have agreed: the first one says it, and
// nobody says it again. Before they part, which an mpirun that is ending them may never let them do.
void SayOnce(const Processes& processes, const Status& outcome);

}  // namespace alpa::driver
