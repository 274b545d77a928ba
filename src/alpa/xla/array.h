// Arrays on devices: one PJRT buffer for each device of a mesh.
#pragma once

#include <memory>
#include <vector>

#include "alpa/xla/engine.h"
#include "alpa/xla/xla_pch.h"

namespace alpa::xla {

class PjrtArray : public Array {
 public:
  using Buffers = std::vector<std::unique_ptr<::xla::PjRtBuffer>>;

  // `buffers[d]` is the part of the process's device d. `client` is kept alive as long as the array. `group`: of a
  // client that spans processes, or null.
  PjrtArray(std::shared_ptr<::xla::PjRtClient> client, ir::Shape shape, sharding::Spec spec, cluster::Mesh mesh,
            Buffers buffers, std::shared_ptr<process::Group> group = nullptr)
      : client_(std::move(client)),
        shape_(std::move(shape)),
        spec_(std::move(spec)),
        mesh_(std::move(mesh)),
        buffers_(std::move(buffers)),
        group_(std::move(group)) {}

  const ir::Shape& shape() const override { return shape_; }
  Status Wait() const override;
  Result<ir::HostTensor> ToHost() const override;
  Result<std::vector<ir::HostTensor>> ShardsToHost() const override;
  Result<std::vector<ArrayBlock>> OwnBlocksToHost(size_t number) const override;

  ::xla::PjRtBuffer* buffer(size_t device) const { return buffers_[device].get(); }

 private:
  Result<ir::HostTensor> ShardToHost(size_t device) const;
  Status Gather(ir::HostTensor& out) const;

  std::shared_ptr<::xla::PjRtClient> client_;
  ir::Shape shape_;
  sharding::Spec spec_;
  cluster::Mesh mesh_;
  Buffers buffers_;
  std::shared_ptr<process::Group> group_;
};

// XLA's name for an element type.
::xla::PrimitiveType ToPrimitiveType(ir::DType type);

// Copies the parts of `tensor` that `spec` says to the devices that `client` has in this process.
Result<std::unique_ptr<PjrtArray>> PutOnDevices(const std::shared_ptr<::xla::PjRtClient>& client,
                                                const std::shared_ptr<process::Group>& group,
                                                const ir::HostTensor& tensor, const sharding::Spec& spec,
                                                const cluster::Mesh& mesh);

// The same of parts that are there already; see Client::PutParts.
Result<std::unique_ptr<PjrtArray>> AdoptParts(const std::shared_ptr<::xla::PjRtClient>& client,
                                              const std::shared_ptr<process::Group>& group,
                                              std::vector<ir::HostTensor> parts, const ir::Shape& shape,
                                              const sharding::Spec& spec, const cluster::Mesh& mesh);

}  // namespace alpa::xla
