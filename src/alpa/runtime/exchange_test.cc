#include "alpa/runtime/exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "alpa/process/memory_group.h"

namespace alpa::runtime {
namespace {

using ::testing::ElementsAre;

// The parts of one process.
class Parts : public xla::Array {
 public:
  Parts(std::vector<ir::HostTensor> parts, ir::Shape shape) : parts_(std::move(parts)), shape_(std::move(shape)) {}
  const ir::Shape& shape() const override { return shape_; }
  Status Wait() const override { return Ok(); }
  Result<ir::HostTensor> ToHost() const override { return parts_.front(); }
  Result<std::vector<ir::HostTensor>> ShardsToHost() const override { return parts_; }
  Result<std::vector<xla::ArrayBlock>> OwnBlocksToHost(size_t) const override {
    return Error{Code::kUnsupported, "nothing is saved", ""};
  }

 private:
  std::vector<ir::HostTensor> parts_;
  ir::Shape shape_;
};

// Keeps parts in host memory, and does nothing else.
class PartsClient : public xla::Client {
 public:
  std::string platform() const override { return "parts"; }
  int64_t device_count() const override { return 8; }
  Result<std::unique_ptr<xla::Executable>> Compile(const xla::ImportedStep&, const plan::Plan&,
                                                   const xla::CompileOptions&) override {
    return Error{Code::kUnsupported, "compiles nothing", ""};
  }
  Result<std::unique_ptr<xla::Executable>> CompileMicrobatched(const xla::ImportedStep&, const xla::MicrobatchSplit&,
                                                               const xla::CompileOptions&) override {
    return Error{Code::kUnsupported, "compiles nothing", ""};
  }
  Result<std::unique_ptr<xla::Array>> Put(const ir::HostTensor& tensor, const sharding::Spec&,
                                          const cluster::Mesh&) override {
    return std::unique_ptr<xla::Array>(std::make_unique<Parts>(std::vector<ir::HostTensor>{tensor}, tensor.shape()));
  }
  Result<std::unique_ptr<xla::Array>> PutParts(std::vector<ir::HostTensor> parts, const ir::Shape& shape,
                                               const sharding::Spec&, const cluster::Mesh&) override {
    return std::unique_ptr<xla::Array>(std::make_unique<Parts>(std::move(parts), shape));
  }
};

const ir::Shape kShape{ir::DType::kF32, {4, 2}};

ir::HostTensor Block(int64_t first_row, int64_t rows, int64_t first_column, int64_t columns) {
  ir::HostTensor out(ir::Shape{ir::DType::kF32, {rows, columns}});
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      out.as<float>()[static_cast<size_t>(r * columns + c)] =
          static_cast<float>(10 * (first_row + r) + first_column + c);
    }
  }
  return out;
}

std::vector<float> Floats(const ir::HostTensor& tensor) {
  return {tensor.as<float>().begin(), tensor.as<float>().end()};
}

// Stage 0 on mesh 0, stage 1 on mesh 1, each with one mesh axis.
PipelineSetup TwoStages(const MeshPlace& from, const MeshPlace& to) {
  PipelineSetup setup;
  setup.pipeline.meshes = 2;
  for (const MeshPlace& place : {from, to}) {
    PipelineStage stage;
    stage.layout.mesh = cluster::MakeMesh({static_cast<int64_t>(place.hosts) * place.devices});
    setup.pipeline.stages.push_back({static_cast<int32_t>(setup.stages.size()), 0, false});
    setup.stages.push_back(std::move(stage));
    setup.places.push_back(place);
  }
  return setup;
}

const sharding::Spec kRows = sharding::SplitDim(2, 0, 0), kColumns = sharding::SplitDim(2, 1, 0), kWhole;

TEST(Exchange, CopiesWithinOneProcess) {
  const PipelineSetup setup = TwoStages({0, 1, 2}, {0, 1, 2});
  Exchange exchange(setup, nullptr);
  const Route route = exchange.MakeRoute(0, 1, {0, 0}, kShape, kRows, kColumns);
  EXPECT_FALSE(route.same);
  PartsClient client;
  const auto moved = exchange.Copy(route, Parts({Block(0, 2, 0, 2), Block(2, 2, 0, 2)}, kShape), client);
  ASSERT_TRUE(moved.ok());
  const auto parts = (*moved)->ShardsToHost();
  EXPECT_THAT(Floats((*parts)[0]), ElementsAre(0, 10, 20, 30));
  EXPECT_THAT(Floats((*parts)[1]), ElementsAre(1, 11, 21, 31));
}

TEST(Exchange, SameMeshAndLayoutIsNoWork) {
  PipelineSetup setup = TwoStages({0, 1, 2}, {0, 1, 2});
  setup.pipeline.stages[1].mesh = 0;
  Exchange exchange(setup, nullptr);
  EXPECT_TRUE(exchange.MakeRoute(0, 1, {0, 0}, kShape, kRows, kRows).same);
  EXPECT_FALSE(exchange.MakeRoute(0, 1, {0, 0}, kShape, kRows, kWhole).same);
}

// Mesh 0: processes 0 and 1; mesh 1: processes 1 and 2, so that process 1 is on both sides. What arrives is whole in
// both, which takes a copy within the target.
TEST(Exchange, BetweenProcessesThatShareOne) {
  const PipelineSetup setup = TwoStages({0, 2, 1}, {1, 2, 1});
  process::RunInThreads(3, [&](process::Group& group) {
    Exchange exchange(setup, &group);
    const Route first = exchange.MakeRoute(0, 1, {0, 0}, kShape, kRows, kWhole);
    const Route second = exchange.MakeRoute(0, 1, {1, 1}, kShape, kRows, kColumns);
    const auto go_on = [] { return false; };
    PartsClient client;
    for (int microbatch = 0; microbatch < 3; ++microbatch) {
      if (exchange.IsHere(0)) {
        const Parts mine({Block(2 * group.rank(), 2, 0, 2)}, kShape);
        ASSERT_TRUE(exchange.Send(first, mine).ok());
        ASSERT_TRUE(exchange.Send(second, mine).ok());
      }
      if (!exchange.IsHere(1)) continue;
      // Routes do not wait for each other.
      const auto columns = exchange.Collect(second, client, go_on);
      const auto whole = exchange.Collect(first, client, go_on);
      ASSERT_TRUE(columns.ok() && whole.ok());
      EXPECT_THAT(Floats((*(*whole)->ShardsToHost())[0]), ElementsAre(0, 1, 10, 11, 20, 21, 30, 31));
      const auto column = static_cast<float>(group.rank() - 1);
      EXPECT_THAT(Floats((*(*columns)->ShardsToHost())[0]), ElementsAre(column, 10 + column, 20 + column, 30 + column));
    }
    EXPECT_TRUE(exchange.Flush(go_on).ok());
  });
}

TEST(Exchange, StopsWaitingWhenTheStepHasFailed) {
  const PipelineSetup setup = TwoStages({0, 1, 1}, {1, 1, 1});
  process::RunInThreads(2, [&](process::Group& group) {
    Exchange exchange(setup, &group);
    const Route route = exchange.MakeRoute(0, 1, {0, 0}, kShape, kWhole, kWhole);
    if (group.rank() == 0) return;  // never sends
    PartsClient client;
    const auto value = exchange.Collect(route, client, [] { return true; });
    ASSERT_FALSE(value.ok());
    EXPECT_EQ(value.error().code, Code::kEnvironment);
  });
}

}  // namespace
}  // namespace alpa::runtime
