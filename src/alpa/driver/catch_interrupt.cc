#include "alpa/driver/catch_interrupt.h"

#include <atomic>

namespace alpa::driver {
namespace {

std::atomic<int> caught_signal = 0;
static_assert(std::atomic<int>::is_always_lock_free);  // it is set by a signal handler

void Handle(int signal) {
  int none = 0;
  if (caught_signal.compare_exchange_strong(none, signal)) return;
  // The second: again, with nobody to catch it. It is delivered when this handler returns.
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

}  // namespace

CatchInterrupt::CatchInterrupt(const std::vector<int>& signals) {
  caught_signal = 0;
  for (const int signal : signals) {
    struct sigaction action {
    }, before{};
    action.sa_handler = Handle;
    sigaction(signal, &action, &before);
    if (before.sa_handler == SIG_IGN) sigaction(signal, &before, nullptr);
    before_.emplace_back(signal, before);
  }
}

CatchInterrupt::~CatchInterrupt() {
  for (const auto& [signal, before] : before_) sigaction(signal, &before, nullptr);
}

void CatchInterrupt::Catch(int signal) const {
  int none = 0;
  caught_signal.compare_exchange_strong(none, signal);
}

int CatchInterrupt::signal() const { return caught_signal; }

}  // namespace alpa::driver
