#include "alpa/ir/module.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <set>

#include "alpa/ir/builder.h"

namespace alpa::ir {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const Shape kVector{DType::kF32, {4}};

// a + b, a * b, and the sum of both: five ops, five values of the same numbers.
Module SumOfTwo() {
  GraphBuilder g("small");
  const ValueId a = g.Parameter(kVector, "a");                           // 0
  const ValueId b = g.At({"", "m.py", 3, "f"}).Parameter(kVector, "b");  // 1
  const ValueId sum = g.Add(a, b);                                       // 2
  const ValueId product = g.Multiply(a, b);                              // 3
  return g.Build({g.Add(sum, product)}, {{0, 1}});                       // 4
}

// ---------------------------------------------------------------- looking at a graph

TEST(Module, ListsUsersOncePerValue) {
  GraphBuilder g;
  const ValueId a = g.Parameter(kVector);
  const ValueId square = g.Multiply(a, a);
  const ValueId sum = g.Add(square, a);
  const auto users = Users(g.Build({sum}));
  EXPECT_THAT(users[static_cast<size_t>(a)], ElementsAre(1, 2));
  EXPECT_THAT(users[static_cast<size_t>(square)], ElementsAre(2));
  EXPECT_THAT(users[static_cast<size_t>(sum)], IsEmpty());
}

TEST(Module, DescribesOpsWithTheirSource) {
  const Module m = SumOfTwo();
  EXPECT_EQ(Describe(m, m.op(2)), "add 'add.2' at m.py:3 (f)");
  EXPECT_EQ(Describe(m, m.op(0)), "parameter 'parameter.0' at unknown source");
  EXPECT_EQ(LocationOf(m, m.op(0)), Location{});
  EXPECT_EQ(LocationOf(m, m.op(2)).line, 3);
}

TEST(Module, PrintsOneLinePerOp) {
  GraphBuilder g("step");
  const ValueId x = g.Parameter({DType::kF32, {2, 3}}, "x");
  const ValueId w = g.Parameter({DType::kF32, {3, 5}}, "w");
  const Module m = g.Build({g.Reduce(g.MatMul(x, w), {0, 1})});
  EXPECT_EQ(ToString(m),
            "module step\n"
            "  %0: f32[2,3] = parameter()  // parameter.0\n"
            "  %1: f32[3,5] = parameter()  // parameter.1\n"
            "  %2: f32[2,5] = dot(%0, %1) batch={}x{} contracting={1}x{0}  // dot.2\n"
            "  %3: f32[] = constant() value=0  // constant.3\n"
            "  %4: f32[] = reduce(%2, %3) dims={0,1} combiner=add  // reduce.4\n"
            "  return %4\n");
}

// ---------------------------------------------------------------- combiners

Op WithRegions(std::vector<Module> regions) {
  Op op;
  op.kind = OpKind::kReduce;
  op.name = "reduce.1";
  op.regions = std::move(regions);
  return op;
}

TEST(Combiner, IsTheSingleBinaryOp) {
  for (const OpKind kind : {OpKind::kAdd, OpKind::kMaximum, OpKind::kMultiply, OpKind::kAnd}) {
    EXPECT_EQ(CombinerOf(WithRegions({CombinerModule(kind, DType::kF32)})), kind);
  }
  GraphBuilder swapped;
  const ValueId a = swapped.Parameter({});
  const ValueId b = swapped.Parameter({});
  EXPECT_EQ(CombinerOf(WithRegions({swapped.Build({swapped.Add(b, a)})})), OpKind::kAdd);
}

TEST(Combiner, OfSelectAndScatterIsTheScatter) {
  const Op op = WithRegions({CombinerModule(OpKind::kCompare, DType::kF32), CombinerModule(OpKind::kAdd, DType::kF32)});
  EXPECT_EQ(CombinerOf(op), OpKind::kAdd);
}

TEST(Combiner, IsCustomForAnythingElse) {
  using Body = std::function<std::vector<ValueId>(GraphBuilder&, ValueId, ValueId)>;
  const std::pair<const char*, Body> cases[] = {
      {"overwrites: returns the second input", [](auto&, auto, auto b) { return std::vector{b}; }},
      {"reads one input twice", [](auto& g, auto a, auto) { return std::vector{g.Add(a, a)}; }},
      {"reads one input only", [](auto& g, auto a, auto) { return std::vector{g.Elementwise(OpKind::kNegate, {a})}; }},
      {"two ops", [](auto& g, auto a, auto b) { return std::vector{g.Add(g.Multiply(a, a), b)}; }},
      {"two results",
       [](auto& g, auto a, auto b) {
         return std::vector{g.Add(a, b), a};
       }},
      {"does not return what it computes",
       [](auto& g, auto a, auto b) {
         g.Add(a, b);
         return std::vector{a};
       }},
  };
  for (const auto& [what, body] : cases) {
    GraphBuilder g;
    const ValueId a = g.Parameter({});
    const ValueId b = g.Parameter({});
    EXPECT_EQ(CombinerOf(WithRegions({g.Build(body(g, a, b))})), OpKind::kCustomCall) << what;
  }
  GraphBuilder argmax;  // values and indices: four inputs
  for (int i = 0; i < 4; ++i) argmax.Parameter({});
  EXPECT_EQ(CombinerOf(WithRegions({argmax.Build({0, 1})})), OpKind::kCustomCall);
}

// ---------------------------------------------------------------- Verify

TEST(Module, VerifiesAGoodOne) {
  EXPECT_TRUE(Verify(SumOfTwo()).ok());
  EXPECT_TRUE(Verify(Module{}).ok());
}

TEST(Module, VerifyNamesEachViolation) {
  const std::pair<std::function<void(Module&)>, std::string> cases[] = {
      {[](Module& m) { m.ops[3].name = "add.2"; }, "two ops are named add.2"},
      {[](Module& m) { m.ops[2].operands[0] = 5; }, "add.2 reads value 5 which does not exist"},
      {[](Module& m) { m.ops[2].operands[0] = -1; }, "add.2 reads value -1 which does not exist"},
      {[](Module& m) { m.ops[2].operands[0] = 3; }, "add.2 reads a value that comes later"},
      {[](Module& m) { m.ops[2].operands[0] = 2; }, "add.2 reads a value that comes later"},  // its own
      {[](Module& m) { m.ops[2].results[0] = 5; }, "add.2 defines value 5 which does not exist"},
      {[](Module& m) { m.ops[2].results[0] = -1; }, "add.2 defines value -1 which does not exist"},
      {[](Module& m) { m.ops[2].results[0] = 1; }, "value 1 is not defined once, by add.2"},
      {[](Module& m) { m.values[2].producer = 3; }, "value 2 is not defined once, by add.2"},
      {[](Module& m) { m.values[2].index = 1; }, "value 2 is not defined once, by add.2"},
      {[](Module& m) { m.ops[2].results.push_back(2); }, "value 2 is not defined once, by add.2"},
      {[](Module& m) {
         m.values.push_back({kVector, 0, 0});
       },
       "value 5 is defined by no op"},
      {[](Module& m) {
         m.values.push_back({kVector, -1, 0}), m.inputs[0] = 5;
       },
       "value 5 is defined by no op"},
      {[](Module& m) { m.values[2].shape.dims[0] = -1; }, "value 2 has an extent below 0"},
      {[](Module& m) { m.ops[2].location = 1; }, "add.2 has no such location"},
      {[](Module& m) { m.ops[2].location = -2; }, "add.2 has no such location"},
      {[](Module& m) { m.inputs.pop_back(); }, "inputs and parameters differ in number"},
      {[](Module& m) { m.input_names.pop_back(); }, "inputs and their names differ in number"},
      {[](Module& m) { m.inputs[1] = 2; }, "an input is not a parameter"},
      {[](Module& m) { m.inputs[1] = 5; }, "an input is not a parameter"},
      {[](Module& m) { m.inputs[1] = -1; }, "an input is not a parameter"},
      {[](Module& m) { m.inputs[1] = 0; }, "an input occurs twice"},
      {[](Module& m) { m.outputs[0] = 5; }, "an output is not defined"},
      {[](Module& m) { m.outputs[0] = -1; }, "an output is not defined"},
      {[](Module& m) { m.aliases[0].input = 2; }, "an alias names an input or output that does not exist"},
      {[](Module& m) { m.aliases[0].output = 1; }, "an alias names an input or output that does not exist"},
      {[](Module& m) { m.aliases[0].output = -1; }, "an alias names an input or output that does not exist"},
      {[](Module& m) { m.donated_inputs = {2}; }, "a donated input does not exist"},
  };
  for (const auto& [breaks, what] : cases) {
    Module m = SumOfTwo();
    breaks(m);
    const Status status = Verify(m);
    ASSERT_FALSE(status.ok()) << what;
    EXPECT_EQ(status.error().code, Code::kInvalidInput);
    EXPECT_EQ(status.error().message, "graph 'small': " + what);
  }
}

TEST(Module, VerifyLooksIntoRegions) {
  GraphBuilder g("outer");
  const ValueId x = g.Parameter(kVector);
  Module m = g.Build({g.Reduce(x, {0})});
  EXPECT_TRUE(Verify(m).ok());
  m.ops.back().regions[0].outputs[0] = 9;
  EXPECT_EQ(Verify(m).error().message, "graph 'add': an output is not defined");
}

// ---------------------------------------------------------------- Fingerprint

TEST(Fingerprint, DoesNotDependOnNamesLocationsAndDeadOps) {
  const uint64_t original = Fingerprint(SumOfTwo());
  Module renamed = SumOfTwo();
  renamed.name = "other";
  renamed.input_names = {"params['w']", "x"};
  for (Op& op : renamed.ops) op.name = "other_" + op.name, op.location = -1;
  renamed.locations.clear();
  EXPECT_EQ(Fingerprint(renamed), original);

  GraphBuilder g;
  const ValueId a = g.Parameter(kVector);
  const ValueId b = g.Parameter(kVector);
  g.Subtract(a, b);  // nobody reads it
  EXPECT_EQ(Fingerprint(g.Build({g.Add(g.Add(a, b), g.Multiply(a, b))}, {{0, 1}})), original);
}

TEST(Fingerprint, DoesNotDependOnTheOrderOfIndependentOps) {
  GraphBuilder g;
  const ValueId a = g.Parameter(kVector);
  const ValueId b = g.Parameter(kVector);
  const ValueId product = g.Multiply(a, b);  // before the sum
  const ValueId sum = g.Add(a, b);
  EXPECT_EQ(Fingerprint(g.Build({g.Add(sum, product)}, {{0, 1}})), Fingerprint(SumOfTwo()));
}

TEST(Fingerprint, DoesNotDependOnTheOrderOfAliases) {
  GraphBuilder g;
  const ValueId a = g.Parameter(kVector);
  const ValueId b = g.Parameter(kVector);
  EXPECT_EQ(Fingerprint(g.Build({b, a}, {{0, 1}, {1, 0}})), Fingerprint(g.Build({b, a}, {{1, 0}, {0, 1}})));
  EXPECT_NE(Fingerprint(g.Build({b, a}, {{0, 1}, {1, 0}})), Fingerprint(g.Build({b, a}, {{0, 0}, {1, 1}})));
}

// Each change of SumOfTwo gives a fingerprint of its own.
TEST(Fingerprint, DependsOnKindsShapesConnectionsOutputsAndAliases) {
  const std::function<void(Module&)> changes[] = {
      [](Module&) {},
      [](Module& m) { m.ops[2].kind = OpKind::kSubtract; },
      [](Module& m) { m.values[2].shape.dtype = DType::kBF16; },
      [](Module& m) { m.values[2].shape.dims = {8}; },
      [](Module& m) {
        m.values[2].shape.dims = {4, 1};
      },
      [](Module& m) { m.values[0].shape.dims = {8}; },  // of an input
      [](Module& m) { std::swap(m.ops[2].operands[0], m.ops[2].operands[1]); },
      [](Module& m) { m.ops[2].operands[1] = 0; },
      [](Module& m) { m.ops[4].operands[0] = 3; },
      [](Module& m) { m.ops[2].operands.pop_back(); },
      [](Module& m) { m.outputs = {3}; },
      [](Module& m) {
        m.outputs = {4, 4};
      },
      [](Module& m) { m.aliases.clear(); },
      [](Module& m) { m.aliases[0].input = 0; },
      [](Module& m) { std::swap(m.inputs[0], m.inputs[1]); },
      [](Module& m) { m.ops[2].regions = {CombinerModule(OpKind::kAdd, DType::kF32)}; },
      [](Module& m) { m.ops[2].regions = {CombinerModule(OpKind::kMaximum, DType::kF32)}; },
  };
  std::set<uint64_t> seen;
  for (size_t i = 0; i < std::size(changes); ++i) {
    Module m = SumOfTwo();
    changes[i](m);
    EXPECT_TRUE(seen.insert(Fingerprint(m)).second) << "change " << i;
  }
}

// Which of an op's results is read matters: quotient and remainder are not the same.
TEST(Fingerprint, TellsResultsOfOneOpApart) {
  GraphBuilder g;
  const ValueId a = g.Parameter(kVector);
  const auto both = g.OpN(OpKind::kCustomCall, {a}, {kVector, kVector}, CustomCallAttr{"divmod", false, ""});
  EXPECT_NE(Fingerprint(g.Build({both[0]})), Fingerprint(g.Build({both[1]})));
}

// `base`, and for each field a copy in which that field alone differs.
template <typename T>
void AddVariants(std::vector<Attributes>& all, const T& base, std::vector<std::vector<int64_t> T::*> lists,
                 std::vector<int64_t T::*> numbers = {}) {
  all.emplace_back(base);
  for (const auto field : lists) {
    T changed = base;
    changed.*field = {5};
    all.emplace_back(changed);
  }
  for (const auto field : numbers) {
    T changed = base;
    changed.*field = 5;
    all.emplace_back(changed);
  }
}

TEST(Fingerprint, DependsOnEachFieldOfTheAttributes) {
  std::vector<Attributes> all = {std::monostate{}, TextAttr{"direction=GT"}, TextAttr{"direction=GE"}};
  AddVariants<DimsAttr>(all, {}, {&DimsAttr::dims});
  all.insert(all.end(), {DimsAttr{{0, 1}}, DimsAttr{{1, 0}}});
  AddVariants<DotAttr>(
      all, {}, {&DotAttr::lhs_batch, &DotAttr::rhs_batch, &DotAttr::lhs_contracting, &DotAttr::rhs_contracting});
  using Gather = GatherAttr;
  AddVariants<Gather>(all, {},
                      {&Gather::offset_dims, &Gather::collapsed_slice_dims, &Gather::start_index_map,
                       &Gather::operand_batching_dims, &Gather::start_indices_batching_dims, &Gather::slice_sizes},
                      {&Gather::index_vector_dim});
  using Scatter = ScatterAttr;
  AddVariants<Scatter>(
      all, {},
      {&Scatter::update_window_dims, &Scatter::inserted_window_dims, &Scatter::scatter_dims_to_operand_dims,
       &Scatter::input_batching_dims, &Scatter::scatter_indices_batching_dims},
      {&Scatter::index_vector_dim});
  AddVariants<SliceAttr>(all, {}, {&SliceAttr::start, &SliceAttr::limit, &SliceAttr::stride});
  AddVariants<PadAttr>(all, {}, {&PadAttr::low, &PadAttr::high, &PadAttr::interior});
  AddVariants<DynamicSliceAttr>(all, {}, {&DynamicSliceAttr::sizes});
  using Conv = ConvolutionAttr;
  AddVariants<Conv>(all, {}, {&Conv::lhs_spatial, &Conv::rhs_spatial, &Conv::out_spatial},
                    {&Conv::lhs_batch, &Conv::lhs_feature, &Conv::rhs_input_feature, &Conv::rhs_output_feature,
                     &Conv::out_batch, &Conv::out_feature, &Conv::feature_groups, &Conv::batch_groups});
  for (int64_t WindowDim::*field : {&WindowDim::size, &WindowDim::stride, &WindowDim::pad_low, &WindowDim::pad_high,
                                    &WindowDim::window_dilation, &WindowDim::base_dilation}) {
    WindowDim w;
    w.*field = 5;
    all.emplace_back(WindowAttr{{w}});
    all.emplace_back(WindowAttr{{WindowDim{}, w}});
    Conv convolution;
    convolution.window = {w};
    all.emplace_back(convolution);
  }
  WindowDim reversed;
  reversed.reversed = true;
  all.insert(all.end(), {WindowAttr{{WindowDim{}}}, WindowAttr{{reversed}}});
  all.insert(all.end(), {ConstantAttr{7, false, 0}, ConstantAttr{8, false, 0}, ConstantAttr{7, true, 1},
                         ConstantAttr{7, true, 2}, ConstantAttr{7, true, 0.0}, ConstantAttr{7, true, -0.0}});
  all.emplace_back(ConstantAttr{8, true, 1});  // as of 2^60 and 2^60 + 1, which are the same double
  all.insert(all.end(), {CustomCallAttr{"f", false, ""}, CustomCallAttr{"g", false, ""}, CustomCallAttr{"f", true, ""},
                         CustomCallAttr{"f", false, "x"}});

  std::set<uint64_t> seen;
  for (size_t i = 0; i < all.size(); ++i) {
    Module m = SumOfTwo();
    m.ops[2].attributes = all[i];
    EXPECT_TRUE(seen.insert(Fingerprint(m)).second) << "attribute " << i << "\n" << ToString(m);
  }
}

// Each value is read twice by the next op, so anything that walks paths instead of ops would take 2^30000 steps.
TEST(Fingerprint, TakesTimeLinearInTheNumberOfOps) {
  GraphBuilder g;
  ValueId x = g.Parameter(kVector);
  for (int i = 0; i < 30'000; ++i) x = g.Add(x, x);
  const Module m = g.Build({x});
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(Verify(m).ok());
  EXPECT_EQ(Fingerprint(m), Fingerprint(m));
  EXPECT_EQ(Users(m).size(), 30'001U);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));  // 0.1 s even with sanitizers
}

}  // namespace
}  // namespace alpa::ir
