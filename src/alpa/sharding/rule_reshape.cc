// The rule of reshape: the common refinement of both shapes.
#include <numeric>

#include "alpa/sharding/rule_families.h"

namespace alpa::sharding::internal {
namespace {

// Walks the dimensions of one array, major first, and hands out their factors.
class Side {
 public:
  Side(const std::vector<int64_t>& dims, Projection& array) : dims_(dims), array_(array) { Skip(); }

  bool done() const { return at_ == dims_.size(); }
  int64_t rest() const { return rest_; }  // what is left of the current dimension, > 1

  // Gives the current dimension the factor `f` of this size.
  void Take(int f, int64_t size) {
    array_[at_].push_back(f);
    rest_ /= size;
    if (rest_ == 1) ++at_, Skip();
  }
  // Leaves the rest of the current dimension whole, and returns its size.
  int64_t Leave(Rule& rule) {
    const int64_t size = rest_;
    if (!array_[at_].empty()) {  // its major factors remain good to split
      rule.factors.push_back({.size = size, .kind = FactorKind::kWhole});
      array_[at_].push_back(static_cast<int>(rule.factors.size()) - 1);
    }
    ++at_;
    Skip();
    return size;
  }

 private:
  void Skip() {
    while (at_ < dims_.size() && dims_[at_] == 1) ++at_;
    if (at_ < dims_.size()) rest_ = dims_[at_];
  }

  const std::vector<int64_t>& dims_;
  Projection& array_;
  size_t at_ = 0;
  int64_t rest_ = 1;
};

}  // namespace

// [12,4] -> [8,6] is (a 3) . -> (a 2) . with a = 4: the first 4 parts of both agree; below that the extents have no
// common factor, and stay whole until both sides have consumed the same number of elements.
Rule ReshapeRule(const ir::Module& module, const ir::Op& op) {
  Rule rule = WholeRule(module, op);
  if (module.shape(op.results[0]).elements() == 0) return rule;
  Side in(Dims(module, op.operands[0]), rule.operands[0]);
  Side out(Dims(module, op.results[0]), rule.results[0]);
  while (!in.done() && !out.done()) {
    const int64_t common = std::gcd(in.rest(), out.rest());
    if (common > 1) {
      const int f = AddFree(rule, common);
      in.Take(f, common);
      out.Take(f, common);
      continue;
    }
    int64_t left = in.Leave(rule);
    int64_t right = out.Leave(rule);
    while (left != right) {
      if (left < right) {
        left *= in.Leave(rule);
      } else {
        right *= out.Leave(rule);
      }
    }
  }
  return rule;
}

}  // namespace alpa::sharding::internal
