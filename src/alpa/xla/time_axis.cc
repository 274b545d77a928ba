#include "alpa/xla/time_axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

#include "alpa/xla/carry_number.h"
#include "alpa/xla/cut_by_hand.h"
#include "alpa/xla/partition.h"
#include "alpa/xla/sink_sums.h"
#include "alpa/xla/spmd.h"
#include "alpa/xla/status.h"
#include "alpa/xla/sums.h"
#include "alpa/xla/xla_pch.h"

namespace alpa::xla {
namespace {

using ::xla::HloComputation;
using ::xla::HloInstruction;
using ::xla::HloOpcode;
using ::xla::HloSharding;

Status Check(const MicrobatchSplit& split, const ir::Module& module) {
  auto wrong = [](std::string what) { return Error{Code::kInvalidArgument, std::move(what), ""}; };
  if (split.count < 1) return wrong(fmt::format("{} microbatches: the number must be 1 or more", split.count));
  if (split.batch_dims.size() != module.values.size()) {
    return wrong(
        fmt::format("batch dimensions of {} values, the step has {}", split.batch_dims.size(), module.values.size()));
  }
  for (size_t v = 0; v < module.values.size(); ++v) {
    const int dim = split.batch_dims[v];
    if (dim < 0) continue;
    const ir::Shape& shape = module.values[v].shape;
    if (dim < shape.rank() && shape.dims[static_cast<size_t>(dim)] % split.count == 0) continue;
    return wrong(fmt::format("{} microbatches: dimension {} of {} ({}) cannot be cut into that many", split.count, dim,
                             ir::ToString(shape), ir::Describe(module, module.op(module.values[v].producer))));
  }
  return Ok();
}

// ---- where the batch lies, in the partitioner's terms

HloSharding Blocks(const ir::Shape& shape, int dim, int64_t count) {
  if (dim < 0) return HloSharding::Replicate();
  std::vector<int64_t> tiles(shape.dims.size(), 1);
  tiles[static_cast<size_t>(dim)] = count;
  return HloSharding::IotaTile(tiles);
}

class TimeAnnotator {
 public:
  TimeAnnotator(const ir::Module& module, const MicrobatchSplit& split) : module_(module), split_(split) {
    for (const ir::Op& op : module.ops) ops_.emplace(op.name, &op);
  }

  // Says of inputs, outputs and all blocks how they lie; what is left (values that do not come from the batch) lies as
  // those who read it want it. Random bits are drawn as for the whole batch, of which each microbatch takes its block.
  void Run(::xla::HloModule& hlo) const {
    HloComputation* entry = hlo.entry_computation();
    for (HloInstruction* i : entry->instructions()) Place(i);
    for (HloComputation* computation : hlo.computations()) {
      for (HloInstruction* i : computation->instructions()) {
        if (i->opcode() != HloOpcode::kRng && i->opcode() != HloOpcode::kRngBitGenerator) continue;
        i->set_sharding(HloSharding::Single(i->shape(), HloSharding::Replicate()));
      }
    }
    HloInstruction* root = entry->root_instruction();
    std::vector<HloSharding> outputs;
    for (const ir::ValueId v : module_.outputs) outputs.push_back(Lies(v));
    root->set_sharding(root->shape().IsTuple() ? HloSharding::Tuple(root->shape(), outputs) : outputs.at(0));
  }

 private:
  HloSharding Lies(ir::ValueId v) const {
    return Blocks(module_.shape(v), split_.batch_dims[static_cast<size_t>(v)], split_.count);
  }
  bool IsCut(ir::ValueId v) const { return split_.batch_dims[static_cast<size_t>(v)] >= 0; }

  void Place(HloInstruction* i) const {
    if (i->opcode() == HloOpcode::kParameter) {
      i->set_sharding(Lies(module_.inputs[static_cast<size_t>(i->parameter_number())]));
      return;
    }
    const bool element = i->opcode() == HloOpcode::kGetTupleElement;
    const auto at = ops_.find(std::string((element ? i->operand(0) : i)->name()));
    if (at == ops_.end()) return;
    const std::vector<ir::ValueId>& results = at->second->results;
    if (i->shape().IsArray()) {
      const auto r = element ? static_cast<size_t>(i->tuple_index()) : 0;
      if (r < results.size() && IsCut(results[r])) i->set_sharding(Lies(results[r]));
      return;
    }
    // A tuple has one sharding for all its elements.
    if (std::none_of(results.begin(), results.end(), [&](ir::ValueId v) { return IsCut(v); })) return;
    std::vector<HloSharding> shardings;
    for (const ir::ValueId v : results) shardings.push_back(Lies(v));
    if (static_cast<int64_t>(shardings.size()) != ::xla::ShapeUtil::GetLeafCount(i->shape())) return;
    i->set_sharding(HloSharding::Tuple(i->shape(), shardings));
  }

