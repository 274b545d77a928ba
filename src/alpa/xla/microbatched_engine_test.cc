// Steps run as microbatches, with literal numbers. The models of tests/models are run by tests/golden_engine_test.cc.
#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "alpa/xla/engine_test_support.h"

namespace alpa::xla {
namespace {

constexpr int64_t kBatch = 12;

// In these steps all that has 12 somewhere has it as the batch.
MicrobatchSplit SplitTwelve(const ImportedStep& step, int64_t count) {
  MicrobatchSplit split{count, {}, false};
  for (const ir::Value& value : step.module.values) {
    int dim = -1;
    for (int d = 0; d < value.shape.rank(); ++d) {
      if (value.shape.dims[static_cast<size_t>(d)] == kBatch) dim = d;
    }
    split.batch_dims.push_back(dim);
  }
  return split;
}

ir::HostTensor Numbers(std::vector<int64_t> dims, float first = 0) {
  ir::HostTensor t(ir::Shape{ir::DType::kF32, std::move(dims)});
  std::iota(t.as<float>().begin(), t.as<float>().end(), first);
  return t;
}

ImportedStep Import(const std::string& text) { return Get(TheEngine().Import(text, {"step.mlir"})); }

class Microbatched : public testing::Test {
 protected:
  Result<std::unique_ptr<Executable>> Compile(const ImportedStep& step, int64_t count, bool per_microbatch = false) {
    MicrobatchSplit split = SplitTwelve(step, count);
    split.per_microbatch = per_microbatch;
    return client_->CompileMicrobatched(step, split, {});
  }

  std::unique_ptr<Array> Put(const ir::HostTensor& tensor) { return Get(client_->Put(tensor, {}, mesh_)); }

  std::vector<ir::HostTensor> Run(Executable& executable, const std::vector<ir::HostTensor>& inputs) {
    std::vector<std::unique_ptr<Array>> arrays;
    std::vector<Array*> arguments;
    for (const ir::HostTensor& input : inputs) {
      arrays.push_back(Put(input));
      arguments.push_back(arrays.back().get());
    }
    std::vector<ir::HostTensor> out;
    for (const auto& array : Get(executable.Run(arguments))) out.push_back(Get(array->ToHost()));
    return out;
  }
  std::vector<ir::HostTensor> Run(const std::string& text, int64_t count, const std::vector<ir::HostTensor>& inputs) {
    return Run(*Get(Compile(Import(text), count)), inputs);
  }

  std::string Refused(const std::string& text, Code code) {
    const auto result = Compile(Import(text), 3);
    EXPECT_FALSE(result.ok());
    if (result.ok()) return "";
    EXPECT_EQ(result.error().code, code);
    return ToString(result.error());
  }

