#include "alpa/driver/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "alpa/base/file.h"
#include "alpa/driver/cut_stages.h"
#include "alpa/driver/find_pipeline.h"
#include "alpa/plan/pipeline_plan.h"
#include "alpa/runtime/input_names.h"
#include "alpa/sharding/spec.h"

namespace alpa::driver {
namespace {

// An input, or the part of a stacked one that a layer has, on the devices of one stage.
struct Place {
  int stage = 0;
  sharding::Spec spec;
  cluster::Mesh mesh;
  ir::Shape shape;      // of the part, where it is one
  int part = -1;        // -1: the whole
  bool shared = false;  // another stage owns and updates it
};

// By input of the step.
using Places = std::vector<std::vector<Place>>;

Result<Places> PlacesOnMesh(const ir::Module& module, const std::string& text) {
  ALPA_TRY(const plan::Plan plan, plan::FromJson(text));
  ALPA_RETURN_IF_ERROR(plan::Verify(plan, module));
  Places places;
  for (size_t i = 0; i < module.inputs.size(); ++i)
    places.push_back({Place{0, plan.inputs[i], plan.mesh, module.shape(module.inputs[i])}});
  return places;
}

Result<Places> PlacesInStages(xla::Engine& engine, const LoadedStep& loaded, const std::string& text) {
  ALPA_TRY(const plan::PipelinePlan plan, plan::PipelineFromJson(text));
  std::optional<TakenApart> apart;
  if (plan.unstacked) {
    ALPA_TRY(apart, TakeApart(loaded));
    if (!apart) return Error{Code::kMismatch, "the plan is for stacked parameters taken apart, the model has none", ""};
  }
  ALPA_TRY(const runtime::PipelineSetup setup,
           CutStages(engine, apart ? apart->loaded : loaded, loaded.step.hlo, plan));
  Places places(loaded.step.module.inputs.size());
  for (size_t s = 0; s < setup.stages.size(); ++s) {
    const runtime::PipelineStage& stage = setup.stages[s];
    for (size_t i = 0; i < stage.inputs.size(); ++i) {
      const int input = stage.inputs[i].step_input;
      if (input < 0) continue;
      Place place{static_cast<int>(s), stage.layout.inputs[i], stage.layout.mesh,
                  stage.module.shape(stage.module.inputs[i])};
      place.shared = stage.inputs[i].shared;
      size_t whole = static_cast<size_t>(input);
      if (apart) {
        whole = static_cast<size_t>(apart->inputs[static_cast<size_t>(input)].whole);
        place.part = apart->inputs[static_cast<size_t>(input)].part;
      }
      places[whole].push_back(std::move(place));
    }
  }
  return places;
}

nlohmann::ordered_json ToJson(const Place& place) {
  const ir::Shape piece = sharding::ShardShape(place.spec, place.shape, place.mesh);
  nlohmann::ordered_json out{{"stage", place.stage},
                             {"mesh", place.mesh.shape},
                             {"layout", sharding::ToString(place.spec, place.mesh)},
                             {"piece", piece.dims},
                             {"piece_bytes", piece.bytes().value}};
  if (place.part >= 0) out["part"] = place.part;
  if (place.shared) out["shared"] = true;
  return out;
}

std::string ToText(const Place& place) {
  const ir::Shape piece = sharding::ShardShape(place.spec, place.shape, place.mesh);
  return fmt::format("  stage {}{}: {} on {}, {} of {} per device{}\n", place.stage,
                     place.part < 0 ? "" : fmt::format(", part {}", place.part),
                     sharding::ToString(place.spec, place.mesh), fmt::join(place.mesh.shape, "x"),
                     ToString(piece.bytes()), ToString(place.shape.bytes()),
                     place.shared ? "; a copy: another stage updates it" : "");
}

}  // namespace

Status Explain(const ExplainOptions& options) {
  ALPA_TRY(const std::string text, ReadFile(options.plan));
  ALPA_TRY(xla::Engine* const engine, xla::LoadEngine());
  const Gate gate({});
  ALPA_TRY(const LoadedStep loaded, LoadStep(*engine, options.load, gate));
  const ir::Module& module = loaded.step.module;
  const auto places = plan::IsPipeline(text) ? PlacesInStages(*engine, loaded, text) : PlacesOnMesh(module, text);
  if (!places.ok()) return InFile(options.plan, places.error());
  const std::vector<std::string> names = runtime::UniqueInputNames(module);
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  bool found = false;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].find(options.name) == std::string::npos) continue;
    found = true;
    nlohmann::ordered_json entry{{"name", names[i]}, {"places", nlohmann::ordered_json::array()}};
    if (!options.json) fmt::print("{} {}\n", names[i], ir::ToString(module.shape(module.inputs[i])));
    for (const Place& place : (*places)[i]) {
      entry["places"].push_back(ToJson(place));
      if (!options.json) fmt::print("{}", ToText(place));
    }
    list.push_back(std::move(entry));
  }
  if (!found) {
    return Error{Code::kInvalidArgument, fmt::format("the model has no input with '{}' in its name", options.name),
                 "alpa inspect MODEL lists them"};
  }
  if (options.json) fmt::print("{}\n", list.dump(1));
  return Ok();
}

}  // namespace alpa::driver
