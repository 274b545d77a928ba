// Roles with and without donation, names and order. The model is always x[8,4] @ w[4,3] against y[8,3].
#include "alpa/frontend/assign_roles.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "alpa/ir/builder.h"

namespace alpa::frontend {
namespace {

using ir::Alias;
using ir::DType;
using ir::GraphBuilder;
using ir::Module;
using ir::OpKind;
using ir::Shape;
using ir::StepSignature;
using ir::ValueId;
using ::testing::HasSubstr;

const Shape kScalar{DType::kF32, {}};
const Shape kWeight{DType::kF32, {4, 3}};
const Shape kX{DType::kF32, {8, 4}};
const Shape kY{DType::kF32, {8, 3}};

struct Model {
  GraphBuilder g;
  ValueId error = -1;     // per example, [8,3]
  ValueId loss = -1;      // sum of squares
  ValueId gradient = -1;  // of w

  void Differentiate(ValueId w, ValueId x, ValueId y) {
    error = g.Subtract(g.MatMul(x, w), y);
    loss = g.Reduce(g.Multiply(error, error), {0, 1});
    gradient = g.Dot(x, error, {{}, {}, {0}, {0}});
  }
  // a * x + b * y.
  ValueId Blend(double a, ValueId x, double b, ValueId y) {
    const Shape shape = g.shape(x);
    return g.Add(g.Multiply(g.Fill(shape, a), x), g.Multiply(g.Fill(shape, b), y));
  }
  ValueId Descend(ValueId w, ValueId direction) {
    return g.Subtract(w, g.Multiply(g.Fill(g.shape(w), 0.1), direction));
  }
};

// "pbb" with p parameter, s state, b batch; and the outputs that update, e.g. "pbb 0 - -".
std::string Summary(const Module& module, const RoleOptions& options = {}) {
  const auto signature = AssignRoles(module, options);
  if (!signature.ok()) return ToString(signature.error());
  EXPECT_TRUE(Verify(*signature, module).ok());
  std::string roles;
  std::string updates;
  for (const ir::StepInput& input : signature->inputs) {
    roles += Name(input.role)[0];
    updates += input.updated_by < 0 ? " -" : " " + std::to_string(input.updated_by);
  }
  return roles + updates;
}

// sgd(w, x, y) -> (w', loss).
Module Sgd(const std::vector<std::string>& names, std::vector<Alias> aliases, bool loss_first = false) {
  Model m;
  const ValueId w = m.g.Parameter(kWeight, names[0]);
  const ValueId x = m.g.Parameter(kX, names[1]);
  const ValueId y = m.g.Parameter(kY, names[2]);
  m.Differentiate(w, x, y);
  const ValueId next = m.Descend(w, m.gradient);
  return m.g.Build(loss_first ? std::vector{m.loss, next} : std::vector{next, m.loss}, std::move(aliases));
}

TEST(AssignRoles, DonationTellsStateFromBatch) {
  const Module module = Sgd({"", "", ""}, {{0, 0}});
  EXPECT_EQ(Summary(module), "pbb 0 - -");
  const StepSignature signature = AssignRoles(module, {}).value();
  EXPECT_EQ(signature.loss, 1);
  EXPECT_TRUE(signature.inputs[0].donated);
  EXPECT_FALSE(signature.inputs[1].donated);
  EXPECT_EQ(signature.outputs[1].role, ir::OutputRole::kResult);
}

TEST(AssignRoles, WithoutDonationOrNames) {
  EXPECT_EQ(Summary(Sgd({"", "", ""}, {})), "pbb 0 - -");
  EXPECT_EQ(Summary(Sgd({"", "", ""}, {}, /*loss_first=*/true)), "pbb 1 - -");
}

// momentum(w, m, x, y) with the arguments and outputs in the orders given (0 w, 1 m, 2 x, 3 y; 0 w', 1 m', 2 loss).
Module Momentum(const std::vector<int>& arguments, const std::vector<int>& outputs, std::vector<Alias> aliases = {}) {
  Model m;
  const Shape shapes[] = {kWeight, kWeight, kX, kY};
  std::vector<ValueId> in(4);
  for (const int a : arguments) in[static_cast<size_t>(a)] = m.g.Parameter(shapes[a]);
  m.Differentiate(in[0], in[2], in[3]);
  const ValueId momentum = m.Blend(0.9, in[1], 1, m.gradient);
  const ValueId all[] = {m.Descend(in[0], momentum), momentum, m.loss};
  std::vector<ValueId> out;
  out.reserve(outputs.size());
  for (const int o : outputs) out.push_back(all[o]);
  return m.g.Build(out, std::move(aliases));
}

TEST(AssignRoles, OptimizerStateInAnyOrder) {
  EXPECT_EQ(Summary(Momentum({0, 1, 2, 3}, {0, 1, 2})), "psbb 0 1 - -");
  EXPECT_EQ(Summary(Momentum({0, 2, 3, 1}, {0, 1, 2})), "pbbs 0 - - 1");
  EXPECT_EQ(Summary(Momentum({2, 3, 0, 1}, {2, 0, 1})), "bbps - - 1 2");
  EXPECT_EQ(Summary(Momentum({0, 1, 2, 3}, {1, 0, 2})), "psbb 1 0 - -");  // outputs swapped
}

TEST(AssignRoles, AliasesPairedByShapeAloneAreCorrected) {
  // JAX gives output 0 (the momentum) the memory of the first donated input of its shape (the weight).
  EXPECT_EQ(Summary(Momentum({0, 1, 2, 3}, {1, 0, 2}, {{0, 0}, {1, 1}})), "psbb 1 0 - -");
}

TEST(AssignRoles, PartlyDonated) {
  EXPECT_EQ(Summary(Momentum({0, 1, 2, 3}, {0, 1, 2}, {{1, 1}})), "psbb 0 1 - -");
  Module module = Momentum({0, 1, 2, 3}, {0, 1, 2});
  module.donated_inputs = {0, 1};
  EXPECT_EQ(Summary(module), "psbb 0 1 - -");
  EXPECT_TRUE(AssignRoles(module, {})->inputs[1].donated);
}

TEST(AssignRoles, CountersAndKeysAreState) {
  Model m;
  const ValueId w = m.g.Parameter(kWeight);
  const ValueId count = m.g.Parameter({DType::kS32, {}});
  const ValueId key = m.g.Parameter({DType::kU32, {2}});
  const ValueId x = m.g.Parameter(kX);
  const ValueId y = m.g.Parameter(kY);
  m.Differentiate(w, x, y);
  const ValueId next_count = m.g.Add(count, m.g.Scalar(1, DType::kS32));
  const ValueId next_key = m.g.Reverse(key, {0});  // depends on the key, but not element by element
  EXPECT_EQ(Summary(m.g.Build({m.Descend(w, m.gradient), next_count, next_key, m.loss})), "pssbb 0 1 2 - -");
}

TEST(AssignRoles, LowPrecisionWeightsWithMaster) {
  // w is copied from its f32 master, which alone is carried on.
  Model m;
  const ValueId w = m.g.Parameter({DType::kBF16, {4, 3}});
  const ValueId master = m.g.Parameter(kWeight);
  const ValueId x = m.g.Parameter(kX);
  const ValueId y = m.g.Parameter(kY);
  m.Differentiate(m.g.Convert(w, DType::kF32), x, y);
  const ValueId next = m.Descend(master, m.gradient);
  EXPECT_EQ(Summary(m.g.Build({m.g.Convert(next, DType::kBF16), next, m.loss})), "psbb 0 1 - -");
}

TEST(AssignRoles, PreviousWeightsAreHistory) {
  Model m;
  const ValueId w = m.g.Parameter(kWeight);
  const ValueId previous = m.g.Parameter(kWeight);
  const ValueId x = m.g.Parameter(kX);
  const ValueId y = m.g.Parameter(kY);
  m.Differentiate(w, x, y);
  const ValueId next = m.g.Add(m.Descend(w, m.gradient), m.Blend(0.9, w, -0.9, previous));
  EXPECT_EQ(Summary(m.g.Build({next, w, m.loss})), "psbb 0 1 - -");
}

TEST(AssignRoles, ResultsPerExampleAreNoState) {
  Model m;
  const ValueId w = m.g.Parameter(kWeight);
  const ValueId x = m.g.Parameter(kX);
  const ValueId y = m.g.Parameter(kY);
  m.Differentiate(w, x, y);
  // The error has the shape of y, and is computed from it element by element.
  EXPECT_EQ(Summary(m.g.Build({m.Descend(w, m.gradient), m.loss, m.error})), "pbb 0 - -");
}

TEST(AssignRoles, ReconstructionIsNoState) {
  // An autoencoder's only batch input is x; it returns what it has made of it.
  Model m;
  const ValueId w = m.g.Parameter({DType::kF32, {4, 4}});
  const ValueId x = m.g.Parameter(kX);
  m.Differentiate(w, x, x);
  const ValueId reconstruction = m.g.MatMul(x, w);
  EXPECT_EQ(Summary(m.g.Build({m.Descend(w, m.gradient), m.loss, reconstruction})), "pb 0 -");
}

TEST(AssignRoles, WeightOfTheLossIsNoState) {
  Model m;
  const ValueId w = m.g.Parameter(kWeight);
  const ValueId x = m.g.Parameter(kX);
  const ValueId y = m.g.Parameter(kY);
  const ValueId scale = m.g.Parameter(kScalar);
  m.Differentiate(w, x, y);
  EXPECT_EQ(Summary(m.g.Build({m.Descend(w, m.gradient), m.g.Multiply(m.loss, scale)})), "pbbb 0 - - -");
}

TEST(AssignRoles, StepWithoutStateHasOnlyBatch) {
  Model m;
  const ValueId w = m.g.Parameter(kWeight);
  const ValueId x = m.g.Parameter(kX);
  const ValueId y = m.g.Parameter(kY);
  m.Differentiate(w, x, y);
  const Module module = m.g.Build({m.loss});
  EXPECT_EQ(Summary(module), "bbb - - -");
  EXPECT_EQ(AssignRoles(module, {})->loss, 0);
}

// Two counters go in, their product comes out.
Module Unclear(const std::string& a, const std::string& b) {
  GraphBuilder g;
  const ValueId p = g.Parameter({DType::kS32, {}}, a);
  const ValueId q = g.Parameter({DType::kS32, {}}, b);
  return g.Build({g.Multiply(p, q)});
}

TEST(AssignRoles, EquallyGoodReadingsAreListed) {
  const auto signature = AssignRoles(Unclear("", ""), {});
  ASSERT_FALSE(signature.ok());
  EXPECT_EQ(signature.error().code, Code::kAmbiguous);
  EXPECT_THAT(signature.error().message,
              HasSubstr("output 0 s32[] may be the next value of input 0 s32[] or of input 1 s32[]"));
  EXPECT_THAT(signature.error().hint, HasSubstr("--batch-args 1"));
}

TEST(AssignRoles, NamesBreakTies) {
  EXPECT_EQ(Summary(Unclear("state", "x")), "sb 0 -");
  EXPECT_EQ(Summary(Unclear("x", "state")), "bs - 0");
}

TEST(AssignRoles, RecurrentStateInARunIsAmbiguous) {
  // (w, h, x) -> (w', h', loss): h' has one row per example, as a result of the batch has.
  Model m;
  const ValueId w = m.g.Parameter(kWeight);
  const ValueId h = m.g.Parameter(kY);
  const ValueId x = m.g.Parameter(kX);
  m.Differentiate(w, x, h);
  const Module module = m.g.Build({m.Descend(w, m.gradient), m.g.Elementwise(OpKind::kTanh, {m.error}), m.loss});
  const auto signature = AssignRoles(module, {});
  ASSERT_FALSE(signature.ok());
  EXPECT_EQ(signature.error().code, Code::kAmbiguous);
  EXPECT_THAT(signature.error().message,
              HasSubstr("input 1 f32[8,3] may be batch, or state whose next value is output 1"));
  EXPECT_EQ(Summary(module, RoleOptions{{{2}}}), "ppb 0 1 -");
  EXPECT_EQ(Summary(module, RoleOptions{{{1, 2}}}), "pbb 0 - -");
}

TEST(AssignRoles, BatchArgsOverride) {
  EXPECT_EQ(Summary(Unclear("", ""), RoleOptions{{{0}}}), "bs - 0");
  EXPECT_EQ(Summary(Unclear("", ""), RoleOptions{{{1}}}), "sb 0 -");
  // Also against donation: a donated batch whose memory a result takes over.
  EXPECT_EQ(Summary(Sgd({"", "", ""}, {{0, 0}}), RoleOptions{{{0, 1, 2}}}), "bbb - - -");
}

TEST(AssignRoles, WrongBatchArgs) {
  const Module module = Sgd({"params['w']", "x", "y"}, {});
  const auto out_of_range = AssignRoles(module, RoleOptions{{{1, 7}}});
  ASSERT_FALSE(out_of_range.ok());
  EXPECT_EQ(out_of_range.error().code, Code::kInvalidArgument);
  EXPECT_THAT(out_of_range.error().message, HasSubstr("there is no input 7"));
  const auto not_updated = AssignRoles(module, RoleOptions{{{2}}});
  ASSERT_FALSE(not_updated.ok());
  EXPECT_EQ(not_updated.error().code, Code::kInvalidArgument);
  EXPECT_THAT(not_updated.error().message, HasSubstr("makes input 1 x f32[8,4] state, but no output is left"));
}

TEST(AssignRoles, LossIsTheForwardScalarThatCanBeDifferentiated) {
  Model m;
  const ValueId w = m.g.Parameter(kWeight);
  const ValueId x = m.g.Parameter(kX);
  const ValueId y = m.g.Parameter(kY);
  m.Differentiate(w, x, y);
  const ValueId hits = m.g.Convert(m.g.Compare(m.error, y, "LT"), DType::kF32);
  const ValueId accuracy = m.g.Reduce(hits, {0, 1});
  const ValueId weight_norm = m.g.Reduce(m.g.Multiply(w, w), {0, 1});
  const ValueId gradient_norm = m.g.Reduce(m.g.Multiply(m.gradient, m.gradient), {0, 1});
  const ValueId input_mean = m.g.Reduce(x, {0, 1});
  const Module module = m.g.Build({m.Descend(w, m.gradient), accuracy, weight_norm, gradient_norm, input_mean, m.loss});
  EXPECT_EQ(AssignRoles(module, {})->loss, 5);
}

TEST(AssignRoles, NameStacksTellAPieceOfTheForwardPassFromTheLoss) {
  Model m;
  const ValueId w = m.g.Parameter(kWeight);
  const ValueId x = m.g.Parameter(kX);
  const ValueId y = m.g.Parameter(kY);
  m.g.At({"jit(step)/jvp()/dot_general", "", 0, ""});
  const ValueId h = m.g.MatMul(x, w);
  const ValueId activations = m.g.Reduce(m.g.Multiply(h, h), {0, 1});
  const ValueId error = m.g.Subtract(m.g.MatMul(h, m.g.Fill({DType::kF32, {3, 3}}, 1)), y);
  const ValueId loss = m.g.Reduce(m.g.Multiply(error, error), {0, 1});
  m.g.At({"jit(step)/transpose(jvp())/dot_general", "", 0, ""});
  const ValueId gradient = m.g.Dot(x, error, {{}, {}, {0}, {0}});
  const ValueId norm = m.g.Reduce(m.g.Multiply(gradient, gradient), {0, 1});
  const Module module = m.g.Build({m.Descend(w, gradient), norm, activations, loss});
  EXPECT_EQ(AssignRoles(module, {})->loss, 3);
}

TEST(AssignRoles, WithoutALossWeightsAreWhatInfluencesOthers) {
  Model m;
  const ValueId w = m.g.Parameter(kWeight);
  const ValueId v = m.g.Parameter({DType::kF32, {4, 3}});
  const ValueId momentum = m.g.Parameter(kWeight);
  const ValueId x = m.g.Parameter(kX);
  const ValueId y = m.g.Parameter(kY);
  m.Differentiate(w, x, y);
  const ValueId next_v = m.Descend(v, m.g.Dot(x, m.g.Subtract(m.error, m.g.MatMul(x, v)), {{}, {}, {0}, {0}}));
  const ValueId next_m = m.Blend(0.9, momentum, 1, m.gradient);
  const Module module = m.g.Build({m.Descend(w, next_m), next_v, next_m}, {{0, 0}, {1, 1}, {2, 2}});
  const StepSignature signature = AssignRoles(module, {}).value();
  EXPECT_EQ(signature.loss, -1);
  EXPECT_EQ(Summary(module), "pssbb 0 1 2 - -");
}

TEST(AssignRoles, ManyLayersMatchInRuns) {
  // 50 layers of equal shapes: (w0..w49, m0..m49, x, y) -> (m', w', loss).
  constexpr int kLayers = 50;
  Model m;
  std::vector<ValueId> w(kLayers);
  std::vector<ValueId> momenta(kLayers);
  for (ValueId& v : w) v = m.g.Parameter(kWeight);
  for (ValueId& v : momenta) v = m.g.Parameter(kWeight);
  const ValueId x = m.g.Parameter(kX);
  const ValueId y = m.g.Parameter(kY);
  ValueId sum = w[0];
  for (int i = 1; i < kLayers; ++i) sum = m.g.Add(sum, m.g.Elementwise(OpKind::kTanh, {w[static_cast<size_t>(i)]}));
  m.Differentiate(sum, x, y);
  std::vector<ValueId> out;
  out.reserve(2 * kLayers + 1);
  for (int i = 0; i < kLayers; ++i) out.push_back(m.Blend(0.9, momenta[static_cast<size_t>(i)], 1, m.gradient));
  for (int i = 0; i < kLayers; ++i) out.push_back(m.Descend(w[static_cast<size_t>(i)], out[static_cast<size_t>(i)]));
  out.push_back(m.loss);
  const StepSignature signature = AssignRoles(m.g.Build(out), {}).value();
  for (int i = 0; i < kLayers; ++i) {
    EXPECT_EQ(signature.inputs[static_cast<size_t>(i)].updated_by, kLayers + i);
    EXPECT_EQ(signature.inputs[static_cast<size_t>(kLayers + i)].updated_by, i);
  }
}

}  // namespace
}  // namespace alpa::frontend
