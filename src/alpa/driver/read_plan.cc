#include "alpa/driver/read_plan.h"

#include <fmt/format.h>

#include <utility>

#include "alpa/base/file.h"

namespace alpa::driver {
namespace {

template <typename T>
Status Read(Result<T> parsed, const std::filesystem::path& path, PlanFile* file) {
  if (!parsed.ok()) return InFile(path, parsed.error());
  file->plan = *std::move(parsed);
  return Ok();
}

Status Complete(const std::string& cluster, bool events, SimulatedFile* out) {
  const auto* pipeline = std::get_if<plan::PipelinePlan>(&out->plan);
  const auto* mesh = std::get_if<plan::Plan>(&out->plan);
  std::string name = cluster;
  if (name.empty()) name = pipeline != nullptr ? pipeline->cluster : mesh->prediction ? mesh->prediction->cluster : "";
  if (name.empty()) return Ok();
  Result<cluster::Cluster> loaded = cluster::LoadCluster(name, mesh != nullptr ? mesh->mesh.size() : 1);
  if (!loaded.ok()) {
    if (!cluster.empty()) return loaded.error();
    out->not_simulated = loaded.error().message;
    return Ok();
  }
  if (pipeline != nullptr) {
    simulate::Options options;
    options.events = events;
    Result<SimulatedPlan> simulated = SimulatePlan(*pipeline, *loaded, options);
    if (!simulated.ok()) {
      if (!cluster.empty()) return simulated.error();
      out->not_simulated = simulated.error().message;
      return Ok();  // a cluster that it does not fit says nothing about it
    }
    out->simulated = *std::move(simulated);
  }
  out->cluster = *std::move(loaded);
  return Ok();
}

}  // namespace

Result<PlanFile> ReadPlanFile(const std::filesystem::path& path) {
  PlanFile file;
  file.path = path;
  ALPA_TRY(const std::string text, ReadFile(path));
  if (plan::IsFamily(text)) {
    ALPA_RETURN_IF_ERROR(Read(plan::FamilyFromJson(text), path, &file));
  } else if (plan::IsPipeline(text)) {
    ALPA_RETURN_IF_ERROR(Read(plan::PipelineFromJson(text), path, &file));
  } else {
    ALPA_RETURN_IF_ERROR(Read(plan::FromJson(text), path, &file));
  }
  Result<std::optional<plan::Notes>> notes = plan::NotesFromJson(text);
  if (!notes.ok()) return InFile(path, notes.error());
  file.notes = *std::move(notes);
  if (std::holds_alternative<plan::PlanFamily>(file.plan)) {
    Result<std::vector<std::optional<plan::Notes>>> members = plan::MemberNotesFromJson(text);
    if (!members.ok()) return InFile(path, members.error());
    file.member_notes = *std::move(members);
  }
  return file;
}

Result<std::vector<std::unique_ptr<SimulatedFile>>> SimulateFile(const PlanFile& file, const std::string& cluster,
                                                                 bool events) {
  std::vector<std::unique_ptr<SimulatedFile>> out;
  const auto add = [&](std::string name, auto plan) {
    out.push_back(std::make_unique<SimulatedFile>());
    out.back()->name = std::move(name);
    out.back()->plan = std::move(plan);
  };
  if (const auto* family = std::get_if<plan::PlanFamily>(&file.plan)) {
    for (const plan::FamilyMember& member : family->members)
      add(std::filesystem::path(member.file).filename().string(), member.plan);
  } else if (const auto* pipeline = std::get_if<plan::PipelinePlan>(&file.plan)) {
    add(file.path.filename().string(), *pipeline);
  } else {
    add(file.path.filename().string(), std::get<plan::Plan>(file.plan));
  }
  if (file.member_notes.empty()) out[0]->notes = file.notes;
  for (size_t i = 0; i < file.member_notes.size(); ++i) out[i]->notes = file.member_notes[i];
  for (const auto& one : out) {
    if (const Status status = Complete(cluster, events, one.get()); !status.ok())
      return InFile(file.path, status.error());
  }
  return out;
}

report::PlanOnPage SimulatedFile::OnPage() const {
  report::PlanOnPage page;
  page.name = name;
  page.pipeline = std::get_if<plan::PipelinePlan>(&plan);
  page.mesh = std::get_if<plan::Plan>(&plan);
  page.notes = notes ? &*notes : nullptr;
  page.cluster = cluster ? &*cluster : nullptr;
  if (simulated) {
    page.schedule = &simulated->pipeline;
    page.timeline = &simulated->timeline;
  }
  page.not_simulated = not_simulated;
  return page;
}

}  // namespace alpa::driver
