#include "alpa/xla/split_time.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "alpa/xla/program_builder.h"
#include "alpa/xla/sums.h"
#include "alpa/xla/time_axis.h"

namespace alpa::xla {
namespace {

using ::xla::HloComputation;
using ::xla::HloInstruction;
using ::xla::HloOpcode;
using Kind = StageValue::Kind;

// What is known of an instruction of the partitioned step.
struct Fact {
  bool varies = false;   // differs from microbatch to microbatch
  bool weights = false;  // depends on floating arrays that are not of the batch
  int round = 0;         // the first round that can compute it; a sum is complete behind that of its operand
};

// What is to be accumulated: the operand of a sum, or the block of an output.
struct Accumulator {
  HloInstruction* sum = nullptr;  // else a block:
  HloInstruction* block = nullptr;
  int dim = 0;
  const HloInstruction* value() const { return sum != nullptr ? sum->operand(0) : block; }
};

class Splitter {
 public:
  Splitter(const ImportedStep& step, const MicrobatchSplit& split, ::xla::HloModule& partitioned)
      : module_(step.module), split_(split), entry_(partitioned.entry_computation()) {}

  Result<TimeSplit> Run() {
    ALPA_TRY(results_, Results());
    for (HloInstruction* i : entry_->MakeInstructionPostOrder()) Learn(i);
    ALPA_RETURN_IF_ERROR(FindAccumulators());
    TimeSplit out;
    out.count = split_.count;
    for (const Accumulator& a : accumulators_) out.accumulators.push_back(ShapeOf(a));
    int rounds = 0;
    for (const Accumulator& a : accumulators_) rounds = std::max(rounds, RoundOf(a) + 1);
    for (int r = 0; r < rounds; ++r) out.rounds.push_back(MakeRound(r));
    out.update = MakeUpdate();
    out.outputs = outputs_;
    return out;
  }

 private:
  // ---- what is what

  // The outputs of the step, as instructions.
  Result<std::vector<HloInstruction*>> Results() {
    HloInstruction* root = entry_->root_instruction();
    std::vector<HloInstruction*> out;
    if (root->shape().IsArray()) {
      out.push_back(root);
    } else if (root->opcode() == HloOpcode::kTuple) {
      out.assign(root->operands().begin(), root->operands().end());
    } else {
      for (int e = 0; e < static_cast<int>(root->shape().tuple_shapes().size()); ++e) {
        out.push_back(entry_->AddInstruction(HloInstruction::CreateGetTupleElement(root, e)));
      }
    }
    const bool flat = std::all_of(out.begin(), out.end(), [](const auto* i) { return i->shape().IsArray(); });
    if (!flat || out.size() != module_.outputs.size()) {
      return Error{Code::kUnsupported, "microbatches: the step returns tuples of tuples", "flatten its results"};
    }
    return out;
  }

  int DimOfInput(const HloInstruction* parameter) const {
    return split_.batch_dims[static_cast<size_t>(module_.inputs[static_cast<size_t>(parameter->parameter_number())])];
  }

  void Learn(const HloInstruction* i) {
    Fact fact;
    if (i->opcode() == HloOpcode::kParameter) {
      fact.varies = DimOfInput(i) >= 0;
      fact.weights = !fact.varies && !i->shape().dimensions().empty() &&
                     ::xla::primitive_util::IsFloatingPointType(i->shape().element_type());
    }
    if (i->opcode() == HloOpcode::kPartitionId) fact.varies = true;
    for (const HloInstruction* o : i->operands()) {
      const Fact& from = facts_.at(o);
      fact.varies |= from.varies;
      fact.weights |= from.weights;
      fact.round = std::max(fact.round, from.round);
    }
    if (IsSum(i)) {
      fact.varies = false;
      if (!IsLocal(i, fact)) ++fact.round;
    }
    facts_.emplace(i, fact);
  }

  // Whether microbatches read a sum as that of their own examples. (The update reads complete sums always.)
  bool IsLocal(const HloInstruction* sum, const Fact& fact) const {
    return split_.per_microbatch && fact.weights && sum->shape().IsArray();
  }

