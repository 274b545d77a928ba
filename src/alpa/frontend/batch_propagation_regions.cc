// Batch infos through loops, branches and calls: their regions are analysed like modules, loops until nothing changes.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <string>
#include <tuple>

#include "alpa/frontend/batch_propagation.h"
#include "alpa/frontend/loops.h"

namespace alpa::frontend {
namespace {

bool IsSum(BatchKind kind) { return kind == BatchKind::kPartial || kind == BatchKind::kReduced; }

ValueFacts Join(const ValueFacts& a, const ValueFacts& b) {
  ValueFacts out = a;
  for (size_t d = 0; d < out.repeats.size(); ++d) out.repeats[d] = std::gcd(a.repeats[d], b.repeats[d]);
  if (a.iota_dim != b.iota_dim) out.iota_dim = -1;
  if (a.splat != b.splat) out.splat = std::nan("");
  out.random = a.random || b.random;
  return out;
}

// What is true of a value that is `a` or `b`.
BatchState Join(const BatchState& a, const BatchState& b, ir::OpId op) {
  BatchState out = a;
  out.info.uses_state = a.info.uses_state || b.info.uses_state;
  out.info.level = std::max(a.info.level, b.info.level);
  out.info.origin = a.info.origin >= 0 ? a.info.origin : b.info.origin;
  if (a.info.kind == b.info.kind) {
    if (a.info.kind == BatchKind::kNone) out.facts = Join(a.facts, b.facts);
    if (a.info.kind != BatchKind::kBatched) return out;
    out.info.parts = std::gcd(a.info.parts, b.info.parts);
    if (a.info.dim == b.info.dim) return out;
  } else if (a.info.kind == BatchKind::kNone || b.info.kind == BatchKind::kNone) {
    const BatchState& constant = a.info.kind == BatchKind::kNone ? a : b;
    const BatchInfo& other = a.info.kind == BatchKind::kNone ? b.info : a.info;
    out.info.kind = other.kind;
    out.info.dim = other.dim;
    out.info.parts = other.parts;
    // A sum may start from zero; from anything else it is complete only with it.
    if (other.kind == BatchKind::kPartial && constant.facts.splat != 0) out.info.kind = BatchKind::kReduced;
    return out;
  } else if (IsSum(a.info.kind) && IsSum(b.info.kind)) {
    out.info.kind = BatchKind::kReduced;
    return out;
  }
  out.info = {BatchKind::kMixed, out.info.uses_state, -1, out.info.level, 1, op};
  return out;
}

// Equal but for the level, which rises on each turn of a loop that completes a sum.
bool SameButLevel(const std::vector<BatchState>& a, const std::vector<BatchState>& b) {
  auto same = [](const BatchState& x, const BatchState& y) {
    BatchInfo i = x.info;
    i.level = y.info.level;
    const bool facts = x.info.kind != BatchKind::kNone ||
                       (x.facts.repeats == y.facts.repeats && x.facts.iota_dim == y.facts.iota_dim &&
                        (x.facts.splat == y.facts.splat || (std::isnan(x.facts.splat) && std::isnan(y.facts.splat))));
    return i == y.info && facts;
  };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), same);
}

// The kinds a carried value can go through are few: a loop that has not settled by then never will.
constexpr int kMaxTurns = 16;

}  // namespace

void BatchPropagation::VisitLoop(const ir::Op& op) {
  const LoopRegions regions = RegionsOf(module_, op);
  std::vector<BatchState> carried;
  for (const ir::ValueId v : op.operands) carried.push_back(state(v));
  BatchPropagation body(*regions.body, Id(op));
  bool settled = false;
  for (int turn = 0; turn < kMaxTurns && !settled; ++turn) {
    body.Run(carried);
    std::vector<BatchState> next = body.outputs();
    for (size_t i = 0; i < next.size(); ++i) next[i] = Join(carried[i], next[i], Id(op));
    settled = SameButLevel(carried, next);
    carried = std::move(next);
  }
  BatchPropagation condition(*regions.condition, Id(op));
  condition.Run(carried);
  if (!settled) return Mix(op, "carries the batch around a loop in a way that does not settle");
  if (condition.outputs()[0].info.kind != BatchKind::kNone) {
    return Mix(op, "lets the batch decide how often a loop runs");
  }
  AddOnce(body.events());
  SetJoined(op, std::move(carried));
}

void BatchPropagation::VisitBranches(const ir::Op& op, size_t first_argument) {
  std::vector<BatchState> joined;
  size_t argument = first_argument;
  for (const ir::Module& region : op.regions) {
    std::vector<BatchState> arguments;
    for (size_t i = 0; i < region.inputs.size(); ++i) arguments.push_back(state(op.operands[argument++]));
    BatchPropagation branch(region, Id(op));
    branch.Run(arguments);
    for (BatchEvent& event : branch.events()) events_.push_back(std::move(event));
    const std::vector<BatchState> results = branch.outputs();
    if (joined.empty()) joined = results;
    for (size_t r = 0; r < joined.size(); ++r) joined[r] = Join(joined[r], results[r], Id(op));
  }
  if (first_argument == 1 && info(op.operands[0]).kind != BatchKind::kNone) {
    const BatchInfo& choice = info(op.operands[0]);
    if (!IsSum(choice.kind)) return Mix(op, "lets examples decide which branch runs");
    bool cut = false;
    for (BatchState& result : joined) {
      cut |= result.info.kind == BatchKind::kBatched;
      if (result.info.kind == BatchKind::kBatched || result.info.kind == BatchKind::kMixed) continue;
      result.info.kind = BatchKind::kReduced;
      result.info.uses_state |= choice.uses_state;
      result.info.origin = choice.origin;
    }
    if (cut) {
      BatchEvent event;
      event.kind = BatchEvent::Kind::kNeedsComplete;
      event.origin = choice.origin;
      event.uses_state = choice.uses_state;
      Record(std::move(event), op);
    }
  }
  SetJoined(op, std::move(joined));
}

// Events of all turns of a loop: on the next turn the same op may see what it has mixed itself, and keep silent.
void BatchPropagation::AddOnce(std::vector<BatchEvent>& events) {
  std::set<std::tuple<BatchEvent::Kind, std::string, ir::OpId>> seen;
  for (BatchEvent& event : events) {
    if (seen.emplace(event.kind, event.inner, event.origin).second) events_.push_back(std::move(event));
  }
}

// Results of an op with regions; says so when they were mixed not by an op inside, but by coming together here.
void BatchPropagation::SetJoined(const ir::Op& op, std::vector<BatchState> results) {
  const bool explained = std::any_of(events_.begin(), events_.end(), [&](const BatchEvent& event) {
    return event.kind == BatchEvent::Kind::kMixed && event.op == Id(op);
  });
  bool mixed = false;
  for (size_t r = 0; r < op.results.size(); ++r) {
    mixed |= results[r].info.kind == BatchKind::kMixed && results[r].info.origin == Id(op);
    Set(op.results[r], std::move(results[r]));
  }
  if (!mixed || explained) return;
  BatchEvent event;
  event.why = "carries the batch along different dimensions";
  Record(std::move(event), op);
}

}  // namespace alpa::frontend
