#include "alpa/xla/array.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <utility>

#include "alpa/sharding/block.h"
#include "alpa/xla/status.h"

namespace alpa::xla {
namespace {

constexpr uint64_t kGatherChannel = 1;  // of ToHost; collectives have channels from 2^20 on

using Semantics = ::xla::PjRtClient::HostBufferSemantics;

Result<std::unique_ptr<::xla::PjRtBuffer>> PutShard(::xla::PjRtClient& client, const ir::HostTensor& shard,
                                                    int64_t device) {
  auto memory = client.addressable_devices()[static_cast<int>(device)]->default_memory_space();
  if (!memory.ok()) return FromStatus(memory.status(), Code::kEnvironment, fmt::format("device {}", device));
  auto buffer =
      client.BufferFromHostBuffer(shard.bytes().data(), ToPrimitiveType(shard.shape().dtype), shard.shape().dims,
                                  std::nullopt, Semantics::kImmutableOnlyDuringCall, nullptr, *memory, nullptr);
  if (!buffer.ok()) {
    return FromStatus(buffer.status(), Code::kEnvironment,
                      fmt::format("copying {} to device {}", ir::ToString(shard.shape()), device));
  }
  return std::move(*buffer);
}

}  // namespace

::xla::PrimitiveType ToPrimitiveType(ir::DType type) {
  const auto found = ::xla::primitive_util::StringToPrimitiveType(std::string(ir::Name(type)));
  ALPA_CHECK(found.ok(), std::string(ir::Name(type)));
  return *found;
}

Status PjrtArray::Wait() const {
  for (const auto& buffer : buffers_) {
    const absl::Status status = buffer->GetReadyFuture().Await();
    if (!status.ok()) return FromStatus(status, Code::kEnvironment, "the step failed on a device");
  }
  return Ok();
}

Result<ir::HostTensor> PjrtArray::ShardToHost(size_t device) const {
  ir::HostTensor out(sharding::ShardShape(spec_, shape_, mesh_));
  const ::xla::Shape shape =
      ::xla::ShapeUtil::MakeShapeWithDescendingLayout(ToPrimitiveType(shape_.dtype), out.shape().dims);
  ::xla::MutableBorrowingLiteral literal(reinterpret_cast<char*>(out.bytes().data()), shape);
  const absl::Status status = buffers_[device]->ToLiteral(&literal).Await();
  if (!status.ok()) {
    return FromStatus(status, Code::kEnvironment, fmt::format("reading an array from device {}", device));
  }
  return out;
}

Result<std::vector<ir::HostTensor>> PjrtArray::ShardsToHost() const {
  std::vector<ir::HostTensor> out;
  for (size_t d = 0; d < buffers_.size(); ++d) {
    ALPA_TRY(ir::HostTensor shard, ShardToHost(d));
    out.push_back(std::move(shard));
  }
  return out;
}

Result<std::vector<ArrayBlock>> PjrtArray::OwnBlocksToHost(size_t number) const {
  const auto local = static_cast<int64_t>(buffers_.size());
  const int me = group_ == nullptr ? 0 : group_->rank();
  std::vector<ArrayBlock> out;
  for (sharding::OwnedBlock& owned : sharding::OwnedBlocks(number, shape_, spec_, mesh_)) {
    if (owned.device / local != me) continue;
    ALPA_TRY(ir::HostTensor value, ShardToHost(static_cast<size_t>(owned.device % local)));
    out.push_back({std::move(owned.block), std::move(value)});
  }
  return out;
}

// The parts that this process has, and by messages those that it has not: each from the first process that has it.
Status PjrtArray::Gather(ir::HostTensor& out) const {
  const auto local = static_cast<int64_t>(buffers_.size());
  const int me = group_ == nullptr ? 0 : group_->rank();
  const std::vector<sharding::HeldBlock> held = sharding::HeldBlocks(shape_, spec_, mesh_);
  std::deque<ir::HostTensor> parts;  // stay where they are while messages are under way
  std::vector<std::pair<const ir::HostTensor*, std::vector<int64_t>>> to_paste;
  std::vector<process::Transfer> transfers;
  const auto finish = [&](Status status) {
    for (process::Transfer& transfer : transfers) {
      if (!status.ok()) transfer.Cancel();
      if (const Status s = transfer.Wait(); status.ok()) status = s;
    }
    return status;
  };
  for (const auto& [block, devices] : held) {
    const auto mine = std::find_if(devices.begin(), devices.end(), [&](int64_t d) { return d / local == me; });
    const auto owner = static_cast<int>(devices.front() / local);
    if (mine != devices.end()) {
      auto part = ShardToHost(static_cast<size_t>(*mine % local));
      if (!part.ok()) return finish(part.error());
      parts.push_back(std::move(*part));
    } else {
      parts.emplace_back(sharding::ShardShape(spec_, shape_, mesh_));
      transfers.push_back(group_->Receive(owner, kGatherChannel, parts.back().bytes()));
    }
    to_paste.emplace_back(&parts.back(), block.start);
    if (owner != me || group_ == nullptr) continue;
    for (int p = 0; p < group_->size(); ++p) {
      if (std::any_of(devices.begin(), devices.end(), [&](int64_t d) { return d / local == p; })) continue;
      transfers.push_back(group_->Send(p, kGatherChannel, parts.back().bytes()));
    }
  }
  ALPA_RETURN_IF_ERROR(finish(Ok()));
  for (const auto& [part, start] : to_paste) ir::PasteBlock(out, *part, start);
  return Ok();
}

Result<ir::HostTensor> PjrtArray::ToHost() const {
  if (spec_.replicated()) return ShardToHost(0);
  ir::HostTensor out(shape_);
  ALPA_RETURN_IF_ERROR(Gather(out));
  return out;
}

Result<std::unique_ptr<PjrtArray>> PutOnDevices(const std::shared_ptr<::xla::PjRtClient>& client,
                                                const std::shared_ptr<process::Group>& group,
                                                const ir::HostTensor& tensor, const sharding::Spec& spec,
                                                const cluster::Mesh& mesh) {
  ALPA_RETURN_IF_ERROR(sharding::Verify(spec, tensor.shape(), mesh));
  const int64_t available = client->addressable_device_count();
  const int64_t local = group == nullptr ? mesh.size() : available;
  const int64_t first = group == nullptr ? 0 : group->rank() * local;
  ALPA_CHECK(group == nullptr ? local <= available : mesh.size() == local * group->size());
  PjrtArray::Buffers buffers;
  const ir::Shape part = sharding::ShardShape(spec, tensor.shape(), mesh);
  for (int64_t d = 0; d < local; ++d) {
    if (spec.replicated()) {
      ALPA_TRY(auto buffer, PutShard(*client, tensor, d));
      buffers.push_back(std::move(buffer));
    } else {
      const std::vector<int64_t> start = sharding::ShardStart(spec, tensor.shape(), mesh, first + d);
      ALPA_TRY(auto buffer, PutShard(*client, ir::SliceBlock(tensor, start, part.dims), d));
      buffers.push_back(std::move(buffer));
    }
  }
  return std::make_unique<PjrtArray>(client, tensor.shape(), spec, mesh, std::move(buffers), group);
}

Result<std::unique_ptr<PjrtArray>> AdoptParts(const std::shared_ptr<::xla::PjRtClient>& client,
                                              const std::shared_ptr<process::Group>& group,
                                              std::vector<ir::HostTensor> parts, const ir::Shape& shape,
                                              const sharding::Spec& spec, const cluster::Mesh& mesh) {
  ALPA_RETURN_IF_ERROR(sharding::Verify(spec, shape, mesh));
  ALPA_CHECK(static_cast<int64_t>(parts.size()) == mesh.size() / (group == nullptr ? 1 : group->size()));
  const ir::Shape part_shape = sharding::ShardShape(spec, shape, mesh);
  PjrtArray::Buffers buffers;
  for (size_t d = 0; d < parts.size(); ++d) {
    auto part = std::make_shared<ir::HostTensor>(std::move(parts[d]));
    ALPA_CHECK(part->shape() == part_shape, ir::ToString(part->shape()));
    auto memory = client->addressable_devices()[static_cast<int>(d)]->default_memory_space();
    if (!memory.ok()) return FromStatus(memory.status(), Code::kEnvironment, fmt::format("device {}", d));
    // The buffer keeps the part alive; memory that is not aligned as XLA wants it is copied by the client.
    auto buffer = client->BufferFromHostBuffer(
        part->bytes().data(), ToPrimitiveType(part_shape.dtype), part_shape.dims, std::nullopt,
        Semantics::kImmutableZeroCopy, [part]() mutable { part.reset(); }, *memory, nullptr);
    if (!buffer.ok()) {
      return FromStatus(buffer.status(), Code::kEnvironment,
                        fmt::format("copying {} to device {}", ir::ToString(part_shape), d));
    }
    buffers.push_back(std::move(*buffer));
  }
  return std::make_unique<PjrtArray>(client, shape, spec, mesh, std::move(buffers), group);
}

}  // namespace alpa::xla
