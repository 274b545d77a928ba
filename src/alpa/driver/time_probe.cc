#include "alpa/driver/time_probe.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "alpa/profile/machine.h"

namespace alpa::driver {
namespace {

constexpr double kLeastSeconds = 0.1;
constexpr size_t kLeastRuns = 9, kMostRuns = 500;

// `dim` of an array split over the only mesh axis; -1: copied.
sharding::Spec Split(const ir::Shape& shape, int dim) {
  return dim < 0 || shape.rank() <= dim ? sharding::Spec{} : sharding::SplitDim(static_cast<int>(shape.rank()), dim, 0);
}

plan::Plan PlanOf(const ir::Module& module, int64_t devices, const profile::ProbeLayout& layout) {
  plan::Plan plan;
  plan.method = "probe";
  plan.model = module.name;
  plan.model_fingerprint = ir::Fingerprint(module);
  plan.mesh = cluster::MakeMesh({devices});
  plan.inputs = {Split(module.shape(module.inputs[0]), layout.state),
                 Split(module.shape(module.inputs[1]), layout.batch)};
  plan.outputs = {plan.inputs[0], {}};
  if (devices == 1) return plan;
  const bool alternating = layout.add >= 0;
  for (const ir::Op& op : module.ops) {
    if (op.results.empty()) continue;
    const ir::Shape& shape = module.shape(op.results[0]);
    if (op.kind == ir::OpKind::kReduce) plan.ops[plan::ResultName(op, 0)] = Split(shape, layout.reduce);
    const bool multiply = op.kind == ir::OpKind::kMultiply;
    if (!alternating || (!multiply && op.kind != ir::OpKind::kAdd)) continue;
    const sharding::Spec spec = Split(shape, multiply ? layout.multiply : layout.add);
    plan.ops[plan::ResultName(op, 0)] = spec;
    plan.operands[op.name] = {spec, spec};
  }
  return plan;
}

}  // namespace

Result<ProbeTime> TimeProbe(xla::Engine& engine, xla::Client& client, const std::string& text, int64_t devices,
                            const profile::ProbeLayout& layout, sharding::CollectiveKind kind) {
  ALPA_TRY(const xla::ImportedStep step, engine.Import(text, {"probe.mlir"}));
  const plan::Plan plan = PlanOf(step.module, devices, layout);
  ALPA_TRY(const auto executable, client.Compile(step, plan, {}));
  std::vector<std::unique_ptr<xla::Array>> arrays;
  std::vector<xla::Array*> arguments;
  for (size_t i = 0; i < step.module.inputs.size(); ++i) {
    const ir::HostTensor zeros(step.module.shape(step.module.inputs[i]));
    ALPA_TRY(auto array, client.Put(zeros, plan.inputs[i], plan.mesh));
    arguments.push_back(array.get());
    arrays.push_back(std::move(array));
  }
  ProbeTime out;
  for (const plan::CollectiveTotal& total : executable->stats().executed) {
    if (total.kind == kind) out.inside += total.count;
  }
  std::vector<double> seconds;
  double total = 0;
  for (size_t run = 0; run <= kMostRuns; ++run) {
    const auto start = std::chrono::steady_clock::now();
    ALPA_TRY(const auto results, executable->Run(arguments));
    for (const auto& result : results) ALPA_RETURN_IF_ERROR(result->Wait());
    if (run == 0) continue;  // warms up
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    total += seconds.back();
    if (seconds.size() >= kLeastRuns && total >= kLeastSeconds) break;
  }
  // Other load only makes things slower: the median of the faster half, so that half of the runs may be disturbed.
  std::sort(seconds.begin(), seconds.end());
  seconds.resize((seconds.size() + 1) / 2);
  out.seconds = profile::Median(std::move(seconds));
  return out;
}

}  // namespace alpa::driver
