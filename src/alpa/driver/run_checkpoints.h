// The checkpoints of one `alpa run`: the one it goes on from, and those it saves while training goes on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "alpa/base/result.h"
#include "alpa/driver/processes.h"
#include "alpa/driver/session.h"
#include "alpa/runtime/background_saver.h"
#include "alpa/runtime/checkpoint.h"
#include "alpa/runtime/data_source.h"
#include "alpa/runtime/manifest.h"
#include "alpa/runtime/peers.h"
#include "alpa/runtime/trainer.h"

namespace alpa::driver {

struct CheckpointOptions {
  std::filesystem::path folder;  // empty: nothing is saved
  bool resume = false;           // from the newest checkpoint that is sound
  int keep = 3;                  // newest checkpoints to keep
};

// Of several processes all call the same functions, in the same order: each saves and checks its own part.
class RunCheckpoints {
 public:
  // `session`, which may be opened later, and `processes` outlive this.
  RunCheckpoints(CheckpointOptions options, const Session& session, const Processes& processes);

  // Whether the folder can be used: kIo, kMismatch when it holds those of another model, kInvalidArgument when it holds
  // checkpoints that are not to be gone on from. Waits for no other process.
  Status CheckFolder() const;
  // With `resume`: loads the newest checkpoint that is sound and moves `data` to its position (of another shape of the
  // model: to the same share of its epoch, or, if it is other data, to the beginning, with a note). kMismatch when it
  // was trained on other data or another `seed`; errors of LoadNewestSound. Warns of damaged ones.
  Status Resume(runtime::DataSource& data, uint64_t seed);
  // What the run goes on from.
  const std::optional<runtime::Checkpoint>& resumed() const { return resumed_; }

  // Copies this process's part of the state, which the next step consumes, and has it written. To be called when
  // nothing is being written any more (Settle). Errors are this process's own.
  Status Start(runtime::CheckpointInfo info, const runtime::Trainer& trainer);
  // Whether something is being written.
  bool busy() const { return saver_.busy(); }
  // Whether what was being written is known here to have failed; does not wait. Settle says why.
  bool failed();
  // Waits until all is written; its outcome is the same in all processes. An error names what there is to go on from.
  Status Settle();
  // The last checkpoint that was written; empty: none.
  const std::filesystem::path& saved() const { return saved_; }

 private:
  Status SeekData(runtime::DataSource& data, uint64_t seed) const;

  const CheckpointOptions options_;
  const Session& session_;
  const Processes& processes_;
  const runtime::Peers peers_;
  std::optional<runtime::Checkpoint> resumed_;
  std::filesystem::path saved_;
  Status outcome_;                  // of what failed() has seen to fail
  runtime::BackgroundSaver saver_;  // last: its thread uses the others
};

}  // namespace alpa::driver