  std::unique_ptr<Client> client_ = Get(TheEngine().CreateCpuClient(1));
  const cluster::Mesh mesh_ = cluster::MakeMesh({1});
};

class Counts : public Microbatched, public testing::WithParamInterface<int64_t> {};
INSTANTIATE_TEST_SUITE_P(Divisors, Counts, testing::Values(1, 2, 3, 12));

// w' = w + sum over the batch of x; loss = sum of all x. Donated, as a trainer does it.
TEST_P(Counts, SumsAreThoseByHand) {
  const ImportedStep step = Import(R"(
module @step { func.func public @main(%w: tensor<2xf32>, %x: tensor<12x2xf32>) -> (tensor<2xf32>, tensor<f32>) {
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  %g = stablehlo.reduce(%x init: %zero) applies stablehlo.add across dimensions = [0] : (tensor<12x2xf32>, tensor<f32>) -> tensor<2xf32>
  %n = stablehlo.add %w, %g : tensor<2xf32>
  %l = stablehlo.reduce(%x init: %zero) applies stablehlo.add across dimensions = [0, 1] : (tensor<12x2xf32>, tensor<f32>) -> tensor<f32>
  return %n, %l : tensor<2xf32>, tensor<f32>
} })");
  auto executable = Get(client_->CompileMicrobatched(step, SplitTwelve(step, GetParam()), {{{0, 0}}}));
  auto w = Put(Numbers({2}));
  auto x = Put(Numbers({12, 2}));
  for (int k = 1; k <= 3; ++k) {
    auto out = Get(executable->Run({w.get(), x.get()}));
    const ir::HostTensor next = Get(out[0]->ToHost());
    EXPECT_EQ(next.as<float>()[0], 0 + k * 132.0F);  // 0 + 2 + ... + 22 = 132
    EXPECT_EQ(next.as<float>()[1], 1 + k * 144.0F);  // 1 + 3 + ... + 23 = 144
    EXPECT_EQ(Get(out[1]->ToHost()).as<float>()[0], 276.0F);
    w = std::move(out[0]);
  }
}

// Every second example counts (1, 0, 1, 0, ...); each is divided by how many do: needed before the first is worked on.
TEST_P(Counts, ANumberOfTheWholeBatchIsThereBeforeItsExamples) {
  const auto out = Run(R"(
module @step { func.func public @main(%w: tensor<f32>, %x: tensor<12xf32>, %m: tensor<12xf32>) -> (tensor<f32>, tensor<12xf32>) {
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  %n = stablehlo.reduce(%m init: %zero) applies stablehlo.add across dimensions = [0] : (tensor<12xf32>, tensor<f32>) -> tensor<f32>
  %ns = stablehlo.broadcast_in_dim %n, dims = [] : (tensor<f32>) -> tensor<12xf32>
  %xm = stablehlo.multiply %x, %m : tensor<12xf32>
  %p = stablehlo.divide %xm, %ns : tensor<12xf32>
  %s = stablehlo.reduce(%p init: %zero) applies stablehlo.add across dimensions = [0] : (tensor<12xf32>, tensor<f32>) -> tensor<f32>
  %u = stablehlo.add %w, %s : tensor<f32>
  return %u, %p : tensor<f32>, tensor<12xf32>
} })",
                       GetParam(), [] {
                         ir::HostTensor mask(ir::Shape{ir::DType::kF32, {12}});
                         for (size_t i = 0; i < 12; i += 2) mask.as<float>()[i] = 1;
                         return std::vector<ir::HostTensor>{Numbers({}, 100), Numbers({12}), mask};
                       }());
  EXPECT_FLOAT_EQ(out[0].as<float>()[0], 105.0F);  // 100 + (0 + 2 + ... + 10) / 6
  EXPECT_FLOAT_EQ(out[1].as<float>()[4], 4.0F / 6);
  EXPECT_EQ(out[1].as<float>()[5], 0.0F);
}

// Entries of examples come out in their places, along whichever dimension; positions along the batch are those of the
// whole batch.
TEST_P(Counts, ResultsOfExamplesArePutTogether) {
  const auto out = Run(R"(
module @step { func.func public @main(%x: tensor<12x2xf32>) -> (tensor<12x2xf32>, tensor<2x12xf32>) {
  %i = stablehlo.iota dim = 0 : tensor<12x2xf32>
  %y = stablehlo.add %x, %i : tensor<12x2xf32>
  %t = stablehlo.transpose %y, dims = [1, 0] : (tensor<12x2xf32>) -> tensor<2x12xf32>
  return %y, %t : tensor<12x2xf32>, tensor<2x12xf32>
} })",
                       GetParam(), {Numbers({12, 2})});
  for (size_t i = 0; i < 12; ++i) {
    for (size_t j = 0; j < 2; ++j) {
      const auto expected = static_cast<float>(2 * i + j + i);
      EXPECT_EQ(out[0].as<float>()[2 * i + j], expected);
      EXPECT_EQ(out[1].as<float>()[12 * j + i], expected);
    }
  }
}

// Each microbatch takes its share of the bits that the whole batch draws, and the next key does not depend on them.
TEST_P(Counts, RandomBitsAreThoseOfTheWholeBatch) {
  constexpr const char* kDraw = R"(
module @step { func.func public @main(%key: tensor<2xui64>, %x: tensor<12xui32>) -> (tensor<2xui64>, tensor<12xui32>) {
  %k, %bits = stablehlo.rng_bit_generator %key, algorithm = THREE_FRY : (tensor<2xui64>) -> (tensor<2xui64>, tensor<12xui32>)
  %y = stablehlo.xor %x, %bits : tensor<12xui32>
  return %k, %y : tensor<2xui64>, tensor<12xui32>
} })";
  const std::vector<ir::HostTensor> inputs = {ir::HostTensor(ir::Shape{ir::DType::kU64, {2}}),
                                              ir::HostTensor(ir::Shape{ir::DType::kU32, {12}})};
  const ImportedStep step = Import(kDraw);
  // The bits do not come from the batch.
  MicrobatchSplit split = SplitTwelve(step, GetParam());
  for (const ir::Op& op : step.module.ops) {
    if (op.kind != ir::OpKind::kRngBitGenerator) continue;
    for (const ir::ValueId v : op.results) split.batch_dims[static_cast<size_t>(v)] = -1;
  }
  const auto out = Run(*Get(client_->CompileMicrobatched(step, split, {})), inputs);
  plan::Plan whole;
  whole.model_fingerprint = ir::Fingerprint(step.module);
  whole.mesh = mesh_;
  whole.inputs.resize(2);
  whole.outputs.resize(2);
  const auto expected = Run(*Get(client_->Compile(step, whole, {})), inputs);
  EXPECT_EQ(out, expected);
  const auto bits = expected[1].as<uint32_t>();
  EXPECT_NE(bits[0], bits[6]);
}

