// Builds a program out of copies of another module's instructions.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "alpa/xla/stage.h"
#include "alpa/xla/xla_pch.h"

namespace alpa::xla {

// The shape in which arrays of `shape` are summed up: 16-bit floats have 32 bits.
::xla::Shape Wide(::xla::Shape shape);

class ProgramBuilder {
 public:
  // Says what an instruction becomes in the program; null: a copy of it.
  using Special = std::function<::xla::HloInstruction*(ProgramBuilder&, const ::xla::HloInstruction*)>;

  // The name of a copy; empty: none that an op of the step could have.
  using NameOf = std::function<std::string(const ::xla::HloInstruction*)>;

  ProgramBuilder(const std::string& name, Special special, NameOf name_of = {});

  // `i` in the program, with all that it needs.
  ::xla::HloInstruction* Copy(const ::xla::HloInstruction* i);
  // A copy with these operands.
  ::xla::HloInstruction* CopyWith(const ::xla::HloInstruction* i, const std::vector<::xla::HloInstruction*>& operands);
  ::xla::HloInstruction* Add(std::unique_ptr<::xla::HloInstruction> i);

  // The parameter that stands for `input`; always the same one.
  ::xla::HloInstruction* Input(const StageValue& input, const ::xla::Shape& shape);
  ::xla::HloInstruction* Zeros(const ::xla::Shape& shape);
  // Offsets of block `number`, `extent` long, along dimension `dim` of `rank`.
  std::vector<::xla::HloInstruction*> Offsets(::xla::HloInstruction* number, int dim, int64_t extent, size_t rank);
  // The number of the microbatch.
  ::xla::HloInstruction* Number();
  // `value` with the element type of `shape`; `factor` times `value`.
  ::xla::HloInstruction* Convert(::xla::HloInstruction* value, const ::xla::Shape& shape);
  ::xla::HloInstruction* Scale(::xla::HloInstruction* value, int64_t factor);

  struct Program {
    std::unique_ptr<::xla::HloModule> module;  // its result is a flat tuple
    std::vector<StageValue> inputs;            // by parameter
  };
  Program Finish(const std::vector<::xla::HloInstruction*>& results) &&;

 private:
  Special special_;
  NameOf name_of_;
  Program program_;
  std::unique_ptr<::xla::HloCloneContext> context_;
  ::xla::HloComputation::Builder builder_;
  std::vector<::xla::HloInstruction*> parameters_;
  std::unordered_map<const ::xla::HloInstruction*, ::xla::HloInstruction*> copies_;
};

}  // namespace alpa::xla