  const ir::Module& module_;
  const MicrobatchSplit& split_;
  std::unordered_map<std::string, const ir::Op*> ops_;
};

// ---- behind the partitioner

// The partitioner reads offsets of dimensions that are not cut from tables of equal numbers, and lets a scatter into
// zeros start from zeros in the first partition and from zeros in the others.
absl::Status FoldOffsets(HloComputation* computation) {
  for (HloInstruction* i : computation->MakeInstructionPostOrder()) {
    HloInstruction* same = nullptr;
    if (i->opcode() == HloOpcode::kSelect && i->operand(1) == i->operand(2)) {
      same = i->mutable_operand(1);
    } else if (i->opcode() == HloOpcode::kDynamicSlice && i->operand(0)->opcode() == HloOpcode::kConstant &&
               i->operand(1)->opcode() == HloOpcode::kPartitionId && i->shape().dimensions().size() == 1) {
      const ::xla::Literal& table = i->operand(0)->literal();
      if (table.IsAllFirst()) {
        same = computation->AddInstruction(HloInstruction::CreateConstant(table.Slice({0}, {1})));
      }
    }
    if (same == nullptr) continue;
    if (absl::Status s = computation->ReplaceInstruction(i, same); !s.ok()) return s;
  }
  return absl::OkStatus();
}

// sum(a) + sum(b), read by nobody else, becomes sum(a + b): one accumulation where a weight is used twice.
absl::Status DelaySums(HloComputation* entry) {
  for (HloInstruction* i : entry->MakeInstructionPostOrder()) {
    if (i->opcode() != HloOpcode::kAdd || i->operand(0) == i->operand(1)) continue;
    HloInstruction* a = i->mutable_operand(0);
    HloInstruction* b = i->mutable_operand(1);
    if (!IsSum(a) || !IsSum(b) || a->user_count() > 1 || b->user_count() > 1) continue;
    HloInstruction* parts = entry->AddInstruction(
        HloInstruction::CreateBinary(i->shape(), HloOpcode::kAdd, a->mutable_operand(0), b->mutable_operand(0)));
    HloInstruction* sum = entry->AddInstruction(a->CloneWithNewOperands(i->shape(), {parts}));
    if (absl::Status s = entry->ReplaceInstruction(i, sum); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status Partition(::xla::HloModule& module, const ir::Module& step, const MicrobatchSplit& split) {
  TimeAnnotator(step, split).Run(module);
  if (absl::Status s = CutByHand(module, step, split); !s.ok()) return s;
  if (absl::Status s = ShowPositions(module); !s.ok()) return s;
  if (absl::Status s = PropagateShardings(module); !s.ok()) return s;
  if (absl::Status s = PartitionBySharding(module, split.count); !s.ok()) return s;
  if (absl::Status s = Clean(module); !s.ok()) return s;
  for (HloComputation* computation : module.computations()) {
    if (absl::Status s = FoldOffsets(computation); !s.ok()) return s;
  }
  if (absl::Status s = Clean(module); !s.ok()) return s;
  if (absl::Status s = SinkSums(module); !s.ok()) return s;
  if (absl::Status s = CarryNumber(module); !s.ok()) return s;
  if (absl::Status s = DelaySums(module.entry_computation()); !s.ok()) return s;
  return Clean(module);
}

// That microbatches have nothing to do with each other but sums.
Status CheckSums(const ::xla::HloModule& module, int64_t count) {
  for (const HloComputation* computation : module.computations()) {
    const bool inside = computation != module.entry_computation();
    for (const HloInstruction* i : computation->instructions()) {
      const bool speaks = ::xla::HloCollectiveInstruction::ClassOf(i) || ::xla::HloChannelInstruction::ClassOf(i);
      if (!speaks && !(inside && i->opcode() == HloOpcode::kPartitionId)) continue;
      std::string why;
      if (inside) {
        why = speaks ? "sums over the batch inside a loop or branch"
                     : "treats examples by their place in the batch inside a loop or branch";
      } else if (i->opcode() == HloOpcode::kAllReduce && !IsSum(i)) {
        why = "brings the examples together by something other than a sum";
      } else if (!IsSum(i)) {
        why = fmt::format("needs other examples than its own ({})", ::xla::HloOpcodeString(i->opcode()));
      }
      if (why.empty()) continue;
      return Error{Code::kUnsupported, fmt::format("{} microbatches: {} {}", count, Describe(*i), why),
                   inside ? "let counted loops be unrolled (--unroll with a larger number)" : ""};
    }
  }
  return Ok();
}

}  // namespace

std::string Describe(const ::xla::HloInstruction& instruction) {
  const ::xla::OpMetadata& metadata = instruction.metadata();
  const std::string name = metadata.op_name().empty() ? std::string(instruction.name()) : metadata.op_name();
  std::string file = metadata.source_file();
  int line = metadata.source_line();
  if (metadata.stack_frame_id() != 0) {
    const auto frame = instruction.GetModule()->get_stack_frame(metadata.stack_frame_id());
    file = frame.file_name;
    line = frame.line;
  }
  return file.empty() ? fmt::format("'{}'", name) : fmt::format("'{}' at {}:{}", name, file, line);
}

Result<std::unique_ptr<::xla::HloModule>> PartitionOverTime(const ImportedStep& step, const MicrobatchSplit& split) {
  ALPA_RETURN_IF_ERROR(Check(split, step.module));
  ALPA_TRY(std::unique_ptr<::xla::HloModule> module, ReadModule(step.hlo, split.count));
  if (const absl::Status s = Partition(*module, step.module, split); !s.ok()) {
    return FromStatus(s, Code::kUnsupported, fmt::format("XLA cannot cut the step into {} microbatches", split.count));
  }
  ALPA_RETURN_IF_ERROR(CheckSums(*module, split.count));
  return module;
}

}  // namespace alpa::xla
