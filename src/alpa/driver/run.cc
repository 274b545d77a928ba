#include "alpa/driver/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>

#include "alpa/base/file.h"
#include "alpa/driver/check.h"
#include "alpa/driver/choose_plan.h"
#include "alpa/driver/session.h"
#include "alpa/driver/version.h"
#include "alpa/report/collectives.h"
#include "alpa/report/loss_curve.h"
#include "alpa/report/progress.h"
#include "alpa/runtime/checkpoint.h"
#include "alpa/runtime/prefetch.h"

namespace alpa::driver {
namespace {

constexpr int64_t kDefaultSteps = 10;
constexpr size_t kLossesInCheckpoint = 10;

Error Contradiction(const std::string& what) { return {Code::kInvalidArgument, what, ""}; }

// What can be known to be wrong before anything is read.
Status CheckOptions(const RunOptions& o) {
  if (o.resume && o.checkpoint.empty()) return Contradiction("--resume needs --checkpoint DIR to resume from");
  if (o.checkpoint_every > 0 && o.checkpoint.empty()) return Contradiction("--checkpoint-every needs --checkpoint DIR");
  if (!o.check.empty() && !o.data.empty()) {
    return Contradiction("--check trains on the inputs of its file; it does not go together with --data");
  }
  if (!o.check.empty() && o.resume)
    return Contradiction("--check starts from the beginning; it does not go together with --resume");
  if (!o.check_report.empty() && o.check.empty())
    return Contradiction("--check-report needs --check GOLDEN.npz to report on");
  for (const auto& path : {o.save_plan, o.check_report, o.metrics, o.loss_curve}) {
    if (!path.empty()) ALPA_RETURN_IF_ERROR(CheckWritable(path));
  }
  return Ok();
}

// Steps, losses and times as JSON lines, each written out at once.
class Metrics {
 public:
  static Result<Metrics> Open(const std::filesystem::path& path, bool append) {
    Metrics metrics;
    metrics.path_ = path;
    if (path.empty()) return metrics;
    metrics.out_ = std::make_unique<std::ofstream>(path, append ? std::ios::app : std::ios::trunc);
    if (!*metrics.out_) return Error{Code::kIo, fmt::format("{}: cannot be written", path.string()), ""};
    return metrics;
  }
  Status Write(int64_t step, const std::optional<double>& loss, Seconds wall, double per_second,
               const std::string& unit) {
    if (out_ == nullptr) return Ok();
    const std::string value = loss.has_value() && std::isfinite(*loss) ? fmt::format("{}", *loss) : "null";
    *out_ << fmt::format("{{\"step\": {}, \"loss\": {}, \"seconds\": {}, \"{}_per_second\": {:.1f}}}\n", step, value,
                         wall.value, unit, per_second)
          << std::flush;
    if (!*out_) return Error{Code::kIo, fmt::format("{}: cannot write: {}", path_.string(), std::strerror(errno)), ""};
    return Ok();
  }

 private:
  std::filesystem::path path_;
  std::unique_ptr<std::ofstream> out_;
};

// One run of `alpa run`, from opened session to the last checkpoint.
class Training {
 public:
  explicit Training(const RunOptions& options) : options_(options), gate_(options.gate) {}

  Status Run() {
    ALPA_RETURN_IF_ERROR(CheckOptions(options_));
    ALPA_TRY(xla::Engine* const engine, xla::LoadEngine());
    ALPA_TRY(session_, OpenSession(*engine,
                                   {options_.load, options_.devices, options_.plan, options_.backend,
                                    options_.microbatches, options_.per_microbatch},
                                   gate_));
    if (gate_.Stops(Phase::kImport) || gate_.Stops(Phase::kAnalyze)) return Ok();
    if (!options_.save_plan.empty()) {
      ALPA_RETURN_IF_ERROR(WriteFileAtomic(options_.save_plan, plan::ToJson(session_.plan)));
    }
    if (gate_.Stops(Phase::kPlan)) return Ok();
    ALPA_RETURN_IF_ERROR(OpenInputs());
    ALPA_RETURN_IF_ERROR(OpenCheckpoints());
    ALPA_RETURN_IF_ERROR(Compile());
    if (gate_.Stops(Phase::kCompile)) return Ok();
    ALPA_RETURN_IF_ERROR(Steps());
    return Report();
  }

 private:
  // Where the run starts: golden file, given values, the sidecar's rules, or a guess.
  std::string InitialSource() const {
    if (!options_.init.empty()) return options_.init;
    if (check_ != nullptr && check_->has_inputs()) return options_.check.string();
    if (!session_.loaded.sidecar.empty()) return session_.loaded.sidecar.string();
    return "random:0";
  }

