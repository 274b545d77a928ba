// How the dimensions of one op belong together: the rule by which a cut of the batch passes through it.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "alpa/ir/module.h"

namespace alpa::frontend {

// What is known of a value that does not depend on the batch.
struct ValueFacts {
  std::vector<int64_t> repeats;  // per dimension: the number of equal copies the value consists of (1 to the extent)
  int iota_dim = -1;             // the value is the position along this dimension
  bool random = false;           // made of random bits
  double splat = std::numeric_limits<double>::quiet_NaN();  // the number that all elements have, when known
};

// A factor is an index that runs through some dimensions of operands and results at once, as the letters of an einsum.
// Dimensions with factor kCrossed are those along which the op mixes elements in any other way.
inline constexpr int kCrossed = -1;

struct OpRule {
  enum class Fate : uint8_t {
    kKept,    // the index is one of the result's
    kSummed,  // results sum over it
    kFolded,  // results reduce it by something that is not a sum
  };
  struct Factor {
    Fate fate = Fate::kKept;
    int64_t max_parts = 0;  // kept: cuts into more parts than this would cut a group; 0: no limit
  };
  // How the results depend on operands that are sums over the batch.
  enum class Linearity : uint8_t {
    kNone,
    kJoint,  // linear in all `data` operands together; the others are indices, predicates, divisors
    kMulti,  // linear in each operand while the others are fixed
  };

  std::vector<Factor> factors;
  std::vector<std::vector<int>> operands;  // [operand][dimension] -> factor or kCrossed
  std::vector<std::vector<int>> results;   // [result][dimension] -> factor or kCrossed
  Linearity linearity = Linearity::kNone;
  std::vector<bool> data;  // joint: which operands the op is linear in
  std::vector<bool> base;  // operands that a sum starts from (init of a reduce, operand of a scatter-add)
  std::string mixing;      // what the op does to examples along a crossed dimension: "sorts along the batch"
};

// The rule of `op`, for every kind but reshape and those with regions that run as a whole (while, conditional, call) or
// whose results do not follow from dimensions of operands (constant, iota, parameter). `facts` by ValueId are those of
// the operands (they tell x[arange(n), i] from any other gather).
OpRule RuleOf(const ir::Module& module, const ir::Op& op, const std::vector<ValueFacts>& facts);

namespace internal {

// A rule that crosses everything, with its lists of the right lengths.
OpRule CrossedRule(const ir::Module& module, const ir::Op& op);
// Adds a factor; returns its number.
int AddFactor(OpRule& rule, OpRule::Fate fate = OpRule::Fate::kKept, int64_t max_parts = 0);

// Rules in files of their own.
OpRule DotRule(const ir::Module& module, const ir::Op& op);
OpRule ConvolutionRule(const ir::Module& module, const ir::Op& op);
OpRule GatherRule(const ir::Module& module, const ir::Op& op, const std::vector<ValueFacts>& facts);
OpRule ScatterRule(const ir::Module& module, const ir::Op& op, const std::vector<ValueFacts>& facts);

// Summed when the combiner of `op` adds numbers, folded otherwise.
OpRule::Fate FateOfReduction(const ir::Module& module, const ir::Op& op);

}  // namespace internal
}  // namespace alpa::frontend
