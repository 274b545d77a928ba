#include "alpa/xla/split_stage.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "alpa/xla/build_ir.h"
#include "alpa/xla/partition.h"
#include "alpa/xla/program_builder.h"
#include "alpa/xla/stage_hlo.h"
#include "alpa/xla/sums.h"
#include "alpa/xla/time_axis.h"

namespace alpa::xla {
namespace {

using ::xla::HloInstruction;
using ::xla::HloOpcode;
using Kind = StageValue::Kind;
using Set = std::unordered_set<const HloInstruction*>;
using List = std::vector<const HloInstruction*>;

// What is known of an instruction of the microbatch's program.
struct Fact {
  bool varies = false;   // differs from microbatch to microbatch
  bool weights = false;  // depends on weights
  bool borders = false;  // depends on what other stages give
  bool has_sum = false;  // depends on a sum over all microbatches
  StagePass pass = StagePass::kForward;
};

// What is added up over microbatches, or (of a single microbatch) stays from the microbatch for the update.
struct Accumulator {
  const HloInstruction* source = nullptr;  // the sum, or the value itself
  StagePass pass = StagePass::kForward;
  bool prologue = false;
  bool is_sum() const { return IsSum(source); }
  const HloInstruction* value() const { return is_sum() ? source->operand(0) : source; }
};

class Splitter {
 public:
  Splitter(const StageCut& cut, const StageStep& stage, ::xla::HloModule& module)
      : cut_(cut), stage_(stage), entry_(module.entry_computation()), order_(entry_->MakeInstructionPostOrder()) {}

  Result<StagePrograms> Run() {
    const HloInstruction* root = entry_->root_instruction();
    ALPA_CHECK(root->opcode() == HloOpcode::kTuple, "a stage returns a flat tuple");
    results_.assign(root->operands().begin(), root->operands().end());
    for (const HloInstruction* i : order_) Learn(i);
    NameInstructions();
    ALPA_RETURN_IF_ERROR(FindAccumulators());
    ALPA_RETURN_IF_ERROR(FindPrologue());
    return MakePrograms();
  }

 private:
  // ---- what is what

  void Learn(const HloInstruction* i) {
    Fact fact;
    if (i->opcode() == HloOpcode::kParameter) {
      const auto k = static_cast<size_t>(i->parameter_number());
      fact.borders = cut_.each[k] != 0;
      fact.varies = fact.borders || stage_.split.batch_dims[static_cast<size_t>(cut_.module.inputs[k])] >= 0;
      fact.weights = cut_.uses_state[k] != 0;
    }
    if (i->opcode() == HloOpcode::kPartitionId) fact.varies = true;
    for (const HloInstruction* o : i->operands()) {
      const Fact& from = facts_.at(o);
      fact.varies |= from.varies;
      fact.weights |= from.weights;
      fact.borders |= from.borders;
      fact.has_sum |= from.has_sum;
      fact.pass = std::max(fact.pass, from.pass);
    }
    if (const ir::OpId op = OpOf(*i); op >= 0) fact.pass = cut_.passes[static_cast<size_t>(op)];
    if (IsSum(i)) {
      fact.varies = false;
      fact.has_sum = true;
    }
    facts_.emplace(i, fact);
  }
  const Fact& FactOf(const HloInstruction* i) const { return facts_.at(i); }

  // The instruction that gives the result of an op: the last one made of it of its kind.
  void NameInstructions() {
    std::unordered_map<ir::OpId, const HloInstruction*> last;
    for (const HloInstruction* i : order_) {
      const ir::OpId op = OpOf(*i);
      if (op < 0 || i->opcode() == HloOpcode::kParameter) continue;
      if (::xla::HloOpcodeString(i->opcode()) == ir::Name(cut_.module.op(op).kind)) last[op] = i;
    }
    for (const auto& [op, i] : last) op_of_[i] = op;
  }

  // The value that an instruction gives; -1: none that has a name.
  ir::ValueId ValueOf(const HloInstruction* i) const {
    const bool element = i->opcode() == HloOpcode::kGetTupleElement;
    const auto at = op_of_.find(element ? i->operand(0) : i);
    if (at == op_of_.end()) return -1;
    const auto& results = cut_.module.op(at->second).results;
    const auto r = element ? static_cast<size_t>(i->tuple_index()) : 0;
    return r < results.size() ? results[r] : -1;
  }

