#include "alpa/profile/probes.h"

#include <fmt/format.h>

#include "alpa/base/result.h"

namespace alpa::profile {
namespace {

using sharding::CollectiveKind;

// `body` computes %out, of type `state`, from %w and %x.
std::string Module(const std::string& state, const std::string& batch, const std::string& body) {
  return fmt::format(
      "module @probe {{\n"
      "  func.func public @main(%w: {0} {{tf.aliasing_output = 0 : i32}}, %x: {1}) -> ({0}, tensor<f32>) {{\n"
      "    %zero = stablehlo.constant dense<0.0> : tensor<f32>\n"
      "{2}    return %out, %zero : {0}, tensor<f32>\n  }}\n}}\n",
      state, batch, body);
}

std::string Binary(const std::string& name, const char* op, const std::string& a, const std::string& b,
                   const std::string& type) {
  return fmt::format("    %{} = stablehlo.{} %{}, %{} : {}\n", name, op, a, b, type);
}

std::string Reduce(const std::string& name, const std::string& of, const std::string& from, const std::string& to) {
  return fmt::format(
      "    %{} = stablehlo.reduce(%{} init: %zero) applies stablehlo.add across dimensions = [0] : ({}, tensor<f32>) "
      "-> {}\n",
      name, of, from, to);
}

std::string Broadcast(const std::string& name, const std::string& of, const char* dims, const std::string& from,
                      const std::string& to) {
  return fmt::format("    %{} = stablehlo.broadcast_in_dim %{}, dims = [{}] : ({}) -> {}\n", name, of, dims, from, to);
}

// Sums over the devices: each link adds up the rows and goes on with copies of the sum.
std::string RowSums(int64_t devices, int64_t n, int64_t count) {
  const std::string w = fmt::format("tensor<{}xf32>", n), x = fmt::format("tensor<{}x{}xf32>", devices, n);
  std::string body = Binary("v0", "multiply", "x", "x", x);
  for (int64_t i = 0; i < count; ++i) {
    body += Reduce(fmt::format("s{}", i), fmt::format("v{}", i), x, w);
    body += Broadcast(fmt::format("b{}", i), fmt::format("s{}", i), "1", w, x);
    body += Binary(fmt::format("v{}", i + 1), "multiply", fmt::format("b{}", i), "x", x);
  }
  return Module(w, x, body + Binary("out", "add", "w", fmt::format("s{}", count - 1), w));
}

// A multiplication in one layout and an addition in another, in turn.
std::string Alternating(const std::string& type, int64_t count) {
  std::string body, at = "w";
  for (int64_t i = 0; i < count; ++i) {
    const std::string product = fmt::format("m{}", i), sum = i + 1 == count ? "out" : fmt::format("v{}", i);
    body += Binary(product, "multiply", at, at, type);
    body += Binary(sum, "add", product, "x", type);
    at = sum;
  }
  return Module(type, type, body);
}

}  // namespace

std::string Products(int64_t n, int64_t count, const std::string& type) {
  const std::string t = fmt::format("tensor<{}x{}x{}>", n, n, type);
  std::string body, at = "w";
  for (int64_t i = 0; i < count; ++i) {
    const std::string to = i + 1 == count ? "out" : fmt::format("v{}", i);
    body += fmt::format("    %{} = stablehlo.dot_general %x, %{}, contracting_dims = [1] x [0] : ({}, {}) -> {}\n", to,
                        at, t, t, t);
    at = to;
  }
  return Module(t, t, body);
}

std::string Addition(int64_t n) {
  const std::string t = fmt::format("tensor<{}xf32>", n);
  return Module(t, t, Binary("out", "add", "w", "x", t));
}

std::string Sum(int64_t n) {
  const std::string t = fmt::format("tensor<{}xf32>", n);
  return Module("tensor<f32>", t, Reduce("s", "x", t, "tensor<f32>") + Binary("out", "add", "w", "s", "tensor<f32>"));
}

std::string Arithmetic(int64_t n, int64_t count) {
  const std::string t = fmt::format("tensor<{}xf32>", n);
  std::string body, at = "w";
  for (int64_t i = 0; i < count; ++i) {
    const std::string to = i + 1 == count ? "out" : fmt::format("v{}", i);
    body += Binary(to, i % 2 == 0 ? "multiply" : "add", at, "x", t);
    at = to;
  }
  return Module(t, t, body);
}

std::string Kernels(int64_t n, int64_t count) {
  const std::string t = fmt::format("tensor<{}xf32>", n);
  std::string body, at = "w";
  for (int64_t i = 0; i < count; ++i) {
    const std::string r = fmt::format("r{}", i), b = fmt::format("b{}", i);
    const std::string to = i + 1 == count ? "out" : fmt::format("v{}", i);
    body += Reduce(r, at, t, "tensor<f32>") + Broadcast(b, r, "", "tensor<f32>", t) + Binary(to, "multiply", b, "x", t);
    at = to;
  }
  return Module(t, t, body);
}

std::string Collectives(CollectiveKind kind, int64_t devices, int64_t n, int64_t count) {
  ALPA_CHECK(n % (devices * devices) == 0);
  if (kind == CollectiveKind::kAllReduce || kind == CollectiveKind::kReduceScatter) return RowSums(devices, n, count);
  if (kind == CollectiveKind::kAllGather) return Alternating(fmt::format("tensor<{}xf32>", n), count);
  ALPA_CHECK(kind == CollectiveKind::kAllToAll);
  return Alternating(fmt::format("tensor<{}x{}xf32>", devices, n / devices), count);
}

ProbeLayout LayoutOf(CollectiveKind kind) {
  switch (kind) {
    case CollectiveKind::kAllReduce:
      return {.batch = 0};
    case CollectiveKind::kReduceScatter:
      return {.state = 0, .batch = 0, .reduce = 0};
    case CollectiveKind::kAllGather:
      return {.state = 0, .batch = 0, .add = 0};
    default:
      return {.state = 0, .batch = 0, .multiply = 1, .add = 0};
  }
}

}  // namespace alpa::profile
