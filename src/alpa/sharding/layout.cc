#include "alpa/sharding/layout.h"

#include <fmt/format.h>

#include <algorithm>

namespace alpa::sharding {

std::string_view Name(Combiner combiner) {
  switch (combiner) {
    case Combiner::kSum:
      return "sum";
    case Combiner::kProduct:
      return "product";
    case Combiner::kMax:
      return "max";
    case Combiner::kMin:
      return "min";
    case Combiner::kAnd:
      return "and";
    case Combiner::kOr:
      return "or";
    case Combiner::kOther:
      return "other";
  }
  return "";
}

std::string ToString(const Layout& layout, const cluster::Mesh& mesh) {
  std::string out = ToString(layout.spec, mesh);
  if (layout.partial.empty()) return out;
  out += fmt::format(" {} over ", Name(layout.combiner));
  out += cluster::AxisNames(mesh, layout.partial);
  return out;
}

Status Verify(const Layout& layout, const ir::Shape& shape, const cluster::Mesh& mesh) {
  ALPA_RETURN_IF_ERROR(Verify(layout.spec, shape, mesh));
  auto bad = [&](const std::string& what) {
    return Error{Code::kInvalidInput,
                 fmt::format("layout of {} on mesh {}: {}", ir::ToString(shape), cluster::ToString(mesh), what), ""};
  };
  if (layout.partial.empty() && layout.combiner != Combiner::kSum) return bad("a combiner but nothing partial");
  int last = -1;
  for (const int axis : layout.partial) {
    if (axis < 0 || axis >= static_cast<int>(mesh.shape.size())) return bad(fmt::format("there is no axis {}", axis));
    if (axis <= last) return bad("the partial axes are not ascending");
    last = axis;
    for (const auto& axes : layout.spec.dims) {
      if (std::find(axes.begin(), axes.end(), axis) == axes.end()) continue;
      return bad(fmt::format("axis '{}' is both split and partial", mesh.axes[static_cast<size_t>(axis)]));
    }
  }
  return Ok();
}

}  // namespace alpa::sharding
