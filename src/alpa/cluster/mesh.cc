#include "alpa/cluster/mesh.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace alpa::cluster {

int64_t Mesh::size() const {
  int64_t n = 1;
  for (const int64_t s : shape) n *= s;
  return n;
}

std::vector<int64_t> Mesh::Coordinates(int64_t device) const {
  std::vector<int64_t> at(shape.size());
  for (size_t i = shape.size(); i-- > 0;) {
    at[i] = device % shape[i];
    device /= shape[i];
  }
  return at;
}

int Mesh::AxisIndex(std::string_view name) const {
  const auto it = std::find(axes.begin(), axes.end(), name);
  return it == axes.end() ? -1 : static_cast<int>(it - axes.begin());
}

std::string AxisNames(const Mesh& mesh, const std::vector<int>& axes) {
  std::string names;
  for (const int axis : axes) names += mesh.axes[static_cast<size_t>(axis)];
  return names;
}

Mesh MakeMesh(std::vector<int64_t> shape) {
  ALPA_CHECK(shape.size() <= 3);
  Mesh mesh;
  for (size_t i = 0; i < shape.size(); ++i) mesh.axes.emplace_back(1, "xyz"[i]);
  mesh.shape = std::move(shape);
  return mesh;
}

std::string ToString(const Mesh& mesh) { return fmt::format("{}", fmt::join(mesh.shape, "x")); }

Status Verify(const Mesh& mesh) {
  auto broken = [&](const std::string& what) {
    return Error{Code::kInvalidInput, fmt::format("mesh {}: {}", ToString(mesh), what), ""};
  };
  if (mesh.shape.empty()) return broken("has no dimension");
  if (mesh.shape.size() != mesh.axes.size()) return broken("dimensions and axis names differ in number");
  int64_t n = 1;
  for (const int64_t s : mesh.shape) {
    if (s < 1) return broken("an extent is below 1");
    if (s > kMaxDevices || n * s > kMaxDevices) return broken(fmt::format("more than {} devices", kMaxDevices));
    n *= s;
  }
  for (size_t i = 0; i < mesh.axes.size(); ++i) {
    if (mesh.axes[i].size() != 1 || mesh.axes[i][0] < 'a' || mesh.axes[i][0] > 'z') {
      return broken(fmt::format("axis name '{}' is not one lower-case letter", mesh.axes[i]));
    }
    if (mesh.AxisIndex(mesh.axes[i]) != static_cast<int>(i))
      return broken(fmt::format("axis '{}' occurs twice", mesh.axes[i]));
  }
  return Ok();
}

}  // namespace alpa::cluster
