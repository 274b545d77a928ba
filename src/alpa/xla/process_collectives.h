// Collectives of XLA's CPU client between devices of several processes, over a process::Group.
#pragma once

#include <memory>

#include "alpa/process/group.h"
#include "alpa/xla/xla_pch.h"
#include "xla/backends/cpu/collectives/cpu_collectives.h"

namespace alpa::xla {

// For one client, which alone uses `group` (but for agree.h and for channels below 2^20). Process r of the group is
// process_id r of the client.
std::shared_ptr<::xla::cpu::CpuCollectives> MakeProcessCollectives(std::shared_ptr<process::Group> group);

}  // namespace alpa::xla
