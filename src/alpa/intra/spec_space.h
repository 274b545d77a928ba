// The specs that arrays of one shape can have on one mesh, by number, and what it costs to go from one to another.
#pragma once

#include <cstdint>
#include <vector>

#include "alpa/cost/model.h"
#include "alpa/ir/shape.h"
#include "alpa/sharding/layout.h"
#include "alpa/sharding/reshard.h"
#include "alpa/sharding/spec.h"
#include "alpa/sharding/strategy.h"

namespace alpa::intra {

// Numbers go from 0 (replicated) to size() - 1, in the order of sharding::Specs. Resharding costs are computed when
// first asked for and kept; not for several threads at once.
class SpecSpace {
 public:
  SpecSpace(ir::Shape shape, const cost::Model& model);

  int size() const { return static_cast<int>(specs_.size()); }
  const ir::Shape& shape() const { return shape_; }
  const sharding::Spec& spec(int id) const { return specs_[static_cast<size_t>(id)]; }
  // The number of a spec of this shape; -1 when it is none of Specs' (axes of one dimension in another order).
  int id(const sharding::Spec& spec) const;
  // What one device holds.
  Bytes shard_bytes(int id) const { return shard_bytes_[static_cast<size_t>(id)]; }

  // Time to bring an array from one spec into another.
  double reshard_seconds(int from, int to) const;
  std::vector<sharding::Collective> reshard_collectives(int from, int to) const;

 private:
  int Code(const sharding::Spec& spec) const;

  ir::Shape shape_;
  const cost::Model* model_;
  std::vector<sharding::Spec> specs_;
  std::vector<Bytes> shard_bytes_;
  std::vector<int> id_of_code_;
  mutable std::vector<double> seconds_;  // [from * size + to]; negative: not computed yet
};

// The time of several collectives, one after another.
double SecondsOf(const cost::Model& model, const std::vector<sharding::Collective>& collectives);

}  // namespace alpa::intra
