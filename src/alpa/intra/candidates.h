// The ways to execute each op, with their prices: what the solver chooses among.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "alpa/base/units.h"
#include "alpa/cost/model.h"
#include "alpa/intra/lifetimes.h"
#include "alpa/intra/spec_space.h"
#include "alpa/ir/module.h"
#include "alpa/sharding/strategy.h"

namespace alpa::intra {

// A strategy, and the specs its results are brought into at once: partial sums become whole by all-reduce, or whole and
// split by reduce-scatter.
struct Candidate {
  int strategy = 0;           // of OpClass::strategies
  std::vector<int> operands;  // by operand: number in its SpecSpace, -1 where the op reads a free value or a scalar
  std::vector<int> results;   // by result: number in its SpecSpace, -1 for scalars
  double compute = 0;         // seconds on each device, all runs of the step
  double communication = 0;   // seconds, all runs: halo exchanges, and making partial results whole
  int64_t whole_runs = 1;     // how often partial results are made whole
  int64_t usage = 0;          // bytes of memory that the results take on each device
};

// Ops that are alike to the planner: same rule, shapes, arithmetic, and treatment of their results.
struct OpClass {
  sharding::Rule rule;
  std::vector<sharding::Strategy> strategies;
  std::vector<Candidate> candidates;
};

// What an op does, and how often. Batch dimensions in the module are those of one microbatch.
struct OpWork {
  Flops matrix, vector;      // of one run
  int64_t runs = 1;          // per step: the number of microbatches, or 1 for what is done once
  bool accumulates = false;  // its results are sums over the batch, added up over the runs before anything reads them
  bool half_sums = false;    // such sums of 16-bit floats have 16 bits, else 32
};

// The shape of a result as it is kept while it is summed up over several runs: unless `half_sums`, half-precision sums
// are f32 until they are complete.
ir::Shape SumShape(ir::Shape shape, const OpWork& work);

// Seconds of one run of `op` on each device by `strategy`. `lifetimes` say what is read from and written to memory.
double ComputeSeconds(const ir::Module& module, const std::vector<Lifetime>& lifetimes, const cost::Model& model,
                      const ir::Op& op, const sharding::Strategy& strategy, const OpWork& work);

// Finds the class of each op, making candidates once per class.
class CandidateTable {
 public:
  // All references must outlive the table.
  CandidateTable(const ir::Module& module, const std::vector<Lifetime>& lifetimes, const std::vector<OpWork>& work,
                 const cost::Model& model);

  // By OpId; -1: the op has nothing to choose (free, or scalars only).
  int class_of(ir::OpId op) const { return class_of_op_[static_cast<size_t>(op)]; }
  const OpClass& op_class(int id) const { return classes_[static_cast<size_t>(id)]; }
  int class_count() const { return static_cast<int>(classes_.size()); }
  const SpecSpace& space(ir::ValueId value) const {
    return *spaces_[static_cast<size_t>(space_of_[static_cast<size_t>(value)])];
  }
  // Of the first result of `op`.
  const SpecSpace& result_space(ir::OpId op) const { return space(module_.op(op).results[0]); }
  int space_id(ir::ValueId value) const { return space_of_[static_cast<size_t>(value)]; }

  // Whether the layout of `value` as an operand is a choice.
  bool HasLayout(ir::ValueId value) const;

 private:
  void FindSpaces();
  OpClass MakeClass(const ir::Op& op, sharding::Rule rule, const OpWork& work) const;
  void AddCandidates(const ir::Op& op, int strategy, const OpWork& work, OpClass* out) const;

  const ir::Module& module_;
  const std::vector<Lifetime>& lifetimes_;
  const cost::Model& model_;
  std::vector<std::unique_ptr<SpecSpace>> spaces_;
  std::vector<int> space_of_;  // by ValueId
  std::vector<OpClass> classes_;
  std::vector<int> class_of_op_;  // by OpId
};

}  // namespace alpa::intra
