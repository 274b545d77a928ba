// What the clients of several processes tell each other while they start (NCCL's ids, topologies), over a
// process::Group.
#pragma once

#include <memory>

#include "alpa/process/group.h"
#include "alpa/xla/xla_pch.h"
#include "xla/pjrt/distributed/key_value_store_interface.h"

namespace alpa::xla {

// What one process sets, all processes of the group can get. For one client, which alone uses `group`. A process that
// ends takes nothing away from the others. Thread-safe, as the interface demands.
std::shared_ptr<::xla::KeyValueStoreInterface> MakeKeyValueStore(std::shared_ptr<process::Group> group);

}  // namespace alpa::xla
