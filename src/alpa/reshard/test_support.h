// Small arrays on small places, and what a transfer does to them.
#pragma once

#include <algorithm>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "alpa/ir/host_tensor.h"
#include "alpa/reshard/block_copy.h"
#include "alpa/reshard/transfer.h"

namespace alpa::reshard {

inline ir::Shape S32(std::vector<int64_t> dims) { return {ir::DType::kS32, std::move(dims)}; }

inline sharding::Spec SpecOf(std::string_view text, const Place& place) {
  return sharding::ParseSpec(text, place.mesh).value();
}

// Device i is on host first + i / per_host.
inline Place PlaceOn(std::vector<int64_t> mesh, int first, int per_host) {
  Place place{cluster::MakeMesh(std::move(mesh)), {}};
  for (int i = 0; i < place.mesh.size(); ++i) place.hosts.push_back(first + i / per_host);
  return place;
}

// "[x,] on source to [,x] on target".
inline Transfer Plan(std::vector<int64_t> dims, std::string_view from, const Place& source, std::string_view to,
                     const Place& target, Options options = {}) {
  return PlanTransfer(S32(std::move(dims)), SpecOf(from, source), source, SpecOf(to, target), target, options);
}

// 100, 101, ...
inline ir::HostTensor Numbered(const ir::Shape& shape) {
  ir::HostTensor out(shape);
  auto numbers = out.as<int32_t>();
  std::iota(numbers.begin(), numbers.end(), 100);
  return out;
}

inline std::vector<ir::HostTensor> Shards(const ir::HostTensor& whole, const sharding::Spec& spec, const Place& place) {
  std::vector<ir::HostTensor> out;
  const ir::Shape piece = sharding::ShardShape(spec, whole.shape(), place.mesh);
  for (int64_t d = 0; d < place.mesh.size(); ++d) {
    out.push_back(ir::SliceBlock(whole, sharding::ShardStart(spec, whole.shape(), place.mesh, d), piece.dims));
  }
  return out;
}

// The shards of the target after the transfer of `whole`; what no copy wrote is -1.
inline std::vector<ir::HostTensor> Carry(const ir::HostTensor& whole, const Transfer& transfer) {
  const std::vector<ir::HostTensor> given = Shards(whole, transfer.from, transfer.source);
  std::vector<ir::HostTensor> taken;
  std::vector<const std::byte*> source;
  std::vector<std::byte*> target;
  for (const auto& shard : given) source.push_back(shard.bytes().data());
  for (int64_t d = 0; d < transfer.target.mesh.size(); ++d) {
    taken.emplace_back(sharding::ShardShape(transfer.to, transfer.shape, transfer.target.mesh));
    for (int32_t& x : taken.back().as<int32_t>()) x = -1;
  }
  for (auto& shard : taken) target.push_back(shard.bytes().data());
  Run(Prepare(transfer), source, target);
  return taken;
}

}  // namespace alpa::reshard
