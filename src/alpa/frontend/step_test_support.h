// Training steps written by hand, for tests.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "alpa/frontend/analyze_step.h"
#include "alpa/ir/builder.h"

namespace alpa::frontend {

struct TestStep {
  ir::Module module;
  StepAnalysis analysis;
};

inline TestStep AnalyzedStep(ir::Module module) {
  auto analysis = AnalyzeStep(module, {});
  EXPECT_TRUE(analysis.ok()) << (analysis.ok() ? "" : ToString(analysis.error()));
  return {std::move(module), *std::move(analysis)};
}

struct MlpOptions {
  int layers = 3;
  bool clip = false;   // gradients are divided by the root of the sum of their squares, as the optimizer reads them
  bool count = false;  // the learning rate depends on the number of steps so far, an input of its own
};

// h[k+1] = max(h[k] w[k], 0), [8, 4] by [4, 4]; the loss is the sum of the squares of the last. Gradients by hand;
// momentum. Inputs: params[k], moments[k], (count), batch['x']; outputs the same and the loss. A matrix product has 256
// FLOPs.
inline ir::Module MlpModule(const MlpOptions& options) {
  using ir::ValueId;
  const ir::Shape weight{ir::DType::kF32, {4, 4}};
  ir::GraphBuilder g("mlp");
  std::vector<ValueId> w, m;
  for (int k = 0; k < options.layers; ++k) w.push_back(g.Parameter(weight, "params[" + std::to_string(k) + "]"));
  for (int k = 0; k < options.layers; ++k) m.push_back(g.Parameter(weight, "moments[" + std::to_string(k) + "]"));
  const ValueId count = options.count ? g.Parameter({ir::DType::kF32, {}}, "count") : -1;
  const ir::Shape rows{ir::DType::kF32, {8, 4}};
  std::vector<ValueId> h = {g.Parameter(rows, "batch['x']")};
  std::vector<ValueId> z;
  for (const ValueId weights : w) {
    z.push_back(g.MatMul(h.back(), weights));
    h.push_back(g.Elementwise(ir::OpKind::kMaximum, {z.back(), g.Fill(rows, 0)}));
  }
  const ValueId loss = g.Reduce(g.Multiply(h.back(), h.back()), {0, 1});
  ValueId dh = g.Multiply(h.back(), g.Fill(rows, 2));
  std::vector<ValueId> dw(w.size());
  for (size_t k = w.size(); k-- > 0;) {
    const ValueId dz =
        g.Elementwise(ir::OpKind::kSelect, {g.Compare(z[k], g.Fill(rows, 0), "GT"), dh, g.Fill(rows, 0)});
    dw[k] = g.Dot(h[k], dz, {{}, {}, {0}, {0}});
    if (k > 0) dh = g.Dot(dz, w[k], {{}, {}, {1}, {1}});
  }
  if (options.clip) {
    ValueId sum = -1;
    for (const ValueId grad : dw) {
      const ValueId square = g.Reduce(g.Multiply(grad, grad), {0, 1});
      sum = sum < 0 ? square : g.Add(sum, square);
    }
    const ValueId norm = g.Elementwise(ir::OpKind::kSqrt, {sum});
    for (ValueId& grad : dw) grad = g.Divide(grad, g.Broadcast(norm, {4, 4}, {}));
  }
  const ValueId next = options.count ? g.Add(count, g.Scalar(1)) : -1;
  const ValueId rate = options.count ? g.Broadcast(g.Divide(g.Scalar(0.1), next), {4, 4}, {}) : g.Fill(weight, 0.1);
  std::vector<ValueId> outputs(2 * w.size());
  std::vector<ir::Alias> aliases;
  for (size_t k = 0; k < w.size(); ++k) {
    const ValueId moment = g.Add(g.Multiply(m[k], g.Fill(weight, 0.9)), dw[k]);
    outputs[k] = g.Subtract(w[k], g.Multiply(moment, rate));
    outputs[w.size() + k] = moment;
  }
  if (options.count) outputs.push_back(next);
  aliases.reserve(outputs.size());
  for (int32_t i = 0; i < static_cast<int32_t>(outputs.size()); ++i) aliases.push_back({i, i});
  outputs.push_back(loss);
  return g.Build(outputs, aliases);
}

inline TestStep MlpStep(const MlpOptions& options) { return AnalyzedStep(MlpModule(options)); }

// The input of this name.
inline int InputNamed(const ir::Module& module, const std::string& name) {
  for (size_t i = 0; i < module.input_names.size(); ++i) {
    if (module.input_names[i] == name) return static_cast<int>(i);
  }
  ADD_FAILURE() << "no input " << name;
  return 0;
}

}  // namespace alpa::frontend
