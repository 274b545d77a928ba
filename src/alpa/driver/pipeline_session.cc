#include "alpa/driver/pipeline_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "alpa/driver/cut_stages.h"
#include "alpa/driver/find_pipeline.h"

namespace alpa::driver {
namespace {

std::vector<runtime::PartOf> PartsOf(const std::vector<frontend::StackPart>& parts) {
  std::vector<runtime::PartOf> out;
  for (const frontend::StackPart& p : parts) out.push_back({p.whole, p.part});
  return out;
}

Status CheckProcesses(const runtime::PipelineSetup& setup, const process::Group& world) {
  int hosts = 0;
  for (const runtime::MeshPlace& place : setup.places) hosts = std::max(hosts, place.first_host + place.hosts);
  if (hosts <= world.size()) return Ok();  // more have nothing to do
  return Error{Code::kMismatch, fmt::format("the plan is for {} hosts, {} processes are running", hosts, world.size()),
               fmt::format("start one process for each host: mpirun -n {} alpa run ...", hosts)};
}

// One client per mesh: what one client launches runs one after the other.
Result<std::vector<std::unique_ptr<xla::Client>>> MakeClients(xla::Engine& engine, const runtime::PipelineSetup& setup,
                                                              process::Group* world) {
  std::vector<std::unique_ptr<xla::Client>> clients(setup.places.size());
  for (size_t m = 0; m < clients.size(); ++m) {
    const runtime::MeshPlace& place = setup.places[m];
    const int64_t all = static_cast<int64_t>(place.hosts) * place.devices;
    if (world == nullptr) {
      ALPA_TRY(clients[m], engine.CreateCpuClient(all));
      continue;
    }
    if (world->rank() < place.first_host || world->rank() >= place.first_host + place.hosts) continue;
    if (place.hosts == 1) {
      ALPA_TRY(clients[m], engine.CreateCpuClient(place.devices));
      continue;
    }
    std::vector<int> ranks;
    for (int h = 0; h < place.hosts; ++h) ranks.push_back(place.first_host + h);
    ALPA_TRY(clients[m], engine.CreateCpuClient(place.devices, world->Split(ranks, fmt::format("mesh {}", m))));
  }
  return clients;
}

}  // namespace

Result<std::unique_ptr<runtime::PipelineClient>> MakePipelineClient(xla::Engine& engine, const LoadedStep& loaded,
                                                                    const plan::PipelinePlan& plan,
                                                                    process::Group* world, process::Watch* watch) {
  runtime::PartsOfStep parts;
  runtime::PipelineSetup setup;
  if (plan.unstacked) {
    ALPA_TRY(const std::optional<TakenApart> apart, TakeApart(loaded));
    if (!apart) {
      return Error{Code::kMismatch, "the plan is for stacked parameters taken apart, the model has none",
                   "make the plan anew with this version of alpa"};
    }
    parts = {PartsOf(apart->inputs), PartsOf(apart->outputs)};
    ALPA_TRY(setup, CutStages(engine, apart->loaded, loaded.step.hlo, plan));
  } else {
    ALPA_TRY(setup, CutStages(engine, loaded, loaded.step.hlo, plan));
  }
  if (world != nullptr) ALPA_RETURN_IF_ERROR(CheckProcesses(setup, *world));
  ALPA_TRY(auto clients, MakeClients(engine, setup, world));
  return std::make_unique<runtime::PipelineClient>(std::move(clients), std::move(setup), std::move(parts), world,
                                                   watch);
}

}  // namespace alpa::driver
