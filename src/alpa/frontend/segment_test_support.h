// What must hold of segments of any step: shared by tests on small graphs and on whole models.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "alpa/frontend/segment.h"

namespace alpa::frontend {

// For each value a hash of the term it stands for, given those of the inputs: two values with the same term are equal.
inline std::vector<uint64_t> Terms(const ir::Module& module, const std::vector<uint64_t>& inputs) {
  auto mix = [](uint64_t a, uint64_t b) {
    return (a ^ (b + 0x9e3779b97f4a7c15ULL + (a << 6))) * 0xff51afd7ed558ccdULL;
  };
  std::vector<uint64_t> out(module.values.size(), 0);
  for (size_t i = 0; i < inputs.size(); ++i) out[static_cast<size_t>(module.inputs[i])] = inputs[i];
  for (const ir::Op& op : module.ops) {
    if (op.kind == ir::OpKind::kParameter) continue;
    uint64_t h = ir::Fingerprint(op);
    for (const ir::ValueId v : op.operands) h = mix(h, out[static_cast<size_t>(v)]);
    for (size_t r = 0; r < op.results.size(); ++r) out[static_cast<size_t>(op.results[r])] = mix(h, r);
  }
  return out;
}

inline std::vector<uint64_t> TermsOfStep(const ir::Module& module) {
  std::vector<uint64_t> inputs(module.inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) inputs[i] = 1000 + i;
  return Terms(module, inputs);
}

// Given the values of the step on its borders, the segment computes values of the step.
inline void ExpectTermsOfStep(const Segment& segment, const std::vector<uint64_t>& step) {
  std::vector<uint64_t> inputs;
  for (const ir::ValueId v : segment.module.inputs) {
    inputs.push_back(step[static_cast<size_t>(segment.value_origin[static_cast<size_t>(v)])]);
  }
  const std::vector<uint64_t> terms = Terms(segment.module, inputs);
  for (size_t v = 0; v < terms.size(); ++v) {
    ASSERT_EQ(terms[v], step[static_cast<size_t>(segment.value_origin[v])])
        << Describe(segment.module, segment.module.producer(static_cast<ir::ValueId>(v)));
  }
}

// The segments of the layers together are the step: every op once, every value that enters leaves another one.
inline void ExpectTogetherTheStep(const ir::Module& module, const Layering& layering,
                                  const std::vector<Segment>& segments) {
  auto is_copied = [&](ir::OpId op) {
    return layering.layer_of_op[static_cast<size_t>(op)] == -1 || module.op(op).kind == ir::OpKind::kParameter;
  };
  std::map<ir::OpId, int> times;
  std::set<std::pair<ir::ValueId, BorderKind>> given;
  size_t own_outputs = 0;
  for (const Segment& s : segments) {
    for (size_t i = 0; i < s.module.ops.size(); ++i) {
      if (s.module.ops[i].kind != ir::OpKind::kParameter) ++times[s.op_origin[i]];
    }
    for (size_t o = 0; o < s.module.outputs.size(); ++o) {
      given.insert({s.value_origin[static_cast<size_t>(s.module.outputs[o])], s.output_kinds[o]});
      own_outputs += s.output_kinds[o] == BorderKind::kOwn;
    }
  }
  for (size_t i = 0; i < module.ops.size(); ++i) {
    const auto id = static_cast<ir::OpId>(i);
    if (!is_copied(id)) EXPECT_EQ(times[id], 1) << Describe(module, module.op(id));
  }
  EXPECT_EQ(own_outputs, module.outputs.size());
  for (const Segment& s : segments) {
    for (size_t i = 0; i < s.module.inputs.size(); ++i) {
      EXPECT_EQ(s.input_layers[i] == -1, s.input_kinds[i] == BorderKind::kOwn);
      if (s.input_kinds[i] == BorderKind::kOwn) continue;
      EXPECT_TRUE(given.contains({s.value_origin[static_cast<size_t>(s.module.inputs[i])], s.input_kinds[i]}))
          << "nothing gives " << s.module.input_names[i] << " as " << Name(s.input_kinds[i]);
    }
  }
}

inline void ExpectValid(const Segment& segment) {
  const Status valid = ir::Verify(segment.module);
  ASSERT_TRUE(valid.ok()) << valid.error().message;
  const Status fits = ir::Verify(segment.signature, segment.module);
  ASSERT_TRUE(fits.ok()) << fits.error().message;
  ASSERT_EQ(segment.op_origin.size(), segment.module.ops.size());
  ASSERT_EQ(segment.value_origin.size(), segment.module.values.size());
  ASSERT_EQ(segment.phases.size(), segment.module.ops.size());
  ASSERT_EQ(segment.weight_gradient.size(), segment.module.ops.size());
  ASSERT_EQ(segment.input_kinds.size(), segment.module.inputs.size());
  ASSERT_EQ(segment.output_kinds.size(), segment.module.outputs.size());
  ASSERT_EQ(segment.input_layers.size(), segment.module.inputs.size());
  EXPECT_TRUE(std::is_sorted(segment.phases.begin() + static_cast<std::ptrdiff_t>(segment.module.inputs.size()),
                             segment.phases.end()))
      << "forward, backward, update";
  auto is_weight_gradient = [&](ir::ValueId v) {
    return segment.weight_gradient[static_cast<size_t>(segment.module.value(v).producer)] != 0;
  };
  for (size_t i = 0; i < segment.module.ops.size(); ++i) {
    if (segment.phases[i] != OpPhase::kBackward || segment.weight_gradient[i]) continue;
    for (const ir::ValueId v : segment.module.ops[i].operands) {
      EXPECT_FALSE(is_weight_gradient(v)) << "it can be delayed, but " << segment.module.ops[i].name << " reads it";
    }
  }
  for (size_t o = 0; o < segment.module.outputs.size(); ++o) {
    if (segment.output_kinds[o] == BorderKind::kCotangent) EXPECT_FALSE(is_weight_gradient(segment.module.outputs[o]));
  }
}

// With recomputation, backward ops read no value that a forward op of their own layer computed.
inline void ExpectRecomputed(const Segment& segment, const Layering& layering) {
  auto layer = [&](ir::OpId op) {
    return layering.layer_of_op[static_cast<size_t>(segment.op_origin[static_cast<size_t>(op)])];
  };
  for (size_t i = 0; i < segment.module.ops.size(); ++i) {
    if (segment.phases[i] != OpPhase::kBackward) continue;
    for (const ir::ValueId v : segment.module.ops[i].operands) {
      const ir::OpId p = segment.module.value(v).producer;
      const ir::Op& producer = segment.module.op(p);
      if (producer.kind == ir::OpKind::kParameter || producer.kind == ir::OpKind::kRng || layer(p) == -1) continue;
      const bool kept = segment.phases[static_cast<size_t>(p)] == OpPhase::kForward;
      EXPECT_FALSE(kept && layer(p) == layer(static_cast<ir::OpId>(i)))
          << Describe(segment.module, segment.module.ops[i]) << " reads " << producer.name;
    }
  }
}

}  // namespace alpa::frontend
