#include "alpa/xla/partition.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "alpa/xla/annotate.h"
#include "alpa/xla/count_collectives.h"
#include "alpa/xla/partial_sums.h"
#include "alpa/xla/place_convolutions.h"
#include "alpa/xla/reduce_scatter.h"
#include "alpa/xla/spmd.h"
#include "alpa/xla/status.h"
#include "alpa/xla/xla_pch.h"

namespace alpa::xla {
namespace {

Error NotAModule(const std::string& what) {
  return {Code::kCorrupt, "the step's HLO cannot be read back: " + what, ""};
}

// The copies that carried shardings are plain copies now.
absl::Status DropCopies(::xla::HloModule& module) {
  for (::xla::HloComputation* computation : module.computations()) {
    for (::xla::HloInstruction* i : computation->MakeInstructionPostOrder()) {
      if (i->opcode() != ::xla::HloOpcode::kCopy || i->shape() != i->operand(0)->shape()) continue;
      if (absl::Status s = i->ReplaceAllUsesWith(i->mutable_operand(0)); !s.ok()) return s;
    }
  }
  return absl::OkStatus();
}

absl::Status PartitionModule(::xla::HloModule& module, const ir::Module& step, const cluster::Mesh& mesh,
                             const CompileOptions& options, std::vector<std::vector<int>>* parts) {
  if (absl::Status s = PropagateShardings(module); !s.ok()) return s;
  if (absl::Status s = PlaceConvolutions(module, step, mesh); !s.ok()) return s;
  if (absl::Status s = PartitionBySharding(module, mesh.size()); !s.ok()) return s;
  if (absl::Status s = Clean(module); !s.ok()) return s;
  for (const CompileOptions::Parts& input : options.parts) {
    if (absl::Status s = JoinParts(module, mesh, input.input, input.axes); !s.ok()) return s;
  }
  MakeReduceScatters(module, mesh);
  if (absl::Status s = Clean(module); !s.ok()) return s;
  if (options.accumulate.empty()) return absl::OkStatus();
  *parts = LeaveParts(module, mesh, options.accumulate);
  return Clean(module);
}

}  // namespace

Result<std::unique_ptr<::xla::HloModule>> ReadModule(const std::string& hlo, int64_t partitions) {
  ::xla::HloModuleProto proto;
  if (!proto.ParseFromString(hlo)) return NotAModule("it is no protobuf");
  // Aliases are given anew to what is compiled; partitioning would have to keep up their shapes.
  proto.clear_input_output_alias();
  proto.clear_buffer_donor();
  auto config = ::xla::HloModule::CreateModuleConfigFromProto(proto, ::xla::DebugOptions());
  if (!config.ok()) return NotAModule(std::string(config.status().message()));
  config->set_num_partitions(partitions);
  config->set_replica_count(1);
  config->set_use_spmd_partitioning(true);
  auto module = ::xla::HloModule::CreateFromProto(proto, *config);
  if (!module.ok()) return NotAModule(std::string(module.status().message()));
  return std::move(*module);
}

absl::Status Clean(::xla::HloModule& module) {
  if (absl::Status s = DropCopies(module); !s.ok()) return s;
  ::xla::HloPassPipeline pipeline("clean");
  pipeline.AddPass<::xla::TupleSimplifier>();
  pipeline.AddPass<::xla::HloCSE>(/*is_layout_sensitive=*/false);
  pipeline.AddPass<::xla::HloDCE>();
  return pipeline.Run(&module).status();
}

Result<PartitionedStep> PartitionStep(const ImportedStep& step, const plan::Plan& plan, const CompileOptions& options) {
  PartitionedStep out;
  out.parts.resize(options.accumulate.size());
  ALPA_TRY(out.module, ReadModule(step.hlo, plan.mesh.size()));
  if (plan.mesh.size() == 1) return out;
  Annotate(*out.module, step.module, plan);
  if (const absl::Status s = PartitionModule(*out.module, step.module, plan.mesh, options, &out.parts); !s.ok()) {
    return FromStatus(s, Code::kUnsupported, "XLA cannot partition the step");
  }
  out.collectives = CountCollectives(*out.module, plan.mesh);
  return out;
}

::xla::HloModuleProto ToCompile(::xla::HloModule& module, const cluster::Mesh& mesh,
                                const std::vector<ir::Alias>& donate) {
  if (mesh.size() > 1) {
    for (::xla::HloComputation* computation : module.computations()) {
      for (::xla::HloInstruction* i : computation->instructions()) {
        i->set_sharding(::xla::HloSharding::Single(i->shape(), ::xla::HloSharding::Manual()));
      }
    }
  }
  ::xla::HloModuleProto proto = module.ToProto();
  proto.clear_spmd_output_sharding();
  proto.clear_spmd_parameters_shardings();
  const bool tuple = module.entry_computation()->root_instruction()->shape().IsTuple();
  for (const ir::Alias& alias : donate) {
    auto* entry = proto.mutable_input_output_alias()->add_entries();
    if (tuple) entry->add_output_shape_index(alias.output);
    entry->set_parameter_number(alias.input);
    entry->set_kind(::xla::MUST_ALIAS);
  }
  return proto;
}

}  // namespace alpa::xla
