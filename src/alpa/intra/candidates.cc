#include "alpa/intra/candidates.h"

#include <fmt/format.h>

#include <algorithm>

namespace alpa::intra {
namespace {

// Whether `to` is `from` with some of the axes in `partial` put on dimensions.
bool Extends(const sharding::Spec& to, const sharding::Spec& from, const std::vector<int>& partial, int rank) {
  for (int d = 0; d < rank; ++d) {
    const auto at = static_cast<size_t>(d);
    static const std::vector<int> kNone;
    const auto& old_axes = at < from.dims.size() ? from.dims[at] : kNone;
    const auto& new_axes = at < to.dims.size() ? to.dims[at] : kNone;
    size_t kept = 0;
    for (const int axis : new_axes) {
      if (std::find(partial.begin(), partial.end(), axis) != partial.end()) {
        // The piece that a device keeps of its own part lies inside that part.
        if (kept < old_axes.size()) return false;
        continue;
      }
      if (kept == old_axes.size() || old_axes[kept] != axis) return false;
      ++kept;
    }
    if (kept != old_axes.size()) return false;
  }
  return true;
}

}  // namespace

double ComputeSeconds(const ir::Module& module, const std::vector<Lifetime>& lifetimes, const cost::Model& model,
                      const ir::Op& op, const sharding::Strategy& strategy, const OpWork& work) {
  const bool writes = std::any_of(op.results.begin(), op.results.end(), [&](ir::ValueId v) {
    return lifetimes[static_cast<size_t>(v)].materialized || (IsScalarLike(module.shape(v)) && !op.operands.empty());
  });
  if (op.kind == ir::OpKind::kParameter || op.kind == ir::OpKind::kReshape ||
      op.kind == ir::OpKind::kOptimizationBarrier)
    return 0;
  Bytes bytes{0};
  for (size_t i = 0; i < op.operands.size(); ++i) {
    if (lifetimes[static_cast<size_t>(op.operands[i])].materialized)
      bytes += sharding::ShardShape(strategy.operands[i], module.shape(op.operands[i]), model.mesh).bytes();
  }
  for (size_t r = 0; r < op.results.size(); ++r) {
    if (lifetimes[static_cast<size_t>(op.results[r])].materialized)
      bytes += sharding::ShardShape(strategy.results[r].spec, module.shape(op.results[r]), model.mesh).bytes();
  }
  const double share = 1.0 / static_cast<double>(strategy.parallelism);
  const bool matrix = work.matrix.value > 0;
  const ir::DType dtype = op.operands.empty() ? module.shape(op.results[0]).dtype : module.shape(op.operands[0]).dtype;
  const double seconds =
      cost::ComputeTime(model, (matrix ? work.matrix : work.vector) * share, bytes, dtype, matrix).value;
  // What is fused into another kernel is not launched.
  return writes ? seconds : std::max(0.0, seconds - model.device.launch.value);
}

ir::Shape SumShape(ir::Shape shape, const OpWork& work) {
  const bool half = shape.dtype == ir::DType::kBF16 || shape.dtype == ir::DType::kF16;
  if (half && !work.half_sums && work.accumulates && work.runs > 1) shape.dtype = ir::DType::kF32;
  return shape;
}

CandidateTable::CandidateTable(const ir::Module& module, const std::vector<Lifetime>& lifetimes,
                               const std::vector<OpWork>& work, const cost::Model& model)
    : module_(module), lifetimes_(lifetimes), model_(model) {
  FindSpaces();
  std::map<std::string, int> ids;
  class_of_op_.assign(module.ops.size(), -1);
  std::string key;
  for (size_t i = 0; i < module.ops.size(); ++i) {
    const ir::Op& op = module.ops[i];
    const bool chooses =
        std::any_of(op.results.begin(), op.results.end(), [&](ir::ValueId v) { return HasLayout(v); }) ||
        std::any_of(op.operands.begin(), op.operands.end(), [&](ir::ValueId v) { return HasLayout(v); });
    if (!chooses) continue;
    sharding::Rule rule = sharding::RuleOf(module, op);
    key = sharding::ToString(rule);
    fmt::format_to(std::back_inserter(key), "|{}|{}|{}|{}|{}|", static_cast<int>(op.kind), work[i].runs,
                   work[i].accumulates ? 'a' : '-', work[i].matrix.value, work[i].vector.value);
    for (const sharding::Factor& f : rule.factors) {
      fmt::format_to(std::back_inserter(key), "{},{},{},{},{};", f.size, static_cast<int>(f.kind),
                     static_cast<int>(f.combiner), f.halo_low, f.halo_high);
    }
    for (const ir::ValueId v : op.operands) {
      fmt::format_to(std::back_inserter(key), "{}{}{} ", space_id(v), HasLayout(v) ? 'l' : '-',
                     lifetimes[static_cast<size_t>(v)].materialized ? 'm' : '-');
    }
    for (const ir::ValueId v : op.results) {
      const Lifetime& life = lifetimes[static_cast<size_t>(v)];
      fmt::format_to(std::back_inserter(key), ">{}{}{}", space_id(v), life.materialized ? 'm' : '-',
                     life.live.begin < life.live.end ? 'u' : '-');
    }
    const auto [it, inserted] = ids.emplace(key, static_cast<int>(classes_.size()));
    if (inserted) classes_.push_back(MakeClass(op, std::move(rule), work[i]));
    class_of_op_[i] = it->second;
  }
}

bool CandidateTable::HasLayout(ir::ValueId value) const {
  return !lifetimes_[static_cast<size_t>(value)].free && !IsScalarLike(module_.shape(value));
}

void CandidateTable::FindSpaces() {
  std::map<std::pair<ir::DType, std::vector<int64_t>>, int> ids;
  for (const ir::Value& value : module_.values) {
    const auto [it, inserted] =
        ids.emplace(std::pair(value.shape.dtype, value.shape.dims), static_cast<int>(spaces_.size()));
    if (inserted) spaces_.push_back(std::make_unique<SpecSpace>(value.shape, model_));
    space_of_.push_back(it->second);
  }
}

OpClass CandidateTable::MakeClass(const ir::Op& op, sharding::Rule rule, const OpWork& work) const {
  OpClass out;
  out.rule = std::move(rule);
  out.strategies = sharding::Strategies(out.rule, module_, op, model_.mesh);
  for (size_t s = 0; s < out.strategies.size(); ++s) AddCandidates(op, static_cast<int>(s), work, &out);
  ALPA_CHECK(!out.candidates.empty(), op.name);
  return out;
}

void CandidateTable::AddCandidates(const ir::Op& op, int strategy, const OpWork& work, OpClass* out) const {
  const sharding::Strategy& s = out->strategies[static_cast<size_t>(strategy)];
  Candidate base;
  base.strategy = strategy;
  const auto runs = static_cast<double>(work.runs);
  base.compute = ComputeSeconds(module_, lifetimes_, model_, op, s, work) * runs;
  base.communication = SecondsOf(model_, s.halo) * runs;
  for (size_t i = 0; i < op.operands.size(); ++i) {
    base.operands.push_back(-1);
    if (!HasLayout(op.operands[i])) continue;
    base.operands.back() = space(op.operands[i]).id(s.operands[i]);
    if (base.operands.back() < 0) return;
  }
  // Results one after another: each partial one multiplies the ways.
  std::vector<Candidate> ways = {base};
  for (size_t r = 0; r < op.results.size(); ++r) {
    const SpecSpace& results = space(op.results[r]);
    const sharding::Layout& layout = s.results[r];
    const Lifetime& life = lifetimes_[static_cast<size_t>(op.results[r])];
    const ir::Shape sum = SumShape(results.shape(), work);
    const auto bytes_of = [&](const sharding::Spec& spec) {
      return sharding::ShardShape(spec, sum, model_.mesh).bytes().value;
    };
    std::vector<Candidate> next;
    for (const Candidate& way : ways) {
      for (int id = 0; id < results.size(); ++id) {
        const bool same = results.id(layout.spec) == id;
        if (!same && (layout.partial.empty() || layout.combiner != sharding::Combiner::kSum || r > 0 ||
                      !Extends(results.spec(id), layout.spec, layout.partial, results.shape().rank())))
          continue;
        Candidate c = way;
        c.results.push_back(id);
        const auto seconds_whole = [&](const ir::Shape& shape) {
          double seconds = 0;
          for (const auto& step : sharding::Reshard(layout, results.spec(id), shape, model_.mesh))
            seconds += SecondsOf(model_, step.collectives);
          return seconds;
        };
        const double whole = layout.partial.empty() ? 0 : seconds_whole(results.shape());
        const bool takes_memory = life.live.begin < life.live.end;
        if (whole > 0 && work.accumulates && work.runs > 1) {
          // Partial sums are added up on each device, and made whole once per step, all of them in front of the update;
          // the memory for that is set apart all the time.
          Candidate late = c;
          late.communication += sum == results.shape() ? whole : seconds_whole(sum);
          late.whole_runs = 1;
          const int unsplit = results.id(layout.spec);
          if (takes_memory && unsplit >= 0) late.usage += bytes_of(layout.spec) + bytes_of(results.spec(id));
          next.push_back(std::move(late));
          if (same) continue;  // all-reducing every run saves no memory
        }
        c.communication += whole * runs;
        c.whole_runs = work.runs;
        if (takes_memory) c.usage += bytes_of(results.spec(id));
        next.push_back(std::move(c));
      }
    }
    ways = std::move(next);
  }
  for (Candidate& way : ways) out->candidates.push_back(std::move(way));
}

}  // namespace alpa::intra
