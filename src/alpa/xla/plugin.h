// Devices behind a PJRT plugin.
#pragma once

#include <filesystem>
#include <memory>

#include "alpa/base/result.h"

namespace xla {
class PjRtClient;
}

namespace alpa::xla {

// Opens the shared library, checks that it speaks our major version of the PJRT C API, and makes its client. The
// library stays loaded for the life of the process. kEnvironment with the reason for each step that fails.
Result<std::shared_ptr<::xla::PjRtClient>> OpenPlugin(const std::filesystem::path& library);

}  // namespace alpa::xla
