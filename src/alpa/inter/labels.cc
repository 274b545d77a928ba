#include "alpa/inter/labels.h"

#include <algorithm>
#include <limits>
#include <tuple>

namespace alpa::inter {

int64_t Fronts::Of(const std::vector<Head>& heads) {
  if (heads.size() == 1) return Of(heads[0]);
  const auto [at, is_new] = number_.emplace(heads, -1 - static_cast<int64_t>(several_.size()));
  if (is_new) several_.push_back(heads);
  return at->second;
}

std::vector<Head> Fronts::Heads(int64_t front) const {
  if (front < 0) return several_[static_cast<size_t>(-1 - front)];
  Head head;
  head.host = static_cast<int>(front % (hosts_ + 1)) - 1;
  front /= hosts_ + 1;
  head.klass = static_cast<int>(front % classes_);
  head.layer = static_cast<int>(front / classes_);
  return {head};
}

void KeepBestLabels(std::vector<Label>* labels) {
  const auto key = [](const Label& l) {
    return std::tuple(l.front, l.stages, l.used, l.depth, l.latency, l.end, l.choice, l.step);
  };
  std::sort(labels->begin(), labels->end(), [&](const Label& a, const Label& b) { return key(a) < key(b); });
  // Least latency of the labels of this front with at most so much depth; they use no more devices than what comes.
  std::vector<double> least;
  size_t kept = 0;
  for (const Label label : *labels) {
    if (kept == 0 || (*labels)[kept - 1].front != label.front || (*labels)[kept - 1].stages != label.stages) {
      least.clear();
    }
    const auto depth = static_cast<size_t>(label.depth);
    if (least.size() <= depth) {
      least.resize(depth + 1, least.empty() ? std::numeric_limits<double>::infinity() : least.back());
    }
    if (least[depth] <= label.latency) continue;
    for (size_t d = depth; d < least.size() && least[d] > label.latency; ++d) least[d] = label.latency;
    (*labels)[kept++] = label;
  }
  labels->resize(kept);
}

}  // namespace alpa::inter