  int RoundOf(const Accumulator& a) const { return facts_.at(a.value()).round; }

  ::xla::Shape ShapeOf(const Accumulator& a) const {
    if (a.sum != nullptr) return Wide(a.sum->shape());
    ::xla::Shape shape = a.block->shape();
    shape.set_dimensions(a.dim, shape.dimensions(a.dim) * split_.count);
    return shape;
  }

  // ---- what has to be accumulated

  // From the outputs backwards: blocks of outputs, the sums that the update reads, and those that microbatches read.
  Status FindAccumulators() {
    std::vector<const HloInstruction*> once;
    for (size_t o = 0; o < results_.size(); ++o) {
      const int dim = split_.batch_dims[static_cast<size_t>(module_.outputs[o])];
      if (dim < 0) {
        outputs_.push_back({true, static_cast<int>(once.size())});
        once.push_back(results_[o]);
      } else {
        outputs_.push_back({false, static_cast<int>(accumulators_.size())});
        accumulators_.push_back({nullptr, results_[o], dim});
      }
    }
    ALPA_RETURN_IF_ERROR(AddSumsOf(once, /*update=*/true));
    update_results_ = std::move(once);
    for (size_t a = 0; a < accumulators_.size(); ++a) {  // which grows as we go
      ALPA_RETURN_IF_ERROR(AddSumsOf({accumulators_[a].value()}, /*update=*/false));
    }
    return Ok();
  }

  // The sums that a program which computes `values` reads.
  Status AddSumsOf(std::vector<const HloInstruction*> values, bool update) {
    auto& seen = update ? seen_in_update_ : seen_in_microbatch_;
    while (!values.empty()) {
      const HloInstruction* i = values.back();
      values.pop_back();
      if (!seen.insert(i).second) continue;
      if (IsSum(i) && !(!update && IsLocal(i, facts_.at(i)))) {
        ALPA_RETURN_IF_ERROR(AddSum(i, update));
        continue;
      }
      const bool reads_batch =
          i->opcode() == HloOpcode::kPartitionId || (i->opcode() == HloOpcode::kParameter && facts_.at(i).varies);
      if (update && reads_batch) {
        return Error{Code::kUnsupported,
                     fmt::format("{} microbatches: what is done once per step reads {} for single examples",
                                 split_.count, Describe(*i)),
                     ""};
      }
      values.insert(values.end(), i->operands().begin(), i->operands().end());
    }
    return Ok();
  }

  Status AddSum(const HloInstruction* sum, bool update) {
    if (!update && facts_.at(sum).weights) {
      return Error{
          Code::kUnsupported,
          fmt::format(
              "{} microbatches: {} sums over the whole batch what depends on weights, and each example needs it",
              split_.count, Describe(*sum)),
          "--per-microbatch runs it with sums over each microbatch"};
    }
    if (!sums_.emplace(sum, static_cast<int>(accumulators_.size())).second) return Ok();
    accumulators_.push_back({const_cast<HloInstruction*>(sum), nullptr, 0});
    return Ok();
  }

  // ---- the programs

  // The builder of a program; `update`: of the one that reads complete sums always.
  ProgramBuilder Start(const std::string& name, bool update) const {
    return ProgramBuilder(name,
                          [this, update](ProgramBuilder& b, const HloInstruction* i) { return Special(b, update, i); });
  }

  // What is not simply copied.
  HloInstruction* Special(ProgramBuilder& b, bool update, const HloInstruction* i) const {
    if (i->opcode() == HloOpcode::kParameter) return Argument(b, i);
    if (i->opcode() == HloOpcode::kPartitionId) return b.Number();
    if (!IsSum(i)) return nullptr;
    if (update || !IsLocal(i, facts_.at(i))) {  // comes from an earlier round
      return b.Convert(b.Input({Kind::kAccumulator, sums_.at(i)}, Wide(i->shape())), i->shape());
    }
    return b.Scale(b.Copy(i->operand(0)), split_.count);  // the microbatch's part, for the whole batch
  }

