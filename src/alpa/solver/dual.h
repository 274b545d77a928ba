// Lower bounds: the dual of the linear relaxation, with prices for memory.
//
// Costs are moved between nodes and edges such that every assignment keeps its cost (messages; the scheme of SRMP and
// TRW-S), and memory gets a price per point in time (Lagrange multipliers), which keeps the problem pairwise. Whatever
// the messages and prices are, the sum of what each node and edge costs at least is a bound.
#pragma once

#include <cstdint>
#include <vector>

#include "alpa/solver/flat.h"

namespace alpa::solver {

class Dual {
 public:
  // `flat` must outlive it.
  explicit Dual(const Flat& flat);

  // Passes forward and backward once; `bound()` is that of the present messages and prices.
  void Pass();
  double bound() const { return bound_; }

  // What the last forward pass would choose: node by node the cheapest, given the ones before it.
  const std::vector<int32_t>& rounded() const { return rounded_; }

  // Prices by point, per unit of memory.
  const std::vector<double>& prices() const { return prices_; }
  void SetPrices(std::vector<double> prices);

  // How much more than bound() an assignment costs at least in which node v has strategy i; 0 for at least one of each
  // node. Calls `each(v, i, more)` in order.
  template <typename Each>
  void ForEachReducedCost(Each each) const {
    std::vector<double> more;
    for (int32_t v = 0; v < flat_.nodes(); ++v) {
      ReducedCosts(v, &more);
      for (int32_t i = 0; i < flat_.size[v]; ++i) each(v, i, more[i]);
    }
  }

  // Computes the bound afresh from the costs and the messages, without what rounding errors may have added up to.
  double ExactBound() const;

  int64_t entries() const { return static_cast<int64_t>(flat_.table.size()); }

  // Message from an edge to one of its ends, by strategy.
  struct State {
    std::vector<double> messages;
    std::vector<double> prices;
  };
  State state() const { return {messages_, prices_}; }
  void Restore(State state);

 private:
  double* ToOwn(int32_t v, const Link& link) { return &messages_[Slot(v, link)]; }
  const double* ToOwn(int32_t v, const Link& link) const { return &messages_[Slot(v, link)]; }
  int64_t Slot(int32_t v, const Link& link) const {
    return slot_[link.edge] + (flat_.edges[link.edge].a == v ? 0 : flat_.size[flat_.edges[link.edge].a]);
  }
  const double* ToOther(int32_t v, const Link& link) const {
    return &messages_[slot_[link.edge] + (flat_.edges[link.edge].a == v ? flat_.size[v] : 0)];
  }
  template <bool kForward>
  void Sweep();
  void Collect(int32_t v, const Link& link);
  void ReducedCosts(int32_t v, std::vector<double>* more) const;

  const Flat& flat_;
  std::vector<int64_t> slot_;  // by edge: where its messages begin, first those to a, then to b
  std::vector<double> messages_;
  std::vector<double> prices_;
  std::vector<double> unary_;  // cost and price of memory, by strategy
  double price_of_slack_ = 0;  // sum of price * slack, which the bound must not count
  double bound_ = 0;
  std::vector<int32_t> rounded_;
  std::vector<double> belief_, score_;
};

}  // namespace alpa::solver
