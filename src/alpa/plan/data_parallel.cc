#include "alpa/plan/data_parallel.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <numeric>

namespace alpa::plan {
namespace {

// The numbers of devices, from 1 up, over which every batch can be split.
std::vector<int64_t> DeviceCounts(const ir::Module& module, const ir::StepSignature& signature,
                                  const std::vector<int>& batch_dims) {
  int64_t common = 0;
  for (size_t i = 0; i < module.inputs.size(); ++i) {
    if (signature.inputs[i].role != ir::InputRole::kBatch || batch_dims[i] < 0) continue;
    common = std::gcd(common, module.shape(module.inputs[i]).dims[static_cast<size_t>(batch_dims[i])]);
  }
  std::vector<int64_t> counts;
  for (int64_t d = 1; d <= cluster::kMaxDevices; ++d) {
    if (common % d == 0) counts.push_back(d);
  }
  return counts;
}

}  // namespace

Result<Plan> MakeDataParallel(const ir::Module& module, const ir::StepSignature& signature,
                              const std::vector<int>& batch_dims, int64_t devices) {
  ALPA_CHECK(batch_dims.size() == module.inputs.size());
  if (devices < 1 || devices > cluster::kMaxDevices) {
    return Error{Code::kInvalidArgument,
                 fmt::format("{} devices: the number must be 1 to {}", devices, cluster::kMaxDevices), ""};
  }
  Plan plan = Replicated(module, cluster::MakeMesh({devices}));
  plan.method = "data-parallel";
  for (size_t i = 0; i < module.inputs.size(); ++i) {
    if (signature.inputs[i].role != ir::InputRole::kBatch || batch_dims[i] < 0) continue;
    const ir::Shape& shape = module.shape(module.inputs[i]);
    const int64_t batch = shape.dims[static_cast<size_t>(batch_dims[i])];
    if (batch % devices != 0) {
      return Error{
          Code::kInvalidArgument,
          fmt::format("a batch of {} (dimension {} of input {} '{}', {}) cannot be split over {} devices", batch,
                      batch_dims[i], i, module.input_names[i], ir::ToString(shape), devices),
          fmt::format("device counts that work: {}", fmt::join(DeviceCounts(module, signature, batch_dims), ", "))};
    }
    plan.inputs[i] = sharding::SplitDim(shape.rank(), batch_dims[i], 0);
  }
  return plan;
}

}  // namespace alpa::plan
