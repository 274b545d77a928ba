// Carries batch infos through a module, op by op.
#pragma once

#include <string>
#include <vector>

#include "alpa/frontend/batch_dims.h"
#include "alpa/frontend/batch_rule.h"
#include "alpa/ir/module.h"

namespace alpa::frontend {

// What is known of one value.
struct BatchState {
  BatchInfo info;
  ValueFacts facts;  // filled only while info.kind is kNone
};

// One pass over a module, or over the region of a loop or branch (which belongs to op `outer` of the module that is
// analysed; infos and events then name that op).
class BatchPropagation {
 public:
  explicit BatchPropagation(const ir::Module& module, ir::OpId outer = -1) : module_(module), outer_(outer) {}

  // Infos of all values, given those of the inputs.
  void Run(const std::vector<BatchState>& inputs);

  BatchState state(ir::ValueId v) const { return {infos_[static_cast<size_t>(v)], facts_[static_cast<size_t>(v)]}; }
  std::vector<BatchState> outputs() const;
  std::vector<BatchInfo>& infos() { return infos_; }
  std::vector<BatchEvent>& events() { return events_; }

 private:
  const BatchInfo& info(ir::ValueId v) const { return infos_[static_cast<size_t>(v)]; }
  const ValueFacts& facts(ir::ValueId v) const { return facts_[static_cast<size_t>(v)]; }
  ir::OpId Id(const ir::Op& op) const { return outer_ >= 0 ? outer_ : static_cast<ir::OpId>(&op - module_.ops.data()); }
  void Set(ir::ValueId v, BatchInfo info) { infos_[static_cast<size_t>(v)] = info; }
  void Set(ir::ValueId v, BatchState state);

  void Visit(const ir::Op& op);
  void VisitLeaf(const ir::Op& op);
  void VisitReshape(const ir::Op& op);
  void VisitLoop(const ir::Op& op);
  void VisitBranches(const ir::Op& op, size_t first_argument);
  void AddOnce(std::vector<BatchEvent>& events);
  void SetJoined(const ir::Op& op, std::vector<BatchState> results);
  void VisitByRule(const ir::Op& op);

  // The cases of VisitByRule: some operand mixed; some batched; none batched but some complete or partial; none at all.
  void Mix(const ir::Op& op, const std::string& why);
  void CutByRule(const ir::Op& op, const OpRule& rule, const std::vector<size_t>& batched);
  void ReduceByRule(const ir::Op& op, const OpRule& rule);
  void KeepByRule(const ir::Op& op, const OpRule& rule);

  // What a cut op reads beside its blocks.
  int ReadComplete(const ir::Op& op, const OpRule& rule, int factor, int level);
  void ReadByPosition(const ir::Op& op, const OpRule& rule, int factor, int64_t parts);
  bool StaysPartial(const ir::Op& op, const OpRule& rule) const;
  bool GivesZero(const ir::Op& op, const OpRule& rule) const;

  bool UsesState(const ir::Op& op) const;
  void Record(BatchEvent event, const ir::Op& op);

  const ir::Module& module_;
  ir::OpId outer_;
  std::vector<BatchInfo> infos_;
  std::vector<ValueFacts> facts_;
  std::vector<BatchEvent> events_;
};

}  // namespace alpa::frontend
