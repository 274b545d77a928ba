#include "alpa/xla/annotate.h"

#include <algorithm>
#include <unordered_map>

#include "alpa/xla/xla_pch.h"

namespace alpa::xla {
namespace {

::xla::HloComputationProto* EntryOf(::xla::HloModuleProto& module) {
  for (auto& computation : *module.mutable_computations()) {
    if (computation.id() == module.entry_computation_id()) return &computation;
  }
  return nullptr;
}

void PinOutputs(::xla::HloInstructionProto& root, const plan::Plan& plan) {
  ::xla::OpSharding* sharding = root.mutable_sharding();
  sharding->Clear();
  if (root.opcode() != "tuple") {  // a step with one result
    *sharding = ToOpSharding(plan.outputs[0], root.shape().dimensions_size(), plan.mesh);
    return;
  }
  sharding->set_type(::xla::OpSharding::TUPLE);
  for (int o = 0; o < root.shape().tuple_shapes_size(); ++o) {
    *sharding->add_tuple_shardings() =
        ToOpSharding(plan.outputs[static_cast<size_t>(o)], root.shape().tuple_shapes(o).dimensions_size(), plan.mesh);
  }
}

void SetAliases(::xla::HloModuleProto& module, bool tuple_root, const std::vector<ir::Alias>& donate) {
  module.clear_input_output_alias();
  module.clear_buffer_donor();
  for (const ir::Alias& alias : donate) {
    auto* entry = module.mutable_input_output_alias()->add_entries();
    if (tuple_root) entry->add_output_shape_index(alias.output);
    entry->set_parameter_number(alias.input);
    entry->set_kind(::xla::MUST_ALIAS);
  }
}

}  // namespace

::xla::OpSharding ToOpSharding(const sharding::Spec& spec, int rank, const cluster::Mesh& mesh) {
  ::xla::OpSharding out;
  if (spec.replicated()) {
    out.set_type(::xla::OpSharding::REPLICATED);
    return out;
  }
  // Devices are listed tile by tile, the copies of a tile next to each other. The tile of a device is its place along
  // the axes of each dimension, major first.
  out.set_type(::xla::OpSharding::OTHER);
  int64_t tiles = 1;
  for (int d = 0; d < rank; ++d) {
    const int64_t parts = sharding::Parts(spec, d, mesh);
    out.add_tile_assignment_dimensions(parts);
    tiles *= parts;
  }
  const int64_t copies = mesh.size() / tiles;
  if (copies > 1) {
    out.add_tile_assignment_dimensions(copies);
    out.set_replicate_on_last_tile_dim(true);
  }
  std::vector<std::vector<int64_t>> holders(static_cast<size_t>(tiles));
  for (int64_t device = 0; device < mesh.size(); ++device) {
    const std::vector<int64_t> at = mesh.Coordinates(device);
    int64_t tile = 0;
    for (const auto& axes : spec.dims) {
      for (const int axis : axes) tile = tile * mesh.shape[static_cast<size_t>(axis)] + at[static_cast<size_t>(axis)];
    }
    holders[static_cast<size_t>(tile)].push_back(device);
  }
  for (const auto& list : holders) {
    for (const int64_t device : list) out.add_tile_assignment_devices(device);
  }
  return out;
}

Result<::xla::HloModuleProto> Annotate(const std::string& hlo, const plan::Plan& plan,
                                       const std::vector<ir::Alias>& donate) {
  ::xla::HloModuleProto module;
  if (!module.ParseFromString(hlo)) return Error{Code::kCorrupt, "the step's HLO cannot be read back", ""};
  ::xla::HloComputationProto* entry = EntryOf(module);
  if (entry == nullptr) return Error{Code::kCorrupt, "the step's HLO has no entry", ""};
  bool tuple_root = true;
  for (auto& instruction : *entry->mutable_instructions()) {
    const bool root = instruction.id() == entry->root_id();
    if (root) tuple_root = instruction.opcode() == "tuple";
    if (plan.mesh.size() == 1) continue;  // nothing to split
    const int rank = instruction.shape().dimensions_size();
    if (instruction.opcode() == "parameter") {
      *instruction.mutable_sharding() =
          ToOpSharding(plan.inputs[static_cast<size_t>(instruction.parameter_number())], rank, plan.mesh);
    } else if (const auto it = plan.ops.find(instruction.name()); it != plan.ops.end()) {
      *instruction.mutable_sharding() = ToOpSharding(it->second, rank, plan.mesh);
    }
    if (root && instruction.opcode() != "parameter") PinOutputs(instruction, plan);
  }
  SetAliases(module, tuple_root, donate);
  return module;
}

}  // namespace alpa::xla
