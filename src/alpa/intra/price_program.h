// What a layer costs when it is executed once per microbatch, in several ways between fast and small: the numbers that
// the stage search adds up.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "alpa/base/units.h"
#include "alpa/cost/model.h"
#include "alpa/intra/candidates.h"
#include "alpa/intra/op_layouts.h"
#include "alpa/ir/module.h"
#include "alpa/ir/step.h"

namespace alpa::intra {

// When an op runs. Forward, backward and weight-gradient ops run once per microbatch, update ops once per step.
enum class Pass : uint8_t { kForward, kBackward, kWeight, kUpdate };
inline constexpr int kPassCount = 4;

// A number that depends on the examples in a microbatch.
struct Affine {
  double fixed = 0, per_example = 0;
  double at(double examples) const { return fixed + per_example * examples; }
  Affine& operator+=(const Affine& o) {
    fixed += o.fixed;
    per_example += o.per_example;
    return *this;
  }
  bool operator==(const Affine&) const = default;
};
// The line through two points, as far as both its coefficients are not negative; a point at the same place twice gives
// a proportion.
Affine AffineThrough(double x0, double y0, double x1, double y1);

// What crosses the border of a layer.
enum class Border : uint8_t {
  kNone,        // input or output of the step, or something that comes once per step
  kActivation,  // once per microbatch
  kCotangent,
};

// A layer: forward ops in front of backward ones in front of update ops.
struct ProgramToPrice {
  const ir::Module* module = nullptr;  // batch dimensions are those of `examples`
  const ir::Module* small = nullptr;   // the same ops, batch dimensions those of `small_examples`
  const ir::Module* far = nullptr;     // the same of `far_examples`; null: prices are not looked at there
  int64_t examples = 1, small_examples = 1, far_examples = 1;
  const ir::StepSignature* signature = nullptr;
  std::vector<OpWork> work, small_work,
      far_work;                         // by OpId; runs: the number of microbatches that costs are weighed for
  std::vector<int> batch_dims;          // by ValueId: where the batch lies, -1: nowhere
  std::vector<Pass> passes;             // by OpId
  std::vector<Border> inputs, outputs;  // by input and output of the module
  // Weight-gradient ops run apart from the rest of the backward pass, as in zb-h1.
  bool weight_apart = true;
  // The passes that run as one program: what two of its ops want in the same layout is brought there once.
  Pass ProgramOf(Pass pass) const { return pass == Pass::kWeight && !weight_apart ? Pass::kBackward : pass; }
};

// One solution. Values on borders that carry the batch have it split over `batch_axes`, and are whole otherwise.
struct ProgramPrice {
  cost::AxisMask batch_axes = 0;
  int64_t batch_parts = 1;  // microbatches must have a multiple of this many examples
  // What the solver weighed: seconds of a whole step with the number of microbatches given in `work`, and bytes per
  // device with PriceOptions::kept_microbatches of them in flight.
  double step_seconds = 0, bytes = 0;
  Affine forward, backward, weight;  // seconds per microbatch; `backward` includes `weight`
  double per_step = 0;               // seconds per step: gradient synchronization and update
  double state = 0;                  // bytes per device: state inputs and accumulated gradients
  Affine activation;                 // bytes per device kept from forward to backward, per microbatch
  Affine border;                     // bytes per device of what enters the forward pass: all that recomputation keeps
  Affine workspace;                  // bytes per device at the worst moment, beside those above
  // Bytes per device of the sums over microbatches that become whole once per step, as they then are: all of them exist
  // beside `state` in front of the update.
  double joined = 0;
  // How far the seconds per microbatch of `far_examples` are from those that the lines give, as a share of these: what
  // takes its time to move memory in small microbatches may take it to compute in large ones.
  double far_error = 0;
  std::shared_ptr<const OpLayouts> layouts;  // the solution itself
  // Sizes of microbatches that the price is for.
  int64_t least_examples = 1, most_examples = std::numeric_limits<int64_t>::max();
  bool covers(int64_t least, int64_t most) const { return least_examples <= least && most <= most_examples; }
};

struct PriceOptions {
  std::optional<cost::AxisMask> batch_axes;  // only with the batch on borders split like this
  int between = 1;                           // solutions that are looked for between the fastest and the smallest
  double least_gain = 0.005;                 // of seconds + weight * bytes, for which another one is worth it
  double kept_microbatches = 4;              // so many microbatches in flight are reckoned with
  Seconds time_limit{2};                     // for each of the solves
  double gap = 0.01;
};

// For every set of mesh axes that the batch can be split over (with either size) the vertices of the convex hull of
// (bytes, seconds), as far as they matter: what is best for some price of memory. Fastest first.
std::vector<ProgramPrice> PriceProgram(const ProgramToPrice& program, const cost::Model& model,
                                       const PriceOptions& options);

}  // namespace alpa::intra
