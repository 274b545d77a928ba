#include "alpa/runtime/stage_arrays.h"

#include <cstring>
#include <string>

#include "alpa/process/agree.h"

namespace alpa::runtime {

std::unique_ptr<xla::Array> HostArray(ir::HostTensor tensor, bool answers) {
  return std::make_unique<InHostMemory>(std::move(tensor), answers);
}

Result<ir::HostTensor> Elsewhere::ToHost() const {
  return Error{Code::kEnvironment, "this process has nothing of the state's initial values", ""};
}

Result<std::vector<xla::ArrayBlock>> InHostMemory::OwnBlocksToHost(size_t) const {
  std::vector<xla::ArrayBlock> out;
  if (answers_) out.push_back({sharding::WholeBlock(tensor_.shape()), tensor_});
  return out;
}

Result<ir::HostTensor> FromRoot(const xla::Array* array, const ir::Shape& shape, process::Group* group, int root) {
  if (group == nullptr) return array->ToHost();
  ir::HostTensor out;
  if (array != nullptr) {
    ALPA_TRY(out, array->ToHost());  // together with the other processes of its mesh
  }
  const bool here = group->rank() == root;
  ALPA_TRY(const std::string bytes, process::Broadcast(*group, root, here ? std::string(out.view()) : ""));
  if (here) return out;
  ir::HostTensor received(shape);
  ALPA_CHECK(bytes.size() == received.bytes().size(), ir::ToString(shape));
  std::memcpy(received.bytes().data(), bytes.data(), bytes.size());
  return received;
}

}  // namespace alpa::runtime
