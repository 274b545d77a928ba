#include "alpa/runtime/prefetch.h"

#include <fmt/format.h>

#include <chrono>
#include <system_error>
#include <utility>

namespace alpa::runtime {

std::vector<xla::Array*> DeviceBatch::pointers() const {
  std::vector<xla::Array*> out;
  out.reserve(arrays.size());
  for (const auto& array : arrays) out.push_back(array.get());
  return out;
}

Prefetcher::Prefetcher(std::unique_ptr<DataSource> source, xla::Client& client, std::vector<sharding::Spec> specs,
                       cluster::Mesh mesh, int depth)
    : source_(std::move(source)),
      client_(client),
      specs_(std::move(specs)),
      mesh_(std::move(mesh)),
      depth_(static_cast<size_t>(depth)),
      constant_(source_->constant()),
      description_(source_->Describe()),
      batches_per_epoch_(source_->batches_per_epoch()),
      position_(source_->position()) {
  ALPA_CHECK(depth >= 1);
}

Result<std::unique_ptr<Prefetcher>> Prefetcher::Start(std::unique_ptr<DataSource> source, xla::Client& client,
                                                      std::vector<sharding::Spec> specs, cluster::Mesh mesh,
                                                      int depth) {
  std::unique_ptr<Prefetcher> out(new Prefetcher(std::move(source), client, std::move(specs), std::move(mesh), depth));
  try {
    out->thread_ = std::thread([p = out.get()] { p->Work(); });
  } catch (const std::system_error& e) {
    return Error{Code::kEnvironment, fmt::format("cannot start a thread to load data: {}", e.what()), ""};
  }
  return out;
}

Prefetcher::~Prefetcher() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Prefetcher::Work() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stop_ || queue_.size() < depth_; });
      if (stop_) return;
    }
    Result<DeviceBatch> batch = Load();
    const bool last = constant_ || !batch.ok();
    {
      const std::lock_guard lock(mutex_);
      queue_.push_back(std::move(batch));
    }
    changed_.notify_all();
    if (last) return;
  }
}

Result<DeviceBatch> Prefetcher::Load() {
  ALPA_TRY(const std::vector<ir::HostTensor> tensors, source_->Next());
  ALPA_CHECK(tensors.size() == specs_.size(), "a layout per batch input");
  DeviceBatch batch;
  for (size_t i = 0; i < tensors.size(); ++i) {
    ALPA_TRY(std::unique_ptr<xla::Array> array, client_.Put(tensors[i], specs_[i], mesh_));
    batch.arrays.push_back(std::move(array));
  }
  return batch;
}

Result<DeviceBatch> Prefetcher::Next() {
  const auto start = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !queue_.empty(); });
  waited_ += Seconds(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  if (!queue_.front().ok()) return queue_.front().error();
  ++position_;
  if (constant_) return queue_.front();
  Result<DeviceBatch> batch = std::move(queue_.front());
  queue_.pop_front();
  lock.unlock();
  changed_.notify_all();
  return batch;
}

}  // namespace alpa::runtime
