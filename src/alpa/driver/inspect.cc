#include "alpa/driver/inspect.h"

#include <cstdio>

#include "alpa/report/inspect.h"

namespace alpa::driver {

Status Inspect(const InspectOptions& options) {
  ALPA_TRY(xla::Engine* const engine, xla::LoadEngine());
  const Gate gate(options.gate);
  ALPA_TRY(const LoadedStep loaded, LoadStep(*engine, options.load, gate));
  if (gate.Stops(Phase::kImport)) return Ok();
  const ir::Module& module = loaded.step.module;
  const std::string text =
      options.json ? report::InspectJson(module, loaded.analysis) : report::InspectText(module, loaded.analysis);
  std::fputs(text.c_str(), stdout);
  return Ok();
}

}  // namespace alpa::driver
