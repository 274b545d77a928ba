#include "alpa/frontend/batch_propagation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "alpa/frontend/blocks.h"

namespace alpa::frontend {
namespace {

using ir::OpKind;

bool IsSum(BatchKind kind) { return kind == BatchKind::kPartial || kind == BatchKind::kReduced; }

// The op's results have the elements of its first operand, no others.
bool KeepsElements(OpKind kind) {
  return kind == OpKind::kBroadcast || kind == OpKind::kReshape || kind == OpKind::kTranspose ||
         kind == OpKind::kCopy || kind == OpKind::kConvert || kind == OpKind::kSlice || kind == OpKind::kReverse;
}

// Ops that make random bits, by kind or, where JAX has spelled the generator out in arithmetic, by its name.
bool MakesRandomBits(const ir::Module& module, const ir::Op& op) {
  if (op.kind == OpKind::kRng || op.kind == OpKind::kRngBitGenerator) return true;
  if (op.location < 0) return false;
  const std::string& name = module.locations[static_cast<size_t>(op.location)].name;
  return name.find("random_bits") != std::string::npos || name.find("threefry") != std::string::npos ||
         name.find("_uniform") != std::string::npos || name.find("_bernoulli") != std::string::npos;
}

// The dimension of `to` that is dimension `dim` of `from` after a reshape which leaves it alone, or -1.
int SameDimension(const std::vector<int64_t>& from, const std::vector<int64_t>& to, int dim) {
  int64_t before = 1;
  for (int d = 0; d < dim; ++d) before *= from[static_cast<size_t>(d)];
  int64_t at = 1;
  for (size_t k = 0; k < to.size(); at *= to[k++]) {
    if (at == before && to[k] == from[static_cast<size_t>(dim)] && to[k] > 1) return static_cast<int>(k);
  }
  return -1;
}

// Index arithmetic that leaves positions as they are: JAX wraps negative indices by select(i < 0, i + n, i).
int IotaDim(const ir::Module& module, const ir::Op& op, const std::vector<ValueFacts>& facts) {
  auto iota = [&](size_t k) { return facts[static_cast<size_t>(op.operands[k])].iota_dim; };
  switch (op.kind) {
    case OpKind::kCopy:
    case OpKind::kConvert:
      return iota(0);
    case OpKind::kSelect:
      return module.producer(op.operands[0]).kind == OpKind::kCompare &&
                     module.producer(op.operands[1]).kind == OpKind::kAdd
                 ? iota(2)
                 : -1;
    case OpKind::kBroadcast: {
      if (iota(0) < 0) return -1;
      return static_cast<int>(std::get<ir::DimsAttr>(op.attributes).dims[static_cast<size_t>(iota(0))]);
    }
    case OpKind::kReshape:
      if (iota(0) < 0) return -1;
      return SameDimension(module.shape(op.operands[0]).dims, module.shape(op.results[0]).dims, iota(0));
    default:
      return -1;
  }
}

}  // namespace

void BatchPropagation::Set(ir::ValueId v, BatchState state) {
  infos_[static_cast<size_t>(v)] = state.info;
  facts_[static_cast<size_t>(v)] = std::move(state.facts);
}

std::vector<BatchState> BatchPropagation::outputs() const {
  std::vector<BatchState> out;
  for (const ir::ValueId v : module_.outputs) out.push_back(state(v));
  return out;
}

void BatchPropagation::Run(const std::vector<BatchState>& inputs) {
  infos_.assign(module_.values.size(), {});
  facts_.assign(module_.values.size(), {});
  for (size_t i = 0; i < inputs.size(); ++i) {
    BatchState state = inputs[i];
    if (state.facts.repeats.empty()) state.facts.repeats.assign(module_.shape(module_.inputs[i]).dims.size(), 1);
    Set(module_.inputs[i], std::move(state));
  }
  for (const ir::Op& op : module_.ops) {
    if (op.kind != OpKind::kParameter) Visit(op);
  }
}

void BatchPropagation::Record(BatchEvent event, const ir::Op& op) {
  event.op = Id(op);
  if (outer_ >= 0) event.inner = ir::Describe(module_, op);
  events_.push_back(std::move(event));
}

bool BatchPropagation::UsesState(const ir::Op& op) const {
  return std::any_of(op.operands.begin(), op.operands.end(), [&](ir::ValueId v) { return info(v).uses_state; });
}

void BatchPropagation::Visit(const ir::Op& op) {
  switch (op.kind) {
    case OpKind::kConstant:
    case OpKind::kIota:
      return VisitLeaf(op);
    case OpKind::kReshape:
      return VisitReshape(op);
    case OpKind::kWhile:
      return VisitLoop(op);
    case OpKind::kConditional:
      return VisitBranches(op, 1);
    case OpKind::kCall:
      return VisitBranches(op, 0);
    case OpKind::kOptimizationBarrier:
      for (size_t r = 0; r < op.results.size(); ++r) Set(op.results[r], state(op.operands[r]));
      return;
    default:
      return VisitByRule(op);
  }
}

void BatchPropagation::VisitLeaf(const ir::Op& op) {
  const auto& dims = module_.shape(op.results[0]).dims;
  ValueFacts& facts = facts_[static_cast<size_t>(op.results[0])];
  if (op.kind == OpKind::kIota) {
    facts.repeats = dims;
    facts.iota_dim = static_cast<int>(std::get<ir::DimsAttr>(op.attributes).dims[0]);
    facts.repeats[static_cast<size_t>(facts.iota_dim)] = 1;
    return;
  }
  const auto* constant = std::get_if<ir::ConstantAttr>(&op.attributes);
  const bool splat = constant != nullptr && constant->splat;
  facts.repeats = splat ? dims : std::vector<int64_t>(dims.size(), 1);
  if (splat) facts.splat = constant->value;
}

void BatchPropagation::VisitReshape(const ir::Op& op) {
  const auto& from = module_.shape(op.operands[0]).dims;
  const auto& to = module_.shape(op.results[0]).dims;
  BatchState state = this->state(op.operands[0]);
  if (state.info.kind == BatchKind::kNone) {
    state.facts.repeats = ReshapeRepeats(from, to, state.facts.repeats);
    state.facts.iota_dim = IotaDim(module_, op, facts_);
  }
  if (state.info.kind == BatchKind::kBatched) {
    const auto blocks = ReshapeBlocks(from, to, {state.info.dim, state.info.parts});
    if (!blocks.has_value()) return Mix(op, "regroups the examples so that none can be told apart");
    if (blocks->parts < state.info.parts) {
      BatchEvent event;
      event.kind = BatchEvent::Kind::kRegrouped;
      event.parts = blocks->parts;
      Record(std::move(event), op);
    }
    state.info.dim = blocks->dim;
    state.info.parts = blocks->parts;
  }
  Set(op.results[0], std::move(state));
}

void BatchPropagation::VisitByRule(const ir::Op& op) {
  std::vector<size_t> batched;
  bool summed = false;
  for (size_t k = 0; k < op.operands.size(); ++k) {
    const BatchInfo& in = info(op.operands[k]);
    if (in.kind == BatchKind::kMixed) {
      BatchInfo out = in;
      out.uses_state = UsesState(op);
      for (const ir::ValueId v : op.results) Set(v, out);
      return;
    }
    if (in.kind == BatchKind::kBatched) batched.push_back(k);
    summed |= IsSum(in.kind);
  }
  const OpRule rule = RuleOf(module_, op, facts_);
  if (!batched.empty()) return CutByRule(op, rule, batched);
  if (summed) return ReduceByRule(op, rule);
  KeepByRule(op, rule);
}

void BatchPropagation::Mix(const ir::Op& op, const std::string& why) {
  BatchInfo out;
  out.kind = BatchKind::kMixed;
  out.uses_state = UsesState(op);
  out.origin = Id(op);
  for (const ir::ValueId v : op.results) Set(v, out);
  BatchEvent event;
  event.kind = BatchEvent::Kind::kMixed;
  event.why = why;
  Record(std::move(event), op);
}

void BatchPropagation::CutByRule(const ir::Op& op, const OpRule& rule, const std::vector<size_t>& batched) {
  int factor = kCrossed;
  int level = 0;
  int64_t parts = 0;
  int64_t most = 1;
  for (const size_t k : batched) {
    const BatchInfo& in = info(op.operands[k]);
    const int f = rule.operands[k][static_cast<size_t>(in.dim)];
    if (f == kCrossed) return Mix(op, rule.mixing);
    if (factor != kCrossed && f != factor) return Mix(op, "pairs examples with one another");
    factor = f;
    level = std::max(level, in.level);
    parts = std::gcd(parts, in.parts);
    most = std::max(most, in.parts);
  }
  const OpRule::Factor& how = rule.factors[static_cast<size_t>(factor)];
  if (how.max_parts > 0) parts = std::gcd(parts, how.max_parts);
  if (parts == 1 && most > 1) return Mix(op, "regroups the examples so that none can be told apart");
  level = ReadComplete(op, rule, factor, level);
  ReadByPosition(op, rule, factor, parts);

  BatchInfo out;
  out.uses_state = UsesState(op);
  out.level = level;
  if (how.fate == OpRule::Fate::kKept) {
    out.kind = BatchKind::kBatched;
    out.parts = parts;
  } else {
    out.kind = how.fate == OpRule::Fate::kSummed ? BatchKind::kPartial : BatchKind::kReduced;
    out.origin = Id(op);
  }
  if (how.fate == OpRule::Fate::kFolded) {
    BatchEvent event;
    event.kind = BatchEvent::Kind::kFolded;
    Record(std::move(event), op);
  }
  for (size_t r = 0; r < op.results.size(); ++r) {
    if (how.fate == OpRule::Fate::kKept) {
      const auto& dims = rule.results[r];
      out.dim = static_cast<int>(std::find(dims.begin(), dims.end(), factor) - dims.begin());
      if (static_cast<size_t>(out.dim) == dims.size()) return Mix(op, rule.mixing);
    }
    Set(op.results[r], out);
  }
}

// Complete values a cut op needs: it can run only after another round of accumulation, or after a prologue where they
// follow from the batch alone. Returns its level. A sum that starts from a partial sum needs nothing.
int BatchPropagation::ReadComplete(const ir::Op& op, const OpRule& rule, int factor, int level) {
  const bool sums = rule.factors[static_cast<size_t>(factor)].fate == OpRule::Fate::kSummed;
  for (size_t k = 0; k < op.operands.size(); ++k) {
    const BatchInfo& in = info(op.operands[k]);
    if (!IsSum(in.kind) || (sums && rule.base[k] && in.kind == BatchKind::kPartial)) continue;
    BatchEvent event;
    event.kind = BatchEvent::Kind::kNeedsComplete;
    event.origin = in.origin;
    event.uses_state = in.uses_state;
    Record(std::move(event), op);
    level = std::max(level, in.level + (in.uses_state ? 1 : 0));
  }
  return level;
}

// Values independent of the batch that differ from block to block.
void BatchPropagation::ReadByPosition(const ir::Op& op, const OpRule& rule, int factor, int64_t parts) {
  const bool sums = rule.factors[static_cast<size_t>(factor)].fate == OpRule::Fate::kSummed;
  for (size_t k = 0; k < op.operands.size(); ++k) {
    if (info(op.operands[k]).kind != BatchKind::kNone) continue;
    const ValueFacts& known = facts(op.operands[k]);
    bool differs = sums && rule.base[k] && known.splat != 0;  // the first block starts from it, the others from 0
    for (size_t d = 0; d < rule.operands[k].size(); ++d) {
      differs |= rule.operands[k][d] == factor && known.repeats[d] % parts != 0;
    }
    // Positions that become part of an index (x[arange(n), i]) only pair each example with itself.
    const bool indexes = op.kind == OpKind::kConcatenate && known.iota_dim >= 0 &&
                         rule.operands[k][static_cast<size_t>(known.iota_dim)] == factor;
    if (!differs || indexes) continue;
    BatchEvent event;
    event.kind = BatchEvent::Kind::kPosition;
    event.origin = outer_ >= 0 ? outer_ : module_.value(op.operands[k]).producer;
    event.random = known.random;
    Record(std::move(event), op);
  }
}

bool BatchPropagation::StaysPartial(const ir::Op& op, const OpRule& rule) const {
  if (rule.linearity == OpRule::Linearity::kNone) return false;
  int partial = 0;
  for (size_t k = 0; k < op.operands.size(); ++k) {
    const BatchKind kind = info(op.operands[k]).kind;
    if (kind == BatchKind::kReduced) return false;
    partial += kind == BatchKind::kPartial ? 1 : 0;
    if (rule.linearity == OpRule::Linearity::kMulti) continue;
    const bool zero = kind == BatchKind::kNone && facts(op.operands[k]).splat == 0;
    if (rule.data[k] ? kind != BatchKind::kPartial && !zero : kind != BatchKind::kNone) return false;
  }
  return rule.linearity == OpRule::Linearity::kJoint || partial == 1;
}

void BatchPropagation::ReduceByRule(const ir::Op& op, const OpRule& rule) {
  BatchInfo out;
  out.kind = StaysPartial(op, rule) ? BatchKind::kPartial : BatchKind::kReduced;
  out.uses_state = UsesState(op);
  for (const ir::ValueId v : op.operands) {
    const BatchInfo& in = info(v);
    if (!IsSum(in.kind)) continue;
    out.level = std::max(out.level, in.level);
    if (out.origin < 0 || (in.origin >= 0 && in.origin < out.origin)) out.origin = in.origin;
  }
  for (const ir::ValueId v : op.results) Set(v, out);
}

// A linear op of zeros.
bool BatchPropagation::GivesZero(const ir::Op& op, const OpRule& rule) const {
  if (rule.linearity == OpRule::Linearity::kNone) return false;
  bool any = false;
  bool all = true;
  for (size_t k = 0; k < op.operands.size(); ++k) {
    if (rule.linearity == OpRule::Linearity::kJoint && !rule.data[k]) continue;
    const bool zero = facts(op.operands[k]).splat == 0;
    any |= zero;
    all &= zero;
  }
  return rule.linearity == OpRule::Linearity::kMulti ? any : any && all;
}

void BatchPropagation::KeepByRule(const ir::Op& op, const OpRule& rule) {
  BatchInfo out;
  out.uses_state = UsesState(op);
  bool random = MakesRandomBits(module_, op);
  for (const ir::ValueId v : op.operands) random |= facts(v).random;
  for (size_t r = 0; r < op.results.size(); ++r) {
    ValueFacts known;
    known.random = random;
    known.repeats = module_.shape(op.results[r]).dims;
    for (size_t d = 0; d < known.repeats.size(); ++d) {
      const int f = rule.results[r][d];
      if (f == kCrossed) known.repeats[d] = 1;
      for (size_t k = 0; k < op.operands.size() && f != kCrossed; ++k) {
        for (size_t e = 0; e < rule.operands[k].size(); ++e) {
          if (rule.operands[k][e] == f) known.repeats[d] = std::gcd(known.repeats[d], facts(op.operands[k]).repeats[e]);
        }
      }
    }
    if (KeepsElements(op.kind)) known.splat = facts(op.operands[0]).splat;
    if (GivesZero(op, rule)) known.splat = 0;
    known.iota_dim = r == 0 ? IotaDim(module_, op, facts_) : -1;
    Set(op.results[r], BatchState{out, std::move(known)});
  }
}

}  // namespace alpa::frontend
