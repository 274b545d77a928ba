#include "alpa/solver/dual.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "alpa/solver/kernels.h"

namespace alpa::solver {

Dual::Dual(const Flat& flat) : flat_(flat), prices_(flat.slack.size()), rounded_(flat.node.size()) {
  int64_t slots = 0;
  int32_t widest = 1;
  for (const int32_t size : flat.size) widest = std::max(widest, size);
  for (const FlatEdge& edge : flat.edges) {
    slot_.push_back(slots);
    slots += flat.size[edge.a] + flat.size[edge.b];
  }
  messages_.resize(static_cast<size_t>(slots));
  belief_.resize(static_cast<size_t>(widest));
  score_.resize(static_cast<size_t>(widest));
  SetPrices(prices_);
}

void Dual::SetPrices(std::vector<double> prices) {
  prices_ = std::move(prices);
  unary_ = flat_.cost;
  std::vector<double> sum(prices_.size() + 1);  // of the prices before each point
  price_of_slack_ = 0;
  for (size_t p = 0; p < prices_.size(); ++p) {
    sum[p + 1] = sum[p] + prices_[p];
    price_of_slack_ += prices_[p] * static_cast<double>(flat_.slack[p]);
  }
  for (int32_t v = 0; v < flat_.nodes(); ++v) {
    double* unary = &unary_[flat_.first[v]];
    for (int32_t u = flat_.uses_begin[v]; u < flat_.uses_begin[v + 1]; ++u) {
      const FlatUse& use = flat_.uses[u];
      const double price = sum[use.end] - sum[use.begin];
      if (price <= 0) continue;
      const int64_t* amount = &flat_.amount[use.amounts];
      for (int32_t i = 0; i < flat_.size[v]; ++i) unary[i] += price * static_cast<double>(amount[i]);
    }
  }
}

void Dual::Restore(State state) {
  messages_ = std::move(state.messages);
  SetPrices(std::move(state.prices));
}

void Dual::Pass() {
  Sweep<true>();
  Sweep<false>();
}

void Dual::Collect(int32_t v, const Link& link) {
  MinPlus(&flat_.table[link.by_other], ToOther(v, link), flat_.size[link.other], flat_.size[v], ToOwn(v, link));
}

// Node by node: pull in all that the edges to nodes already passed can give, and share it among the edges still ahead.
template <bool kForward>
void Dual::Sweep() {
  double bound = flat_.constant - price_of_slack_;
  for (int32_t n = 0; n < flat_.nodes(); ++n) {
    const int32_t v = kForward ? n : flat_.nodes() - 1 - n;
    const int32_t size = flat_.size[v];
    const double* unary = &unary_[flat_.first[v]];
    double* belief = belief_.data();
    double* score = score_.data();
    std::copy_n(unary, size, belief);
    if (kForward) std::copy_n(unary, size, score);
    int32_t behind = 0, ahead = 0;
    for (int32_t l = flat_.links_begin[v]; l < flat_.links_begin[v + 1]; ++l) {
      const Link& link = flat_.links[l];
      const bool passed = (link.other < v) == kForward;
      if (passed) {
        ++behind;
        Collect(v, link);
      } else {
        ++ahead;
      }
      const double* message = ToOwn(v, link);
      for (int32_t i = 0; i < size; ++i) belief[i] += message[i];
      if (!kForward) continue;
      const double* given =
          passed ? &flat_.table[link.by_other + static_cast<int64_t>(rounded_[link.other]) * size] : message;
      for (int32_t i = 0; i < size; ++i) score[i] += given[i];
    }
    if (kForward) rounded_[v] = static_cast<int32_t>(std::min_element(score, score + size) - score);
    const double least = *std::min_element(belief, belief + size);
    const int32_t parts = std::max(behind, ahead);
    if (parts == 0) {
      bound += least;
      continue;
    }
    const double share = 1.0 / parts;
    bound += least * (1 - ahead * share);
    for (int32_t l = flat_.links_begin[v]; l < flat_.links_begin[v + 1]; ++l) {
      const Link& link = flat_.links[l];
      if ((link.other < v) == kForward) continue;
      double* message = ToOwn(v, link);
      for (int32_t i = 0; i < size; ++i) message[i] -= share * belief[i];
    }
  }
  bound_ = bound;
}

void Dual::ReducedCosts(int32_t v, std::vector<double>* more) const {
  const int32_t size = flat_.size[v];
  more->assign(unary_.begin() + flat_.first[v], unary_.begin() + flat_.first[v] + size);
  std::vector<double> least(static_cast<size_t>(size));
  for (int32_t l = flat_.links_begin[v]; l < flat_.links_begin[v + 1]; ++l) {
    const Link& link = flat_.links[l];
    // The message to v and what the edge still costs beyond it, together.
    MinPlus(&flat_.table[link.by_other], ToOther(v, link), flat_.size[link.other], size, least.data());
    for (int32_t i = 0; i < size; ++i) (*more)[i] += least[i];
  }
  const double low = *std::min_element(more->begin(), more->end());
  for (double& m : *more) m -= low;
}

double Dual::ExactBound() const {
  double bound = flat_.constant - price_of_slack_;
  std::vector<double> belief, least;
  for (int32_t v = 0; v < flat_.nodes(); ++v) {
    const int32_t size = flat_.size[v];
    belief.assign(unary_.begin() + flat_.first[v], unary_.begin() + flat_.first[v] + size);
    for (int32_t l = flat_.links_begin[v]; l < flat_.links_begin[v + 1]; ++l) {
      const Link& link = flat_.links[l];
      const double* message = ToOwn(v, link);
      for (int32_t i = 0; i < size; ++i) belief[i] += message[i];
      if (link.other < v) continue;
      least.resize(static_cast<size_t>(size));
      MinPlus(&flat_.table[link.by_other], ToOther(v, link), flat_.size[link.other], size, least.data());
      double low = std::numeric_limits<double>::infinity();
      for (int32_t i = 0; i < size; ++i) low = std::min(low, least[i] - message[i]);
      bound += low;
    }
    bound += *std::min_element(belief.begin(), belief.end());
  }
  return bound;
}

}  // namespace alpa::solver
