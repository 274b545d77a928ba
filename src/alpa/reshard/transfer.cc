#include "alpa/reshard/transfer.h"

#include <fmt/format.h>

namespace alpa::reshard {
namespace {

void AddBetweenHosts(int from, int to, Bytes bytes, LinkBytes* out) {
  out->out[from] += bytes;
  out->in[to] += bytes;
}

std::string Line(const Copy& copy) {
  std::string text = fmt::format("\n{} -> {} [", copy.from, copy.to);
  for (size_t d = 0; d < copy.start.size(); ++d) {
    text += fmt::format("{}{}:{}", d > 0 ? "," : "", copy.start[d], copy.start[d] + copy.extent[d]);
  }
  return text + "]";
}

}  // namespace

Bytes BytesOf(const Copy& copy, const ir::Shape& shape) { return ir::Shape{shape.dtype, copy.extent}.bytes(); }

bool SameDevice(const Place& source, int from, const Place& target, int to) {
  if (source.devices.empty() || target.devices.empty()) return false;
  return source.devices[static_cast<size_t>(from)] == target.devices[static_cast<size_t>(to)];
}

LinkBytes BytesPerLink(const Transfer& transfer) {
  LinkBytes out;
  for (const Copy& copy : transfer.across) {
    const Bytes bytes = BytesOf(copy, transfer.shape);
    const int from = transfer.source.hosts[static_cast<size_t>(copy.from)];
    const int to = transfer.target.hosts[static_cast<size_t>(copy.to)];
    if (from != to) {
      out.across += bytes;
      AddBetweenHosts(from, to, bytes, &out);
    } else if (SameDevice(transfer.source, copy.from, transfer.target, copy.to)) {
      out.kept += bytes;
    } else {
      out.within += bytes;
    }
  }
  for (const Copy& copy : transfer.local) {
    const Bytes bytes = BytesOf(copy, transfer.shape);
    const int from = transfer.target.hosts[static_cast<size_t>(copy.from)];
    const int to = transfer.target.hosts[static_cast<size_t>(copy.to)];
    if (from == to) {
      out.spread_within += bytes;
      continue;
    }
    out.spread_across += bytes;
    AddBetweenHosts(from, to, bytes, &out);
  }
  return out;
}

std::string ToString(const Transfer& transfer) {
  std::string text =
      fmt::format("{} {} on {} to {} on {}", ir::ToString(transfer.shape),
                  sharding::ToString(transfer.from, transfer.source.mesh), cluster::ToString(transfer.source.mesh),
                  sharding::ToString(transfer.to, transfer.target.mesh), cluster::ToString(transfer.target.mesh));
  for (const Copy& copy : transfer.across) text += Line(copy);
  if (!transfer.local.empty()) text += "\nlocal";
  for (const Copy& copy : transfer.local) text += Line(copy);
  return text;
}

}  // namespace alpa::reshard