  // Whether examples read a sum as that of their own microbatch.
  bool IsLocal(const HloInstruction* sum) const { return cut_.split.per_microbatch && FactOf(sum).weights; }

  bool IsOnce(size_t o) const { return cut_.output[o] == StageOutput::kOnce; }

  // ---- what has to be accumulated

  Status FindAccumulators() {
    List work;
    for (size_t o = 0; o < results_.size(); ++o) {
      if (IsOnce(o)) work.push_back(results_[o]);
    }
    Set seen;
    while (!work.empty()) {
      const HloInstruction* i = work.back();
      work.pop_back();
      if (!seen.insert(i).second) continue;
      const Fact& fact = FactOf(i);
      const bool stays = cut_.split.count == 1 && fact.varies && fact.pass != StagePass::kUpdate;
      if (IsSum(i) || stays) {
        accumulator_of_.emplace(i, static_cast<int>(accumulators_.size()));
        accumulators_.push_back({i, FactOf(stays ? i : i->operand(0)).pass, false});
        continue;
      }
      if (fact.varies && i->operand_count() == 0) {
        return Error{Code::kUnsupported,
                     fmt::format("{} microbatches: what is done once per step reads {} for single examples",
                                 cut_.split.count, Describe(*i)),
                     ""};
      }
      work.insert(work.end(), i->operands().begin(), i->operands().end());
    }
    for (Accumulator& a : accumulators_) {
      if (a.pass == StagePass::kUpdate) a.pass = StagePass::kBackward;
    }
    return Ok();
  }

  // Parts of sums: what is behind the sums that lead to `i` is a linear function of them.
  void AddRootsOfPart(const HloInstruction* i, List* roots) const {
    if (IsSum(i)) {
      roots->push_back(i->operand(0));
    } else if (!FactOf(i).has_sum) {
      roots->push_back(i);
    } else {
      for (const HloInstruction* o : i->operands()) AddRootsOfPart(o, roots);
    }
  }

  // What is computed with each microbatch in the forward or backward pass.
  List RootsOf(StagePass pass) const {
    List roots;
    for (size_t o = 0; o < results_.size(); ++o) {
      if (IsOnce(o) || PassOfOutput(o) != pass) continue;
      if (cut_.output_part[o] != 0) {
        AddRootsOfPart(results_[o], &roots);
      } else {
        roots.push_back(results_[o]);
      }
    }
    for (const Accumulator& a : accumulators_) {
      if (!a.prologue && ProgramOf(a.pass) == pass) roots.push_back(a.value());
    }
    return roots;
  }

  StagePass ProgramOf(StagePass pass) const {
    if (pass == StagePass::kWeight && !cut_.split_backward) return StagePass::kBackward;
    return pass;
  }

  StagePass PassOfOutput(size_t o) const {
    if (cut_.output[o] == StageOutput::kActivation) return StagePass::kForward;
    if (cut_.output[o] == StageOutput::kCotangent) return StagePass::kBackward;
    return FactOf(results_[o]).pass == StagePass::kForward ? StagePass::kForward : StagePass::kBackward;
  }

  // Sums over the whole batch that single examples need: they are there before the first forward.
  Status FindPrologue() {
    List work;
    for (const StagePass pass : {StagePass::kForward, StagePass::kBackward, StagePass::kWeight}) {
      const List roots = RootsOf(pass);
      work.insert(work.end(), roots.begin(), roots.end());
    }
    Set seen;
    while (!work.empty()) {
      const HloInstruction* i = work.back();
      work.pop_back();
      if (!seen.insert(i).second) continue;
      if (IsSum(i) && !IsLocal(i)) {
        ALPA_RETURN_IF_ERROR(AddToPrologue(i));
        continue;
      }
      work.insert(work.end(), i->operands().begin(), i->operands().end());
    }
    return Ok();
  }

