// Ctrl-C as a wish, not as an end.
#pragma once

#include <signal.h>  // NOLINT(modernize-deprecated-headers): sigaction is POSIX

namespace alpa::driver {

// While it lives the first Ctrl-C only sets a flag, for a search to return its best so far; the second one ends the
// program as ever. At most one at a time.
class CatchInterrupt {
 public:
  CatchInterrupt();
  ~CatchInterrupt();
  CatchInterrupt(const CatchInterrupt&) = delete;
  CatchInterrupt& operator=(const CatchInterrupt&) = delete;

  bool caught() const;

 private:
  struct sigaction before_ {};
};

}  // namespace alpa::driver
