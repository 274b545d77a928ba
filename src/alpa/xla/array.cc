#include "alpa/xla/array.h"

#include <fmt/format.h>

#include <algorithm>

#include "alpa/xla/status.h"

namespace alpa::xla {
namespace {

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

Result<ir::HostTensor> PjrtArray::ToHost() const {
  if (spec_.replicated()) return ShardToHost(0);
  ir::HostTensor out(shape_);
  std::vector<std::vector<int64_t>> seen;
  for (size_t d = 0; d < buffers_.size(); ++d) {
    const std::vector<int64_t> start = sharding::ShardStart(spec_, shape_, mesh_, static_cast<int64_t>(d));
    if (std::find(seen.begin(), seen.end(), start) != seen.end()) continue;  // a copy of a part we have
    seen.push_back(start);
    ALPA_TRY(const ir::HostTensor shard, ShardToHost(d));
    ir::PasteBlock(out, shard, start);
  }
  return out;
}

Result<std::unique_ptr<PjrtArray>> PutOnDevices(const std::shared_ptr<::xla::PjRtClient>& client,
                                                const ir::HostTensor& tensor, const sharding::Spec& spec,
                                                const cluster::Mesh& mesh) {
  ALPA_RETURN_IF_ERROR(sharding::Verify(spec, tensor.shape(), mesh));
  ALPA_CHECK(mesh.size() <= client->addressable_device_count());
  PjrtArray::Buffers buffers;
  const ir::Shape part = sharding::ShardShape(spec, tensor.shape(), mesh);
  for (int64_t d = 0; d < mesh.size(); ++d) {
    if (spec.replicated()) {
      ALPA_TRY(auto buffer, PutShard(*client, tensor, d));
      buffers.push_back(std::move(buffer));
    } else {
      const std::vector<int64_t> start = sharding::ShardStart(spec, tensor.shape(), mesh, d);
      ALPA_TRY(auto buffer, PutShard(*client, ir::SliceBlock(tensor, start, part.dims), d));
      buffers.push_back(std::move(buffer));
    }
  }
  return std::make_unique<PjrtArray>(client, tensor.shape(), spec, mesh, std::move(buffers));
}

Result<std::unique_ptr<PjrtArray>> AdoptParts(const std::shared_ptr<::xla::PjRtClient>& client,
                                              std::vector<ir::HostTensor> parts, const ir::Shape& shape,
                                              const sharding::Spec& spec, const cluster::Mesh& mesh) {
  ALPA_RETURN_IF_ERROR(sharding::Verify(spec, shape, mesh));
  ALPA_CHECK(static_cast<int64_t>(parts.size()) == mesh.size());
  const ir::Shape part_shape = sharding::ShardShape(spec, shape, mesh);
  PjrtArray::Buffers buffers;
  for (int64_t d = 0; d < mesh.size(); ++d) {
    auto part = std::make_shared<ir::HostTensor>(std::move(parts[static_cast<size_t>(d)]));
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
  return std::make_unique<PjrtArray>(client, shape, spec, mesh, std::move(buffers));
}

}  // namespace alpa::xla
