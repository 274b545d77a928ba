// From absl's statuses to ours.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "alpa/base/result.h"

namespace alpa::xla {

// An Error of `code` with `what` and the status' message.
inline Error FromStatus(const absl::Status& status, Code code, const std::string& what) {
  return Error{code, what + ": " + std::string(status.message()), ""};
}

}  // namespace alpa::xla
