#include "alpa/intra/methods.h"

#include <algorithm>
#include <numeric>

namespace alpa::intra {
namespace {

// The spec that splits dimension `dim`, and nothing else, into the most parts.
int MostPartsAlong(const SpecSpace& space, int dim, const cluster::Mesh& mesh) {
  int best = 0;
  int64_t best_parts = 1;
  for (int id = 0; id < space.size(); ++id) {
    const sharding::Spec& spec = space.spec(id);
    bool only = true;
    for (size_t d = 0; d < spec.dims.size(); ++d) only = only && (static_cast<int>(d) == dim || spec.dims[d].empty());
    const int64_t parts = only ? sharding::Parts(spec, dim, mesh) : 0;
    if (parts > best_parts) {
      best = id;
      best_parts = parts;
    }
  }
  return best;
}

// The dimension, longest first, that can be split into the most parts.
int MostPartsAnywhere(const SpecSpace& space, const cluster::Mesh& mesh) {
  std::vector<int> dims(static_cast<size_t>(space.shape().rank()));
  std::iota(dims.begin(), dims.end(), 0);
  std::stable_sort(dims.begin(), dims.end(), [&](int a, int b) {
    return space.shape().dims[static_cast<size_t>(a)] > space.shape().dims[static_cast<size_t>(b)];
  });
  int best = 0;
  Bytes least = space.shard_bytes(0);
  for (const int dim : dims) {
    const int id = MostPartsAlong(space, dim, mesh);
    if (space.shard_bytes(id) < least) {
      best = id;
      least = space.shard_bytes(id);
    }
  }
  return best;
}

bool IsParameter(ir::InputRole role) { return role == ir::InputRole::kParameter; }

}  // namespace

Result<std::map<ir::ValueId, std::vector<int>>> AllowedSpecs(Method method, const StepToPlan& step,
                                                             const CandidateTable& table, const cluster::Mesh& mesh) {
  std::map<ir::ValueId, std::vector<int>> allowed;
  const ir::Module& module = step.module;
  bool any_batch = false, any_split = false;
  for (size_t i = 0; i < module.inputs.size(); ++i) {
    const ir::ValueId v = module.inputs[i];
    if (!table.HasLayout(v)) continue;
    const SpecSpace& space = table.space(v);
    const ir::InputRole role = step.signature.inputs[i].role;
    if (role == ir::InputRole::kBatch && method != Method::kLargestDimension) {
      const int dim = step.batch_dims[static_cast<size_t>(v)];
      const int id = dim < 0 ? 0 : MostPartsAlong(space, dim, mesh);
      any_batch = any_batch || dim >= 0;
      any_split = any_split || id > 0;
      allowed[v] = {id};
    } else if (method == Method::kDataParallel || (method == Method::kZero2 && IsParameter(role))) {
      allowed[v] = {0};
    } else {
      allowed[v] = {MostPartsAnywhere(space, mesh)};
    }
  }
  if (any_batch && !any_split && mesh.size() > 1) {
    return Error{Code::kInvalidArgument,
                 "no axis of mesh " + cluster::ToString(mesh) + " divides the batch, which " +
                     std::string(Name(method)) + " is to split",
                 "choose a mesh whose extents divide the batch, or --method auto"};
  }
  if (method == Method::kLargestDimension) return allowed;
  for (size_t i = 0; i < module.ops.size(); ++i) {
    const ir::Op& op = module.ops[i];
    if (op.kind == ir::OpKind::kParameter) continue;
    for (const ir::ValueId v : op.results) {
      if (!table.HasLayout(v)) continue;
      const int dim = step.batch_dims[static_cast<size_t>(v)];
      if (dim >= 0) {
        allowed[v] = {MostPartsAlong(table.space(v), dim, mesh)};
      } else if (method == Method::kDataParallel) {
        allowed[v] = {0};
      }
    }
  }
  return allowed;
}

}  // namespace alpa::intra