  Status AddToPrologue(const HloInstruction* sum) {
    const Fact& fact = FactOf(sum);
    const bool nested = FactOf(sum->operand(0)).has_sum;
    if (fact.weights || fact.borders || nested) {
      const std::string why = fact.weights   ? "what depends on weights, and each example needs it"
                              : fact.borders ? "what another stage computes, and each example needs it"
                                             : "what depends on such sums, and each example needs it";
      return Error{
          Code::kUnsupported,
          fmt::format("{} microbatches: {} sums over the whole batch {}", cut_.split.count, Describe(*sum), why),
          fact.weights ? "--per-microbatch runs it with sums over each microbatch" : "use one microbatch"};
    }
    const auto [at, is_new] = accumulator_of_.emplace(sum, static_cast<int>(accumulators_.size()));
    if (is_new) accumulators_.push_back({sum, StagePass::kForward, true});
    accumulators_[static_cast<size_t>(at->second)].prologue = true;
    return Ok();
  }

  // ---- the programs

  // All that a program reads instead of computing it.
  using Reader = std::function<std::optional<StageValue>(const HloInstruction*)>;

  // A sum over all microbatches, which is there.
  std::optional<StageValue> ReadSum(const HloInstruction* i) const {
    if (!IsSum(i) || IsLocal(i)) return std::nullopt;
    return ReadAccumulator(i);
  }
  std::optional<StageValue> ReadAccumulator(const HloInstruction* i) const {
    const auto at = accumulator_of_.find(i);
    if (at == accumulator_of_.end()) return std::nullopt;
    return StageValue{Kind::kAccumulator, at->second};
  }

  static Set Closure(List work, const Reader& reader) {
    Set out;
    while (!work.empty()) {
      const HloInstruction* i = work.back();
      work.pop_back();
      if (!out.insert(i).second || reader(i)) continue;
      work.insert(work.end(), i->operands().begin(), i->operands().end());
    }
    return out;
  }

  // Whether the backward pass reads `i` as the forward pass computed it.
  bool IsKept(const HloInstruction* i) const {
    if (forward_.count(i) == 0 || !FactOf(i).varies || !i->shape().IsArray() || i->operand_count() == 0) return false;
    if (i->opcode() == HloOpcode::kBroadcast) return false;  // as good as its operand
    if (!cut_.recompute) return true;
    const ir::ValueId v = ValueOf(i);
    return v >= 0 && cut_.keep[static_cast<size_t>(v)] != 0;
  }
  bool IsGiven(const HloInstruction* i) const {
    return backward_.count(i) > 0 && FactOf(i).varies && i->shape().IsArray() && i->operand_count() > 0 &&
           FactOf(i).pass != StagePass::kForward && i->opcode() != HloOpcode::kBroadcast;
  }

  static int NumberIn(std::vector<const HloInstruction*>* list, const HloInstruction* i) {
    const auto at = std::find(list->begin(), list->end(), i);
    if (at == list->end()) list->push_back(i);
    return static_cast<int>(at - list->begin());
  }

  Result<StagePrograms> MakePrograms() {
    const Reader forward = [this](const HloInstruction* i) { return ReadSum(i); };
    const Reader backward = [this](const HloInstruction* i) -> std::optional<StageValue> {
      if (auto sum = ReadSum(i)) return sum;
      if (IsKept(i)) return StageValue{Kind::kKept, NumberIn(&kept_, i)};
      return std::nullopt;
    };
    const Reader weight = [this, backward](const HloInstruction* i) -> std::optional<StageValue> {
      if (IsGiven(i)) return StageValue{Kind::kGiven, NumberIn(&given_, i)};
      return backward(i);
    };
    forward_ = Closure(RootsOf(StagePass::kForward), forward);
    backward_ = Closure(RootsOf(StagePass::kBackward), backward);
    if (cut_.split_backward) Closure(RootsOf(StagePass::kWeight), weight);

    StagePrograms out;
    ALPA_TRY(out.begin, MakeBegin());
    ALPA_TRY(out.prologue, MakePrologue());
    ALPA_TRY(out.forward, MakePass(StagePass::kForward, "forward", forward, Kind::kKept, kept_));
    ALPA_TRY(out.backward, MakePass(StagePass::kBackward, "backward", backward, Kind::kGiven, given_));
    if (cut_.split_backward) {
      ALPA_TRY(out.weight, MakePass(StagePass::kWeight, "weight", weight, Kind::kGiven, {}));
    }
    for (int round = -1; round < cut_.update_rounds; ++round) {
      ALPA_TRY(StageProgram once, MakeOnce(round));
      out.once.push_back(std::move(once));
    }
    for (const Accumulator& a : accumulators_) out.accumulated.push_back(OpOf(*a.value()));
    for (const HloInstruction* i : kept_) out.kept.push_back(ValueOf(i));
    for (const HloInstruction* i : given_) out.given.push_back(ValueOf(i));
    return out;
  }

