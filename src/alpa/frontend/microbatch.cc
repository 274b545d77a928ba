#include "alpa/frontend/microbatch.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

namespace alpa::frontend {
namespace {

using Kind = Obstacle::Kind;

Kind KindOf(const BatchEvent& event) {
  switch (event.kind) {
    case BatchEvent::Kind::kNeedsComplete:
      return event.uses_state ? Kind::kNotSeparable : Kind::kPrologue;
    case BatchEvent::Kind::kFolded:
      return Kind::kFolded;
    case BatchEvent::Kind::kMixed:
      return Kind::kMixed;
    case BatchEvent::Kind::kRegrouped:
      return Kind::kRegrouped;
    case BatchEvent::Kind::kPosition:
      return event.random ? Kind::kRandom : Kind::kPosition;
  }
  return Kind::kMixed;
}

std::string TextOf(const ir::Module& module, const BatchEvent& event) {
  const ir::Op& op = module.op(event.op);
  std::string who = ir::Describe(module, op);
  if (!event.inner.empty()) who = fmt::format("{} (in {})", event.inner, who);
  const std::string origin = event.origin < 0 ? "" : ir::Describe(module, module.op(event.origin));
  switch (event.kind) {
    case BatchEvent::Kind::kNeedsComplete: {
      std::string text =
          fmt::format("{} gives a value of the whole batch, which {} needs for each example", origin, who);
      if (!event.uses_state) text += "; it follows from the batch inputs alone";
      return text;
    }
    case BatchEvent::Kind::kFolded: {
      const bool known = !op.regions.empty() && event.inner.empty() && ir::CombinerOf(op) != ir::OpKind::kCustomCall;
      const std::string by = known ? std::string(ir::Name(ir::CombinerOf(op))) : "something other than a sum";
      return fmt::format("{} reduces the batch by {}", who, by);
    }
    case BatchEvent::Kind::kMixed:
      return fmt::format("{} {}", who, event.why);
    case BatchEvent::Kind::kRegrouped:
      return fmt::format("{} puts examples together: at most {} microbatches", who, event.parts);
    case BatchEvent::Kind::kPosition:
      if (event.random) return fmt::format("{} reads random bits that are drawn for the whole batch ({})", who, origin);
      return fmt::format("{} treats examples by their place in the batch (reads {})", who, origin);
  }
  return who;
}

// Alike: one line of the user's source, or, where that is unknown, ops of one kind.
using Likeness = std::tuple<Kind, std::string, int, ir::OpKind, std::string>;
Likeness LikenessOf(const ir::Module& module, Kind kind, const BatchEvent& event) {
  // For sums it is the reduction that counts; the ops that read it are many.
  const bool by_origin = event.kind == BatchEvent::Kind::kNeedsComplete && event.origin >= 0;
  const ir::Op& op = module.op(by_origin ? event.origin : event.op);
  const ir::Location at = ir::LocationOf(module, op);
  const bool is_source = !at.file.empty() && at.file.find(".mlir") == std::string::npos;  // not a line of the export
  return {kind, is_source ? at.file : "", is_source ? at.line : 0, op.kind, event.why};
}

void AddOutputs(const ir::Module& module, const ir::StepSignature& signature, const BatchAnalysis& batch,
                std::vector<Obstacle>& out) {
  for (size_t o = 0; o < module.outputs.size(); ++o) {
    const BatchInfo& info = batch.value(module.outputs[o]);
    if (info.kind != BatchKind::kBatched) continue;
    const bool state = signature.outputs[o].role == ir::OutputRole::kUpdatedState;
    const ir::Op& op = module.producer(module.outputs[o]);
    std::string text = fmt::format("output {} {} has the batch as dimension {} ({})", o,
                                   ir::ToString(module.shape(module.outputs[o])), info.dim, ir::Describe(module, op));
    if (state) text += fmt::format("; it is the next value of input {}", signature.outputs[o].updates);
    out.push_back({state ? Kind::kBatchedState : Kind::kBatchedResult, module.value(module.outputs[o]).producer, 1,
                   std::move(text)});
  }
}

int64_t LargestCount(const BatchAnalysis& batch) {
  int64_t parts = batch.batch_size;
  for (const BatchInfo& info : batch.values) {
    if (info.kind == BatchKind::kBatched) parts = std::gcd(parts, info.parts);
  }
  return std::max<int64_t>(1, parts);
}

// Sums from blocks, not sums of sums.
int CountAccumulations(const ir::Module& module, const BatchAnalysis& batch) {
  auto is = [&](BatchKind kind) { return [&batch, kind](ir::ValueId v) { return batch.value(v).kind == kind; }; };
  return static_cast<int>(std::count_if(module.ops.begin(), module.ops.end(), [&](const ir::Op& op) {
    return std::any_of(op.operands.begin(), op.operands.end(), is(BatchKind::kBatched)) &&
           std::any_of(op.results.begin(), op.results.end(), is(BatchKind::kPartial));
  }));
}

int CountLevels(const BatchAnalysis& batch) {
  int levels = 0;
  for (const BatchInfo& info : batch.values) {
    if (info.kind != BatchKind::kNone) levels = std::max(levels, info.level + 1);
  }
  return levels;
}

}  // namespace

std::string_view Name(Obstacle::Kind kind) {
  switch (kind) {
    case Kind::kNotSeparable:
      return "not-separable";
    case Kind::kFolded:
      return "folded";
    case Kind::kMixed:
      return "mixed";
    case Kind::kPrologue:
      return "prologue";
    case Kind::kRegrouped:
      return "regrouped";
    case Kind::kBatchedResult:
      return "batched-result";
    case Kind::kBatchedState:
      return "batched-state";
    case Kind::kPosition:
      return "position";
    case Kind::kRandom:
      return "random";
  }
  return "";
}

bool Blocks(Obstacle::Kind kind) {
  return kind == Kind::kNotSeparable || kind == Kind::kFolded || kind == Kind::kMixed;
}

bool Microbatching::separable() const {
  return std::none_of(obstacles.begin(), obstacles.end(), [](const Obstacle& o) { return Blocks(o.kind); });
}

Microbatching FindObstacles(const ir::Module& module, const ir::StepSignature& signature, const BatchAnalysis& batch) {
  Microbatching out;
  std::map<Likeness, size_t> seen;
  for (const BatchEvent& event : batch.events) {
    const Kind kind = KindOf(event);
    const auto [it, added] = seen.emplace(LikenessOf(module, kind, event), out.obstacles.size());
    if (!added) {
      ++out.obstacles[it->second].count;
      continue;
    }
    const bool by_origin = event.kind == BatchEvent::Kind::kNeedsComplete && event.origin >= 0;
    out.obstacles.push_back({kind, by_origin ? event.origin : event.op, 1, TextOf(module, event)});
  }
  AddOutputs(module, signature, batch, out.obstacles);
  std::stable_sort(out.obstacles.begin(), out.obstacles.end(),
                   [](const Obstacle& a, const Obstacle& b) { return Blocks(a.kind) > Blocks(b.kind); });
  out.accumulations = CountAccumulations(module, batch);
  out.levels = CountLevels(batch);
  if (out.separable()) out.max_microbatches = LargestCount(batch);
  return out;
}

}  // namespace alpa::frontend
