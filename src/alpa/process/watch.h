// Notices when a process of the run has died or hangs, and then ends all others with one message that says who and
// where.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "alpa/base/result.h"
#include "alpa/base/units.h"
#include "alpa/process/activity.h"
#include "alpa/process/group.h"

namespace alpa::process {

struct WatchOptions {
  Seconds dead_after{8};  // without a sign of life; what is noticed then has ended all processes within 10 s
  // A run in which no activity changes for so long hangs; 0: never. Longer than the longest step, and than compiling.
  Seconds hang_limit{0};
  // Called before this process ends because of another one (or of Fail): removes half-written files. From the watch's
  // own thread, while all other threads still run.
  std::function<void()> before_ending;
  // SIGTERM, by which mpirun ends the others a second before it kills them, becomes a question to the watch: who died?
  // When nobody has, it is somebody's wish that all end: see OnSigterm.
  bool catch_sigterm = true;
  // How to print and how to end, for tests. The defaults write to stderr, and exit at once.
  std::function<void(const std::string& message)> print;
  std::function<void(int exit_status)> end;
};

// The watch of one process over all processes of a group; a thread of its own that sends signs of life ten times a
// second. While it lives a process that others believe dead or hanging does not stay: all end, with the exit status of
// kEnvironment, and the process of lowest rank that lives prints what happened.
class Watch {
 public:
  virtual ~Watch() = default;  // tells the others that this process ends as it should
  // What a worker thread of this process is doing; valid as long as the watch. Any number of workers.
  virtual Activity& AddActivity() = 0;
  // What to do about a SIGTERM that says nothing of a death: `wish` is called, once, from the watch's thread, and is to
  // see to it that the work ends in good order; a second SIGTERM ends this process. Null, as at first: so does the
  // first.
  virtual void OnSigterm(std::function<void()> wish) = 0;
  // Ends all processes because of an error of this one, which prints it; with the default `end` it does not return.
  virtual void Fail(const Error& error) = 0;
};

// Starts it; every process of `group` does. The watch uses a duplicate of the group.
std::unique_ptr<Watch> StartWatch(Group& group, const WatchOptions& options);

}  // namespace alpa::process
