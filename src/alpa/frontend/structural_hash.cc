#include <string>

#include "alpa/base/file.h"
#include "alpa/frontend/segment.h"

namespace alpa::frontend {
namespace {

using ir::OpKind;
using ir::ValueId;

uint64_t Mix(uint64_t a, uint64_t b) {
  a ^= b + 0x9e3779b97f4a7c15ULL + (a << 6) + (a >> 2);
  a *= 0xff51afd7ed558ccdULL;
  return a ^ (a >> 33);
}

uint64_t HashOf(const ir::Shape& shape) {
  uint64_t h = Mix(3, static_cast<uint64_t>(shape.dtype));
  for (const int64_t extent : shape.dims) h = Mix(h, static_cast<uint64_t>(extent));
  return h;
}

// What an op costs does not depend on the numbers in a constant, nor on where a slice starts or a pad puts its operand
// (layers of an unrolled loop differ in that).
uint64_t WorkOf(const ir::Op& op) {
  const uint64_t kind = Fnv1a(ir::Name(op.kind));
  if (op.kind == OpKind::kConstant) return kind;
  if (const auto* slice = std::get_if<ir::SliceAttr>(&op.attributes)) {
    uint64_t h = kind;
    for (const int64_t stride : slice->stride) h = Mix(h, static_cast<uint64_t>(stride));
    return h;
  }
  if (const auto* pad = std::get_if<ir::PadAttr>(&op.attributes)) {
    uint64_t h = kind;
    for (const int64_t interior : pad->interior) h = Mix(h, static_cast<uint64_t>(interior));
    return h;
  }
  return ir::Fingerprint(op);
}

// Hashes of what each value follows from.
class Hasher {
 public:
  Hasher(const Segment& segment, const BatchAnalysis& batch)
      : segment_(segment),
        module_(segment.module),
        batch_(batch),
        from_(module_.values.size(), 0),
        op_from_(module_.ops.size(), 0),
        to_(module_.values.size(), 0) {}

  uint64_t Run() {
    for (size_t i = 0; i < module_.inputs.size(); ++i) {
      const ir::StepInput& input = segment_.signature.inputs[i];
      from_[static_cast<size_t>(module_.inputs[i])] =
          Mix(Mix(static_cast<uint64_t>(segment_.input_kinds[i]), static_cast<uint64_t>(input.role)),
              input.donated ? 1 : 0);
    }
    for (size_t i = 0; i < module_.ops.size(); ++i) HashForward(i);
    for (size_t o = 0; o < module_.outputs.size(); ++o) HashOutput(o);
    // Sums, so that the order of independent ops, inputs and outputs says nothing.
    uint64_t sum = Mix(module_.ops.size(), module_.inputs.size());
    for (size_t i = module_.ops.size(); i-- > 0;) sum += HashBackward(i);
    return Mix(sum, module_.outputs.size());
  }

 private:
  uint64_t OfValue(ValueId v) const {
    const BatchInfo& info = batch_.value(segment_.value_origin[static_cast<size_t>(v)]);
    return Mix(Mix(HashOf(module_.shape(v)), static_cast<uint64_t>(info.kind)), static_cast<uint64_t>(info.dim));
  }

  void HashForward(size_t i) {
    const ir::Op& op = module_.ops[i];
    if (op.kind == OpKind::kParameter) {
      for (const ValueId v : op.results) from_[static_cast<size_t>(v)] = Mix(from_[static_cast<size_t>(v)], OfValue(v));
      return;
    }
    uint64_t h = Mix(WorkOf(op), static_cast<uint64_t>(segment_.phases[i]) * 2 + (segment_.weight_gradient[i] ? 1 : 0));
    for (const ValueId v : op.operands) h = Mix(h, from_[static_cast<size_t>(v)]);
    op_from_[i] = h;
    for (size_t r = 0; r < op.results.size(); ++r) {
      from_[static_cast<size_t>(op.results[r])] = Mix(Mix(h, r), OfValue(op.results[r]));
    }
  }

  void HashOutput(size_t o) {
    const auto v = static_cast<size_t>(module_.outputs[o]);
    const ir::StepOutput& output = segment_.signature.outputs[o];
    uint64_t h = Mix(static_cast<uint64_t>(segment_.output_kinds[o]), static_cast<uint64_t>(output.role));
    if (output.updates >= 0) {
      h = Mix(h, from_[static_cast<size_t>(module_.inputs[static_cast<size_t>(output.updates)])]);
    }
    to_[v] += h;
  }

  // What reads the results, mixed with what they follow from.
  uint64_t HashBackward(size_t i) {
    const ir::Op& op = module_.ops[i];
    uint64_t readers = 0;
    for (size_t r = 0; r < op.results.size(); ++r) {
      readers = Mix(readers, Mix(to_[static_cast<size_t>(op.results[r])], from_[static_cast<size_t>(op.results[r])]));
    }
    const uint64_t h = Mix(op_from_[i], readers);
    for (size_t k = 0; k < op.operands.size(); ++k) to_[static_cast<size_t>(op.operands[k])] += Mix(h, k);
    return h;
  }

  const Segment& segment_;
  const ir::Module& module_;
  const BatchAnalysis& batch_;
  std::vector<uint64_t> from_;     // by ValueId: what it follows from
  std::vector<uint64_t> op_from_;  // by OpId
  std::vector<uint64_t> to_;       // by ValueId: what reads it
};

}  // namespace

uint64_t StructuralHash(const Segment& segment, const BatchAnalysis& batch) { return Hasher(segment, batch).Run(); }

}  // namespace alpa::frontend
