#include "alpa/frontend/cut_chain.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "alpa/base/result.h"

namespace alpa::frontend {
namespace {

// The cost of a way to cut, compared field by field.
struct Cost {
  int64_t bytes = 0;
  double squares = 0;
  auto operator<=>(const Cost&) const = default;  // NOLINT(modernize-use-nullptr): a bug of the check
};
constexpr Cost kImpossible = {std::numeric_limits<int64_t>::max(), 0};

}  // namespace

std::optional<std::vector<int>> CutChain(const ChainToCut& chain, int count) {
  const auto n = chain.work.size();
  ALPA_CHECK(count >= 1 && n >= 1 && chain.bytes.size() + 1 == n);
  const auto layers = static_cast<size_t>(count);
  if (layers > n) return std::nullopt;
  // best[i] after k rounds: the first i pieces in k layers. from[k][i]: where the last of these layers starts.
  std::vector<Cost> best(n + 1, kImpossible);
  best[0] = {};
  std::vector<std::vector<int>> from(layers + 1, std::vector<int>(n + 1, -1));
  for (size_t k = 1; k <= layers; ++k) {
    std::vector<Cost> next(n + 1, kImpossible);
    for (size_t i = k; i <= n; ++i) {
      double work = 0;
      for (size_t start = i; start-- > k - 1;) {
        work += chain.work[start];
        if (work > (start + 1 == i ? std::max(chain.bound, chain.single_bound) : chain.bound)) break;
        if (best[start] == kImpossible) continue;
        const Cost cost{best[start].bytes + (start > 0 ? chain.bytes[start - 1] : 0),
                        best[start].squares + work * work};
        if (cost < next[i]) {
          next[i] = cost;
          from[k][i] = static_cast<int>(start);
        }
      }
    }
    best = std::move(next);
  }
  if (best[n] == kImpossible) return std::nullopt;
  std::vector<int> cuts;
  int end = static_cast<int>(n);
  for (size_t k = layers; k > 1; --k) {
    end = from[k][static_cast<size_t>(end)];
    cuts.push_back(end - 1);
  }
  std::reverse(cuts.begin(), cuts.end());
  return cuts;
}

double LeastLargest(const std::vector<double>& work, int count) {
  const double total = std::accumulate(work.begin(), work.end(), 0.0);
  auto fits = [&](double bound) {
    int layers = 1;
    double sum = 0;
    for (const double w : work) {
      if (sum > 0 && sum + w > bound) {
        ++layers;
        sum = 0;
      }
      sum += w;
    }
    return layers <= count;
  };
  double low = std::max(total / count, *std::max_element(work.begin(), work.end()));
  if (fits(low)) return low;
  double high = total;
  for (int round = 0; round < 60 && high - low > 1e-9 * total; ++round) {
    const double middle = (low + high) / 2;
    (fits(middle) ? high : low) = middle;
  }
  return high;
}

}  // namespace alpa::frontend
