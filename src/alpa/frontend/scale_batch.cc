#include "alpa/frontend/scale_batch.h"

#include <fmt/format.h>

namespace alpa::frontend {
namespace {

// Extents in attributes follow those of the arrays they are about.
void ScaleAttributes(const ir::Module& old_module, const ir::Module& new_module, ir::Op* op) {
  const auto extents = [](const ir::Module& module, ir::ValueId v) -> const std::vector<int64_t>& {
    return module.shape(v).dims;
  };
  if (auto* slice = std::get_if<ir::SliceAttr>(&op->attributes)) {
    const auto& before = extents(old_module, op->operands[0]);
    const auto& after = extents(new_module, op->operands[0]);
    for (size_t d = 0; d < before.size(); ++d) {
      if (before[d] != after[d] && slice->limit[d] == before[d]) slice->limit[d] = after[d];
    }
  } else if (auto* dynamic = std::get_if<ir::DynamicSliceAttr>(&op->attributes)) {
    dynamic->sizes = extents(new_module, op->results[0]);
  } else if (auto* gather = std::get_if<ir::GatherAttr>(&op->attributes)) {
    const auto& before = extents(old_module, op->operands[0]);
    const auto& after = extents(new_module, op->operands[0]);
    for (size_t d = 0; d < before.size(); ++d) {
      if (before[d] != after[d] && gather->slice_sizes[d] == before[d]) gather->slice_sizes[d] = after[d];
    }
  }
}

}  // namespace

Result<ir::Module> ScaleBatch(const ir::Module& module, const BatchAnalysis& batch, int64_t microbatches) {
  ir::Module scaled = module;
  if (microbatches == 1) return scaled;
  for (size_t v = 0; v < scaled.values.size(); ++v) {
    const BatchInfo& info = batch.values[v];
    if (info.kind != BatchKind::kBatched) continue;
    int64_t& extent = scaled.values[v].shape.dims[static_cast<size_t>(info.dim)];
    if (extent % microbatches != 0 || info.parts % microbatches != 0) {
      return Error{Code::kInvalidArgument,
                   fmt::format("{} microbatches: {} can be cut into {} blocks of examples at most", microbatches,
                               ir::Describe(module, module.op(scaled.values[v].producer)), info.parts),
                   "alpa inspect MODEL says which numbers of microbatches work"};
    }
    extent /= microbatches;
  }
  for (ir::Op& op : scaled.ops) ScaleAttributes(module, scaled, &op);
  return scaled;
}

}  // namespace alpa::frontend
