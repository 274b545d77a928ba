#include "alpa/driver/microbatches.h"

#include <fmt/format.h>

#include <algorithm>

#include "alpa/frontend/flops.h"
#include "alpa/frontend/scale_batch.h"

namespace alpa::driver {
namespace {

using frontend::Obstacle;

// That statistics of each microbatch, instead of the whole batch, take out of the way.
bool IsStatistics(const Obstacle& obstacle) { return obstacle.kind == Obstacle::Kind::kNotSeparable; }

bool BlocksAlways(const Obstacle& obstacle) { return frontend::Blocks(obstacle.kind) && !IsStatistics(obstacle); }

Error OnePieceOnly(int64_t microbatches, const Obstacle& why, const std::string& hint) {
  return {Code::kInvalidArgument,
          fmt::format("{} microbatches: the step can be run in one piece only: {}", microbatches, why.text), hint};
}

}  // namespace

Status CheckMicrobatches(const LoadedStep& loaded, int64_t microbatches, bool per_microbatch) {
  const frontend::Microbatching& found = loaded.analysis.microbatching;
  if (microbatches < 1) {
    return Error{Code::kInvalidArgument, fmt::format("{} microbatches: the number must be 1 or more", microbatches),
                 ""};
  }
  if (per_microbatch || found.max_microbatches % microbatches == 0) return Ok();
  const auto& obstacles = found.obstacles;
  const auto why = std::find_if(obstacles.begin(), obstacles.end(), [](const Obstacle& o) { return Blocks(o.kind); });
  if (why != obstacles.end()) {
    const bool fixed = std::none_of(obstacles.begin(), obstacles.end(), BlocksAlways);
    return OnePieceOnly(microbatches, *why,
                        fixed ? "--per-microbatch takes the statistics of each microbatch instead" : "");
  }
  std::string limit;
  for (const Obstacle& obstacle : obstacles) {
    if (limit.empty() && obstacle.kind == Obstacle::Kind::kRegrouped) limit = ": " + obstacle.text;
  }
  return Error{Code::kInvalidArgument,
               found.max_microbatches == 1
                   ? fmt::format("{} microbatches: the step can be run in one piece only{}", microbatches, limit)
                   : fmt::format("{} microbatches: the step can be run in at most {}, or any number that divides it{}",
                                 microbatches, found.max_microbatches, limit),
               ""};
}

std::vector<int> BatchDimsOfValues(const LoadedStep& loaded) {
  std::vector<int> out;
  for (const frontend::BatchInfo& info : loaded.analysis.batch.values)
    out.push_back(info.kind == frontend::BatchKind::kBatched ? info.dim : -1);
  return out;
}

std::vector<intra::OpWork> WorkOfOps(const ir::Module& sized, const std::vector<frontend::OpPhase>& phases,
                                     int64_t microbatches, const std::function<bool(ir::OpId)>& accumulates) {
  const std::vector<frontend::FlopCount> flops = frontend::CountFlops(sized);
  std::vector<intra::OpWork> work;
  work.reserve(sized.ops.size());
  for (size_t i = 0; i < sized.ops.size(); ++i) {
    const int64_t runs = phases[i] == frontend::OpPhase::kUpdate ? 1 : microbatches;
    work.push_back({flops[i].dot_conv, flops[i].other, runs,
                    !sized.ops[i].results.empty() && accumulates(static_cast<ir::OpId>(i))});
  }
  return work;
}

Result<xla::MicrobatchSplit> MakeMicrobatchSplit(const LoadedStep& loaded, int64_t microbatches, bool per_microbatch) {
  ALPA_RETURN_IF_ERROR(CheckMicrobatches(loaded, microbatches, per_microbatch));
  if (per_microbatch && microbatches > 1) {
    for (const Obstacle& obstacle : loaded.analysis.microbatching.obstacles) {
      if (BlocksAlways(obstacle)) return OnePieceOnly(microbatches, obstacle, "");
    }
    ALPA_RETURN_IF_ERROR(frontend::ScaleBatch(loaded.step.module, loaded.analysis.batch, microbatches));
  }
  return xla::MicrobatchSplit{microbatches, BatchDimsOfValues(loaded), per_microbatch};
}

}  // namespace alpa::driver