  // The input, or the microbatch's block of it.
  HloInstruction* Argument(ProgramBuilder& b, const HloInstruction* parameter) const {
    const StageValue input{Kind::kInput, static_cast<int>(parameter->parameter_number())};
    const int dim = DimOfInput(parameter);
    ::xla::Shape shape = parameter->shape();
    if (dim < 0) return b.Input(input, shape);
    const int64_t extent = shape.dimensions(dim);
    shape.set_dimensions(dim, extent * split_.count);
    HloInstruction* whole = b.Input(input, shape);
    const std::vector<HloInstruction*> start = b.Offsets(b.Number(), dim, extent, shape.dimensions().size());
    return b.Add(HloInstruction::CreateDynamicSlice(parameter->shape(), whole, start, parameter->shape().dimensions()));
  }

  static TimeProgram Finish(ProgramBuilder builder, const std::vector<HloInstruction*>& results) {
    ProgramBuilder::Program program = std::move(builder).Finish(results);
    return {std::move(program.module), std::move(program.inputs)};
  }

  Round MakeRound(int round) const {
    Round out;
    std::vector<const HloInstruction*> values;
    for (size_t a = 0; a < accumulators_.size(); ++a) {
      if (RoundOf(accumulators_[a]) != round) continue;
      out.accumulators.push_back(static_cast<int>(a));
      values.push_back(accumulators_[a].value());
    }
    ProgramBuilder begin = Start(fmt::format("begin_{}", round), false);
    ProgramBuilder microbatch = Start(fmt::format("microbatch_{}", round), false);
    std::vector<HloInstruction*> zeros, before, after;
    for (const int a : out.accumulators) {
      const ::xla::Shape shape = ShapeOf(accumulators_[static_cast<size_t>(a)]);
      zeros.push_back(begin.Zeros(shape));
      before.push_back(microbatch.Input({Kind::kAccumulator, a}, shape));
    }
    for (size_t k = 0; k < before.size(); ++k) {
      const Accumulator& a = accumulators_[static_cast<size_t>(out.accumulators[k])];
      const ::xla::Shape& shape = before[k]->shape();
      HloInstruction* now = microbatch.Convert(microbatch.Copy(values[k]), shape);
      if (a.sum != nullptr) {
        after.push_back(microbatch.Add(HloInstruction::CreateBinary(shape, HloOpcode::kAdd, before[k], now)));
      } else {
        const auto start =
            microbatch.Offsets(microbatch.Number(), a.dim, now->shape().dimensions(a.dim), shape.dimensions().size());
        after.push_back(microbatch.Add(HloInstruction::CreateDynamicUpdateSlice(shape, before[k], now, start)));
      }
    }
    out.begin = Finish(std::move(begin), zeros);
    out.microbatch = Finish(std::move(microbatch), after);
    return out;
  }

  TimeProgram MakeUpdate() const {
    ProgramBuilder update = Start("update", true);
    std::vector<HloInstruction*> results;
    for (const HloInstruction* i : update_results_) results.push_back(update.Copy(i));
    return Finish(std::move(update), results);
  }

  const ir::Module& module_;
  const MicrobatchSplit& split_;
  HloComputation* entry_;
  std::vector<HloInstruction*> results_;
  std::unordered_map<const HloInstruction*, Fact> facts_;
  std::vector<Accumulator> accumulators_;
  std::unordered_map<const HloInstruction*, int> sums_;  // their accumulators
  std::vector<TimeOutput> outputs_;
  std::vector<const HloInstruction*> update_results_;
  std::unordered_set<const HloInstruction*> seen_in_update_, seen_in_microbatch_;
};

}  // namespace

Result<TimeSplit> SplitOverTime(const ImportedStep& step, const MicrobatchSplit& split) {
  ALPA_TRY(const std::unique_ptr<::xla::HloModule> partitioned, PartitionOverTime(step, split));
  return Splitter(step, split, *partitioned).Run();
}

}  // namespace alpa::xla
