#include "alpa/cost/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace alpa::cost {
namespace {

using cluster::Cluster;
using cluster::MakeMesh;
using ir::DType;
using testing::AllOf;
using testing::HasSubstr;

Cluster Load(std::string_view name) {
  Result<Cluster> cluster = cluster::LoadCluster(name);
  EXPECT_TRUE(cluster.ok());
  return *std::move(cluster);
}

std::string Refusal(const Cluster& cluster, std::vector<int64_t> shape, int64_t first = 0) {
  const Result<Model> model = MakeModel(cluster, MakeMesh(std::move(shape)), first);
  EXPECT_FALSE(model.ok());
  return model.ok() ? "" : ToString(model.error());
}

TEST(MakeModel, RefusesAMeshLargerThanTheCluster) {
  EXPECT_EQ(Refusal(Load("p3.16xlarge"), {2, 8}),
            "mesh 2x8 on cluster p3.16xlarge: the mesh has 16 devices, the cluster 8");
  EXPECT_EQ(Refusal(Load("p3.16xlarge:2"), {2, 4}, 12),
            "mesh 2x4 on cluster p3.16xlarge:2: the mesh has 8 devices, the cluster 16 and the mesh begins at 12");
}

TEST(MakeModel, RefusesDevicesOfSeveralTypes) {
  Cluster mixed = Load("p3.16xlarge");
  const Cluster other = Load("p4d.24xlarge");
  mixed.device_types.insert(other.device_types.begin(), other.device_types.end());
  mixed.hosts.push_back(other.hosts[0]);
  mixed.hosts[1].name = "new";
  EXPECT_THAT(Refusal(mixed, {2, 8}), AllOf(HasSubstr("V100-16GB on host host0, A100-40GB on host new")));
  EXPECT_EQ(MakeModel(mixed, MakeMesh({8}))->device.name, "V100-16GB");
  EXPECT_EQ(MakeModel(mixed, MakeMesh({2, 4}), 8)->device.name, "A100-40GB");
}

TEST(MakeModel, RefusesBadMeshes) {
  EXPECT_THAT(Refusal(Load("p3.16xlarge"), {0}), HasSubstr("below 1"));
  EXPECT_THAT(Refusal(Load("p3.16xlarge"), {8}, -1), HasSubstr("begins at -1"));
  cluster::Mesh seven;
  for (char a = 'a'; a < 'h'; ++a) seven.axes.emplace_back(1, a), seven.shape.push_back(1);
  const Result<Model> model = MakeModel(Load("p3.16xlarge"), seven);
  ASSERT_FALSE(model.ok());
  EXPECT_THAT(model.error().message, HasSubstr("more than 6 axes"));
}

TEST(MakeModel, BeginsAtAnyDevice) {
  const Cluster cluster = Load("p3.16xlarge:2");
  EXPECT_EQ(MakeModel(cluster, MakeMesh({4}), 4)->paths, MakeModel(cluster, MakeMesh({4}))->paths);
  EXPECT_EQ(MakeModel(cluster, MakeMesh({8}), 4)->paths[1].outer, 2);  // 4 of each host
  EXPECT_EQ(MakeModel(cluster, MakeMesh({8}), 4)->paths[1].inner, 4);
}

// Two devices of each of two hosts: half as many share a network card as where all eight of each do.
TEST(MakeModel, OfPartsOfSeveralHosts) {
  const Cluster cluster = Load("p3.16xlarge:3");
  const Model part = *MakeModel(cluster, MakeMesh({2, 2}), Block{1, 2, 6, 2});
  const Model whole = *MakeModel(cluster, MakeMesh({2, 8}), Block{1, 2, 0, 8});
  EXPECT_EQ(part.paths[2], (Path{2, 1, whole.paths[2].within, part.paths[2].across, part.paths[2].exchange_beta}));
  EXPECT_EQ(part.paths[1].outer, 2);
  EXPECT_EQ(part.paths[3].inner, 2);
  EXPECT_DOUBLE_EQ(part.paths[1].across.beta * 4, whole.paths[1].across.beta);
  EXPECT_EQ(whole, *MakeModel(cluster, MakeMesh({2, 8}), 8));
}

TEST(MakeModel, Prints) {
  EXPECT_EQ(ToString(*MakeModel(Load("p3.16xlarge:2"), MakeMesh({2, 8}))),
            "mesh 2x8 of V100-16GB\n"
            "  x: 2 hosts, 30.00 us + 390.62 MB/s\n"
            "  y: 8 devices on a host, 1.25 us + 123.00 GB/s\n"
            "  xy: 8 devices on a host, 1.25 us + 123.00 GB/s; 2 hosts, 30.00 us + 390.62 MB/s\n");
}

TEST(MakeModel, IsAValue) {
  const Model model = *MakeModel(Load("p3.16xlarge"), MakeMesh({8}));
  Model copy = model;
  EXPECT_EQ(copy, model);
  copy.paths[1].inner = 4;
  EXPECT_NE(copy, model);
}

// ---------------------------------------------------------------- compute

Model Device() {
  Cluster c;
  c.device_types["D"] = {.name = "D",
                         .memory = Bytes(int64_t{1} << 30),
                         .memory_bandwidth = 1e12,
                         .matrix_flops = {{"f32", 10e12}, {"f16", 100e12}},
                         .vector_flops = 5e12,
                         .matrix_efficiency = 0.5,
                         .bandwidth_efficiency = 0.8,
                         .launch = Seconds(5e-6)};
  c.hosts.push_back({.name = "host", .device_type = "D", .devices = 1, .intra = {}, .network = {}});
  return *MakeModel(c, MakeMesh({1}));
}

TEST(ComputeTime, IsARoofline) {
  const Model model = Device();
  // 5e9 FLOP at half of 10 TFLOP/s: 1 ms.
  EXPECT_DOUBLE_EQ(ComputeTime(model, Flops(5e9), Bytes(1000), DType::kF32, true).value, 1e-3 + 5e-6);
  // 1.6 GB at 0.8 TB/s: 2 ms.
  EXPECT_DOUBLE_EQ(ComputeTime(model, Flops(5e9), Bytes(1'600'000'000), DType::kF32, true).value, 2e-3 + 5e-6);
  // No contraction: 5e9 FLOP at 5 TFLOP/s, whatever the type.
  EXPECT_DOUBLE_EQ(ComputeTime(model, Flops(5e9), Bytes(0), DType::kF32, false).value, 1e-3 + 5e-6);
  EXPECT_DOUBLE_EQ(ComputeTime(model, Flops(5e9), Bytes(0), DType::kF16, false).value, 1e-3 + 5e-6);
  EXPECT_EQ(ComputeTime(model, Flops(0), Bytes(0), DType::kF32, false).value, 0);
}

TEST(ComputeTime, FindsThePeakOfEachElementType) {
  const Model model = Device();  // f32 5, f16 50 TFLOP/s with efficiency
  auto rate = [&](DType dtype) {
    return 1e12 / (ComputeTime(model, Flops(1e12), Bytes(0), dtype, true) - model.device.launch).value;
  };
  EXPECT_NEAR(rate(DType::kF16), 50e12, 1e6);
  EXPECT_NEAR(rate(DType::kF32), 5e12, 1e6);
  EXPECT_NEAR(rate(DType::kBF16), 5e12, 1e6);       // as on V100: no bf16
  EXPECT_NEAR(rate(DType::kF8E4M3FN), 50e12, 1e6);  // computed in f16
  EXPECT_NEAR(rate(DType::kF64), 2.5e12, 1e6);
  EXPECT_NEAR(rate(DType::kS8), 5e12, 1e6);
  EXPECT_NEAR(rate(DType::kS32), 5e12, 1e6);
}

}  // namespace
}  // namespace alpa::cost
