#include "alpa/schedule/program.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <charconv>

namespace alpa::schedule {
namespace {

struct OpText {
  std::string_view name;
  Operand operand;
  char second;  // letter of the second operand, 0: there is none
};

constexpr std::array<OpText, kOpCount> kOps = {{
    {"forward", Operand::kStage, 'k'},
    {"backward", Operand::kStage, 'k'},
    {"backward-input", Operand::kStage, 'k'},
    {"backward-weight", Operand::kStage, 'k'},
    {"update", Operand::kStage, 'r'},
    {"send-activation", Operand::kEdge, 'k'},
    {"receive-activation", Operand::kEdge, 'k'},
    {"send-cotangent", Operand::kEdge, 'k'},
    {"receive-cotangent", Operand::kEdge, 'k'},
    {"send-step", Operand::kStepEdge, 0},
    {"receive-step", Operand::kStepEdge, 0},
    {"free-input", Operand::kEdge, 'k'},
    {"free-cotangent", Operand::kEdge, 'k'},
    {"free-activations", Operand::kStage, 'k'},
    {"free-weight-inputs", Operand::kStage, 'k'},
    {"free-step", Operand::kStepEdge, 0},
}};

const OpText& TextOf(Op op) { return kOps[static_cast<size_t>(op)]; }
char Letter(Operand operand) { return operand == Operand::kStage ? 's' : operand == Operand::kEdge ? 'e' : 'x'; }

// The next word of the line; `line` loses it.
std::string_view NextWord(std::string_view* line) {
  const size_t begin = line->find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return *line = {};
  const size_t end = std::min(line->find_first_of(" \t\r", begin), line->size());
  const std::string_view word = line->substr(begin, end - begin);
  line->remove_prefix(end);
  return word;
}

// "k12" -> 12 when `letter` is 'k'; -1 when it is something else. letter 0: only the number.
int32_t ParseOperand(std::string_view word, char letter) {
  if (letter != 0) {
    if (word.empty() || word[0] != letter) return -1;
    word.remove_prefix(1);
  }
  int32_t value = -1;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  return error == std::errc() && end == word.data() + word.size() ? value : -1;
}

Result<Instruction> ParseInstruction(std::string_view name, std::string_view rest) {
  for (size_t i = 0; i < kOps.size(); ++i) {
    const OpText& text = kOps[i];
    if (text.name != name) continue;
    Instruction out{static_cast<Op>(i), ParseOperand(NextWord(&rest), Letter(text.operand)), 0};
    if (text.second != 0) out.microbatch = ParseOperand(NextWord(&rest), text.second);
    if (out.index < 0 || out.microbatch < 0 || !NextWord(&rest).empty()) {
      return Error{Code::kInvalidInput, fmt::format("'{}' has not the operands it needs", name),
                   fmt::format("as in \"{}\"", ToString(Instruction{static_cast<Op>(i), 2, text.second ? 5 : 0}))};
    }
    return out;
  }
  return Error{Code::kInvalidInput, fmt::format("there is no instruction '{}'", name), ""};
}

}  // namespace

std::string_view Name(Op op) { return TextOf(op).name; }
Operand OperandOf(Op op) { return TextOf(op).operand; }

int64_t Program::size() const {
  int64_t count = 0;
  for (const auto& list : meshes) count += static_cast<int64_t>(list.size());
  return count;
}

int32_t MeshOf(const Pipeline& pipeline, const Instruction& instruction) {
  const auto i = static_cast<size_t>(instruction.index);
  auto mesh = [&](int32_t stage) { return pipeline.stages[static_cast<size_t>(stage)].mesh; };
  switch (instruction.op) {
    case Op::kForward:
    case Op::kBackward:
    case Op::kBackwardInput:
    case Op::kBackwardWeight:
    case Op::kUpdate:
    case Op::kFreeActivations:
    case Op::kFreeWeightInputs:
      return mesh(instruction.index);
    case Op::kSendActivation:
    case Op::kReceiveCotangent:
    case Op::kFreeCotangent:
      return mesh(pipeline.edges[i].from);
    case Op::kReceiveActivation:
    case Op::kSendCotangent:
    case Op::kFreeInput:
      return mesh(pipeline.edges[i].to);
    case Op::kSendStep:
      return mesh(pipeline.step_edges[i].from);
    case Op::kReceiveStep:
    case Op::kFreeStep:
      return mesh(pipeline.step_edges[i].to);
  }
  ALPA_CHECK(false, "unknown instruction");
  return -1;
}

std::string ToString(const Instruction& instruction) {
  const OpText& text = TextOf(instruction.op);
  std::string out = fmt::format("{} {}{}", text.name, Letter(text.operand), instruction.index);
  if (text.second != 0) out += fmt::format(" {}{}", text.second, instruction.microbatch);
  return out;
}

std::string ToString(const Program& program) {
  std::string out;
  for (size_t mesh = 0; mesh < program.meshes.size(); ++mesh) {
    out += fmt::format("mesh {}\n", mesh);
    for (const Instruction& instruction : program.meshes[mesh]) out += "  " + ToString(instruction) + "\n";
  }
  return out;
}

Result<Program> ParseProgram(std::string_view text) {
  Program program;
  int line_number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++line_number;
    line = line.substr(0, line.find('#'));
    const std::string_view word = NextWord(&line);
    if (word.empty()) continue;
    auto bad = [&](const Error& error) {
      return Error{Code::kInvalidInput, fmt::format("program, line {}: {}", line_number, error.message), error.hint};
    };
    if (word == "mesh") {
      if (ParseOperand(NextWord(&line), 0) != static_cast<int32_t>(program.meshes.size()) || !NextWord(&line).empty())
        return bad({{}, fmt::format("expected \"mesh {}\"", program.meshes.size()), "meshes come in their order"});
      program.meshes.emplace_back();
      continue;
    }
    if (program.meshes.empty()) return bad({{}, "an instruction before the first mesh", "begin with \"mesh 0\""});
    auto instruction = ParseInstruction(word, line);
    if (!instruction.ok()) return bad(instruction.error());
    program.meshes.back().push_back(*instruction);
  }
  return program;
}

}  // namespace alpa::schedule
