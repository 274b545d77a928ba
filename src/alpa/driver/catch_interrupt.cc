#include "alpa/driver/catch_interrupt.h"

#include <atomic>

namespace alpa::driver {
namespace {

std::atomic<bool> interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free);  // it is set by a signal handler

}  // namespace

CatchInterrupt::CatchInterrupt() {
  interrupted = false;
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = true; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, &before_);
}

CatchInterrupt::~CatchInterrupt() { sigaction(SIGINT, &before_, nullptr); }

bool CatchInterrupt::caught() const { return interrupted; }

}  // namespace alpa::driver
