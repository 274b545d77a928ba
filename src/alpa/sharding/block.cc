#include "alpa/sharding/block.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <utility>

namespace alpa::sharding {

Block WholeBlock(const ir::Shape& shape) { return {std::vector<int64_t>(shape.dims.size(), 0), shape.dims}; }

int64_t Elements(const Block& block) {
  int64_t elements = 1;
  for (const int64_t n : block.extent) elements *= n;
  return elements;
}

bool LiesIn(const Block& block, const ir::Shape& shape) {
  if (block.start.size() != shape.dims.size() || block.extent.size() != shape.dims.size()) return false;
  for (size_t d = 0; d < shape.dims.size(); ++d) {
    if (block.start[d] < 0 || block.extent[d] < 0 || block.extent[d] > shape.dims[d]) return false;
    if (block.start[d] > shape.dims[d] - block.extent[d]) return false;
  }
  return true;
}

std::optional<Block> Intersect(const Block& a, const Block& b) {
  ALPA_CHECK(a.start.size() == b.start.size());
  Block out;
  for (size_t d = 0; d < a.start.size(); ++d) {
    const int64_t begin = std::max(a.start[d], b.start[d]);
    const int64_t end = std::min(a.start[d] + a.extent[d], b.start[d] + b.extent[d]);
    if (begin >= end) return std::nullopt;
    out.start.push_back(begin);
    out.extent.push_back(end - begin);
  }
  return out;
}

std::string ToString(const Block& block) {
  std::vector<std::string> ranges;
  for (size_t d = 0; d < block.start.size(); ++d) {
    ranges.push_back(fmt::format("{}:{}", block.start[d], block.start[d] + block.extent[d]));
  }
  return fmt::format("[{}]", fmt::join(ranges, ","));
}

Status CheckCovers(const std::vector<Block>& blocks, const ir::Shape& shape) {
  const auto wrong = [](const std::string& what) { return Error{Code::kInvalidInput, what, ""}; };
  int64_t elements = 0;
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (!LiesIn(blocks[i], shape)) {
      return wrong(fmt::format("block {} does not lie in {}", ToString(blocks[i]), ir::ToString(shape)));
    }
    for (size_t j = 0; j < i; ++j) {
      const auto common = Intersect(blocks[i], blocks[j]);
      if (common && Elements(blocks[i]) > 0) return wrong(fmt::format("{} is there twice", ToString(*common)));
    }
    elements += Elements(blocks[i]);
  }
  // Blocks inside that do not overlap cover everything when there are enough of them.
  if (elements == shape.elements()) return Ok();
  return wrong(fmt::format("{} of {} elements are missing", shape.elements() - elements, shape.elements()));
}

std::vector<HeldBlock> HeldBlocks(const ir::Shape& shape, const Spec& spec, const cluster::Mesh& mesh) {
  const ir::Shape part = ShardShape(spec, shape, mesh);
  std::map<std::vector<int64_t>, size_t> places;  // start -> place in the result
  std::vector<HeldBlock> out;
  for (int64_t device = 0; device < mesh.size(); ++device) {
    std::vector<int64_t> start = ShardStart(spec, shape, mesh, device);
    const auto [place, added] = places.try_emplace(start, out.size());
    if (added) out.push_back({{std::move(start), part.dims}, {}});
    out[place->second].devices.push_back(device);
  }
  return out;
}

std::vector<OwnedBlock> OwnedBlocks(size_t number, const ir::Shape& shape, const Spec& spec,
                                    const cluster::Mesh& mesh) {
  std::vector<OwnedBlock> out;
  for (HeldBlock& held : HeldBlocks(shape, spec, mesh)) {
    out.push_back({std::move(held.block), held.devices[number % held.devices.size()]});
  }
  return out;
}

}  // namespace alpa::sharding
