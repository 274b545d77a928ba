#include "alpa/xla/stage_hlo.h"

#include <absl/strings/numbers.h>
#include <fmt/format.h>

#include <string>
#include <unordered_map>
#include <utility>

#include "alpa/xla/array.h"
#include "alpa/xla/partition.h"
#include "alpa/xla/sums.h"

namespace alpa::xla {
namespace {

using ::xla::HloComputation;
using ::xla::HloInstruction;
using ::xla::HloOpcode;

::xla::Shape ToXlaShape(const ir::Shape& shape) {
  return ::xla::ShapeUtil::MakeShape(ToPrimitiveType(shape.dtype), shape.dims);
}

class Builder {
 public:
  Builder(const ::xla::HloModule& whole, const StageCut& cut)
      : cut_(cut),
        module_(std::make_unique<::xla::HloModule>(cut.module.name, ::xla::HloModuleConfig())),
        context_(module_.get()),
        builder_(cut.module.name),
        values_(cut.module.values.size(), nullptr) {
    for (const HloInstruction* i : whole.entry_computation()->instructions()) by_name_.emplace(i->name(), i);
  }

  std::unique_ptr<::xla::HloModule> Run() {
    for (size_t k = 0; k < cut_.module.inputs.size(); ++k) AddInput(k);
    for (size_t o = 0; o < cut_.module.ops.size(); ++o) {
      const ir::Op& op = cut_.module.ops[o];
      if (op.kind != ir::OpKind::kParameter) AddOp(static_cast<ir::OpId>(o), op);
    }
    std::vector<HloInstruction*> results;
    for (const ir::ValueId v : cut_.module.outputs) results.push_back(Value(v));
    HloInstruction* root = builder_.AddInstruction(HloInstruction::CreateTuple(results));
    module_->AddEntryComputationWithLayouts(builder_.Build(root));
    return std::move(module_);
  }

 private:
  HloInstruction*& Value(ir::ValueId v) { return values_[static_cast<size_t>(v)]; }

  void AddInput(size_t k) {
    const ir::ValueId v = cut_.module.inputs[k];
    ::xla::Shape shape = ToXlaShape(cut_.module.shape(v));
    const bool sum = cut_.part[k] != 0 && cut_.split.count > 1;
    const ::xla::Shape whole = shape;
    if (sum) {
      std::vector<int64_t> dims = cut_.module.shape(v).dims;
      dims.insert(dims.begin(), cut_.split.count);
      shape = ::xla::ShapeUtil::MakeShape(whole.element_type(), dims);
    }
    HloInstruction* input = builder_.AddInstruction(
        HloInstruction::CreateParameter(static_cast<int64_t>(k), shape, fmt::format("input.{}", k)));
    MarkOp(*input, cut_.module.value(v).producer);
    if (sum) input = SumOf(input, whole);
    Value(v) = input;
  }

  HloInstruction* SumOf(HloInstruction* parts, const ::xla::Shape& shape) {
    HloComputation* add = Addition(*module_, shape);
    HloInstruction* zero =
        builder_.AddInstruction(HloInstruction::CreateConstant(::xla::LiteralUtil::Zero(shape.element_type())));
    return builder_.AddInstruction(HloInstruction::CreateReduce(shape, parts, zero, {0}, add));
  }

  const HloInstruction* Find(const ir::Op& op) const {
    auto at = by_name_.find(op.name);
    if (at == by_name_.end()) at = by_name_.find(op.name.substr(0, op.name.find('[')));
    ALPA_CHECK(at != by_name_.end(), "no instruction " + op.name);
    return at->second;
  }

  // Without reference to the frames of the whole module.
  static ::xla::OpMetadata MetadataOf(const HloInstruction& from) {
    ::xla::OpMetadata metadata = from.metadata();
    if (metadata.stack_frame_id() != 0) {
      const auto frame = from.GetModule()->get_stack_frame(metadata.stack_frame_id());
      metadata.set_source_file(std::string(frame.file_name));
      metadata.set_source_line(frame.line);
      metadata.set_stack_frame_id(0);
    }
    return metadata;
  }

  void AddOp(ir::OpId id, const ir::Op& op) {
    const HloInstruction* from = Find(op);
    std::vector<HloInstruction*> leaves;
    for (const ir::ValueId v : op.operands) leaves.push_back(Value(v));
    HloInstruction* made = from->shape().IsTuple() ? CopyOf(*from, from->shape(), leaves) : Made(op, *from, leaves);
    made->set_metadata(MetadataOf(*from));
    made->SetAndSanitizeName(op.name);
    MarkOp(*made, id);
    if (!made->shape().IsTuple()) {
      Value(op.results[0]) = made;
      return;
    }
    int64_t next = 0;
    Take(made, id, op.results, &next);
  }

  // The elements of a tuple, and of tuples in it, are the results of the op.
  void Take(HloInstruction* tuple, ir::OpId id, const std::vector<ir::ValueId>& results, int64_t* next) {
    for (int64_t e = 0; e < static_cast<int64_t>(tuple->shape().tuple_shapes().size()); ++e) {
      HloInstruction* element = builder_.AddInstruction(HloInstruction::CreateGetTupleElement(tuple, e));
      if (element->shape().IsTuple()) {
        Take(element, id, results, next);
      } else {
        Value(results[static_cast<size_t>((*next)++)]) = element;
      }
    }
  }