  Status OpenInputs() {
    if (!options_.check.empty()) {
      ALPA_TRY(check_, GoldenCheck::Open(options_.check, session_.module(), session_.signature(), options_.tolerance));
      if (!check_->has_inputs() && options_.init.empty() && session_.loaded.sidecar.empty()) {
        return Error{Code::kInvalidArgument,
                     fmt::format("{}: holds samples of the inputs only", options_.check.string()),
                     "give the init rules: --init MODEL.json"};
      }
    }
    ALPA_TRY(initial_, runtime::OpenInitialValues(InitialSource(), session_.module(), session_.signature()));
    if (options_.data.empty()) {
      ALPA_TRY(auto batch, runtime::InitialBatch(*initial_, session_.signature()));
      data_ = runtime::MakeFixedBatch(std::move(batch), initial_->Describe());
      return Ok();
    }
    std::vector<std::string> paths;
    for (const auto& path : options_.data) paths.push_back(path.string());
    ALPA_TRY(data_, runtime::OpenData(paths, session_.module(), session_.signature(),
                                      session_.loaded.analysis.batch_dims(), {options_.seed}));
    return Ok();
  }

  Status OpenCheckpoints() {
    if (options_.checkpoint.empty()) return Ok();
    ALPA_RETURN_IF_ERROR(runtime::CheckCheckpointFolder(options_.checkpoint, session_.module()));
    if (!options_.resume) {
      const auto existing = runtime::ListCheckpoints(options_.checkpoint);
      if (existing.ok() && !existing->empty()) {
        return Error{Code::kInvalidArgument,
                     fmt::format("{} already holds checkpoints, up to step {}", options_.checkpoint.string(),
                                 existing->back().step),
                     "add --resume to go on from there, or choose another folder"};
      }
      return Ok();
    }
    ALPA_TRY(resumed_,
             runtime::LoadCheckpoint(options_.checkpoint, std::nullopt, session_.module(), session_.signature()));
    const runtime::CheckpointInfo& info = resumed_->info();
    if (info.data != data_->Describe() || info.seed != options_.seed) {
      return Error{Code::kMismatch,
                   fmt::format("{} was trained on other data: {} (seed {}), now {} (seed {})",
                               resumed_->folder().string(), info.data, info.seed, data_->Describe(), options_.seed),
                   "give the same --data, --init and --seed, or start anew in another folder"};
    }
    first_step_ = info.step;
    losses_in_checkpoint_ = info.losses;
    return data_->Seek(info.data_position);
  }

  Status Compile() {
    const runtime::InputProvider provider = [this](int32_t input) {
      return resumed_.has_value() ? resumed_->Value(input) : initial_->Value(input);
    };
    ALPA_TRY(trainer_, CompileSession(session_, provider, gate_));
    if (session_.plan.prediction.has_value() || options_.gate.verbose) {
      fmt::print("{}", report::CollectivesTable(session_.plan, trainer_->executable().stats().collectives));
    }
    if (options_.microbatches > 1 || options_.gate.verbose) {
      const xla::ExecutableStats& stats = trainer_->executable().stats();
      fmt::print("memory: {} for the inputs, {} while the step runs\n", ToString(stats.argument_bytes),
                 ToString(stats.temporary_bytes));
    }
    return Ok();
  }

  int64_t LastStep() const {
    if (options_.steps > 0) return options_.steps;
    return check_ != nullptr ? check_->last_step() : kDefaultSteps;
  }

  Status Steps() {
    const Throughput throughput = ThroughputOf(session_);
    ALPA_TRY(Metrics metrics, Metrics::Open(options_.metrics, options_.resume));
    ALPA_TRY(const auto prefetcher,
             runtime::Prefetcher::Start(std::move(data_), *session_.client, trainer_->batch_specs(), trainer_->mesh()));
    std::optional<report::Progress> progress;
    if (!options_.quiet) {
      progress.emplace(
          report::StderrScreen(),
          report::ProgressOptions{LastStep(), first_step_, static_cast<double>(throughput.per_step), throughput.unit});
    }
    for (int64_t step = first_step_ + 1; step <= LastStep(); ++step) {
      ALPA_TRY(runtime::DeviceBatch batch, prefetcher->Next());
      ALPA_TRY(const runtime::StepResult result, trainer_->Step(batch.pointers()));
      ALPA_RETURN_IF_ERROR(AfterStep(step, result, progress));
      last_batch_ = std::move(batch);
      ALPA_RETURN_IF_ERROR(metrics.Write(step, result.loss, result.wall,
                                         static_cast<double>(throughput.per_step) / result.wall.value,
                                         throughput.unit));
      const bool due = options_.checkpoint_every > 0 && step % options_.checkpoint_every == 0;
      if (!options_.checkpoint.empty() && (due || step == LastStep())) ALPA_RETURN_IF_ERROR(Save(step, *prefetcher));
    }
    if (progress.has_value()) progress->Finish();
    return Ok();
  }

  Status AfterStep(int64_t step, const runtime::StepResult& result, std::optional<report::Progress>& progress) {
    if (progress.has_value()) progress->Update(step, result.loss);
    if (result.loss.has_value()) {
      const bool first_bad = !std::isfinite(*result.loss) && !warned_;
      if (first_bad && progress.has_value())
        progress->Say(fmt::format("warning: the loss is {} at step {}", *result.loss, step));
      warned_ = warned_ || first_bad;
      loss_steps_.push_back(static_cast<double>(step));
      losses_.push_back(*result.loss);
    }
    return check_ != nullptr ? check_->AfterStep(step, *trainer_, result) : Ok();
  }

