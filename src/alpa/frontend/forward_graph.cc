#include "alpa/frontend/forward_graph.h"

#include <algorithm>
#include <numeric>

namespace alpa::frontend {
namespace {

using ir::OpId;
using ir::OpKind;
using ir::ValueId;

// A pulled op gives at most this share of the bytes it reads.
constexpr int64_t kLittle = 8;

bool MayBeCopied(const ir::Op& op) {
  switch (op.kind) {
    case OpKind::kParameter:
    case OpKind::kRng:
    case OpKind::kRngGetAndUpdateState:
    case OpKind::kPartitionId:
    case OpKind::kReplicaId:
    case OpKind::kWhile:
    case OpKind::kConditional:
    case OpKind::kCall:
    case OpKind::kCustomCall:
    case OpKind::kDot:
    case OpKind::kConvolution:
      return false;
    default:
      return true;
  }
}

// Puts the forward ops in order.
class Orderer {
 public:
  Orderer(const ir::Module& module, ForwardGraph& graph)
      : module_(module),
        graph_(graph),
        depth_(module.ops.size(), 0),
        waits_(module.ops.size(), 0),
        unread_(module.values.size(), 0),
        visited_(module.ops.size(), 0),
        emitted_(module.ops.size(), 0) {}

  void Run(const std::vector<OpId>& sinks) {
    for (size_t i = 0; i < module_.ops.size(); ++i) {
      if (!graph_.forward[i]) continue;
      for (const OpId p : Producers(module_.ops[i])) {
        depth_[i] = std::max(depth_[i], depth_[static_cast<size_t>(p)] + 1);
        ++waits_[i];
      }
    }
    for (size_t v = 0; v < unread_.size(); ++v) unread_[v] = static_cast<int>(graph_.readers[v].size());
    for (const OpId sink : sinks) Visit(sink);
  }

 private:
  // Forward ops whose results `op` reads, each once.
  std::vector<OpId> Producers(const ir::Op& op) const {
    std::vector<OpId> out;
    for (const ValueId v : op.operands) {
      if (graph_.contains(module_.value(v).producer)) out.push_back(module_.value(v).producer);
    }
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
  }

  // Emits what `root` depends on, deepest operands first, then `root`.
  void Visit(OpId root) {
    std::vector<std::pair<OpId, bool>> stack = {{root, false}};
    while (!stack.empty()) {
      const auto [op, done] = stack.back();
      stack.pop_back();
      const auto i = static_cast<size_t>(op);
      if (done) {
        Emit(op);
        continue;
      }
      if (visited_[i]) continue;
      visited_[i] = 1;
      stack.emplace_back(op, true);
      std::vector<OpId> producers = Producers(module_.op(op));
      std::stable_sort(producers.begin(), producers.end(),
                       [&](OpId a, OpId b) { return depth_[static_cast<size_t>(a)] < depth_[static_cast<size_t>(b)]; });
      for (const OpId p : producers) {
        if (!visited_[static_cast<size_t>(p)]) stack.emplace_back(p, false);
      }
    }
  }

  // Emits an op whose operands have been, and then whatever is worth computing at once.
  void Emit(OpId first) {
    std::vector<OpId> stack = {first};
    while (!stack.empty()) {
      const OpId id = stack.back();
      stack.pop_back();
      if (emitted_[static_cast<size_t>(id)]) continue;
      emitted_[static_cast<size_t>(id)] = 1;
      graph_.order.push_back(id);
      const ir::Op& op = module_.op(id);
      std::vector<ValueId> operands = op.operands;
      std::sort(operands.begin(), operands.end());
      operands.erase(std::unique(operands.begin(), operands.end()), operands.end());
      for (const ValueId v : operands) --unread_[static_cast<size_t>(v)];
      std::vector<OpId> ready;
      for (const ValueId v : op.results) {
        ready.insert(ready.end(), graph_.readers[static_cast<size_t>(v)].begin(),
                     graph_.readers[static_cast<size_t>(v)].end());
      }
      std::sort(ready.begin(), ready.end(), std::greater<>());
      ready.erase(std::unique(ready.begin(), ready.end()), ready.end());
      for (const OpId reader : ready) {
        if (--waits_[static_cast<size_t>(reader)] == 0 && IsWorthPulling(reader)) stack.push_back(reader);
      }
    }
  }

