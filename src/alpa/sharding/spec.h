// How one array lies on a mesh.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/cluster/mesh.h"
#include "alpa/ir/shape.h"

namespace alpa::sharding {

// For each dimension the mesh axes that split it, major first; an empty list: not split. Axes that occur nowhere hold
// copies. A spec with no entries is "replicated" for an array of any rank.
struct Spec {
  std::vector<std::vector<int>> dims;

  bool replicated() const;
  bool operator==(const Spec&) const = default;
};

// An array of `rank` dimensions whose dimension `dim` is split over mesh axis `axis`.
Spec SplitDim(int rank, int dim, int axis);

// "[x,,]": one entry per dimension with the names of its axes; "[]" when there are no entries (replicated or scalar),
// "[-]" for one dimension that is not split.
std::string ToString(const Spec& spec, const cluster::Mesh& mesh);
// The inverse. kInvalidInput names the text and what is wrong with it.
Result<Spec> ParseSpec(std::string_view text, const cluster::Mesh& mesh);

// Axes in range, none used twice, the rank fits, and every split dimension is divisible by the devices it is split
// over.
Status Verify(const Spec& spec, const ir::Shape& shape, const cluster::Mesh& mesh);

// Into how many parts dimension `dim` is cut.
int64_t Parts(const Spec& spec, int dim, const cluster::Mesh& mesh);
// The shape of the piece each device holds.
ir::Shape ShardShape(const Spec& spec, const ir::Shape& shape, const cluster::Mesh& mesh);
// Where the piece of `device` begins in the whole array.
std::vector<int64_t> ShardStart(const Spec& spec, const ir::Shape& shape, const cluster::Mesh& mesh, int64_t device);

}  // namespace alpa::sharding
