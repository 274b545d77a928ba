#include "alpa/driver/run_checkpoints.h"

#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

#include "alpa/runtime/save_checkpoint.h"

namespace alpa::driver {

RunCheckpoints::RunCheckpoints(CheckpointOptions options, const Session& session, const Processes& processes)
    : options_(std::move(options)), session_(session), processes_(processes), peers_(processes.Peers("checkpoints")) {}

Status RunCheckpoints::CheckFolder() const {
  if (options_.folder.empty()) return Ok();
  ALPA_RETURN_IF_ERROR(runtime::CheckCheckpointFolder(options_.folder, session_.module(), session_.family));
  const auto existing = runtime::ListCheckpoints(options_.folder);
  if (options_.resume || !existing.ok() || existing->empty()) return Ok();
  return Error{
      Code::kInvalidArgument,
      fmt::format("{} already holds checkpoints, up to step {}", options_.folder.string(), existing->back().step),
      "add --resume to go on from there, or choose another folder"};
}

Status RunCheckpoints::Resume(runtime::DataSource& data, uint64_t seed) {
  if (!options_.resume) return Ok();
  std::string there;  // in each process the same, or they would check different ones
  if (const auto entries = runtime::ListCheckpoints(options_.folder); entries.ok()) {
    for (const runtime::CheckpointEntry& entry : *entries) there += fmt::format("{} ", entry.step);
  }
  ALPA_RETURN_IF_ERROR(processes_.AgreeOnValue("list of checkpoints", there));
  ALPA_TRY(runtime::NewestSound newest,
           runtime::LoadNewestSound(options_.folder, session_.module(), session_.signature(), session_.family, peers_));
  resumed_ = std::move(newest.checkpoint);
  ALPA_RETURN_IF_ERROR(SeekData(data, seed));
  for (const Error& damaged : newest.damaged) {
    if (!processes_.first()) break;
    fmt::print(stderr, "warning: {}; going on from {}\n", damaged.message, resumed_->folder().string());
  }
  runtime::RemoveStale(options_.folder);
  // A run that ended between a checkpoint and the removal of the oldest one left one too many.
  if (processes_.first())
    runtime::RemoveOldCheckpoints(options_.folder, resumed_->info().step, session_.module(),
                                  {options_.keep, session_.family});
  return Ok();
}

// Another shape of the model may need data of its own (windows of another length); the same data is entered at the same
// share of the epoch.
Status RunCheckpoints::SeekData(runtime::DataSource& data, uint64_t seed) const {
  const runtime::CheckpointInfo& info = resumed_->info();
  const bool same_data = info.data == data.Describe() && info.seed == seed;
  const std::string other = fmt::format("{} was trained on other data: {} (seed {}), now {} (seed {})",
                                        resumed_->folder().string(), info.data, info.seed, data.Describe(), seed);
  if (resumed_->manifest().model_fingerprint == ir::Fingerprint(session_.module())) {
    if (same_data) return data.Seek(info.data_position);
    return Error{Code::kMismatch, other, "give the same --data, --init and --seed, or start anew in another folder"};
  }
  if (same_data && info.batches_per_epoch > 0) {
    return data.Seek(
        runtime::PositionInBatchesOf(info.data_position, info.batches_per_epoch, data.batches_per_epoch()));
  }
  if (processes_.first()) fmt::print(stderr, "note: {}, for another shape of the batch; from its beginning\n", other);
  return Ok();
}

Status RunCheckpoints::Start(runtime::CheckpointInfo info, const runtime::Trainer& trainer) {
  if (options_.folder.empty()) return Ok();
  ALPA_TRY(auto copy, trainer.OwnStateToHost());
  const auto state = std::make_shared<std::vector<runtime::StateValue>>(std::move(copy));
  return saver_.Start([this, info = std::move(info), state] {
    std::vector<runtime::StateBlock> blocks;
    for (const runtime::StateValue& value : *state) blocks.push_back({value.tensor, value.block});
    return runtime::SaveCheckpoint(
        options_.folder, info, session_.module(), session_.signature(), blocks,
        [&state](size_t index) -> Result<ir::HostTensor> { return std::move((*state)[index].value); },
        {options_.keep, session_.family}, peers_);
  });
}

bool RunCheckpoints::failed() {
  if (outcome_.ok()) outcome_ = saver_.Poll();
  return !outcome_.ok();
}

Status RunCheckpoints::Settle() {
  if (outcome_.ok()) {
    const auto saved = saver_.Wait();
    if (!saved.ok()) outcome_ = saved.error();
    if (saved.ok() && saved->has_value()) saved_ = **saved;
  }
  if (outcome_.ok() || !outcome_.error().hint.empty()) return outcome_;
  Error error = outcome_.error();
  const auto entries = runtime::ListCheckpoints(options_.folder);
  if (entries.ok() && !entries->empty()) {
    error.hint =
        fmt::format("the newest checkpoint is {}; go on from there with --resume", entries->back().folder.string());
  }
  return error;
}

}  // namespace alpa::driver
