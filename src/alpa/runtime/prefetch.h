// Loads and uploads the next batches while the step runs.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/base/units.h"
#include "alpa/runtime/data_source.h"
#include "alpa/sharding/spec.h"
#include "alpa/xla/engine.h"

namespace alpa::runtime {

// One batch on the devices: an array per batch input.
struct DeviceBatch {
  std::vector<std::shared_ptr<xla::Array>> arrays;

  // As Trainer::Step takes them; valid as long as this object.
  std::vector<xla::Array*> pointers() const;
};

// A thread that takes batches from a source and puts them onto the devices, up to `depth` ahead. A constant source is
// uploaded once. Next() and position() are for one consumer thread.
class Prefetcher {
 public:
  // Begins at the source's position. `specs`: the layout of each batch input. `client` must outlive the result.
  // kEnvironment when no thread can be started.
  static Result<std::unique_ptr<Prefetcher>> Start(std::unique_ptr<DataSource> source, xla::Client& client,
                                                   std::vector<sharding::Spec> specs, cluster::Mesh mesh,
                                                   int depth = 2);
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;
  // Stops the thread after the batch it is working on.
  ~Prefetcher();

  // The next batch; waits for it. An error of the source or the upload arrives here behind the batches before it, and
  // again at each later call.
  Result<DeviceBatch> Next();
  // The position of the source behind the batch last handed out: where a resumed run goes on. Batches loaded ahead do
  // not count.
  int64_t position() const { return position_; }
  // How long Next() has waited altogether.
  Seconds waited() const { return waited_; }
  // The source's Describe() and batches_per_epoch().
  const std::string& description() const { return description_; }
  int64_t batches_per_epoch() const { return batches_per_epoch_; }

 private:
  Prefetcher(std::unique_ptr<DataSource> source, xla::Client& client, std::vector<sharding::Spec> specs,
             cluster::Mesh mesh, int depth);
  void Work();
  Result<DeviceBatch> Load();

  std::unique_ptr<DataSource> source_;  // the thread's
  xla::Client& client_;
  const std::vector<sharding::Spec> specs_;
  const cluster::Mesh mesh_;
  const size_t depth_;
  const bool constant_;
  const std::string description_;
  const int64_t batches_per_epoch_;
  int64_t position_;  // the consumer's
  Seconds waited_;    // the consumer's

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Result<DeviceBatch>> queue_;  // the last one may be an error, which is then never removed
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace alpa::runtime
