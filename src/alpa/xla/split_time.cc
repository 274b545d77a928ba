#include "alpa/xla/split_time.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "alpa/xla/time_axis.h"

namespace alpa::xla {
namespace {

using ::xla::HloComputation;
using ::xla::HloInstruction;
using ::xla::HloOpcode;
using Kind = TimeInput::Kind;

bool IsSum(const HloInstruction* i) { return i->opcode() == HloOpcode::kAllReduce; }

// Sums of 16-bit floats have 32 bits.
::xla::Shape Wide(::xla::Shape shape) {
  const auto type = shape.element_type();
  if (type == ::xla::BF16 || type == ::xla::F16) shape.set_element_type(::xla::F32);
  return shape;
}

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

  // Builds one program out of copies of instructions.
  class Builder {
   public:
    Builder(const Splitter& splitter, const std::string& name, bool update)
        : splitter_(splitter), update_(update), builder_(name) {
      program_.module = std::make_unique<::xla::HloModule>(name, ::xla::HloModuleConfig());
      context_ = std::make_unique<::xla::HloCloneContext>(program_.module.get());
    }

    HloInstruction* Add(std::unique_ptr<HloInstruction> i) { return builder_.AddInstruction(std::move(i)); }

    // The parameter that stands for `input`.
    HloInstruction* Input(const TimeInput& input, const ::xla::Shape& shape) {
      const auto number = static_cast<int64_t>(std::find(program_.inputs.begin(), program_.inputs.end(), input) -
                                               program_.inputs.begin());
      if (number < static_cast<int64_t>(parameters_.size())) return parameters_[static_cast<size_t>(number)];
      program_.inputs.push_back(input);
      parameters_.push_back(Add(HloInstruction::CreateParameter(number, shape, fmt::format("p{}", number))));
      return parameters_.back();
    }

    HloInstruction* Microbatch() { return Input({Kind::kMicrobatch, 0}, ::xla::ShapeUtil::MakeShape(::xla::U32, {})); }

    // `value` with the element type of `shape`.
    HloInstruction* Convert(HloInstruction* value, const ::xla::Shape& shape) {
      if (value->shape().element_type() == shape.element_type()) return value;
      return Add(HloInstruction::CreateConvert(
          ::xla::ShapeUtil::ChangeElementType(value->shape(), shape.element_type()), value));
    }

    HloInstruction* Zeros(const ::xla::Shape& shape) {
      HloInstruction* zero = Add(HloInstruction::CreateConstant(::xla::LiteralUtil::Zero(shape.element_type())));
      return shape.dimensions().empty() ? zero : Add(HloInstruction::CreateBroadcast(shape, zero, {}));
    }

    // Offsets of the microbatch's block, `extent` long, along dimension `dim` of `rank`.
    std::vector<HloInstruction*> Offsets(int dim, int64_t extent, size_t rank) {
      HloInstruction* zero = Add(HloInstruction::CreateConstant(::xla::LiteralUtil::CreateR0<uint32_t>(0)));
      HloInstruction* length =
          Add(HloInstruction::CreateConstant(::xla::LiteralUtil::CreateR0<uint32_t>(static_cast<uint32_t>(extent))));
      std::vector<HloInstruction*> out(rank, zero);
      out[static_cast<size_t>(dim)] =
          Add(HloInstruction::CreateBinary(zero->shape(), HloOpcode::kMultiply, Microbatch(), length));
      return out;
    }

    // Copies what `roots` need; value(root) is then known.
    void Copy(const std::vector<const HloInstruction*>& roots) {
      std::unordered_set<const HloInstruction*> need;
      std::vector<const HloInstruction*> work = roots;
      while (!work.empty()) {
        const HloInstruction* i = work.back();
        work.pop_back();
        if (!need.insert(i).second || IsRead(i)) continue;
        work.insert(work.end(), i->operands().begin(), i->operands().end());
      }
      for (const HloInstruction* i : splitter_.entry_->MakeInstructionPostOrder()) {
        if (need.count(i) > 0) copies_[i] = CopyOf(i);
      }
    }
    HloInstruction* value(const HloInstruction* i) const { return copies_.at(i); }

    TimeProgram Finish(const std::vector<HloInstruction*>& results) && {
      HloInstruction* root = Add(HloInstruction::CreateTuple(results));
      program_.module->AddEntryComputationWithLayouts(builder_.Build(root));
      for (HloComputation* computation : program_.module->computations()) {
        for (HloInstruction* i : computation->instructions()) i->clear_sharding();
      }
      return std::move(program_);
    }

