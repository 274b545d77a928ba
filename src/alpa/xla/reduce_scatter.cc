#include "alpa/xla/reduce_scatter.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "alpa/xla/scalar_at.h"
#include "alpa/xla/shardings.h"
#include "alpa/xla/sums.h"
#include "alpa/xla/xla_pch.h"

namespace alpa::xla {
namespace {

using ::xla::HloInstruction;
using ::xla::HloOpcode;

// One dimension of a slice that `axes` scatter: device groups[g][k] keeps part k.
struct Scatter {
  int64_t dim = 0;
  std::vector<int> axes;
  DeviceGroups groups;
};

// Slices commute with ops that act on each element alone.
bool IsUnaryElementwise(const HloInstruction* i) {
  return i->operand_count() == 1 && i->IsElementwise() && i->shape().IsArray();
}

std::vector<std::vector<int>> Subsets(const std::vector<int>& axes) {
  std::vector<std::vector<int>> out;
  for (unsigned bits = 1; bits < (1U << axes.size()); ++bits) {
    out.emplace_back();
    for (size_t a = 0; a < axes.size(); ++a) {
      if ((bits >> a & 1U) != 0) out.back().push_back(axes[a]);
    }
  }
  return out;
}

// The groups along `axes`, each in the order of its devices' parts; nothing when they do not hold each part once.
std::optional<DeviceGroups> InOrderOfParts(const std::vector<int>& axes, const std::vector<int64_t>& part_of,
                                           int64_t parts, const cluster::Mesh& mesh) {
  DeviceGroups groups = GroupsAlong(axes, mesh);
  for (auto& group : groups) {
    if (static_cast<int64_t>(group.size()) != parts) return std::nullopt;
    std::vector<int64_t> ordered(group.size(), -1);
    for (const int64_t device : group) {
      const int64_t part = part_of[static_cast<size_t>(device)];
      if (part < 0 || part >= parts || ordered[static_cast<size_t>(part)] >= 0) return std::nullopt;
      ordered[static_cast<size_t>(part)] = device;
    }
    group = std::move(ordered);
  }
  return groups;
}

// How dimension `dim` of `slice` is scattered over some of `axes`.
std::optional<Scatter> FindScatter(const HloInstruction* slice, int64_t dim, const std::vector<int>& axes,
                                   const cluster::Mesh& mesh) {
  const int64_t size = slice->shape().dimensions(static_cast<int>(dim));
  const int64_t whole = slice->operand(0)->shape().dimensions(static_cast<int>(dim));
  if (size == 0 || size == whole || whole % size != 0) return std::nullopt;
  std::vector<int64_t> part_of;
  for (int64_t device = 0; device < mesh.size(); ++device) {
    const auto start = ScalarAt(slice->operand(dim + 1), device);
    if (!start.has_value() || *start % size != 0) return std::nullopt;
    part_of.push_back(*start / size);
  }
  for (const auto& subset : Subsets(axes)) {
    if (auto groups = InOrderOfParts(subset, part_of, whole / size, mesh)) return Scatter{dim, subset, *groups};
  }
  return std::nullopt;
}

class Rewriter {
 public:
  Rewriter(::xla::HloModule& module, const cluster::Mesh& mesh)
      : module_(module), mesh_(mesh), channel_(FreeChannel(module)) {}

  void Run() {
    for (::xla::HloComputation* computation : module_.computations()) {
      for (HloInstruction* i : computation->MakeInstructionPostOrder()) Join(i);
    }
    for (::xla::HloComputation* computation : module_.computations()) {
      for (HloInstruction* i : computation->MakeInstructionPostOrder()) {
        if (i->opcode() == HloOpcode::kDynamicSlice) Rewrite(i);
      }
    }
  }

 private:
  // A sum over some axes of a sum over others is one sum over all of them.
  void Join(HloInstruction* outer) {
    if (!IsAllReduce(outer) || !IsAllReduce(outer->operand(0)) || outer->operand(0)->user_count() != 1) return;
    HloInstruction* inner = outer->mutable_operand(0);
    if (!(*outer->to_apply() == *inner->to_apply())) return;
    auto axes = AxesOfCollective(inner, mesh_);
    const auto more = AxesOfCollective(outer, mesh_);
    if (!axes.has_value() || !more.has_value()) return;
    axes->insert(axes->end(), more->begin(), more->end());
    std::sort(axes->begin(), axes->end());
    if (std::adjacent_find(axes->begin(), axes->end()) != axes->end()) return;
    CheckOk(outer->ReplaceAllUsesWith(Sum(inner->mutable_operand(0), outer, *axes)));
  }

