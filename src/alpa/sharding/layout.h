// How the result of an op lies on a mesh before it is brought into a spec: partial sums are a state of their own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "alpa/cluster/mesh.h"
#include "alpa/sharding/spec.h"

namespace alpa::sharding {

// What joins partial results. kOther: a combiner that no collective knows (argmax pairs, ...).
enum class Combiner : uint8_t { kSum, kProduct, kMax, kMin, kAnd, kOr, kOther };

// "sum", "product", "max", "min", "and", "or", "other".
std::string_view Name(Combiner combiner);

// A spec, plus the axes over which each device holds only its contribution: the value is the combination over these
// axes. `partial` is ascending and shares no axis with `spec`.
struct Layout {
  Spec spec;
  std::vector<int> partial;
  Combiner combiner = Combiner::kSum;  // kSum when nothing is partial

  bool operator==(const Layout&) const = default;
};

// "[x,] sum over y", "[,] max over xy", "[x,]".
std::string ToString(const Layout& layout, const cluster::Mesh& mesh);

// As for specs, and `partial` as described above.
Status Verify(const Layout& layout, const ir::Shape& shape, const cluster::Mesh& mesh);

}  // namespace alpa::sharding
