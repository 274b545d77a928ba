#include "alpa/xla/import.h"

#include <fmt/format.h>

#include "alpa/xla/build_ir.h"
#include "alpa/xla/import_child.h"
#include "alpa/xla/parse.h"
#include "alpa/xla/status.h"
#include "alpa/xla/unroll_loops.h"
#include "alpa/xla/xla_pch.h"

namespace alpa::xla {
namespace {

// Sound files take some 2 s for each megabyte of bytecode.
constexpr int64_t kReadSeconds = 15;
constexpr int64_t kReadSecondsPerMegabyte = 30;

// Drops what an export says about shardings (of GSPMD and of Shardy): alpa decides about these. shard_map's calls,
// which change what the step computes, stay.
absl::Status DropShardings(::xla::HloModule& module) {
  for (::xla::HloComputation* computation : module.computations()) {
    for (::xla::HloInstruction* i : computation->MakeInstructionPostOrder()) {
      i->clear_sharding();
      const bool annotation = i->opcode() == ::xla::HloOpcode::kCustomCall && i->operand_count() == 1 &&
                              i->shape() == i->operand(0)->shape() &&
                              (i->custom_call_target() == "Sharding" || i->custom_call_target().find("xla.sdy.") == 0);
      if (!annotation) continue;
      if (absl::Status s = i->ReplaceAllUsesWith(i->mutable_operand(0)); !s.ok()) return s;
      if (absl::Status s = computation->RemoveInstruction(i); !s.ok()) return s;
    }
  }
  module.set_frontend_attributes(::xla::FrontendAttributes());
  return absl::OkStatus();
}

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

// All that happens to bytes which may be damaged: the cleaned step as a serialized proto that is known to be readable.
Result<std::string> ReadAndClean(std::string_view bytes, const ImportOptions& options) {
  // Bytecode whose attributes refer to each other in a circle takes MLIR exponential time.
  LimitTime(kReadSeconds + kReadSecondsPerMegabyte * static_cast<int64_t>(bytes.size() >> 20));
  ALPA_TRY(const auto module, ParseModule(bytes, options.source));
  LimitTime(0);
  if (const absl::Status s = DropShardings(*module); !s.ok()) {
    return FromStatus(s, Code::kUnsupported, options.source + ": its shardings cannot be dropped");
  }
  ALPA_RETURN_IF_ERROR(InlineAndClean(*module, options.source));
  ALPA_TRY(const int unrolled, UnrollLoops(*module, options.max_unrolled_ops));
  if (unrolled > 0) ALPA_RETURN_IF_ERROR(InlineAndClean(*module, options.source));
  std::string hlo;
  if (!module->ToProto().SerializeToString(&hlo)) {
    return Error{Code::kUnsupported, options.source + ": is larger than 2 GiB as HLO", ""};
  }
  // Once for trial: what works here neither fails nor crashes when it is repeated outside.
  ALPA_TRY(const auto again, ReadBack(hlo, options.source));
  ALPA_RETURN_IF_ERROR(BuildIr(*again, options.source));
  return hlo;
}

}  // namespace

Result<ImportedStep> ImportStep(std::string_view bytes, const ImportOptions& options) {
  ImportedStep step;
  ALPA_TRY(step.hlo, RunInChild(options.source, [&] { return ReadAndClean(bytes, options); }));
  ALPA_TRY(const auto module, ReadBack(step.hlo, options.source));
  ALPA_TRY(step.module, BuildIr(*module, options.source));
  return step;
}

}  // namespace alpa::xla
