// Compiled as C++17 and without the precompiled header (CMakeLists.txt): spmd_partitioner.h holds a std::pair of a type
// that it completes later, which C++20's library refuses.
#include "alpa/xla/spmd.h"

#include "xla/hlo/ir/hlo_module.h"
#include "xla/hlo/pass/hlo_pass_pipeline.h"
#include "xla/service/sharding_propagation.h"
#include "xla/service/spmd/spmd_partitioner.h"

namespace alpa::xla {

absl::Status PropagateShardings(::xla::HloModule& module) {
  ::xla::HloPassPipeline pipeline("alpa-propagation");
  pipeline.AddPass<::xla::ShardingPropagation>(/*is_spmd=*/true);
  return pipeline.Run(&module).status();
}

absl::Status PartitionBySharding(::xla::HloModule& module, int64_t partitions) {
  ::xla::spmd::SpmdPartitionerOptions options;
  options.allow_module_signature_change = true;
  // Products whose operand would be gathered can become loops of small products and permutations, for large operands:
  // other collectives than the plan says.
  options.threshold_for_windowed_einsum_mib = int64_t{1} << 40;
  ::xla::HloPassPipeline pipeline("alpa-spmd");
  pipeline.AddPass<::xla::spmd::SpmdPartitioner>(partitions, /*num_replicas=*/1, options);
  return pipeline.Run(&module).status();
}

}  // namespace alpa::xla
