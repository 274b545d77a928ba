#include "alpa/driver/processes.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "alpa/process/agree.h"
#include "alpa/process/open_world.h"

namespace alpa::driver {
namespace {

void Silence(FILE* stream) {
  std::fflush(stream);
  // When it fails, the worst is that something is printed twice.
  if (std::freopen("/dev/null", "w", stream) == nullptr) std::fclose(stream);
}

}  // namespace

void Processes::At(const std::string& text, bool waiting) const {
  if (activity != nullptr) activity->Set(text, waiting);
}

Status Processes::Agree(const Status& mine) const { return world == nullptr ? mine : process::AgreeOn(*world, mine); }

Status Processes::AgreeOnValue(const std::string& what, const std::string& value) const {
  return world == nullptr ? Ok() : process::AgreeOnValue(*world, what, value);
}

Result<int> Processes::Largest(int mine) const {
  if (world == nullptr) return mine;
  ALPA_TRY(const std::vector<std::string> all, process::GatherTexts(*world, std::to_string(mine)));
  int largest = mine;
  for (const std::string& one : all) largest = std::max(largest, std::stoi(one));
  return largest;
}

runtime::Peers Processes::Peers(std::string_view name) const {
  runtime::Peers peers;
  if (world == nullptr) return peers;
  peers.rank = world->rank();
  peers.count = world->size();
  const std::shared_ptr<process::Group> group = process::Duplicate(*world, name);
  peers.agree = [group](const Status& mine) { return process::AgreeOn(*group, mine); };
  return peers;
}

std::shared_ptr<void> Processes::OnSigterm(std::function<void()> wish) const {
  if (watch == nullptr) return nullptr;
  watch->OnSigterm(std::move(wish));
  return {watch.get(), [](process::Watch* w) { w->OnSigterm(nullptr); }};
}

Status Processes::EndWith(const Status& status) const {
  if (watch != nullptr && !status.ok()) watch->Fail(status.error());
  return status;
}

Result<Processes> OpenProcesses(Seconds hang_limit, std::function<void()> before_ending) {
  Processes processes;
  ALPA_TRY(processes.world, process::OpenWorld());
  if (processes.world == nullptr) return processes;
  process::WatchOptions options;
  options.hang_limit = hang_limit;
  options.before_ending = std::move(before_ending);
  processes.watch = process::StartWatch(*processes.world, options);
  processes.activity = &processes.watch->AddActivity();
  if (!processes.first()) Silence(stdout);
  return processes;
}

void SayOnce(const Processes& processes, const Status& outcome) {
  if (processes.world == nullptr || outcome.ok()) return;
  std::fflush(stdout);
  if (processes.first()) std::fprintf(stderr, "alpa: %s\n", ToString(outcome.error()).c_str());
  Silence(stderr);
}

}  // namespace alpa::driver
