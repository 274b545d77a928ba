// Mesh axes in XLA's terms: shardings made of them, and groups of devices brought back to them.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "alpa/sharding/spec.h"

namespace xla {
class HloSharding;
}

namespace alpa::xla {

using DeviceGroups = std::vector<std::vector<int64_t>>;

// The sharding of an array of `rank` dimensions. Mesh axes that `spec` does not use hold copies.
::xla::HloSharding ToHloSharding(const sharding::Spec& spec, int rank, const cluster::Mesh& mesh);

// Groups of the devices that differ only in their coordinates along `axes`, each group in row-major order of them, and
// the groups in the order of their first devices.
DeviceGroups GroupsAlong(const std::vector<int>& axes, const cluster::Mesh& mesh);

// The axes (ascending, of extent > 1) along which `groups` run, whatever the order of devices; no groups stand for all
// devices in one. Nothing when they are not the groups of any axes.
std::optional<std::vector<int>> AxesOfGroups(const DeviceGroups& groups, const cluster::Mesh& mesh);

// The axes along which any source differs from its target.
std::vector<int> AxesOfPairs(const std::vector<std::pair<int64_t, int64_t>>& pairs, const cluster::Mesh& mesh);

// Axes of extent > 1, ascending.
std::vector<int> LiveAxes(const cluster::Mesh& mesh);

// Whether both place an array of `rank` dimensions alike: a spec without entries, one with empty entries and one that
// names axes of extent 1 are all "replicated".
bool SameLayout(const sharding::Spec& a, const sharding::Spec& b, int rank, const cluster::Mesh& mesh);

}  // namespace alpa::xla
