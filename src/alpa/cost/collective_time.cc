// Collectives in the alpha-beta model; README.md has the formulas.
#include <bit>
#include <cmath>

#include "alpa/cost/model.h"

namespace alpa::cost {
namespace {

using sharding::CollectiveKind;

int64_t RoundsOfTree(int64_t n) { return std::bit_width(static_cast<uint64_t>(n - 1)); }  // ceil(log2 n)

// All-gather or reduce-scatter in a ring of n devices: n - 1 steps of b / n bytes.
double Ring(int64_t n, double alpha, double beta, double b) {
  const auto steps = static_cast<double>(n - 1);
  return steps * alpha + steps / static_cast<double>(n) * b * beta;
}

// All-reduce among n devices. A ring sends less, a double binary tree takes fewer steps.
double AllReduce(int64_t n, double alpha, double beta, double b) {
  const double ring = 2 * Ring(n, alpha, beta, b);
  const double tree = n == 1 ? 0 : 2 * static_cast<double>(RoundsOfTree(n)) * alpha + 2 * b * beta;
  return std::min(ring, tree);
}

// A reduce-scatter is at most an all-reduce of which each device keeps its part. It is a little cheaper still, so that
// the two are never equal: what is chosen is then what the executor does, which makes a reduce-scatter of the pair.
constexpr double kKeepsAPart = 1 - 1e-6;

double Hierarchical(const Path& path, CollectiveKind kind, double b) {
  const int64_t m = path.inner;
  const int64_t h = path.outer;
  const double share = b / static_cast<double>(m);  // of each device of a host, after a reduce-scatter among them
  switch (kind) {
    case CollectiveKind::kAllReduce:
      return AllReduce(m, path.within.alpha.value, path.within.beta, b) +
             AllReduce(h, path.across.alpha.value, path.across.beta, share);
    case CollectiveKind::kAllGather:
      return Ring(m, path.within.alpha.value, path.within.beta, b) +
             Ring(h, path.across.alpha.value, path.across.beta, share);
    case CollectiveKind::kReduceScatter:
      return std::min(Hierarchical(path, CollectiveKind::kAllGather, b),
                      kKeepsAPart * Hierarchical(path, CollectiveKind::kAllReduce, b));
    case CollectiveKind::kAllToAll:
      // First among the devices of a host, by destination within the host, then between hosts with all the bytes.
      return Ring(m, path.within.alpha.value, path.within.beta, b) +
             Ring(h, path.across.alpha.value, path.exchange_beta, b);
    case CollectiveKind::kCollectivePermute:
      return h > 1 ? path.across.alpha.value + path.exchange_beta * b : path.within.alpha.value + path.within.beta * b;
  }
  return 0;
}

// One axis by Alpa's formulas.
double AlpaAxis(const cluster::Link& link, CollectiveKind kind, int64_t devices, double b) {
  const auto n = static_cast<double>(devices);
  const double alpha = link.alpha.value;
  const double moved = link.beta * (n - 1) / n * b;
  switch (kind) {
    case CollectiveKind::kAllReduce:
      return alpha + 2 * moved + 0.01;
    case CollectiveKind::kAllGather:
      return alpha + moved + 0.1;
    case CollectiveKind::kReduceScatter:
      return alpha + moved + 0.001;
    case CollectiveKind::kAllToAll:
      return alpha + moved * n / 2 + 0.001;
    case CollectiveKind::kCollectivePermute:
      return alpha + link.beta * b;
  }
  return 0;
}

double Alpa(const Model& model, CollectiveKind kind, AxisMask axes, double b) {
  double time = 0;
  for (size_t a = 0; a < model.mesh.shape.size(); ++a) {
    if ((axes >> a & 1) == 0) continue;
    const int64_t n = model.mesh.shape[a];
    time += AlpaAxis(model.links[a], kind, n, b);
    const bool shrinks = kind == CollectiveKind::kAllGather || kind == CollectiveKind::kReduceScatter;
    if (shrinks) b /= static_cast<double>(n);
  }
  return time;
}

}  // namespace

Seconds CollectiveTime(const Model& model, CollectiveKind kind, AxisMask axes, Bytes bytes) {
  if (axes == 0) return Seconds(0);
  const auto b = static_cast<double>(bytes.value);
  if (model.formulas == Formulas::kAlpa) return Seconds(Alpa(model, kind, axes, b));
  const Path& path = model.paths[axes];
  if (path.inner * path.outer == 1) return Seconds(0);
  return Seconds(Hierarchical(path, kind, b)) + model.device.launch;
}

Seconds CollectiveTime(const Model& model, const sharding::Collective& collective) {
  return CollectiveTime(model, collective.kind, MaskOf(collective.axes), collective.bytes);
}

Model MakeAlphaBetaModel(const cluster::Mesh& mesh, const std::vector<double>& alpha, const std::vector<double>& beta) {
  ALPA_CHECK(alpha.size() == mesh.shape.size() && beta.size() == mesh.shape.size(), "one alpha and beta per mesh axis");
  Model model;
  model.mesh = mesh;
  model.device.name = "abstract";
  model.formulas = Formulas::kAlpa;
  for (size_t a = 0; a < mesh.shape.size(); ++a) {
    model.links.push_back({Seconds(alpha[a]), beta[a]});
    model.level_of_axis.push_back(std::vector<int64_t>(mesh.shape.size(), 1));
    model.level_of_axis[a][a] = mesh.shape[a];
  }
  return model;
}

}  // namespace alpa::cost
