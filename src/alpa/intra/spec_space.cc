#include "alpa/intra/spec_space.h"

#include <cmath>

namespace alpa::intra {

double SecondsOf(const cost::Model& model, const std::vector<sharding::Collective>& collectives) {
  double seconds = 0;
  for (const auto& collective : collectives) seconds += cost::CollectiveTime(model, collective).value;
  return seconds;
}

SpecSpace::SpecSpace(ir::Shape shape, const cost::Model& model)
    : shape_(std::move(shape)), model_(&model), specs_(sharding::Specs(shape_, model.mesh)) {
  const size_t axes = model.mesh.shape.size();
  const auto base = static_cast<size_t>(shape_.rank()) + 1;
  size_t codes = 1;
  for (size_t a = 0; a < axes; ++a) codes *= base;
  id_of_code_.assign(codes, -1);
  for (size_t i = 0; i < specs_.size(); ++i) {
    const int code = Code(specs_[i]);
    ALPA_CHECK(code >= 0 && id_of_code_[static_cast<size_t>(code)] < 0);
    id_of_code_[static_cast<size_t>(code)] = static_cast<int>(i);
    shard_bytes_.push_back(sharding::ShardShape(specs_[i], shape_, model.mesh).bytes());
  }
  ALPA_CHECK(!specs_.empty() && specs_[0].replicated());
  seconds_.assign(specs_.size() * specs_.size(), -1);
}

// Which dimension each axis lies on, as one number; -1 when the axes of a dimension are not in ascending order.
int SpecSpace::Code(const sharding::Spec& spec) const {
  const int base = shape_.rank() + 1;
  std::vector<int> dim_of_axis(model_->mesh.shape.size(), 0);
  for (size_t d = 0; d < spec.dims.size(); ++d) {
    int last = -1;
    for (const int axis : spec.dims[d]) {
      if (axis < last) return -1;
      last = axis;
      dim_of_axis[static_cast<size_t>(axis)] = static_cast<int>(d) + 1;
    }
  }
  int code = 0;
  for (const int dim : dim_of_axis) code = code * base + dim;
  return code;
}

int SpecSpace::id(const sharding::Spec& spec) const {
  const int code = Code(spec);
  return code < 0 ? -1 : id_of_code_[static_cast<size_t>(code)];
}

std::vector<sharding::Collective> SpecSpace::reshard_collectives(int from, int to) const {
  std::vector<sharding::Collective> all;
  if (from == to) return all;
  for (auto& step : sharding::Reshard({spec(from), {}, sharding::Combiner::kSum}, spec(to), shape_, model_->mesh)) {
    for (auto& collective : step.collectives) all.push_back(std::move(collective));
  }
  return all;
}

double SpecSpace::reshard_seconds(int from, int to) const {
  if (from == to) return 0;
  double& seconds = seconds_[static_cast<size_t>(from) * specs_.size() + static_cast<size_t>(to)];
  if (seconds < 0) seconds = SecondsOf(*model_, reshard_collectives(from, to));
  return seconds;
}

}  // namespace alpa::intra
