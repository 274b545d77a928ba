#include "alpa/runtime/prefetch.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "alpa/runtime/fake_client.h"
#include "alpa/runtime/test_support.h"

namespace alpa::runtime {
namespace {

// Batch p is the number p; fails at batch `fail_at`.
class Counter : public DataSource {
 public:
  explicit Counter(int64_t fail_at = -1) : fail_at_(fail_at) {}
  std::string Describe() const override { return "numbers"; }
  int64_t batches_per_epoch() const override { return 100; }

 protected:
  Result<std::vector<ir::HostTensor>> Batch(int64_t position) override {
    if (position == fail_at_) return Error{Code::kCorrupt, "bad number", ""};
    return std::vector<ir::HostTensor>{S32({}, {static_cast<double>(position)})};
  }

 private:
  int64_t fail_at_;
};

std::unique_ptr<Prefetcher> Start(std::unique_ptr<DataSource> source, FakeClient& client, int depth = 2) {
  auto out = Prefetcher::Start(std::move(source), client, {{}}, cluster::MakeMesh({1}), depth);
  ALPA_CHECK(out.ok());
  return *std::move(out);
}

int32_t Number(const DeviceBatch& batch) { return batch.pointers()[0]->ToHost()->as<int32_t>()[0]; }

// Waits until the thread has done what it can; 10 s are given, a few ms are needed.
template <typename F>
void Await(F condition) {
  for (int i = 0; i < 10'000 && !condition(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_TRUE(condition());
}

TEST(Prefetcher, GivesTheBatchesInOrder) {
  FakeClient client;
  auto prefetcher = Start(std::make_unique<Counter>(), client);
  for (int32_t i = 0; i < 20; ++i) {
    const auto batch = prefetcher->Next();
    ASSERT_TRUE(batch.ok());
    EXPECT_EQ(Number(*batch), i);
    EXPECT_EQ(prefetcher->position(), i + 1);
  }
  EXPECT_EQ(prefetcher->description(), "numbers");
  EXPECT_EQ(prefetcher->batches_per_epoch(), 100);
}

TEST(Prefetcher, LoadsNoMoreThanItsDepthAhead) {
  FakeClient client;
  auto prefetcher = Start(std::make_unique<Counter>(), client, 3);
  Await([&] { return client.puts == 3; });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(client.puts, 3);
  EXPECT_EQ(prefetcher->position(), 0) << "batches loaded ahead do not count";
  ASSERT_TRUE(prefetcher->Next().ok());
  Await([&] { return client.puts == 4; });
}

TEST(Prefetcher, BeginsAtTheSourcesPosition) {
  FakeClient client;
  auto source = std::make_unique<Counter>();
  ASSERT_TRUE(source->Seek(7).ok());
  auto prefetcher = Start(std::move(source), client);
  EXPECT_EQ(Number(*prefetcher->Next()), 7);
  EXPECT_EQ(prefetcher->position(), 8);
}

TEST(Prefetcher, DeliversErrorsBehindTheBatchesBeforeThem) {
  FakeClient client;
  auto prefetcher = Start(std::make_unique<Counter>(2), client);
  EXPECT_EQ(Number(*prefetcher->Next()), 0);
  EXPECT_EQ(Number(*prefetcher->Next()), 1);
  for (int i = 0; i < 2; ++i) {
    const auto batch = prefetcher->Next();
    ASSERT_FALSE(batch.ok());
    EXPECT_EQ(batch.error().message, "bad number");
    EXPECT_EQ(prefetcher->position(), 2);
  }
}

TEST(Prefetcher, DeliversErrorsOfTheUpload) {
  FakeClient client;
  client.fail_after = 1;
  auto prefetcher = Start(std::make_unique<Counter>(), client);
  EXPECT_TRUE(prefetcher->Next().ok());
  EXPECT_EQ(prefetcher->Next().error().message, "out of device memory");
}

TEST(Prefetcher, StopsWhereverItIs) {
  for (int i = 0; i < 50; ++i) {
    FakeClient client;
    auto prefetcher = Start(std::make_unique<Counter>(i % 3), client, 1 + i % 2);
    if (i % 5 == 0) static_cast<void>(prefetcher->Next());
  }
}

TEST(Prefetcher, UploadsAConstantBatchOnce) {
  FakeClient client;
  auto prefetcher = Start(MakeFixedBatch({S32({}, {42})}, "fixed"), client);
  for (int64_t i = 1; i <= 5; ++i) {
    EXPECT_EQ(Number(*prefetcher->Next()), 42);
    EXPECT_EQ(prefetcher->position(), i);
  }
  EXPECT_EQ(client.puts, 1);
}

TEST(Prefetcher, MeasuresHowLongItWasWaitedFor) {
  FakeClient client;
  auto prefetcher = Start(std::make_unique<Counter>(), client);
  EXPECT_EQ(prefetcher->waited(), Seconds(0));
  ASSERT_TRUE(prefetcher->Next().ok());
  EXPECT_GT(prefetcher->waited(), Seconds(0));
}

}  // namespace
}  // namespace alpa::runtime
