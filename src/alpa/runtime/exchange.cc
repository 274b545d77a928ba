#include "alpa/runtime/exchange.h"

#include <algorithm>
#include <map>
#include <utility>

namespace alpa::runtime {
namespace {

constexpr Seconds kPatience{0.25};  // between two looks whether the step has failed elsewhere
constexpr int kDevicesOfMesh = 4096;

reshard::Window ShardWindow(const sharding::Spec& spec, const ir::Shape& shape, const cluster::Mesh& mesh, int device) {
  return {sharding::ShardStart(spec, shape, mesh, device), sharding::ShardShape(spec, shape, mesh).dims};
}

PeerMessage& MessageOf(std::vector<PeerMessage>* messages, int rank) {
  for (PeerMessage& m : *messages) {
    if (m.rank == rank) return m;
  }
  messages->push_back({rank, 0, {}});
  return messages->back();
}

}  // namespace

bool Exchange::IsHere(int mesh) const {
  if (group_ == nullptr) return true;
  const MeshPlace& place = setup_.places[static_cast<size_t>(mesh)];
  return place.first_host <= group_->rank() && group_->rank() < place.first_host + place.hosts;
}

int Exchange::RankOf(int mesh, int device) const {
  const MeshPlace& place = setup_.places[static_cast<size_t>(mesh)];
  return place.first_host + device / place.devices;
}

int Exchange::IndexHere(int mesh, int device) const {
  return device % setup_.places[static_cast<size_t>(mesh)].devices;
}

reshard::Place Exchange::PlaceOf(int stage) const {
  const cluster::Mesh& mesh = setup_.stages[static_cast<size_t>(stage)].layout.mesh;
  const int number = setup_.pipeline.stages[static_cast<size_t>(stage)].mesh;
  reshard::Place place{mesh, {}, {}};
  for (int d = 0; d < static_cast<int>(mesh.size()); ++d) {
    place.hosts.push_back(RankOf(number, d));
    place.devices.push_back(number * kDevicesOfMesh + d);
  }
  return place;
}

Route Exchange::MakeRoute(int from_stage, int to_stage, const PassedValue& value, const ir::Shape& shape,
                          const sharding::Spec& from, const sharding::Spec& to) {
  Route route;
  route.from_stage = from_stage;
  route.output = value.output;
  route.to_stage = to_stage;
  route.input = value.input;
  route.shape = shape;
  route.spec = to;
  route.channel = 2 * next_channel_++;
  const cluster::Mesh& source = setup_.stages[static_cast<size_t>(from_stage)].layout.mesh;
  const cluster::Mesh& target = setup_.stages[static_cast<size_t>(to_stage)].layout.mesh;
  const int mesh = setup_.pipeline.stages[static_cast<size_t>(to_stage)].mesh;
  route.same = setup_.pipeline.stages[static_cast<size_t>(from_stage)].mesh == mesh && source == target &&
               (from == to || (from.replicated() && to.replicated()));
  if (route.same) return route;
  route.transfer = reshard::PlanTransfer(shape, from, PlaceOf(from_stage), to, PlaceOf(to_stage));
  route.part = sharding::ShardShape(to, shape, target);
  route.part_count = static_cast<int>(target.size());
  if (group_ == nullptr) {
    route.prepared = reshard::Prepare(route.transfer);
  } else {
    route.part_count = IsHere(mesh) ? setup_.places[static_cast<size_t>(mesh)].devices : 0;
    PrepareMessages(&route);
  }
  return route;
}

// Blocks of `across` travel in one message from each process to each other one, in the order of the list; those of
// `local` one by one, since later ones may pass on what earlier ones brought.
void Exchange::PrepareMessages(Route* route) const {
  const reshard::Transfer& t = route->transfer;
  const int me = group_->rank();
  const int source = setup_.pipeline.stages[static_cast<size_t>(route->from_stage)].mesh;
  const int target = setup_.pipeline.stages[static_cast<size_t>(route->to_stage)].mesh;
  const int64_t element = ir::Shape{t.shape.dtype, {}}.bytes().value;
  for (const reshard::Copy& c : t.across) {
    const reshard::Window block{c.start, c.extent};
    const int64_t bytes = reshard::BytesOf(c, t.shape).value;
    const int from = RankOf(source, c.from), to = RankOf(target, c.to);
    if (from == me) {
      PeerMessage& message = MessageOf(&route->sends, to);
      const auto window = ShardWindow(t.from, t.shape, t.source.mesh, c.from);
      message.blocks.push_back(
          {IndexHere(source, c.from), message.bytes, reshard::PrepareCopy(window, block, c.start, c.extent, element)});
      message.bytes += bytes;
    }
    if (to == me) {
      PeerMessage& message = MessageOf(&route->receives, from);
      const auto window = ShardWindow(t.to, t.shape, t.target.mesh, c.to);
      message.blocks.push_back(
          {IndexHere(target, c.to), message.bytes, reshard::PrepareCopy(block, window, c.start, c.extent, element)});
      message.bytes += bytes;
    }
  }
  for (const reshard::Copy& c : t.local) {
    const int from = RankOf(target, c.from), to = RankOf(target, c.to);
    if (from != me && to != me) continue;
    const reshard::Window block{c.start, c.extent};
    const auto of = [&](int device) { return ShardWindow(t.to, t.shape, t.target.mesh, device); };
    LocalCopy copy{from, to, IndexHere(target, c.from), IndexHere(target, c.to), reshard::BytesOf(c, t.shape).value,
                   {}};
    copy.copy =
        reshard::PrepareCopy(from == me ? of(c.from) : block, to == me ? of(c.to) : block, c.start, c.extent, element);
    route->local.push_back(std::move(copy));
  }
}

Result<std::unique_ptr<xla::Array>> Exchange::Copy(const Route& route, const xla::Array& value,
                                                   xla::Client& target) const {
  ALPA_TRY(const std::vector<ir::HostTensor> from, value.ShardsToHost());
  std::vector<ir::HostTensor> to(static_cast<size_t>(route.part_count), ir::HostTensor(route.part));
  std::vector<const std::byte*> sources;
  for (const ir::HostTensor& part : from) sources.push_back(part.bytes().data());
  std::vector<std::byte*> targets;
  for (ir::HostTensor& part : to) targets.push_back(part.bytes().data());
  reshard::Run(route.prepared, sources, targets);
  const cluster::Mesh& mesh = setup_.stages[static_cast<size_t>(route.to_stage)].layout.mesh;
  return target.PutParts(std::move(to), route.shape, route.spec, mesh);
}

void Exchange::Post(int rank, uint64_t channel, std::shared_ptr<Buffer> buffer) {
  process::Transfer transfer = group_->Send(rank, channel, *buffer);
  const std::lock_guard lock(mutex_);
  outgoing_.push_back({std::move(buffer), std::move(transfer)});
  while (!outgoing_.empty() && outgoing_.front().transfer.done()) outgoing_.pop_front();
}

Result<Exchange::Buffer> Exchange::Await(int rank, uint64_t channel, int64_t bytes,
                                         const std::function<bool()>& stopped) {
  Buffer buffer(static_cast<size_t>(bytes));
  process::Transfer transfer = group_->Receive(rank, channel, buffer);
  while (true) {
    const Status status = transfer.Wait(kPatience);
    if (transfer.done()) {
      if (!status.ok()) return status.error();
      return buffer;
    }
    if (!stopped()) continue;
    transfer.Cancel();
    return Error{Code::kEnvironment, "the step has failed elsewhere", ""};
  }
}

Status Exchange::Send(const Route& route, const xla::Array& value) {
  ALPA_TRY(const std::vector<ir::HostTensor> parts, value.ShardsToHost());
  for (const PeerMessage& message : route.sends) {
    auto buffer = std::make_shared<Buffer>(static_cast<size_t>(message.bytes));
    for (const PackedBlock& block : message.blocks) {
      block.copy.Run(parts[static_cast<size_t>(block.device)].bytes().data(), buffer->data() + block.offset);
    }
    Post(message.rank, route.channel, std::move(buffer));
  }
  return Ok();
}

Result<std::unique_ptr<xla::Array>> Exchange::Collect(const Route& route, xla::Client& target,
                                                      const std::function<bool()>& stopped) {
  std::vector<ir::HostTensor> parts(static_cast<size_t>(route.part_count), ir::HostTensor(route.part));
  const auto bytes = [&](int device) { return parts[static_cast<size_t>(device)].bytes().data(); };
  for (const PeerMessage& message : route.receives) {
    ALPA_TRY(const Buffer buffer, Await(message.rank, route.channel, message.bytes, stopped));
    for (const PackedBlock& block : message.blocks) block.copy.Run(buffer.data() + block.offset, bytes(block.device));
  }
  const int me = group_->rank();
  for (const LocalCopy& c : route.local) {
    if (c.from_rank == me && c.to_rank == me) {
      c.copy.Run(bytes(c.from), bytes(c.to));
    } else if (c.from_rank == me) {
      auto buffer = std::make_shared<Buffer>(static_cast<size_t>(c.bytes));
      c.copy.Run(bytes(c.from), buffer->data());
      Post(c.to_rank, route.channel + 1, std::move(buffer));
    } else {
      ALPA_TRY(const Buffer buffer, Await(c.from_rank, route.channel + 1, c.bytes, stopped));
      c.copy.Run(buffer.data(), bytes(c.to));
    }
  }
  const cluster::Mesh& mesh = setup_.stages[static_cast<size_t>(route.to_stage)].layout.mesh;
  return target.PutParts(std::move(parts), route.shape, route.spec, mesh);
}

Status Exchange::Flush(const std::function<bool()>& stopped) {
  const std::lock_guard lock(mutex_);
  while (!outgoing_.empty()) {
    const Status status = outgoing_.front().transfer.Wait(kPatience);
    if (outgoing_.front().transfer.done()) {
      if (!status.ok()) return status;
      outgoing_.pop_front();
    } else if (stopped()) {
      return Error{Code::kEnvironment, "the step has failed elsewhere", ""};
    }
  }
  return Ok();
}

}  // namespace alpa::runtime
