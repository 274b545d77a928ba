#include "alpa/reshard/block_copy.h"

#include <cstring>

namespace alpa::reshard {
namespace {

// Runs of `count` rows; a size known to the compiler becomes a move instead of a call.
template <size_t kBytes>
void CopyRows(const BlockCopy::Dim& dim, const std::byte* from, std::byte* to) {
  for (int64_t i = 0; i < dim.count; ++i) std::memcpy(to + i * dim.to_stride, from + i * dim.from_stride, kBytes);
}

void CopyRows(const BlockCopy::Dim& dim, int64_t run, const std::byte* from, std::byte* to) {
  switch (run) {
    case 1:
      return CopyRows<1>(dim, from, to);
    case 2:
      return CopyRows<2>(dim, from, to);
    case 4:
      return CopyRows<4>(dim, from, to);
    case 8:
      return CopyRows<8>(dim, from, to);
    case 16:
      return CopyRows<16>(dim, from, to);
    case 32:
      return CopyRows<32>(dim, from, to);
    case 64:
      return CopyRows<64>(dim, from, to);
    default:
      break;
  }
  for (int64_t i = 0; i < dim.count; ++i) {
    std::memcpy(to + i * dim.to_stride, from + i * dim.from_stride, static_cast<size_t>(run));
  }
}

void CopyDims(std::span<const BlockCopy::Dim> dims, int64_t run, const std::byte* from, std::byte* to) {
  if (dims.size() == 1) return CopyRows(dims[0], run, from, to);
  for (int64_t i = 0; i < dims[0].count; ++i) {
    CopyDims(dims.subspan(1), run, from + i * dims[0].from_stride, to + i * dims[0].to_stride);
  }
}

std::vector<Window> WindowsOf(const ir::Shape& shape, const sharding::Spec& spec, const cluster::Mesh& mesh) {
  std::vector<Window> out;
  const std::vector<int64_t> extent = sharding::ShardShape(spec, shape, mesh).dims;
  for (int64_t d = 0; d < mesh.size(); ++d) out.push_back({sharding::ShardStart(spec, shape, mesh, d), extent});
  return out;
}

}  // namespace

void BlockCopy::Run(const std::byte* from, std::byte* to) const {
  if (run == 0) return;
  from += from_offset;
  to += to_offset;
  if (!dims.empty()) return CopyDims(dims, run, from, to);
  std::memcpy(to, from, static_cast<size_t>(run));
}

BlockCopy PrepareCopy(const Window& from, const Window& to, const std::vector<int64_t>& start,
                      const std::vector<int64_t>& extent, int64_t element_bytes) {
  BlockCopy out;
  out.run = element_bytes;
  std::vector<BlockCopy::Dim> inner_first;
  int64_t from_stride = element_bytes;  // of the current dimension
  int64_t to_stride = element_bytes;
  for (size_t d = extent.size(); d-- > 0;) {
    ALPA_CHECK(start[d] >= from.start[d] && start[d] + extent[d] <= from.start[d] + from.extent[d]);
    ALPA_CHECK(start[d] >= to.start[d] && start[d] + extent[d] <= to.start[d] + to.extent[d]);
    out.from_offset += (start[d] - from.start[d]) * from_stride;
    out.to_offset += (start[d] - to.start[d]) * to_stride;
    if (extent[d] == 0) return {};
    const BlockCopy::Dim* below = inner_first.empty() ? nullptr : &inner_first.back();
    if (extent[d] > 1 && below == nullptr && from_stride == out.run && to_stride == out.run) {
      out.run *= extent[d];
    } else if (extent[d] > 1 && below != nullptr && from_stride == below->count * below->from_stride &&
               to_stride == below->count * below->to_stride) {
      inner_first.back().count *= extent[d];
    } else if (extent[d] > 1) {
      inner_first.push_back({extent[d], from_stride, to_stride});
    }
    from_stride *= from.extent[d];
    to_stride *= to.extent[d];
  }
  out.dims.assign(inner_first.rbegin(), inner_first.rend());
  return out;
}

PreparedTransfer Prepare(const Transfer& t) {
  const std::vector<Window> source = WindowsOf(t.shape, t.from, t.source.mesh);
  const std::vector<Window> target = WindowsOf(t.shape, t.to, t.target.mesh);
  const int64_t element = ir::Bits(t.shape.dtype) / 8;
  const auto prepare = [&](const std::vector<Window>& from, const std::vector<Copy>& copies) {
    std::vector<PreparedCopy> out;
    out.reserve(copies.size());
    for (const Copy& c : copies) {
      out.push_back({c.from, c.to,
                     PrepareCopy(from[static_cast<size_t>(c.from)], target[static_cast<size_t>(c.to)], c.start,
                                 c.extent, element)});
    }
    return out;
  };
  return {prepare(source, t.across), prepare(target, t.local)};
}

void Run(const PreparedTransfer& transfer, std::span<const std::byte* const> source,
         std::span<std::byte* const> target) {
  for (const PreparedCopy& c : transfer.across) {
    c.block.Run(source[static_cast<size_t>(c.from)], target[static_cast<size_t>(c.to)]);
  }
  for (const PreparedCopy& c : transfer.local) {
    c.block.Run(target[static_cast<size_t>(c.from)], target[static_cast<size_t>(c.to)]);
  }
}

}  // namespace alpa::reshard