  // The builder of a program, that knows inputs and sums.
  ProgramBuilder Start(const std::string& name, StagePass pass, const Reader& reader) const {
    return {cut_.module.name + "." + name,
            [this, reader](ProgramBuilder& b, const HloInstruction* i) { return Special(b, reader, i); },
            [this, pass](const HloInstruction* i) { return NameIn(pass, i); }};
  }

  // What is not simply copied.
  HloInstruction* Special(ProgramBuilder& b, const Reader& reader, const HloInstruction* i) const {
    if (i->opcode() == HloOpcode::kParameter) {
      const auto k = static_cast<int>(i->parameter_number());
      const StageValue input{Kind::kInput, k};
      if (cut_.part[static_cast<size_t>(k)] == 0 || cut_.split.count == 1) return b.Input(input, i->shape());
      ::xla::Shape part = i->shape();
      part.DeleteDimension(0);
      return b.Add(HloInstruction::CreateReshape(i->shape(), b.Input(input, part)));
    }
    if (i->opcode() == HloOpcode::kPartitionId) {
      return b.Number();
    }
    if (const auto read = reader(i)) {
      const bool sum = read->kind == Kind::kAccumulator;
      return b.Convert(b.Input(*read, sum ? ShapeOfSum(i->shape()) : i->shape()), i->shape());
    }
    if (IsSum(i)) {
      return b.Scale(b.Copy(i->operand(0)), cut_.split.count);  // of its own microbatch, for the whole batch
    }
    return nullptr;
  }

  std::string NameIn(StagePass pass, const HloInstruction* i) const {
    const auto at = op_of_.find(i);
    if (at == op_of_.end()) return "";
    const bool again = pass > StagePass::kForward && pass < StagePass::kUpdate && FactOf(i).pass == StagePass::kForward;
    return cut_.module.op(at->second).name + (again ? ".again" : "");
  }

  static Result<StageProgram> Finish(ProgramBuilder builder, std::vector<StageValue> outputs,
                                     const std::vector<HloInstruction*>& values) {
    StageProgram out;
    if (outputs.empty()) return out;
    ProgramBuilder::Program program = std::move(builder).Finish(values);
    ALPA_TRY(out.step.module, BuildIr(*program.module, program.module->name()));
    if (!program.module->ToProto().SerializeToString(&out.step.hlo)) {
      return Error{Code::kUnsupported, "a stage is larger than 2 GiB as HLO", ""};
    }
    out.inputs = std::move(program.inputs);
    out.outputs = std::move(outputs);
    return out;
  }

  Result<StageProgram> MakeBegin() const {
    ProgramBuilder b = Start("begin", StagePass::kForward, {});
    std::vector<StageValue> outputs;
    std::vector<HloInstruction*> values;
    for (size_t a = 0; a < accumulators_.size(); ++a) {
      if (!accumulators_[a].is_sum()) continue;
      outputs.push_back({Kind::kAccumulator, static_cast<int>(a)});
      values.push_back(b.Zeros(ShapeOfSum(accumulators_[a].source->shape())));
    }
    return Finish(std::move(b), std::move(outputs), values);
  }

  // The shape of an accumulator.
  ::xla::Shape ShapeOfSum(const ::xla::Shape& shape) const { return cut_.half_sums ? shape : Wide(shape); }

