#include "alpa/solver/ascent.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace alpa::solver {
namespace {

constexpr double kMomentum = 0.6;
constexpr int kPatience = 12;  // steps without a better bound before the step is halved
constexpr double kSmallestStep = 1e-4;

}  // namespace

Ascent::Ascent(const Flat& flat, std::vector<double> prices)
    : flat_(flat), dual_(flat), best_(-std::numeric_limits<double>::infinity()), direction_(flat.slack.size()) {
  if (!prices.empty()) dual_.SetPrices(std::move(prices));
  best_prices_ = dual_.prices();
  work_per_step_ = 2 * dual_.entries() + std::ssize(flat.uses) * 4 + 4 * flat.points() + 20 * flat.nodes() + 1;
}

void Ascent::Step(double upper) {
  dual_.Pass();
  if (dual_.bound() > best_) {
    const double scale = std::max(std::fabs(dual_.bound()), std::isfinite(upper) ? upper - best_ : 0.0);
    if (dual_.bound() - best_ > 1e-7 * scale) stalled_ = 0;
    best_ = dual_.bound();
    best_prices_ = dual_.prices();
  } else {
    ++stalled_;
  }
  rounded_cost_ = CostOf(flat_, dual_.rounded());
  load_ = LoadOf(flat_, dual_.rounded());
  rounded_excess_ = ExcessOf(flat_, load_);
  if (flat_.points() > 0) MovePrices(upper);
}

// Polyak's rule towards the best cost known, smoothed over the last steps.
void Ascent::MovePrices(double upper) {
  if (stalled_ >= kPatience) {
    step_ = std::max(step_ / 2, kSmallestStep);
    stalled_ = 0;
  }
  std::vector<double> prices = dual_.prices();
  double norm = 0;
  for (size_t p = 0; p < prices.size(); ++p) {
    const auto over = static_cast<double>(load_[p] - flat_.slack[p]);
    if (over < 0 && prices[p] <= 0) {
      direction_[p] = 0;
      continue;
    }
    direction_[p] = kMomentum * direction_[p] + (1 - kMomentum) * over;
    norm += direction_[p] * direction_[p];
  }
  if (norm <= 0) return;
  double target = std::isfinite(upper) ? upper : dual_.bound() + 0.05 * std::fabs(dual_.bound()) + 1e-6 * flat_.big;
  target = std::max(target, dual_.bound() + 1e-9 * std::fabs(dual_.bound()));
  const double step = step_ * (target - dual_.bound()) / norm;
  for (size_t p = 0; p < prices.size(); ++p) prices[p] = std::max(0.0, prices[p] + step * direction_[p]);
  dual_.SetPrices(std::move(prices));
}

void Ascent::Rewind() {
  dual_.SetPrices(best_prices_);
  std::fill(direction_.begin(), direction_.end(), 0);
}

}  // namespace alpa::solver
