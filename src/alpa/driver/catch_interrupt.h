// Ctrl-C and kill as a wish, not as an end.
#pragma once

#include <signal.h>  // NOLINT(modernize-deprecated-headers): sigaction is POSIX

#include <utility>
#include <vector>

namespace alpa::driver {

// While it lives the first of `signals` only sets a flag, for a search to return its best so far or a run to save; the
// second one, of whichever kind, ends the program. Signals that were ignored stay so. At most one at a time.
class CatchInterrupt {
 public:
  explicit CatchInterrupt(const std::vector<int>& signals = {SIGINT});
  ~CatchInterrupt();
  CatchInterrupt(const CatchInterrupt&) = delete;
  CatchInterrupt& operator=(const CatchInterrupt&) = delete;

  bool caught() const { return signal() != 0; }
  // The signal that was caught; 0: none yet.
  int signal() const;
  // As if `signal` had come, for one that others listen to. From any thread.
  void Catch(int signal) const;

 private:
  std::vector<std::pair<int, struct sigaction>> before_;
};

}  // namespace alpa::driver
