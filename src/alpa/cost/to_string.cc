#include <fmt/format.h>

#include "alpa/cluster/quantity.h"
#include "alpa/cost/model.h"

namespace alpa::cost {
namespace {

using cluster::Dimension;

std::string Describe(const cluster::Link& link) {
  return fmt::format("{} + {}", ToString(link.alpha), cluster::ToString(1 / link.beta, Dimension::kBytesPerSecond));
}

std::string Describe(const Path& path) {
  if (path.inner * path.outer == 1) return "1 device";
  if (path.outer == 1) return fmt::format("{} devices on a host, {}", path.inner, Describe(path.within));
  if (!path.aligned) {
    return fmt::format("{} devices across hosts, unevenly, {}", path.outer, Describe(path.across));
  }
  if (path.inner == 1) return fmt::format("{} hosts, {}", path.outer, Describe(path.across));
  return fmt::format("{} devices on a host, {}; {} hosts, {}", path.inner, Describe(path.within), path.outer,
                     Describe(path.across));
}

}  // namespace

std::string ToString(const Model& model) {
  std::string text = fmt::format("mesh {} of {}\n", ToString(model.mesh), model.device.name);
  if (model.formulas == Formulas::kAlpa) {
    for (size_t a = 0; a < model.links.size(); ++a) {
      text +=
          fmt::format("  {}: alpha {}, beta {}\n", model.mesh.axes[a], model.links[a].alpha.value, model.links[a].beta);
    }
    return text;
  }
  for (AxisMask axes = 1; axes < model.paths.size(); ++axes) {
    std::string names;
    for (size_t a = 0; a < model.mesh.axes.size(); ++a) {
      if (axes >> a & 1) names += model.mesh.axes[a];
    }
    text += fmt::format("  {}: {}\n", names, Describe(model.paths[axes]));
  }
  return text;
}

}  // namespace alpa::cost
