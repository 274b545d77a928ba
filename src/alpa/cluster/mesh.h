// A logical mesh: devices arranged in an n-dimensional grid with named axes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "alpa/base/result.h"

namespace alpa::cluster {

// Devices 0 .. size-1 in row-major order of `shape`; axis i is called axes[i] ("x", "y").
struct Mesh {
  std::vector<int64_t> shape;
  std::vector<std::string> axes;

  int64_t size() const;
  // Position of device `device` along each axis.
  std::vector<int64_t> Coordinates(int64_t device) const;
  // Index of the axis with this name, or -1.
  int AxisIndex(std::string_view name) const;
  bool operator==(const Mesh&) const = default;
};

// The names of these axes in a row: "xy".
std::string AxisNames(const Mesh& mesh, const std::vector<int>& axes);

// A mesh with axes "x", "y", "z", ... in this order.
Mesh MakeMesh(std::vector<int64_t> shape);

// "2x4".
std::string ToString(const Mesh& mesh);

// Extents at least 1, at most `kMaxDevices` devices, axis names distinct and single letters.
Status Verify(const Mesh& mesh);

// What one host process can drive; XLA's CPU client numbers at most 2048, each with a thread pool of its own.
inline constexpr int64_t kMaxDevices = 512;

}  // namespace alpa::cluster
