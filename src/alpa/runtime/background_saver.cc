#include "alpa/runtime/background_saver.h"

#include <exception>
#include <system_error>
#include <utility>

namespace alpa::runtime {
namespace {

// Runs `save`; what libraries throw (no memory) becomes an error.
SaveOutcome Try(const std::function<SaveOutcome()>& save) {
  try {
    return save();
  } catch (const std::exception& error) {
    return Error{Code::kEnvironment, std::string("saving a checkpoint failed: ") + error.what(), ""};
  }
}

}  // namespace

BackgroundSaver::~BackgroundSaver() {
  if (thread_.joinable()) thread_.join();
}

bool BackgroundSaver::busy() const {
  const std::lock_guard lock(mutex_);
  return running_;
}

Status BackgroundSaver::Join() {
  if (!thread_.joinable()) return Ok();
  thread_.join();
  const SaveOutcome outcome = *std::exchange(outcome_, std::nullopt);
  if (!outcome.ok()) return outcome.error();
  last_ = *outcome;
  return Ok();
}

Status BackgroundSaver::Start(std::function<SaveOutcome()> save) {
  ALPA_RETURN_IF_ERROR(Join());
  running_ = true;  // no thread reads it now
  try {
    thread_ = std::thread([this, save = std::move(save)]() mutable {
      SaveOutcome outcome = Try(save);
      save = nullptr;  // frees the copy of the state
      const std::lock_guard lock(mutex_);
      outcome_ = std::move(outcome);
      running_ = false;
    });
  } catch (const std::system_error& error) {
    running_ = false;
    return Error{Code::kEnvironment, std::string("no thread to save a checkpoint with: ") + error.what(), ""};
  }
  return Ok();
}

Status BackgroundSaver::Poll() { return busy() ? Ok() : Join(); }

Result<std::optional<std::filesystem::path>> BackgroundSaver::Wait() {
  ALPA_RETURN_IF_ERROR(Join());
  return last_;
}

}  // namespace alpa::runtime
