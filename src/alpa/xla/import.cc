#include "alpa/xla/import.h"

#include <fmt/format.h>

#include "alpa/xla/build_ir.h"
#include "alpa/xla/parse.h"
#include "alpa/xla/status.h"
#include "alpa/xla/unroll_loops.h"
#include "alpa/xla/xla_pch.h"

namespace alpa::xla {
namespace {

Status InlineAndClean(::xla::HloModule& module, const std::string& source) {
  ::xla::HloPassPipeline pipeline("clean");
  pipeline.AddPass<::xla::CallInliner>();
  pipeline.AddPass<::xla::TupleSimplifier>();
  pipeline.AddPass<::xla::HloCSE>(/*is_layout_sensitive=*/false);
  pipeline.AddPass<::xla::HloDCE>();
  const auto changed = pipeline.Run(&module);
  if (!changed.ok()) return FromStatus(changed.status(), Code::kUnsupported, source + ": cannot be simplified");
  return Ok();
}

}  // namespace

Result<ImportedStep> ImportStep(std::string_view bytes, const ImportOptions& options) {
  ALPA_TRY(const auto module, ParseModule(bytes, options.source));
  ALPA_RETURN_IF_ERROR(InlineAndClean(*module, options.source));
  ALPA_TRY(const int unrolled, UnrollLoops(*module, options.max_unrolled_ops));
  if (unrolled > 0) ALPA_RETURN_IF_ERROR(InlineAndClean(*module, options.source));
  ImportedStep step;
  ALPA_TRY(step.module, BuildIr(*module, options.source));
  step.hlo = module->ToProto().SerializeAsString();
  return step;
}

}  // namespace alpa::xla