  // Computing it now leaves no more bytes to keep than before.
  bool IsWorthPulling(OpId id) const {
    if (graph_.early[static_cast<size_t>(id)]) return false;
    const ir::Op& op = module_.op(id);
    int64_t result = 0;
    for (const ValueId v : op.results) result += module_.shape(v).bytes().value;
    int64_t all = 0;
    int64_t freed = 0;
    for (const ValueId v : op.operands) {
      if (!graph_.contains(module_.value(v).producer)) continue;
      all += module_.shape(v).bytes().value;
      if (unread_[static_cast<size_t>(v)] == 1) freed += module_.shape(v).bytes().value;
    }
    return result * kLittle <= all || result <= freed;
  }

  const ir::Module& module_;
  ForwardGraph& graph_;
  std::vector<int> depth_;   // longest way from an input, in ops
  std::vector<int> waits_;   // producers not yet emitted
  std::vector<int> unread_;  // by ValueId: forward readers not yet emitted
  std::vector<char> visited_, emitted_;
};

void CountWork(const ir::Module& module, const StepAnalysis& analysis, ForwardGraph& graph) {
  graph.work.assign(module.ops.size(), 0);
  double sum = 0;
  for (size_t i = 0; i < module.ops.size(); ++i) {
    if (!graph.forward[i]) continue;
    graph.work[i] = analysis.flops[i].dot_conv.value;
    sum += graph.work[i];
  }
  if (sum > 0) return;
  for (size_t i = 0; i < module.ops.size(); ++i) {
    if (graph.forward[i]) graph.work[i] = analysis.flops[i].total().value;
  }
}

void FindEarlyOps(const ir::Module& module, ForwardGraph& graph) {
  graph.early.assign(module.ops.size(), 0);
  for (size_t i = 0; i < module.ops.size(); ++i) {
    if (!graph.forward[i] || graph.work[i] > 0) continue;
    const auto& operands = module.ops[i].operands;
    graph.early[i] = std::all_of(operands.begin(), operands.end(), [&](ValueId v) {
      const OpId p = module.value(v).producer;
      return !graph.contains(p) || graph.early[static_cast<size_t>(p)];
    });
  }
}

}  // namespace

std::vector<char> FreeOps(const ir::Module& module) {
  std::vector<char> free(module.ops.size(), 0);
  for (size_t i = 0; i < free.size(); ++i) {
    const auto& operands = module.ops[i].operands;
    free[i] = MayBeCopied(module.ops[i]) && std::all_of(operands.begin(), operands.end(), [&](ValueId v) {
                return free[static_cast<size_t>(module.value(v).producer)] != 0;
              });
  }
  return free;
}

ForwardGraph MakeForwardGraph(const ir::Module& module, const StepAnalysis& analysis) {
  ForwardGraph graph;
  graph.free = FreeOps(module);
  graph.forward.assign(module.ops.size(), 0);
  graph.readers.resize(module.values.size());
  for (size_t i = 0; i < module.ops.size(); ++i) {
    const ir::Op& op = module.ops[i];
    if (analysis.phases[i] != OpPhase::kForward || op.kind == OpKind::kParameter || graph.free[i]) continue;
    graph.forward[i] = 1;
    for (const ValueId v : op.operands) {
      auto& list = graph.readers[static_cast<size_t>(v)];
      if (list.empty() || list.back() != static_cast<OpId>(i)) list.push_back(static_cast<OpId>(i));
    }
  }
  CountWork(module, analysis, graph);
  FindEarlyOps(module, graph);
  std::vector<OpId> sinks;
  const int32_t loss = analysis.signature.loss;
  if (loss >= 0) {
    const OpId producer = module.value(module.outputs[static_cast<size_t>(loss)]).producer;
    if (graph.contains(producer)) sinks.push_back(producer);
  }
  for (size_t i = 0; i < module.ops.size(); ++i) {
    const auto& results = module.ops[i].results;
    if (graph.forward[i] && std::all_of(results.begin(), results.end(),
                                        [&](ValueId v) { return graph.readers[static_cast<size_t>(v)].empty(); })) {
      sinks.push_back(static_cast<OpId>(i));
    }
  }
  Orderer(module, graph).Run(sinks);
  return graph;
}

}  // namespace alpa::frontend