  // Adds what `wanted` accumulators are of this microbatch to what they were.
  template <typename Wanted>
  void Accumulate(ProgramBuilder& b, Wanted wanted, std::vector<StageValue>* outputs,
                  std::vector<HloInstruction*>* values) const {
    for (size_t a = 0; a < accumulators_.size(); ++a) {
      const Accumulator& accumulator = accumulators_[a];
      if (!wanted(accumulator)) continue;
      const StageValue self{Kind::kAccumulator, static_cast<int>(a)};
      const ::xla::Shape shape = ShapeOfSum(accumulator.source->shape());
      HloInstruction* now = b.Convert(b.Copy(accumulator.value()), shape);
      if (accumulator.is_sum()) {
        now = b.Add(HloInstruction::CreateBinary(shape, HloOpcode::kAdd, b.Input(self, shape), now));
      }
      outputs->push_back(self);
      values->push_back(now);
    }
  }

  Result<StageProgram> MakePrologue() const {
    ProgramBuilder b = Start("prologue", StagePass::kForward, [](const HloInstruction*) { return std::nullopt; });
    std::vector<StageValue> outputs;
    std::vector<HloInstruction*> values;
    Accumulate(
        b, [](const Accumulator& a) { return a.prologue; }, &outputs, &values);
    return Finish(std::move(b), std::move(outputs), values);
  }

  // A part of a sum: sums on the way to it are those of this microbatch.
  HloInstruction* CopyPart(ProgramBuilder& b, const HloInstruction* i) const {
    if (IsSum(i)) return b.Copy(i->operand(0));
    if (!FactOf(i).has_sum) return b.Copy(i);
    std::vector<HloInstruction*> operands;
    for (const HloInstruction* o : i->operands()) operands.push_back(CopyPart(b, o));
    return b.CopyWith(i, operands);
  }

  Result<StageProgram> MakePass(StagePass pass, const std::string& name, const Reader& reader, Kind extra_kind,
                                const List& extra) const {
    ProgramBuilder b = Start(name, pass, reader);
    std::vector<StageValue> outputs;
    std::vector<HloInstruction*> values;
    Accumulate(
        b, [&](const Accumulator& a) { return !a.prologue && ProgramOf(a.pass) == pass; }, &outputs, &values);
    for (size_t o = 0; o < results_.size(); ++o) {
      if (IsOnce(o) || PassOfOutput(o) != pass) continue;
      outputs.push_back({Kind::kOutput, static_cast<int>(o)});
      values.push_back(cut_.output_part[o] != 0 ? CopyPart(b, results_[o]) : b.Copy(results_[o]));
    }
    for (size_t k = 0; k < extra.size(); ++k) {
      outputs.push_back({extra_kind, static_cast<int>(k)});
      values.push_back(b.Copy(extra[k]));
    }
    return Finish(std::move(b), std::move(outputs), values);
  }

  Result<StageProgram> MakeOnce(int round) const {
    const Reader reader = [this](const HloInstruction* i) { return ReadAccumulator(i); };
    ProgramBuilder b = Start(fmt::format("update.{}", round + 1), StagePass::kUpdate, reader);
    std::vector<StageValue> outputs;
    std::vector<HloInstruction*> values;
    for (size_t o = 0; o < results_.size(); ++o) {
      if (!IsOnce(o) || cut_.round[o] != round) continue;
      outputs.push_back({Kind::kOutput, static_cast<int>(o)});
      values.push_back(b.Copy(results_[o]));
    }
    return Finish(std::move(b), std::move(outputs), values);
  }

  const StageCut& cut_;
  const StageStep& stage_;
  ::xla::HloComputation* entry_;
  std::vector<HloInstruction*> order_;
  List results_;
  std::unordered_map<const HloInstruction*, Fact> facts_;
  std::unordered_map<const HloInstruction*, ir::OpId> op_of_;
  std::vector<Accumulator> accumulators_;
  std::unordered_map<const HloInstruction*, int> accumulator_of_;
  Set forward_, backward_;
  List kept_, given_;
};

}  // namespace

Result<StagePrograms> SplitStage(const ImportedStep& step, const StageCut& cut) {
  ALPA_TRY(const StageStep stage, MakeStageStep(step, cut));
  std::unique_ptr<::xla::HloModule> module;
  if (cut.split.count == 1) {
    ALPA_TRY(module, ReadModule(stage.step.hlo, 1));
  } else {
    ALPA_TRY(module, PartitionOverTime(stage.step, stage.split));
  }
  return Splitter(cut, stage, *module).Run();
}

}  // namespace alpa::xla
