#include "alpa/frontend/remove_dead.h"

namespace alpa::frontend {
namespace {

bool Stays(const ir::Op& op) {
  const auto* call = std::get_if<ir::CustomCallAttr>(&op.attributes);
  return op.kind == ir::OpKind::kParameter || (call != nullptr && call->has_side_effect);
}

std::vector<bool> LiveOps(const ir::Module& module) {
  std::vector<bool> live(module.ops.size(), false);
  for (const ir::ValueId v : module.outputs) live[static_cast<size_t>(module.value(v).producer)] = true;
  for (size_t i = module.ops.size(); i-- > 0;) {
    if (Stays(module.ops[i])) live[i] = true;
    if (!live[i]) continue;
    for (const ir::ValueId v : module.ops[i].operands) live[static_cast<size_t>(module.value(v).producer)] = true;
  }
  return live;
}

}  // namespace

ir::Module RemoveDeadOps(const ir::Module& module) {
  const std::vector<bool> live = LiveOps(module);
  ir::Module out = module;
  out.ops.clear();
  out.values.clear();
  std::vector<ir::ValueId> value(module.values.size(), -1);
  for (size_t i = 0; i < module.ops.size(); ++i) {
    if (!live[i]) continue;
    ir::Op op = module.ops[i];
    for (ir::ValueId& v : op.operands) v = value[static_cast<size_t>(v)];
    for (ir::ValueId& v : op.results) {
      ir::Value copy = module.value(v);
      copy.producer = static_cast<ir::OpId>(out.ops.size());
      value[static_cast<size_t>(v)] = static_cast<ir::ValueId>(out.values.size());
      v = value[static_cast<size_t>(v)];
      out.values.push_back(std::move(copy));
    }
    out.ops.push_back(std::move(op));
  }
  for (ir::ValueId& v : out.inputs) v = value[static_cast<size_t>(v)];
  for (ir::ValueId& v : out.outputs) v = value[static_cast<size_t>(v)];
  return out;
}

}  // namespace alpa::frontend