// Ops that XLA's partitioner would gather the batch for. The two largest entries of each row; its transform; and what a
// convolution in two groups sums over the batch (which lies in the feature dimension of its first operand).
TEST_P(Counts, OpsThatThePartitionerCannotCutAreCut) {
  const auto out = Run(R"(
module @step { func.func public @main(%x: tensor<12x4xf32>, %y: tensor<12x4xf32>) -> (tensor<12x2xf32>, tensor<12x2xi32>, tensor<12x3xcomplex<f32>>, tensor<1x2x4xf32>) {
  %v, %i = chlo.top_k(%x, k = 2) : tensor<12x4xf32> -> (tensor<12x2xf32>, tensor<12x2xi32>)
  %f = stablehlo.fft %x, type = RFFT, length = [4] : (tensor<12x4xf32>) -> tensor<12x3xcomplex<f32>>
  %xg = stablehlo.reshape %x : (tensor<12x4xf32>) -> tensor<12x2x2xf32>
  %xt = stablehlo.transpose %xg, dims = [1, 2, 0] : (tensor<12x2x2xf32>) -> tensor<2x2x12xf32>
  %yt = stablehlo.reshape %y : (tensor<12x4xf32>) -> tensor<1x12x4xf32>
  %c = stablehlo.convolution(%xt, %yt) dim_numbers = [b, 0, f]x[0, i, o]->[b, 0, f], window = {} {batch_group_count = 2 : i64, feature_group_count = 1 : i64} : (tensor<2x2x12xf32>, tensor<1x12x4xf32>) -> tensor<1x2x4xf32>
  return %v, %i, %f, %c : tensor<12x2xf32>, tensor<12x2xi32>, tensor<12x3xcomplex<f32>>, tensor<1x2x4xf32>
} })",
                       GetParam(), {Numbers({12, 4}), Numbers({12, 4})});
  for (size_t r = 0; r < 12; ++r) {
    EXPECT_EQ(out[0].as<float>()[2 * r], static_cast<float>(4 * r + 3));
    EXPECT_EQ(out[1].as<int32_t>()[2 * r], 3);
    EXPECT_EQ(out[1].as<int32_t>()[2 * r + 1], 2);
    const auto* numbers = reinterpret_cast<const float*>(out[2].bytes().data());
    EXPECT_FLOAT_EQ(numbers[6 * r], static_cast<float>(16 * r + 6));  // the sum of the row
  }
  // Group g: output features 2g and 2g+1, from x(example, feature 2g + s) and y(example, o).
  for (size_t s = 0; s < 2; ++s) {
    for (size_t o = 0; o < 4; ++o) {
      float expected = 0;
      for (size_t e = 0; e < 12; ++e) expected += static_cast<float>((4 * e + 2 * (o / 2) + s) * (4 * e + o));
      EXPECT_FLOAT_EQ(out[3].as<float>()[4 * s + o], expected) << s << " " << o;
    }
  }
}

// 256 + 1 is 256 in bf16; 256 + 11 is rounded but once when the sum has 32 bits, to 268.
TEST_F(Microbatched, ShortFloatsAreSummedInLongOnes) {
  ir::HostTensor ones(ir::Shape{ir::DType::kF32, {12}});
  for (float& x : ones.as<float>()) x = 1;
  ones.as<float>()[0] = 256;
  const auto out = Run(R"(
module @step { func.func public @main(%x: tensor<12xf32>) -> (tensor<f32>) {
  %zero = stablehlo.constant dense<0.0> : tensor<bf16>
  %b = stablehlo.convert %x : (tensor<12xf32>) -> tensor<12xbf16>
  %s = stablehlo.reduce(%b init: %zero) applies stablehlo.add across dimensions = [0] : (tensor<12xbf16>, tensor<bf16>) -> tensor<bf16>
  %f = stablehlo.convert %s : (tensor<bf16>) -> tensor<f32>
  return %f : tensor<f32>
} })",
                       12, {ones});
  EXPECT_EQ(out[0].as<float>()[0], 268.0F);
}

