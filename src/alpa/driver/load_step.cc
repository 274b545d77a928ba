#include "alpa/driver/load_step.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "alpa/base/file.h"
#include "alpa/report/inspect.h"
#include "alpa/runtime/input_names.h"

namespace alpa::driver {
namespace {

// The sidecar of "dir/gpt.generic.mlir.gz" is "dir/gpt.json": the file's name up to its first dot.
std::filesystem::path SidecarOf(const std::filesystem::path& model) {
  const std::string name = model.filename().string();
  const auto sidecar = model.parent_path() / (name.substr(0, name.find('.')) + ".json");
  std::error_code ec;
  return sidecar != model && std::filesystem::is_regular_file(sidecar, ec) ? sidecar : std::filesystem::path();
}

// Input names from the sidecar's args[].name. A sidecar that is something else than that is not an error here: names
// are a convenience.
void TakeNames(const std::filesystem::path& sidecar, ir::Module& module) {
  const auto text = ReadFile(sidecar);
  if (!text.ok()) return;
  const auto json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("args") || !json["args"].is_array()) return;
  std::vector<std::string> names;
  for (const auto& arg : json["args"]) {
    const bool named = arg.is_object() && arg.contains("name") && arg["name"].is_string();
    names.push_back(named ? arg["name"].get<std::string>() : "");
  }
  if (names.size() == module.inputs.size()) runtime::FillInputNames(names, module);
}

frontend::AnalyzeOptions ToAnalyzeOptions(const LoadOptions& options) {
  frontend::AnalyzeOptions analyze;
  analyze.roles.batch_args = options.batch_args;
  analyze.batch_dim = options.batch_dim;
  return analyze;
}

}  // namespace

Result<LoadedStep> LoadStep(xla::Engine& engine, const LoadOptions& options, const Gate& gate) {
  LoadedStep loaded;
  loaded.sidecar = SidecarOf(options.model);
  auto import = [&]() -> Result<xla::ImportedStep> {
    ALPA_TRY(const std::string bytes, ReadFile(options.model));
    ALPA_TRY(xla::ImportedStep step, engine.Import(bytes, {options.model.string(), options.max_unrolled_ops}));
    if (!loaded.sidecar.empty()) TakeNames(loaded.sidecar, step.module);
    return step;
  };
  ALPA_TRY(loaded.step, gate.Run<xla::ImportedStep>(
                            Phase::kImport, import, [](const auto& step) { return ir::Verify(step.module); }, "txt",
                            [](const auto& step) { return Result<std::string>(ir::ToString(step.module)); }));
  if (gate.Stops(Phase::kImport)) return loaded;
  const ir::Module& module = loaded.step.module;
  ALPA_TRY(loaded.analysis,
           gate.Run<frontend::StepAnalysis>(
               Phase::kAnalyze, [&] { return frontend::AnalyzeStep(module, ToAnalyzeOptions(options)); },
               [&](const auto& analysis) { return ir::Verify(analysis.signature, module); }, "txt",
               [&](const auto& analysis) { return Result<std::string>(report::InspectText(module, analysis)); }));
  return loaded;
}

}  // namespace alpa::driver