  // By whichever combiner.
  static bool IsAllReduce(const HloInstruction* i) {
    return i->opcode() == HloOpcode::kAllReduce && i->operand_count() == 1;
  }

  // `value` summed over `axes`, otherwise as in `like`.
  HloInstruction* Sum(HloInstruction* value, HloInstruction* like, const std::vector<int>& axes) {
    HloInstruction* sum = SumOver(value, like->to_apply(), axes, mesh_, channel_++);
    sum->set_metadata(like->metadata());
    return sum;
  }

  static void CheckOk(const absl::Status& status) { ALPA_CHECK(status.ok(), std::string(status.message())); }

  void Rewrite(HloInstruction* slice) {
    std::vector<HloInstruction*> between;  // from the slice up
    HloInstruction* sum = slice->mutable_operand(0);
    for (; IsUnaryElementwise(sum) && sum->user_count() == 1; sum = sum->mutable_operand(0)) between.push_back(sum);
    if (!IsAllReduce(sum) || sum->user_count() != 1) return;
    std::optional<std::vector<int>> axes = AxesOfCollective(sum, mesh_);
    if (!axes.has_value()) return;
    std::vector<Scatter> scatters;
    for (int64_t d = 0; d < static_cast<int64_t>(slice->shape().dimensions().size()); ++d) {
      auto scatter = FindScatter(slice, d, *axes, mesh_);
      if (!scatter.has_value()) continue;
      std::erase_if(*axes, [&](int a) { return std::count(scatter->axes.begin(), scatter->axes.end(), a) > 0; });
      scatters.push_back(std::move(*scatter));
    }
    // Those that leave least for the next ones first; among equal ones in the order of sharding::Reshard.
    std::stable_sort(scatters.begin(), scatters.end(), [](const Scatter& a, const Scatter& b) {
      const auto parts = [](const Scatter& s) { return s.groups[0].size(); };
      return std::pair(parts(a), a.axes) > std::pair(parts(b), b.axes);
    });
    if (!scatters.empty()) Replace(slice, between, sum, scatters, *axes);
  }

  void Replace(HloInstruction* slice, const std::vector<HloInstruction*>& between, HloInstruction* sum,
               const std::vector<Scatter>& scatters, const std::vector<int>& remaining) {
    ::xla::HloComputation* computation = slice->parent();
    HloInstruction* value = sum->mutable_operand(0);
    for (const Scatter& s : scatters) {
      ::xla::Shape shape = value->shape();
      shape.set_dimensions(static_cast<int>(s.dim), slice->shape().dimensions(static_cast<int>(s.dim)));
      value = computation->AddInstruction(HloInstruction::CreateReduceScatter(
          shape, {value}, sum->to_apply(), ::xla::CollectiveDeviceList(s.groups), /*constrain_layout=*/false,
          channel_++, /*use_global_device_ids=*/true, s.dim));
      value->set_metadata(sum->metadata());
    }
    if (!remaining.empty()) value = Sum(value, sum, remaining);
    for (auto i = between.rbegin(); i != between.rend(); ++i) {
      ::xla::Shape shape = (*i)->shape();
      for (const Scatter& s : scatters) {
        shape.set_dimensions(static_cast<int>(s.dim), value->shape().dimensions(static_cast<int>(s.dim)));
      }
      value = computation->AddInstruction((*i)->CloneWithNewOperands(shape, {value}));
    }
    if (value->shape().dimensions() != slice->shape().dimensions()) value = SliceTheRest(slice, value, scatters);
    CheckOk(slice->ReplaceAllUsesWith(value));
  }

  // The dimensions of `slice` that no collective scatters.
  static HloInstruction* SliceTheRest(HloInstruction* slice, HloInstruction* value,
                                      const std::vector<Scatter>& scatters) {
    ::xla::HloComputation* computation = slice->parent();
    std::vector<HloInstruction*> starts(slice->operands().begin() + 1, slice->operands().end());
    for (const Scatter& s : scatters) {
      HloInstruction*& start = starts[static_cast<size_t>(s.dim)];
      start = computation->AddInstruction(
          HloInstruction::CreateConstant(::xla::LiteralUtil::Zero(start->shape().element_type())));
    }
    return computation->AddInstruction(
        HloInstruction::CreateDynamicSlice(slice->shape(), value, starts, slice->dynamic_slice_sizes()));
  }

  ::xla::HloModule& module_;
  const cluster::Mesh& mesh_;
  int64_t channel_;  // the next free one
};

}  // namespace

void MakeReduceScatters(::xla::HloModule& module, const cluster::Mesh& mesh) { Rewriter(module, mesh).Run(); }

}  // namespace alpa::xla
