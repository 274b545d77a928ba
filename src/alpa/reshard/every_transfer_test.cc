// Every transfer of small arrays between small meshes, carried out on host arrays: all shards are right, no element is
// written twice, and no plan sends fewer bytes between hosts.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>

#include "alpa/reshard/test_support.h"

namespace alpa::reshard {
namespace {

using sharding::Spec;

// All specs of the array on the mesh; axes of extent 1 split nothing.
std::vector<Spec> SpecsOf(const ir::Shape& shape, const cluster::Mesh& mesh) {
  std::vector<Spec> out;
  Spec spec;
  spec.dims.resize(shape.dims.size());
  const std::function<void(int)> assign = [&](int axis) {
    if (axis == static_cast<int>(mesh.shape.size())) {
      if (Verify(spec, shape, mesh).ok()) out.push_back(spec);
      return;
    }
    assign(axis + 1);
    if (mesh.shape[static_cast<size_t>(axis)] == 1) return;
    for (auto& axes : spec.dims) {
      for (size_t at = 0; at <= axes.size(); ++at) {  // major or minor to the axes before
        axes.insert(axes.begin() + static_cast<std::ptrdiff_t>(at), axis);
        assign(axis + 1);
        axes.erase(axes.begin() + static_cast<std::ptrdiff_t>(at));
      }
    }
  };
  assign(0);
  return out;
}

const std::vector<std::vector<int64_t>> kMeshes = {{1, 1}, {1, 2}, {2, 1}, {1, 3}, {2, 2}, {1, 4}, {2, 3}};

// Places for a pair of meshes: apart on one host each, on a host per device, on hosts of two; in pairs that overlap;
// strewn over the same two hosts; and on the same devices.
std::vector<std::pair<Place, Place>> PlacesOf(const std::vector<int64_t>& source, const std::vector<int64_t>& target) {
  std::vector<std::pair<Place, Place>> out = {{PlaceOn(source, 0, 6), PlaceOn(target, 1, 6)},
                                              {PlaceOn(source, 0, 1), PlaceOn(target, 10, 1)},
                                              {PlaceOn(source, 0, 2), PlaceOn(target, 10, 2)},
                                              {PlaceOn(source, 0, 2), PlaceOn(target, 1, 2)},
                                              {PlaceOn(source, 0, 6), PlaceOn(target, 0, 6)}};
  out.emplace_back(PlaceOn(source, 0, 1), PlaceOn(target, 0, 1));
  for (Place* place : {&out.back().first, &out.back().second}) {
    for (int& host : place->hosts) host %= 2;
  }
  out.emplace_back(PlaceOn(source, 0, 2), PlaceOn(target, 0, 2));
  for (Place* place : {&out.back().first, &out.back().second}) {
    place->devices.resize(place->hosts.size());
    std::iota(place->devices.begin(), place->devices.end(), 0);
  }
  return out;
}

// By host the numbers that its devices hold.
std::map<int, std::set<int32_t>> ByHost(const std::vector<ir::HostTensor>& shards, const Place& place) {
  std::map<int, std::set<int32_t>> out;
  for (size_t d = 0; d < shards.size(); ++d) {
    const auto numbers = shards[d].as<int32_t>();
    out[place.hosts[d]].insert(numbers.begin(), numbers.end());
  }
  return out;
}

// No plan can do with less: each host gets what its devices want and nobody on it has, once.
int64_t LeastBetweenHosts(const ir::HostTensor& whole, const Transfer& t) {
  auto has = ByHost(Shards(whole, t.from, t.source), t.source);
  int64_t elements = 0;
  for (const auto& [host, wants] : ByHost(Shards(whole, t.to, t.target), t.target)) {
    for (const int32_t x : wants) elements += has[host].contains(x) ? 0 : 1;
  }
  return 4 * elements;
}

int64_t CopiedElements(const Transfer& t) {
  int64_t bytes = 0;
  for (const auto* copies : {&t.across, &t.local}) {
    for (const Copy& copy : *copies) bytes += BytesOf(copy, t.shape).value;
  }
  return bytes / 4;
}

// Empty, or what is wrong with the transfer.
std::string Wrong(const ir::HostTensor& whole, const Transfer& t, const Options& options) {
  const std::vector<ir::HostTensor> expected = Shards(whole, t.to, t.target);
  if (Carry(whole, t) != expected) return "a shard is wrong";
  int64_t elements = 0;
  for (const auto& shard : expected) elements += shard.shape().elements();
  if (CopiedElements(t) != elements) return "an element is written twice";
  const LinkBytes bytes = BytesPerLink(t);
  if (!options.local_gather && !t.local.empty()) return "copies within the target that were not asked for";
  const int64_t least = LeastBetweenHosts(whole, t);
  if (options.local_gather && bytes.between_hosts().value != least) return "more bytes between hosts than needed";
  if (!options.local_gather && bytes.across.value < least) return "fewer bytes than the least possible";
  const bool same = !t.source.devices.empty() && t.source == t.target && t.from == t.to;
  if (same && BytesPerLink(t).kept.value != 4 * elements) return "nothing needs to move";
  return "";
}

// All pairs of specs on all pairs of places; returns how many transfers there were.
int64_t TryAll(const std::vector<int64_t>& dims) {
  const ir::HostTensor whole = Numbered(S32(dims));
  int64_t count = 0;
  for (const auto& a : kMeshes) {
    for (const auto& b : kMeshes) {
      for (const auto& [source, target] : PlacesOf(a, b)) {
        for (const Spec& from : SpecsOf(whole.shape(), source.mesh)) {
          for (const Spec& to : SpecsOf(whole.shape(), target.mesh)) {
            for (const bool gather : {true, false}) {
              const Transfer t = PlanTransfer(whole.shape(), from, source, to, target, {gather});
              const std::string wrong = Wrong(whole, t, {gather});
              EXPECT_EQ(wrong, "") << ToString(t) << (gather ? "" : "\nwithout local gather");
              if (!wrong.empty()) return count;
              ++count;
            }
          }
        }
      }
    }
  }
  return count;
}

TEST(EveryTransfer, OfScalarsAndVectorsIsRightAndLeast) {
  EXPECT_EQ(TryAll({}), 7 * 7 * 7 * 2);  // one spec each
  for (const int64_t extent : {1, 2, 3, 4, 6, 8}) EXPECT_GE(TryAll({extent}), 7 * 7 * 7 * 2);
}

TEST(EveryTransfer, OfMatricesIsRightAndLeast) {
  int64_t count = 0;
  for (const auto& dims : std::vector<std::vector<int64_t>>{{4, 6}, {6, 4}, {8, 3}, {3, 2}, {1, 6}}) {
    count += TryAll(dims);
  }
  EXPECT_GT(count, 20000);
}

TEST(EveryTransfer, OfRankThreeIsRightAndLeast) { EXPECT_GT(TryAll({4, 6, 2}) + TryAll({2, 3, 4}), 20000); }

TEST(EveryTransfer, OfNothingHasNoCopies) {
  const Place source = PlaceOn({2}, 0, 1);
  const Transfer t = Plan({0, 4}, "[x,]", source, "[,x]", PlaceOn({2}, 5, 1));
  EXPECT_TRUE(t.across.empty());
  EXPECT_TRUE(t.local.empty());
}

}  // namespace
}  // namespace alpa::reshard
