// One strategy of one op on simulated devices: which op each device computes on which piece, and what the results join
// to.
#pragma once

#include <functional>
#include <vector>

#include "alpa/cluster/mesh.h"
#include "alpa/ir/host_tensor.h"
#include "alpa/ir/module.h"
#include "alpa/sharding/strategy.h"

namespace alpa::test {

// An op with values for its operands.
struct OpCase {
  std::string name;
  ir::Module module;  // holds the op
  ir::ValueId value;  // a result of it
  std::vector<ir::HostTensor> operands;

  const ir::Op& op() const { return module.producer(value); }
};

// What the devices do. The local op is the same on all of them; only operands differ.
struct LocalOps {
  ir::Op op;  // with the attributes that the local shapes ask for
  std::vector<ir::Shape> operand_shapes, result_shapes;
  std::vector<std::vector<ir::HostTensor>> operands;  // by device
};
LocalOps Localize(const OpCase& c, const sharding::Rule& rule, const sharding::Strategy& strategy,
                  const cluster::Mesh& mesh);

// The whole array from the results of the devices: parts put together, partial results combined; a test failure when
// copies differ. `r` is the number of the result.
ir::HostTensor Join(const OpCase& c, size_t r, const sharding::Strategy& strategy, const cluster::Mesh& mesh,
                    const std::vector<ir::HostTensor>& pieces);

// The largest difference of two elements, as a share of 1 and the second's size; NaN equals NaN. A test failure when
// the shapes differ.
double LargestDifference(const ir::HostTensor& a, const ir::HostTensor& b);

}  // namespace alpa::test
