// Raises the bound: passes of messages, and prices for memory that follow what the rounded assignments use too much.
#pragma once

#include <vector>

#include "alpa/solver/dual.h"
#include "alpa/solver/flat.h"

namespace alpa::solver {

class Ascent {
 public:
  // `prices`: to start from, by point; empty: none.
  explicit Ascent(const Flat& flat, std::vector<double> prices = {});

  // One pass and one step of the prices. `upper`: the cost of the best assignment known, or infinity.
  void Step(double upper);

  // The highest bound so far, with its prices.
  double bound() const { return best_; }
  const std::vector<double>& prices() const { return best_prices_; }

  // Of the last step: the rounded assignment, its cost (at least flat.big when it is forbidden) and excess of memory.
  const std::vector<int32_t>& rounded() const { return dual_.rounded(); }
  double rounded_cost() const { return rounded_cost_; }
  int64_t rounded_excess() const { return rounded_excess_; }
  bool rounded_fits() const { return rounded_cost_ < flat_.big && rounded_excess_ == 0; }
  const std::vector<int64_t>& rounded_load() const { return load_; }

  // Back to the best prices and on from there.
  void Rewind();
  Dual& dual() { return dual_; }

  // How much a step costs, in entries of tables touched.
  int64_t work_per_step() const { return work_per_step_; }

 private:
  void MovePrices(double upper);

  const Flat& flat_;
  Dual dual_;
  double best_;
  std::vector<double> best_prices_;
  std::vector<double> direction_;
  std::vector<int64_t> load_;
  double rounded_cost_ = 0;
  int64_t rounded_excess_ = 0;
  double step_ = 1;
  int stalled_ = 0;
  int64_t work_per_step_ = 0;
};

}  // namespace alpa::solver
