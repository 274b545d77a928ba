// alpa's Client over a PJRT client of XLA.
#pragma once

#include <memory>

#include "alpa/xla/engine.h"

namespace xla {
class PjRtClient;
}

namespace alpa::xla {

// Takes over `client`, whose devices run what is compiled through the result. `group`: that of a client over devices of
// several processes, or null.
std::unique_ptr<Client> MakeClient(std::shared_ptr<::xla::PjRtClient> client,
                                   std::shared_ptr<process::Group> group = nullptr);

}  // namespace alpa::xla
