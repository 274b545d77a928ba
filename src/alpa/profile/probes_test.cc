// The text of small programs, whole; that they compile and communicate as they should is tested with the engine
// (driver/time_probe_engine_test.cc).
#include "alpa/profile/probes.h"

#include <gtest/gtest.h>

#include <string>

namespace alpa::profile {
namespace {

int Count(const std::string& text, const std::string& what) {
  int n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

TEST(Probes, OneAddition) {
  EXPECT_EQ(Addition(8), R"(module @probe {
  func.func public @main(%w: tensor<8xf32> {tf.aliasing_output = 0 : i32}, %x: tensor<8xf32>) -> (tensor<8xf32>, tensor<f32>) {
    %zero = stablehlo.constant dense<0.0> : tensor<f32>
    %out = stablehlo.add %w, %x : tensor<8xf32>
    return %out, %zero : tensor<8xf32>, tensor<f32>
  }
}
)");
}

TEST(Probes, ChainsHaveAsManyLinksAsAsked) {
  EXPECT_EQ(Count(Products(4, 3, "bf16"), "dot_general"), 3);
  EXPECT_EQ(Count(Arithmetic(4, 5), "stablehlo.multiply"), 3);
  EXPECT_EQ(Count(Arithmetic(4, 5), "stablehlo.add"), 2);
  EXPECT_EQ(Count(Kernels(4, 6), "stablehlo.reduce("), 6);
  EXPECT_EQ(Count(Collectives(sharding::CollectiveKind::kAllReduce, 2, 8, 4), "stablehlo.reduce("), 4);
}

TEST(Probes, AllToAllIsOfTheWholeArray) {
  // 16 numbers on 2 devices: the state, the batch, and in the body a multiplication and an addition.
  const std::string text = Collectives(sharding::CollectiveKind::kAllToAll, 2, 16, 1);
  EXPECT_EQ(Count(text, "= stablehlo.multiply %w, %w : tensor<2x8xf32>"), 1);
  EXPECT_EQ(Count(text, "= stablehlo.add %m0, %x : tensor<2x8xf32>"), 1);
}

}  // namespace
}  // namespace alpa::profile