  Status Save(int64_t step, const runtime::Prefetcher& prefetcher) {
    runtime::CheckpointInfo info;
    info.step = step;
    info.data_position = prefetcher.position();
    info.data = prefetcher.description();
    info.seed = options_.seed;
    info.alpa_version = kVersion;
    info.losses = losses_in_checkpoint_;
    info.losses.insert(info.losses.end(), losses_.begin(), losses_.end());
    if (info.losses.size() > kLossesInCheckpoint)
      info.losses.erase(info.losses.begin(), info.losses.end() - kLossesInCheckpoint);
    ALPA_TRY(saved_,
             runtime::SaveCheckpoint(options_.checkpoint, info, session_.module(), session_.signature(),
                                     [this](size_t index) { return trainer_->StateToHost(index); }, {options_.keep}));
    return Ok();
  }

  Status Report() {
    if (first_step_ >= LastStep()) {
      fmt::print("nothing to do: the checkpoint is at step {}, --steps says {}\n", first_step_, LastStep());
      return Ok();
    }
    if (!losses_.empty()) {
      fmt::print("steps {}-{}: loss {} -> {}\n", first_step_ + 1, LastStep(), report::FormatLoss(losses_.front()),
                 report::FormatLoss(losses_.back()));
    } else {
      fmt::print("steps {}-{} done; the step has no loss\n", first_step_ + 1, LastStep());
    }
    if (!saved_.empty()) fmt::print("checkpoint: {}\n", saved_.string());
    if (!options_.loss_curve.empty() && !losses_.empty()) {
      ALPA_RETURN_IF_ERROR(WriteFileAtomic(options_.loss_curve, report::LossCurveSvg(loss_steps_, losses_)));
      fmt::print("loss curve: {}\n", options_.loss_curve.string());
    }
    if (check_ == nullptr) return Ok();
    if (!check_->comparison().ok()) {
      const runtime::InputProvider initial = [this](int32_t input) { return initial_->Value(input); };
      ALPA_RETURN_IF_ERROR(check_->AllowForRounding(*trainer_, initial, last_batch_.pointers()));
    }
    if (!options_.check_report.empty()) {
      ALPA_RETURN_IF_ERROR(WriteFileAtomic(options_.check_report, runtime::ToJson(check_->comparison())));
    }
    fmt::print("{}", check_->Table(!options_.quiet));
    const auto& tensors = check_->comparison().tensors;
    const auto allowed =
        std::count_if(tensors.begin(), tensors.end(), [](const auto& t) { return t.took_allowance(); });
    if (allowed > 0) {
      fmt::print(
          "{} of them only because the step itself changes that much when its parameters change in their last bits\n",
          allowed);
    }
    return runtime::Verdict(check_->comparison());
  }

  const RunOptions& options_;
  const Gate gate_;
  Session session_;
  std::unique_ptr<GoldenCheck> check_;
  std::unique_ptr<runtime::InitialValues> initial_;
  std::unique_ptr<runtime::DataSource> data_;
  std::optional<runtime::Checkpoint> resumed_;
  std::unique_ptr<runtime::Trainer> trainer_;
  runtime::DeviceBatch last_batch_;
  int64_t first_step_ = 0;  // steps done before this run
  std::vector<double> loss_steps_, losses_;
  std::vector<double> losses_in_checkpoint_;
  std::filesystem::path saved_;
  bool warned_ = false;
};

}  // namespace

Status Run(const RunOptions& options) {
  if (options.plan != kAutoPlan) {
    if (options.measure_again || !options.cluster.empty())
      return Contradiction("--measure-again and --cluster are about --plan auto");
    return Training(options).Run();
  }
  if (options.devices != 0 || options.microbatches != 1 || options.per_microbatch || !options.backend.empty())
    return Contradiction("--plan auto finds devices and microbatches itself, on this machine's CPU; leave them out");
  ALPA_RETURN_IF_ERROR(CheckOptions(options));
  ALPA_TRY(xla::Engine* const engine, xla::LoadEngine());
  ChooseOptions how{options.load, options.cluster};
  how.again = options.measure_again;
  how.quiet = options.quiet;
  ALPA_TRY(const MeasuredChoice choice, ChoosePlan(*engine, how));
  const PlanChoice& best = choice.measured.front();
  if (!options.quiet)
    fmt::print("plan: {} ({} a step when measured{})\n", best.label, ToString(best.measured),
               choice.remembered ? ", earlier" : "");
  RunOptions chosen = options;
  chosen.plan = best.plan;
  chosen.devices = best.devices;
  chosen.microbatches = best.microbatches;
  return Training(chosen).Run();
}

}  // namespace alpa::driver