// Sums of 0..5 and 6..11 are 15 and 51; the means 2.5 and 8.5.
constexpr const char* kStatistics = R"(
module @step { func.func public @main(%w: tensor<1xf32>, %x: tensor<12xf32>) -> (tensor<f32>, tensor<12xf32>) {
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  %n = stablehlo.constant dense<12.0> : tensor<f32>
  %wr = stablehlo.reshape %w : (tensor<1xf32>) -> tensor<f32>
  %ws = stablehlo.broadcast_in_dim %wr, dims = [] : (tensor<f32>) -> tensor<12xf32>
  %h = stablehlo.multiply %x, %ws : tensor<12xf32>
  %s = stablehlo.reduce(%h init: %zero) applies stablehlo.add across dimensions = [0] : (tensor<12xf32>, tensor<f32>) -> tensor<f32>
  %m = stablehlo.divide %s, %n : tensor<f32>
  %ms = stablehlo.broadcast_in_dim %m, dims = [] : (tensor<f32>) -> tensor<12xf32>
  %c = stablehlo.subtract %h, %ms : tensor<12xf32>
  return %m, %c : tensor<f32>, tensor<12xf32>
} })";

TEST_F(Microbatched, StatisticsOfTheBatchAreRefusedUnlessThoseOfMicrobatchesWillDo) {
  const std::string message = Refused(kStatistics, Code::kUnsupported);
  EXPECT_NE(message.find("sums over the whole batch"), std::string::npos) << message;
  EXPECT_NE(message.find("--per-microbatch"), std::string::npos) << message;
  const auto out =
      Run(*Get(Compile(Import(kStatistics), 2, /*per_microbatch=*/true)), {Numbers({1}, 1), Numbers({12})});
  EXPECT_FLOAT_EQ(out[0].as<float>()[0], 5.5F) << "once per step it is that of the whole batch";
  EXPECT_FLOAT_EQ(out[1].as<float>()[0], 0 - 2.5F);
  EXPECT_FLOAT_EQ(out[1].as<float>()[11], 11 - 8.5F);
}

TEST_F(Microbatched, ExamplesThatNeedOneAnotherAreRefused) {
  const std::string message = Refused(R"(
module @step { func.func public @main(%x: tensor<12x2xf32>) -> (tensor<12x2xf32>) {
  %r = stablehlo.reverse %x, dims = [0] : tensor<12x2xf32>
  return %r : tensor<12x2xf32>
} })",
                                      Code::kUnsupported);
  EXPECT_NE(message.find("other examples"), std::string::npos) << message;
}

TEST_F(Microbatched, DimensionsMustFitTheStep) {
  const ImportedStep step = Import(kStatistics);
  MicrobatchSplit split = SplitTwelve(step, 5);
  auto refused = client_->CompileMicrobatched(step, split, {});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  EXPECT_NE(refused.error().message.find("5 microbatches: dimension 0 of f32[12]"), std::string::npos)
      << refused.error().message;
  split.batch_dims.pop_back();
  refused = client_->CompileMicrobatched(step, split, {});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
}

// A weight used twice: its two gradients, of 64 KiB each, are added up in one accumulator.
TEST_F(Microbatched, SumsOfSumsAreAccumulatedOnce) {
  const ImportedStep step = Import(R"(
module @step { func.func public @main(%w: tensor<128x128xf32>, %x: tensor<12x128xf32>, %y: tensor<12x128xf32>) -> (tensor<128x128xf32>) {
  %a = stablehlo.dot_general %x, %y, contracting_dims = [0] x [0] : (tensor<12x128xf32>, tensor<12x128xf32>) -> tensor<128x128xf32>
  %sx = stablehlo.sine %x : tensor<12x128xf32>
  %b = stablehlo.dot_general %sx, %y, contracting_dims = [0] x [0] : (tensor<12x128xf32>, tensor<12x128xf32>) -> tensor<128x128xf32>
  %g = stablehlo.add %a, %b : tensor<128x128xf32>
  %u = stablehlo.add %w, %g : tensor<128x128xf32>
  return %u : tensor<128x128xf32>
} })");
  const auto executable = Get(Compile(step, 2));
  const std::string text = Get(executable->HloText());
  const size_t begin = text.find("ENTRY");
  const std::string zeros = text.substr(begin, text.find("\n}", begin) - begin);
  EXPECT_EQ(zeros.find("f32[128,128]{1,0}, f32[128,128]"), std::string::npos) << zeros;
  EXPECT_GE(executable->stats().temporary_bytes, Bytes(65536));
}