  // An op with one result, of the shape it has in the stage.
  HloInstruction* Made(const ir::Op& op, const HloInstruction& from, const std::vector<HloInstruction*>& operands) {
    const ::xla::Shape shape = ToXlaShape(cut_.module.shape(op.results[0]));
    if (const auto* a = std::get_if<ir::SliceAttr>(&op.attributes); a != nullptr) {
      return Add(HloInstruction::CreateSlice(shape, operands[0], a->start, a->limit, a->stride));
    }
    if (op.kind == ir::OpKind::kBroadcast) {
      return Add(HloInstruction::CreateBroadcast(shape, operands[0], std::get<ir::DimsAttr>(op.attributes).dims));
    }
    const bool same = ir::Name(op.kind) == ::xla::HloOpcodeString(from.opcode());
    if (!same && operands.size() == 2) {  // sums of sums over the parts of what was stacked
      const auto opcode = ::xla::StringToHloOpcode(std::string(ir::Name(op.kind)));
      ALPA_CHECK(opcode.ok(), op.name);
      return Add(HloInstruction::CreateBinary(shape, *opcode, operands[0], operands[1]));
    }
    ALPA_CHECK(same, op.name + " is made of another op");
    if (from.opcode() == HloOpcode::kReshape) return Add(HloInstruction::CreateReshape(shape, operands[0]));
    if (from.opcode() == HloOpcode::kReduce && operands.size() == 2) {
      HloComputation* combiner = module_->DeepCloneComputation(from.to_apply(), &context_);
      return Add(HloInstruction::CreateReduce(shape, operands[0], operands[1],
                                              std::get<ir::DimsAttr>(op.attributes).dims, combiner));
    }
    return CopyOf(from, shape, operands);
  }

  HloInstruction* Add(std::unique_ptr<HloInstruction> i) { return builder_.AddInstruction(std::move(i)); }

  // Operands that are tuples are put together from `leaves`.
  HloInstruction* CopyOf(const HloInstruction& from, const ::xla::Shape& shape,
                         const std::vector<HloInstruction*>& leaves) {
    std::vector<HloInstruction*> operands;
    size_t next = 0;
    for (const HloInstruction* o : from.operands()) operands.push_back(PutTogether(o->shape(), leaves, &next));
    ALPA_CHECK(next == leaves.size(), std::string(from.name()));
    return Add(from.CloneWithNewOperands(shape, operands, &context_));
  }

  HloInstruction* PutTogether(const ::xla::Shape& shape, const std::vector<HloInstruction*>& leaves, size_t* next) {
    if (!shape.IsTuple()) return leaves[(*next)++];
    std::vector<HloInstruction*> elements;
    for (const ::xla::Shape& element : shape.tuple_shapes()) elements.push_back(PutTogether(element, leaves, next));
    return Add(HloInstruction::CreateTuple(elements));
  }

  const StageCut& cut_;
  std::unique_ptr<::xla::HloModule> module_;
  ::xla::HloCloneContext context_;
  HloComputation::Builder builder_;
  std::vector<HloInstruction*> values_;  // by ValueId of the stage
  std::unordered_map<std::string, const HloInstruction*> by_name_;
};

constexpr std::string_view kMark = "alpa:";

}  // namespace

ir::OpId OpOf(const ::xla::HloInstruction& instruction) {
  const std::string& text = instruction.metadata().deduplicated_name();
  int op = -1;
  if (text.rfind(kMark, 0) != 0 || !absl::SimpleAtoi(text.substr(kMark.size()), &op)) return -1;
  return op;
}

void MarkOp(::xla::HloInstruction& instruction, ir::OpId op) {
  ::xla::OpMetadata metadata = instruction.metadata();
  metadata.set_deduplicated_name(fmt::format("{}{}", kMark, op));
  instruction.set_metadata(metadata);
}

Result<StageStep> MakeStageStep(const ImportedStep& step, const StageCut& cut) {
  ALPA_TRY(const std::unique_ptr<::xla::HloModule> whole, ReadModule(step.hlo, 1));
  const std::unique_ptr<::xla::HloModule> module = Builder(*whole, cut).Run();
  StageStep out;
  if (!module->ToProto().SerializeToString(&out.step.hlo)) {
    return Error{Code::kUnsupported, "a stage is larger than 2 GiB as HLO", ""};
  }
  out.step.module = cut.module;
  out.split = cut.split;
  for (size_t k = 0; k < cut.module.inputs.size() && cut.split.count > 1; ++k) {
    if (cut.part[k] == 0) continue;
    const auto v = static_cast<size_t>(cut.module.inputs[k]);
    auto& dims = out.step.module.values[v].shape.dims;
    dims.insert(dims.begin(), cut.split.count);
    out.split.batch_dims[v] = 0;
  }
  return out;
}

}  // namespace alpa::xla
