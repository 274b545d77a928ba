// The losses of a training run as a picture.
#pragma once

#include <string>
#include <vector>

namespace alpa::report {

struct LossCurveOptions {
  std::string title = "Training loss";
  std::string x_label = "step";
  std::string y_label = "loss";
  std::string label;  // of the curve in the legend, e.g. "8 devices"; empty: no legend
  // A second run to compare with, e.g. the same steps on one device: a broad pale line under the first. Empty: none.
  std::vector<double> reference_steps;
  std::vector<double> reference_losses;
  std::string reference_label = "reference";
};

// A self-contained SVG: the losses as faint points (beyond a thousand: the span between least and largest per column),
// over them a lightly smoothed line. Follows the reader's light or dark colour scheme; its colours are told apart by
// colour-blind readers. Values that are not finite leave gaps and are marked at the bottom. `steps` ascends and has the
// length of `losses`. Linear in the number of points; the size of the text does not grow with it.
std::string LossCurveSvg(const std::vector<double>& steps, const std::vector<double>& losses,
                         const LossCurveOptions& options = {});

// The multiples of a round number (1, 2 or 5 times a power of ten) in [low, high], about `count` of them. Requires
// finite low < high.
std::vector<double> NiceTicks(double low, double high, int count);

}  // namespace alpa::report