   private:
    // Whether `i` is a sum that comes from an earlier round.
    bool IsRead(const HloInstruction* i) const {
      return IsSum(i) && (update_ || !splitter_.IsLocal(i, splitter_.facts_.at(i)));
    }

    HloInstruction* CopyOf(const HloInstruction* i) {
      if (i->opcode() == HloOpcode::kParameter) return Argument(i);
      if (i->opcode() == HloOpcode::kPartitionId) return Microbatch();
      if (IsRead(i)) {
        return Convert(Input({Kind::kAccumulator, splitter_.sums_.at(i)}, Wide(i->shape())), i->shape());
      }
      if (IsSum(i)) return LocalSum(i);
      std::vector<HloInstruction*> operands;
      for (const HloInstruction* o : i->operands()) operands.push_back(copies_.at(o));
      return Add(i->CloneWithNewOperands(i->shape(), operands, context_.get()));
    }

    // The input, or the microbatch's block of it.
    HloInstruction* Argument(const HloInstruction* parameter) {
      const TimeInput input{Kind::kArgument, static_cast<int>(parameter->parameter_number())};
      const int dim = splitter_.DimOfInput(parameter);
      ::xla::Shape shape = parameter->shape();
      if (dim < 0) return Input(input, shape);
      const int64_t extent = shape.dimensions(dim);
      shape.set_dimensions(dim, extent * splitter_.split_.count);
      HloInstruction* whole = Input(input, shape);
      const std::vector<HloInstruction*> start = Offsets(dim, extent, shape.dimensions().size());
      return Add(HloInstruction::CreateDynamicSlice(parameter->shape(), whole, start, parameter->shape().dimensions()));
    }

    // The microbatch's part of a sum, scaled to the whole batch.
    HloInstruction* LocalSum(const HloInstruction* sum) {
      auto count = ::xla::LiteralUtil::CreateR0<float>(static_cast<float>(splitter_.split_.count))
                       .Convert(sum->shape().element_type());
      ALPA_CHECK(count.ok(), std::string(count.status().message()));
      HloInstruction* factor = Add(HloInstruction::CreateConstant(std::move(*count)));
      if (!sum->shape().dimensions().empty()) {
        factor = Add(HloInstruction::CreateBroadcast(sum->shape(), factor, {}));
      }
      return Add(HloInstruction::CreateBinary(sum->shape(), HloOpcode::kMultiply, copies_.at(sum->operand(0)), factor));
    }

    const Splitter& splitter_;
    const bool update_;
    TimeProgram program_;
    std::unique_ptr<::xla::HloCloneContext> context_;
    HloComputation::Builder builder_;
    std::vector<HloInstruction*> parameters_;
    std::unordered_map<const HloInstruction*, HloInstruction*> copies_;
  };

  Round MakeRound(int round) const {
    Round out;
    std::vector<const HloInstruction*> values;
    for (size_t a = 0; a < accumulators_.size(); ++a) {
      if (RoundOf(accumulators_[a]) != round) continue;
      out.accumulators.push_back(static_cast<int>(a));
      values.push_back(accumulators_[a].value());
    }
    Builder begin(*this, fmt::format("begin_{}", round), false);
    Builder microbatch(*this, fmt::format("microbatch_{}", round), false);
    std::vector<HloInstruction*> zeros, before, after;
    for (const int a : out.accumulators) {
      const ::xla::Shape shape = ShapeOf(accumulators_[static_cast<size_t>(a)]);
      zeros.push_back(begin.Zeros(shape));
      before.push_back(microbatch.Input({Kind::kAccumulator, a}, shape));
    }
    microbatch.Copy(values);
    for (size_t k = 0; k < before.size(); ++k) {
      const Accumulator& a = accumulators_[static_cast<size_t>(out.accumulators[k])];
      const ::xla::Shape& shape = before[k]->shape();
      HloInstruction* now = microbatch.Convert(microbatch.value(values[k]), shape);
      if (a.sum != nullptr) {
        after.push_back(microbatch.Add(HloInstruction::CreateBinary(shape, HloOpcode::kAdd, before[k], now)));
      } else {
        const auto start = microbatch.Offsets(a.dim, now->shape().dimensions(a.dim), shape.dimensions().size());
        after.push_back(microbatch.Add(HloInstruction::CreateDynamicUpdateSlice(shape, before[k], now, start)));
      }
    }
    out.begin = std::move(begin).Finish(zeros);
    out.microbatch = std::move(microbatch).Finish(after);
    return out;
  }

  TimeProgram MakeUpdate() const {
    Builder update(*this, "update", true);
    update.Copy(update_results_);
    std::vector<HloInstruction*> results;
    for (const HloInstruction* i : update_results_) results.push_back(update.value(i));
    return std::move(update).Finish(results);
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
