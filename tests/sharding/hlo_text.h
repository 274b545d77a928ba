// Ops of our graphs as HLO text: how the tests of the sharding rules have XLA compute single ops.
#pragma once

#include <string>
#include <vector>

#include "alpa/ir/module.h"

namespace alpa::test {

// A module that applies ops side by side: every operand of every op is a parameter, in order, and every result an
// output, in order.
class HloText {
 public:
  // `operands` and `results` are the shapes; those of the values that `op` names do not matter.
  void Add(const ir::Op& op, const std::vector<ir::Shape>& operands, const std::vector<ir::Shape>& results);
  // The text of all that was added.
  std::string Module() const;

 private:
  std::string computations_;
  std::string entry_;
  std::vector<std::string> outputs_;
  std::vector<std::string> output_shapes_;
  int parameters_ = 0;
  int ops_ = 0;
  int regions_ = 0;
};

}  // namespace alpa::test
