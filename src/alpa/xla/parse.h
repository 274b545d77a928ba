// Reads a training step in any of the forms it may come in.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "alpa/base/result.h"

namespace xla {
class HloModule;
}

namespace alpa::xla {

// The module in `bytes`: StableHLO as pretty text, generic text or portable bytecode; HLO as text or proto; each
// possibly gzipped. `source` is named in messages. Errors: kInvalidInput for empty, truncated or foreign content, a
// missing `main`, dynamic shapes, donations that cannot be, HLO that its verifier refuses; kUnsupported for what XLA
// cannot represent. Damaged bytes may crash it (import_child.h).
Result<std::unique_ptr<::xla::HloModule>> ParseModule(std::string_view bytes, const std::string& source);

// The module in a proto that XLA wrote for a module of ParseModule. kInvalidInput when names in it are not UTF-8 text,
// which protobuf writes but does not read.
Result<std::unique_ptr<::xla::HloModule>> ReadBack(const std::string& hlo, const std::string& source);

}  // namespace alpa::xla