// A loop that stays one, of 3 turns: w += sum over the batch of x * turn; and the examples have places, of which each
// turn reads one table for the whole batch.
TEST_P(Counts, LoopsGiveTheirSumsBehindThem) {
  const ImportedStep step = Get(TheEngine().Import(R"(
module @step { func.func public @main(%w: tensor<f32>, %x: tensor<12xf32>) -> (tensor<f32>, tensor<12xf32>) {
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  %first = stablehlo.constant dense<0> : tensor<i32>
  %table = stablehlo.iota dim = 0 : tensor<12xf32>
  %r:4 = stablehlo.while(%i = %first, %g = %zero, %y = %x, %t = %table) : tensor<i32>, tensor<f32>, tensor<12xf32>, tensor<12xf32>
    cond {
      %last = stablehlo.constant dense<3> : tensor<i32>
      %c = stablehlo.compare LT, %i, %last : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %c : tensor<i1>
    } do {
      %one = stablehlo.constant dense<1> : tensor<i32>
      %z = stablehlo.constant dense<0.0> : tensor<f32>
      %next = stablehlo.add %i, %one : tensor<i32>
      %turn = stablehlo.convert %next : (tensor<i32>) -> tensor<f32>
      %turns = stablehlo.broadcast_in_dim %turn, dims = [] : (tensor<f32>) -> tensor<12xf32>
      %p = stablehlo.multiply %x, %turns : tensor<12xf32>
      %s = stablehlo.reduce(%p init: %z) applies stablehlo.add across dimensions = [0] : (tensor<12xf32>, tensor<f32>) -> tensor<f32>
      %sum = stablehlo.add %g, %s : tensor<f32>
      %moved = stablehlo.add %y, %t : tensor<12xf32>
      stablehlo.return %next, %sum, %moved, %t : tensor<i32>, tensor<f32>, tensor<12xf32>, tensor<12xf32>
    }
  %u = stablehlo.add %w, %r#1 : tensor<f32>
  return %u, %r#2 : tensor<f32>, tensor<12xf32>
} })",
                                                   {"loop.mlir", /*max_unrolled_ops=*/0}));
  // The table does not come from the batch.
  MicrobatchSplit split = SplitTwelve(step, GetParam());
  for (const ir::Op& op : step.module.ops) {
    if (op.kind == ir::OpKind::kIota) split.batch_dims[static_cast<size_t>(op.results[0])] = -1;
    if (op.kind == ir::OpKind::kWhile) split.batch_dims[static_cast<size_t>(op.results.back())] = -1;
  }
  const auto out = Run(*Get(client_->CompileMicrobatched(step, split, {})), {Numbers({}, 100), Numbers({12})});
  EXPECT_EQ(out[0].as<float>()[0], 100 + 66 * (1 + 2 + 3));  // 0 + 1 + ... + 11 = 66
  for (size_t i = 0; i < 12; ++i) EXPECT_EQ(out[1].as<float>()[i], static_cast<float>(4 * i));
}

// What runs for each microbatch is as large as a microbatch.
TEST_F(Microbatched, NeedsLessMemory) {
  const ImportedStep step = Import(R"(
module @step { func.func public @main(%w: tensor<64x64xf32>, %x: tensor<12x256x64xf32>) -> (tensor<64x64xf32>) {
  %h = stablehlo.dot_general %x, %w, contracting_dims = [2] x [0] : (tensor<12x256x64xf32>, tensor<64x64xf32>) -> tensor<12x256x64xf32>
  %s = stablehlo.tanh %h : tensor<12x256x64xf32>
  %g = stablehlo.dot_general %x, %s, contracting_dims = [0, 1] x [0, 1] : (tensor<12x256x64xf32>, tensor<12x256x64xf32>) -> tensor<64x64xf32>
  %u = stablehlo.add %w, %g : tensor<64x64xf32>
  return %u : tensor<64x64xf32>
} })");
  const Bytes whole = Get(Compile(step, 1))->stats().temporary_bytes;
  const Bytes quarter = Get(Compile(step, 4))->stats().temporary_bytes;
  EXPECT_GE(whole, Bytes(12 * 256 * 64 * 4));
  EXPECT_LT(quarter.value, 0.6 * static_cast<double>(whole.value));
}

}  // namespace
}  // namespace alpa::xla
