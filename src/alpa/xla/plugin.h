// Devices behind a PJRT plugin.
#pragma once

#include <filesystem>
#include <memory>

#include "alpa/base/result.h"
#include "alpa/process/group.h"

namespace xla {
class PjRtClient;
}

namespace alpa::xla {

// Opens the shared library, checks that it speaks our major version of the PJRT C API, and makes its client. The
// library stays loaded for the life of the process. `group`: the client is one of as many, which find each other by a
// key-value store over it (options node_id and num_nodes, as XLA's GPU plugins take them); null: the only one.
// kEnvironment with the reason for each step that fails.
Result<std::shared_ptr<::xla::PjRtClient>> OpenPlugin(const std::filesystem::path& library,
                                                      const std::shared_ptr<process::Group>& group = nullptr);

}  // namespace alpa::xla
