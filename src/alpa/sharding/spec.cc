#include "alpa/sharding/spec.h"

#include <fmt/format.h>

#include <algorithm>

namespace alpa::sharding {

bool Spec::replicated() const {
  return std::all_of(dims.begin(), dims.end(), [](const auto& axes) { return axes.empty(); });
}

Spec SplitDim(int rank, int dim, int axis) {
  ALPA_CHECK(dim >= 0 && dim < rank);
  Spec spec;
  spec.dims.resize(static_cast<size_t>(rank));
  spec.dims[static_cast<size_t>(dim)] = {axis};
  return spec;
}

std::string ToString(const Spec& spec, const cluster::Mesh& mesh) {
  if (spec.dims.size() == 1 && spec.dims[0].empty()) return "[-]";
  std::string out = "[";
  for (size_t d = 0; d < spec.dims.size(); ++d) {
    if (d > 0) out += ",";
    out += cluster::AxisNames(mesh, spec.dims[d]);
  }
  return out + "]";
}

Result<Spec> ParseSpec(std::string_view text, const cluster::Mesh& mesh) {
  auto bad = [&](const std::string& what) {
    return Error{Code::kInvalidInput, fmt::format("sharding '{}': {}", text, what),
                 "one entry per dimension with the mesh axes that split it, e.g. \"[x,,y]\""};
  };
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') return bad("not in brackets");
  const std::string_view inside = text.substr(1, text.size() - 2);
  Spec spec;
  if (inside.empty()) return spec;
  spec.dims.emplace_back();
  for (const char c : inside) {
    if (c == ',') {
      spec.dims.emplace_back();
    } else if (c != ' ' && c != '-') {
      const int axis = mesh.AxisIndex(std::string_view(&c, 1));
      if (axis < 0) return bad(fmt::format("the mesh {} has no axis '{}'", cluster::ToString(mesh), c));
      spec.dims.back().push_back(axis);
    }
  }
  return spec;
}

Status Verify(const Spec& spec, const ir::Shape& shape, const cluster::Mesh& mesh) {
  auto bad = [&](const std::string& what) {
    return Error{Code::kInvalidInput,
                 fmt::format("sharding {} of {} on mesh {}: {}", ToString(spec, mesh), ir::ToString(shape),
                             cluster::ToString(mesh), what),
                 ""};
  };
  const auto axis_count = static_cast<int>(mesh.shape.size());
  for (const auto& axes : spec.dims) {
    for (const int axis : axes) {
      if (axis >= 0 && axis < axis_count) continue;
      return Error{
          Code::kInvalidInput,
          fmt::format("sharding of {}: mesh {} has no axis {}", ir::ToString(shape), cluster::ToString(mesh), axis),
          ""};
    }
  }
  std::vector<bool> used(mesh.shape.size(), false);
  for (const auto& axes : spec.dims) {
    for (const int axis : axes) {
      const auto a = static_cast<size_t>(axis);
      if (used[a]) return bad(fmt::format("axis '{}' is used twice", mesh.axes[a]));
      used[a] = true;
    }
  }
  if (spec.dims.empty()) return Ok();
  if (static_cast<int>(spec.dims.size()) != shape.rank()) return bad("the number of entries is not the rank");
  for (int d = 0; d < shape.rank(); ++d) {
    const int64_t parts = Parts(spec, d, mesh);
    const int64_t extent = shape.dims[static_cast<size_t>(d)];
    if (extent % parts != 0)
      return bad(fmt::format("dimension {} of size {} is not divisible by {}", d, extent, parts));
  }
  return Ok();
}

int64_t Parts(const Spec& spec, int dim, const cluster::Mesh& mesh) {
  if (spec.dims.empty()) return 1;
  int64_t n = 1;
  for (const int axis : spec.dims[static_cast<size_t>(dim)]) n *= mesh.shape[static_cast<size_t>(axis)];
  return n;
}

ir::Shape ShardShape(const Spec& spec, const ir::Shape& shape, const cluster::Mesh& mesh) {
  ir::Shape out = shape;
  for (int d = 0; d < shape.rank(); ++d) out.dims[static_cast<size_t>(d)] /= Parts(spec, d, mesh);
  return out;
}

std::vector<int64_t> ShardStart(const Spec& spec, const ir::Shape& shape, const cluster::Mesh& mesh, int64_t device) {
  std::vector<int64_t> start(shape.dims.size(), 0);
  if (spec.dims.empty()) return start;
  const std::vector<int64_t> at = mesh.Coordinates(device);
  for (size_t d = 0; d < spec.dims.size(); ++d) {
    int64_t index = 0;
    int64_t parts = 1;
    for (const int axis : spec.dims[d]) {
      index = index * mesh.shape[static_cast<size_t>(axis)] + at[static_cast<size_t>(axis)];
      parts *= mesh.shape[static_cast<size_t>(axis)];
    }
    start[d] = index * (shape.dims[d] / parts);
  }
  return start;
}

}  // namespace alpa::sharding
