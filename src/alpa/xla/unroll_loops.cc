#include "alpa/xla/unroll_loops.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "alpa/xla/status.h"
#include "alpa/xla/xla_pch.h"

namespace alpa::xla {
namespace {

using ::xla::HloComputation;
using ::xla::HloInstruction;
using ::xla::HloOpcode;
using ::xla::Literal;

constexpr int64_t kMostTrips = 1 << 16;  // of a loop that is interpreted to count its trips
constexpr int64_t kLargestCounter = 16;  // elements of a value that may steer a loop

// Collects into `elements` the tuple elements of the computation's parameter that `root` is computed from. False when
// it depends on anything else than scalars-like values (a large array, a call, a random number).
bool CollectSteering(const HloInstruction* root, std::set<int64_t>* elements) {
  std::vector<const HloInstruction*> work = {root};
  std::set<const HloInstruction*> seen;
  while (!work.empty()) {
    const HloInstruction* i = work.back();
    work.pop_back();
    if (!seen.insert(i).second) continue;
    if (!i->shape().IsArray() || ::xla::ShapeUtil::ElementsIn(i->shape()) > kLargestCounter) return false;
    if (i->opcode() == HloOpcode::kGetTupleElement) {
      if (i->operand(0)->opcode() != HloOpcode::kParameter) return false;
      elements->insert(i->tuple_index());
      continue;
    }
    if (i->opcode() == HloOpcode::kParameter || i->HasSideEffect() || !i->called_computations().empty()) return false;
    for (const HloInstruction* operand : i->operands()) work.push_back(operand);
  }
  return true;
}

// The value of `root`, whose parameter's steering elements have the values `state`.
std::optional<Literal> Evaluate(const HloInstruction* root, const std::map<int64_t, Literal>& state) {
  std::vector<const HloInstruction*> work = {root};
  std::set<const HloInstruction*> seen;
  absl::flat_hash_map<const HloInstruction*, const ::xla::LiteralBase*> known;
  while (!work.empty()) {
    const HloInstruction* i = work.back();
    work.pop_back();
    if (!seen.insert(i).second) continue;
    if (i->opcode() == HloOpcode::kGetTupleElement) {
      known[i] = &state.at(i->tuple_index());
    } else {
      for (const HloInstruction* operand : i->operands()) work.push_back(operand);
    }
  }
  if (const auto it = known.find(root); it != known.end()) return it->second->Clone();
  ::xla::HloEvaluator evaluator;
  auto value = evaluator.Evaluate(root, {}, /*recursively_evaluate_nonconstant_operands=*/true, known);
  if (!value.ok()) return std::nullopt;
  return std::move(*value);
}

// How often the body of `loop` runs when that follows from constants.
std::optional<int64_t> TripCount(const HloInstruction* loop, int64_t limit) {
  const HloComputation* condition = loop->while_condition();
  const HloInstruction* next = loop->while_body()->root_instruction();
  const HloInstruction* init = loop->operand(0);
  if (next->opcode() != HloOpcode::kTuple || init->opcode() != HloOpcode::kTuple) return std::nullopt;
  std::set<int64_t> steering;
  if (!CollectSteering(condition->root_instruction(), &steering)) return std::nullopt;
  for (std::set<int64_t> done; done != steering;) {  // elements that the steering ones are computed from in the body
    const std::set<int64_t> now = steering;
    for (const int64_t e : now) {
      if (!done.count(e) && !CollectSteering(next->operand(e), &steering)) return std::nullopt;
    }
    done = now;
  }
  std::map<int64_t, Literal> state;
  for (const int64_t e : steering) {
    if (!init->operand(e)->IsConstant()) return std::nullopt;
    state.emplace(e, init->operand(e)->literal().Clone());
  }
  for (int64_t trips = 0; trips <= limit; ++trips) {
    const std::optional<Literal> go = Evaluate(condition->root_instruction(), state);
    if (!go.has_value()) return std::nullopt;
    if (!go->Get<bool>({})) return trips;
    std::map<int64_t, Literal> after;
    for (const int64_t e : steering) {
      std::optional<Literal> value = Evaluate(next->operand(e), state);
      if (!value.has_value()) return std::nullopt;
      after.emplace(e, std::move(*value));
    }
    state = std::move(after);
  }
  return std::nullopt;
}

// Instructions a copy of `computation` brings, those of its loops and branches included.
int64_t Size(const HloComputation* computation) {
  int64_t n = 0;
  for (const HloInstruction* i : computation->instructions()) {
    ++n;
    if (i->opcode() == HloOpcode::kWhile || i->opcode() == HloOpcode::kConditional) {
      for (const HloComputation* called : i->called_computations()) n += Size(called);
    }
  }
  return n;
}

// A constant in place of `i` when it is small and all its operands are constants.
absl::Status FoldSmall(HloInstruction* i) {
  if (!i->shape().IsArray() || i->IsConstant() || i->operand_count() == 0 || i->HasSideEffect())
    return absl::OkStatus();
  if (::xla::ShapeUtil::ElementsIn(i->shape()) > kLargestCounter || !i->called_computations().empty())
    return absl::OkStatus();
  for (const HloInstruction* operand : i->operands()) {
    if (!operand->IsConstant() || ::xla::ShapeUtil::ElementsIn(operand->shape()) > kLargestCounter)
      return absl::OkStatus();
  }
  ::xla::HloEvaluator evaluator;
  auto value = evaluator.Evaluate(i);
  if (!value.ok()) return absl::OkStatus();
  return i->parent()->ReplaceInstruction(
      i, i->parent()->AddInstruction(HloInstruction::CreateConstant(std::move(*value))));
}

// dynamic-slice at constant places -> slice (places are clamped, as the op is defined).
absl::Status FoldDynamicSlice(HloInstruction* i) {
  if (i->opcode() != HloOpcode::kDynamicSlice) return absl::OkStatus();
  const auto& from = i->operand(0)->shape();
  std::vector<int64_t> start;
  std::vector<int64_t> limit;
  for (int64_t d = 0; d < static_cast<int64_t>(from.dimensions().size()); ++d) {
    const HloInstruction* index = i->operand(1 + d);
    if (!index->IsConstant()) return absl::OkStatus();
    const std::optional<int64_t> at = index->literal().GetFirstInteger();
    if (!at.has_value()) return absl::OkStatus();
    const int64_t size = i->dynamic_slice_sizes()[d];
    start.push_back(std::clamp<int64_t>(*at, 0, from.dimensions(d) - size));
    limit.push_back(start.back() + size);
  }
  const std::vector<int64_t> strides(start.size(), 1);
  HloInstruction* slice = i->parent()->AddInstruction(
      HloInstruction::CreateSlice(i->shape(), i->mutable_operand(0), start, limit, strides), &i->metadata());
  return i->parent()->ReplaceInstruction(i, slice);
}

// Where a dynamic-update-slice at constant places writes; nothing when a place is not constant.
std::optional<std::vector<int64_t>> ConstantStart(const HloInstruction* update) {
  std::vector<int64_t> start;
  const auto& whole = update->shape();
  for (int64_t d = 0; d < static_cast<int64_t>(whole.dimensions().size()); ++d) {
    const HloInstruction* index = update->operand(2 + d);
    if (!index->IsConstant()) return std::nullopt;
    const std::optional<int64_t> at = index->literal().GetFirstInteger();
    if (!at.has_value()) return std::nullopt;
    start.push_back(std::clamp<int64_t>(*at, 0, whole.dimensions(d) - update->operand(1)->shape().dimensions(d)));
  }
  return start;
}

// slice(dynamic-update-slice(stack, piece)) -> piece, or the slice of an older stack when the piece lies elsewhere.
// What an iteration put on a stack (residuals of a scan) then reaches its reader without the stack.
absl::Status ForwardSlice(HloInstruction* slice) {
  for (const int64_t stride : slice->slice_strides()) {
    if (stride != 1) return absl::OkStatus();
  }
  HloInstruction* from = slice->mutable_operand(0);
  while (from->opcode() == HloOpcode::kDynamicUpdateSlice) {
    const auto start = ConstantStart(from);
    if (!start.has_value()) break;
    bool same = true;
    bool apart = false;
    for (size_t d = 0; d < start->size(); ++d) {
      const int64_t low = slice->slice_starts()[d];
      const int64_t high = slice->slice_limits()[d];
      const int64_t end = (*start)[d] + from->operand(1)->shape().dimensions(static_cast<int>(d));
      same = same && low == (*start)[d] && high == end;
      apart = apart || high <= (*start)[d] || end <= low;
    }
    if (same) return slice->parent()->ReplaceInstruction(slice, from->mutable_operand(1));
    if (!apart) break;
    from = from->mutable_operand(0);
  }
  return from == slice->mutable_operand(0) ? absl::OkStatus() : slice->ReplaceOperandWith(0, from);
}

absl::Status FoldConstants(HloComputation* computation) {
  for (HloInstruction* i : computation->MakeInstructionPostOrder()) {
    if (i->opcode() == HloOpcode::kDynamicSlice) {
      if (absl::Status s = FoldDynamicSlice(i); !s.ok()) return s;
    } else if (absl::Status s = FoldSmall(i); !s.ok()) {
      return s;
    }
  }
  return absl::OkStatus();
}

// Puts `trips` copies of the body in place of the loop.
absl::Status Unroll(HloInstruction* loop, int64_t trips) {
  HloComputation* parent = loop->parent();
  const HloComputation* body = loop->while_body();
  const std::vector<HloInstruction*> order = body->MakeInstructionPostOrder();
  const HloInstruction* parameter = body->parameter_instruction(0);
  HloInstruction* init = loop->mutable_operand(0);
  std::vector<HloInstruction*> state(init->operands().begin(), init->operands().end());
  for (int64_t trip = 0; trip < trips; ++trip) {
    ::xla::HloCloneContext context(parent->parent(), fmt::format("trip{}", trip));
    std::map<const HloInstruction*, HloInstruction*> copies;
    for (const HloInstruction* i : order) {
      if (i == parameter) continue;
      if (i->opcode() == HloOpcode::kGetTupleElement && i->operand(0) == parameter) {
        copies[i] = state[static_cast<size_t>(i->tuple_index())];
        continue;
      }
      std::vector<HloInstruction*> operands;
      for (const HloInstruction* operand : i->operands()) {
        if (operand == parameter) return absl::UnimplementedError("the loop's state is used as a whole");
        operands.push_back(copies.at(operand));
      }
      copies[i] = parent->AddInstruction(i->CloneWithNewOperands(i->shape(), operands, &context));
    }
    const HloInstruction* root = body->root_instruction();
    for (size_t e = 0; e < state.size(); ++e) state[e] = copies.at(root->operand(static_cast<int64_t>(e)));
    // A constant counter makes the next trip's indices constant, too; done once for the whole entry afterwards.
  }
  return parent->ReplaceInstruction(loop, parent->AddInstruction(HloInstruction::CreateTuple(state)));
}

// True when the body can be copied: its parameter is only taken apart.
bool Copyable(const HloInstruction* loop) {
  const HloInstruction* parameter = loop->while_body()->parameter_instruction(0);
  return std::all_of(parameter->users().begin(), parameter->users().end(),
                     [](const HloInstruction* u) { return u->opcode() == HloOpcode::kGetTupleElement; });
}

// Takes the tuples of former loops apart and folds what their constant counters steered.
absl::Status Simplify(::xla::HloModule& module) {
  auto drop = [&] {
    ::xla::HloPassPipeline pipeline("after unrolling");
    pipeline.AddPass<::xla::TupleSimplifier>();
    pipeline.AddPass<::xla::HloDCE>();
    return pipeline.Run(&module).status();
  };
  if (absl::Status s = drop(); !s.ok()) return s;
  if (absl::Status s = FoldConstants(module.entry_computation()); !s.ok()) return s;
  for (HloInstruction* i : module.entry_computation()->MakeInstructionPostOrder()) {
    if (i->opcode() != HloOpcode::kSlice) continue;
    if (absl::Status s = ForwardSlice(i); !s.ok()) return s;
  }
  return drop();
}

}  // namespace

Result<int> UnrollLoops(::xla::HloModule& module, int64_t max_ops) {
  int unrolled = 0;
  std::set<const HloInstruction*> kept;
  for (bool again = true; again;) {
    again = false;
    if (absl::Status s = FoldConstants(module.entry_computation()); !s.ok()) {
      return FromStatus(s, Code::kInvalidInput, "folding constants");
    }
    for (HloInstruction* loop : module.entry_computation()->MakeInstructionPostOrder()) {
      if (loop->opcode() != HloOpcode::kWhile || kept.count(loop) != 0) continue;
      const int64_t size = Size(loop->while_body());
      const int64_t limit = std::min(kMostTrips, max_ops / std::max<int64_t>(size, 1));
      const std::optional<int64_t> trips = Copyable(loop) ? TripCount(loop, limit) : std::nullopt;
      if (!trips.has_value() || *trips * size > max_ops) {
        kept.insert(loop);
        continue;
      }
      max_ops -= *trips * size;
      if (absl::Status s = Unroll(loop, *trips); !s.ok()) return FromStatus(s, Code::kUnsupported, "unrolling a loop");
      ++unrolled;
      again = true;  // loops inside the body are now in the entry
    }
    if (again) {
      if (absl::Status s = Simplify(module); !s.ok())
        return FromStatus(s, Code::kInvalidInput, "simplifying an unrolled loop");
      kept.clear();  // addresses may have been reused
    }
  }
  return unrolled;
}

}  // namespace alpa::xla
