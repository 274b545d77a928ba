// Labels of the dynamic program: ways to execute everything from one position of a chain to the end of the graph.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <vector>

namespace alpa::inter {

// What a stage in front has to know of a stage behind it.
struct Head {
  int layer = 0;                                  // the first one of the stage
  int klass = 0;                                  // submesh and layout
  int host = -1;                                  // Place::host
  auto operator<=>(const Head&) const = default;  // NOLINT(modernize-use-nullptr): a bug of the check
};

// A label; less is better in `latency`, `used` and `depth` where `front` and `stages` are the same.
struct Label {
  double latency = 0;   // of the longest way to the end
  int64_t front = 0;    // which stages come next, as Fronts numbers them
  int32_t used = 0;     // devices, as Place::used
  int32_t depth = 0;    // stages to the end, up to the number that makes no difference any more
  int32_t stages = 0;   // in all, as far as it matters
  int32_t step = -1;    // how it came about; in a candidate: the step of the label it extends
  int32_t choice = -1;  // in a candidate: the new stage's; -1: no new stage
  int32_t end = 0;      // in a candidate: where the new stage ends
};

// Numbers of sets of heads. Single heads, which are nearly all, are numbered without a table.
class Fronts {
 public:
  Fronts(int classes, int hosts) : classes_(classes), hosts_(hosts) {}
  int64_t Of(const Head& head) const {
    return (int64_t{head.layer} * classes_ + head.klass) * (hosts_ + 1) + head.host + 1;
  }
  int64_t Of(const std::vector<Head>& heads);
  std::vector<Head> Heads(int64_t front) const;

 private:
  int64_t classes_, hosts_;
  std::vector<std::vector<Head>> several_;
  std::map<std::vector<Head>, int64_t> number_;  // of those
};

// Sorts by front, stages and devices used, and leaves the labels that no other beats.
void KeepBestLabels(std::vector<Label>* labels);

}  // namespace alpa::inter
