// The intra-operator pass (Alpa §4): the best sharding of a step on one mesh, with a bound on how good it can be.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/base/units.h"
#include "alpa/cost/model.h"
#include "alpa/intra/candidates.h"
#include "alpa/intra/evaluate_program.h"
#include "alpa/intra/explain.h"
#include "alpa/intra/op_layouts.h"
#include "alpa/intra/pins.h"
#include "alpa/intra/price_program.h"
#include "alpa/ir/module.h"
#include "alpa/ir/step.h"
#include "alpa/plan/plan.h"
#include "alpa/solver/solve.h"

namespace alpa::intra {

// Ways of planning that people use by hand, as restrictions of the same search space: to compare with (Alpa §8.2).
enum class Method : uint8_t {
  kAuto,              // no restriction
  kDataParallel,      // the batch over all devices, everything else copied
  kZero2,             // the same, and optimizer state and gradients split
  kZero3,             // the same, and parameters split
  kLargestDimension,  // every parameter and its state split along its largest dimension, all devices on it
};
inline constexpr int kMethodCount = 5;
std::string_view Name(Method method);  // "auto", "data-parallel", "zero-2", "zero-3", "largest-dimension"
std::optional<Method> MethodFromName(std::string_view name);

// What makes a step one stage of several.
struct StageToPlan {
  const ProgramToPrice& program;  // of StepToPlan::module; `small` is not looked at
  cost::AxisMask batch_axes = 0;  // values on borders have their batch split over these
  int64_t in_flight = 1;          // microbatches whose activations are in memory at once
  // Solutions to begin with, each by OpId: the first one that fits is taken. Large stages run out of time before they
  // find one as good as that of which their price is made.
  std::vector<std::vector<LiesAs>> starts = {};
};

struct StepToPlan {
  const ir::Module& module;  // batch dimensions are those of one microbatch
  const ir::StepSignature& signature;
  const std::vector<OpWork>& work;      // by OpId
  uint64_t fingerprint = 0;             // of the module that is executed (this one with the whole batch)
  const std::vector<int>& batch_dims;   // by ValueId: the dimension along which it carries the batch; -1: none
  const std::vector<char>& update_ops;  // by OpId: runs once per step, behind the gradients
  const StageToPlan* stage = nullptr;   // of a pipeline
};

struct PlanStepOptions {
  Method method = Method::kAuto;
  std::optional<Bytes> memory;  // per device; absent: no limit
  std::vector<Pin> pins;
  std::map<int32_t, sharding::Spec> inputs;  // by input: it lies like this, whatever else would be better
  bool split_all_products = false;           // as in ProblemOptions
  size_t explain = 12;  // so many of the largest arrays, and of the most expensive ops, get alternatives
  solver::SolveOptions solve;
};

// Where the cost of a plan is, for tables.
struct OpChoice {
  ir::OpId op = -1;
  std::string strategy;      // "b over x, k over y"
  sharding::Spec result;     // of result 0
  double compute = 0;        // seconds
  double communication = 0;  // seconds: inside the op and in front of its operands
  std::vector<sharding::Collective> collectives;
  Bytes bytes;                      // of result 0 as a whole; 0 when it is not written to memory
  std::vector<Alternative> others;  // of the largest arrays and the most expensive ops (PlanStepOptions::explain)
};

struct SolveReport {
  solver::SolveStatus status = solver::SolveStatus::kUnknown;
  double cost = 0, bound = 0, gap = 0;
  int64_t nodes = 0, edges = 0, classes = 0, tables = 0;
  Seconds build, solve;
};

struct PlannedStep {
  plan::Plan plan;
  std::vector<OpChoice> choices;  // ops with a choice, in their order
  SolveReport report;
  ProgramCost stage;  // of a StageToPlan: its time by pass
};

// With several microbatches costs are those of the whole step: what depends on the batch counts once per microbatch,
// gradient synchronisation and update once. kInvalidArgument: pins that contradict, or a memory limit below any
// solution (says at which op the step needs most, and how much is missing); kUnsupported: nothing found in time.
Result<PlannedStep> PlanStep(const StepToPlan& step, const cost::Model& model, const PlanStepOptions& options);

}  // namespace alpa::intra
