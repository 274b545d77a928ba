#include "alpa/xla/program_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace alpa::xla {

using ::xla::HloInstruction;
using ::xla::HloOpcode;

::xla::Shape Wide(::xla::Shape shape) {
  const auto type = shape.element_type();
  if (type == ::xla::BF16 || type == ::xla::F16) shape.set_element_type(::xla::F32);
  return shape;
}

ProgramBuilder::ProgramBuilder(const std::string& name, Special special, NameOf name_of)
    : special_(std::move(special)), name_of_(std::move(name_of)), builder_(name) {
  program_.module = std::make_unique<::xla::HloModule>(name, ::xla::HloModuleConfig());
  context_ = std::make_unique<::xla::HloCloneContext>(program_.module.get());
}

HloInstruction* ProgramBuilder::Add(std::unique_ptr<HloInstruction> i) {
  HloInstruction* added = builder_.AddInstruction(std::move(i));
  // What is no op of the step must not be taken for one by its name.
  if (name_of_ && added->opcode() != HloOpcode::kParameter)
    added->SetAndSanitizeName(absl::StrCat("made.", ::xla::HloOpcodeString(added->opcode())));
  return added;
}

HloInstruction* ProgramBuilder::Copy(const HloInstruction* root) {
  // Operands first, by a stack of our own: chains can be long.
  std::vector<std::pair<const HloInstruction*, int64_t>> stack = {{root, 0}};
  while (!stack.empty()) {
    auto& [i, next] = stack.back();
    if (copies_.count(i) > 0) {
      stack.pop_back();
      continue;
    }
    if (next == 0) {
      // Those that are special (inputs above all) say for themselves what they need.
      if (HloInstruction* made = special_(*this, i); made != nullptr) {
        copies_[i] = made;
        stack.pop_back();
        continue;
      }
    }
    if (next < i->operand_count()) {
      const HloInstruction* operand = i->operand(next++);
      if (copies_.count(operand) == 0) stack.emplace_back(operand, 0);
      continue;
    }
    std::vector<HloInstruction*> operands;
    for (const HloInstruction* o : i->operands()) operands.push_back(copies_.at(o));
    copies_[i] = CopyWith(i, operands);
    stack.pop_back();
  }
  return copies_.at(root);
}

HloInstruction* ProgramBuilder::CopyWith(const HloInstruction* i, const std::vector<HloInstruction*>& operands) {
  HloInstruction* copy = Add(i->CloneWithNewOperands(i->shape(), operands, context_.get()));
  if (const std::string name = name_of_ ? name_of_(i) : ""; !name.empty()) copy->SetAndSanitizeName(name);
  return copy;
}

HloInstruction* ProgramBuilder::Input(const StageValue& input, const ::xla::Shape& shape) {
  const auto number = std::find(program_.inputs.begin(), program_.inputs.end(), input) - program_.inputs.begin();
  if (number < static_cast<std::ptrdiff_t>(parameters_.size())) return parameters_[static_cast<size_t>(number)];
  program_.inputs.push_back(input);
  parameters_.push_back(Add(HloInstruction::CreateParameter(number, shape, fmt::format("p{}", number))));
  return parameters_.back();
}

HloInstruction* ProgramBuilder::Zeros(const ::xla::Shape& shape) {
  HloInstruction* zero = Add(HloInstruction::CreateConstant(::xla::LiteralUtil::Zero(shape.element_type())));
  return shape.dimensions().empty() ? zero : Add(HloInstruction::CreateBroadcast(shape, zero, {}));
}

HloInstruction* ProgramBuilder::Number() {
  return Input({StageValue::Kind::kNumber, 0}, ::xla::ShapeUtil::MakeShape(::xla::U32, {}));
}

std::vector<HloInstruction*> ProgramBuilder::Offsets(HloInstruction* number, int dim, int64_t extent, size_t rank) {
  HloInstruction* zero = Add(HloInstruction::CreateConstant(::xla::LiteralUtil::CreateR0<uint32_t>(0)));
  HloInstruction* length =
      Add(HloInstruction::CreateConstant(::xla::LiteralUtil::CreateR0<uint32_t>(static_cast<uint32_t>(extent))));
  std::vector<HloInstruction*> out(rank, zero);
  out[static_cast<size_t>(dim)] =
      Add(HloInstruction::CreateBinary(zero->shape(), HloOpcode::kMultiply, number, length));
  return out;
}

HloInstruction* ProgramBuilder::Convert(HloInstruction* value, const ::xla::Shape& shape) {
  if (value->shape().element_type() == shape.element_type()) return value;
  return Add(
      HloInstruction::CreateConvert(::xla::ShapeUtil::ChangeElementType(value->shape(), shape.element_type()), value));
}

HloInstruction* ProgramBuilder::Scale(HloInstruction* value, int64_t factor) {
  auto number = ::xla::LiteralUtil::CreateR0<float>(static_cast<float>(factor)).Convert(value->shape().element_type());
  ALPA_CHECK(number.ok(), std::string(number.status().message()));
  HloInstruction* scale = Add(HloInstruction::CreateConstant(std::move(*number)));
  if (!value->shape().dimensions().empty()) scale = Add(HloInstruction::CreateBroadcast(value->shape(), scale, {}));
  return Add(HloInstruction::CreateBinary(value->shape(), HloOpcode::kMultiply, value, scale));
}

ProgramBuilder::Program ProgramBuilder::Finish(const std::vector<HloInstruction*>& results) && {
  HloInstruction* root = Add(HloInstruction::CreateTuple(results));
  program_.module->AddEntryComputationWithLayouts(builder_.Build(root));
  for (::xla::HloComputation* computation : program_.module->computations()) {
    for (HloInstruction* i : computation->instructions()) i->clear_sharding();
  }
  return std::move(program_);
}

}  // namespace alpa::xla
