#include "alpa/process/mailbox.h"

#include <algorithm>
#include <cstring>

namespace alpa::process {
namespace {

void HandOver(Arrival arrival, const std::shared_ptr<TransferState>& receive) {
  const bool fits = Fit(*receive, arrival.size);
  if (arrival.fetch != nullptr) {
    arrival.fetch(fits ? receive : nullptr);
  } else if (fits) {
    if (arrival.size > 0) std::memcpy(receive->into.data(), arrival.bytes.data(), arrival.size);
    Complete(*receive, Ok());
  }
}

}  // namespace

void Mailbox::Deliver(const Address& address, Arrival arrival) {
  std::unique_lock lock(mutex_);
  Queue& queue = queues_[address];
  if (queue.receives.empty()) {
    queue.arrivals.push_back(std::move(arrival));
    return;
  }
  const std::shared_ptr<TransferState> receive = std::move(queue.receives.front());
  queue.receives.pop_front();
  if (queue.receives.empty()) queues_.erase(address);
  lock.unlock();
  HandOver(std::move(arrival), receive);
}

void Mailbox::Post(const Address& address, const std::shared_ptr<TransferState>& receive) {
  std::unique_lock lock(mutex_);
  Queue& queue = queues_[address];
  receive->withdraw = [this, address, raw = receive.get()] { return Withdraw(address, raw); };
  if (queue.arrivals.empty()) {
    queue.receives.push_back(receive);
    return;
  }
  Arrival arrival = std::move(queue.arrivals.front());
  queue.arrivals.pop_front();
  if (queue.arrivals.empty()) queues_.erase(address);
  lock.unlock();
  HandOver(std::move(arrival), receive);
}

bool Mailbox::Withdraw(const Address& address, const TransferState* receive) {
  const std::lock_guard lock(mutex_);
  const auto queue = queues_.find(address);
  if (queue == queues_.end()) return false;
  auto& receives = queue->second.receives;
  const auto at = std::find_if(receives.begin(), receives.end(), [&](const auto& r) { return r.get() == receive; });
  if (at == receives.end()) return false;
  receives.erase(at);
  if (receives.empty()) queues_.erase(queue);
  return true;
}

}  // namespace alpa::process
