#include "alpa/driver/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <thread>

#include "alpa/base/file.h"
#include "alpa/driver/catch_interrupt.h"
#include "alpa/driver/check.h"
#include "alpa/driver/choose_plan.h"
#include "alpa/driver/metrics.h"
#include "alpa/driver/processes.h"
#include "alpa/driver/run_checkpoints.h"
#include "alpa/driver/session.h"
#include "alpa/driver/trace.h"
#include "alpa/driver/version.h"
#include "alpa/process/agree.h"
#include "alpa/process/open_world.h"
#include "alpa/report/collectives.h"
#include "alpa/report/loss_curve.h"
#include "alpa/report/progress.h"
#include "alpa/runtime/checkpoint_folder.h"
#include "alpa/runtime/pipeline_client.h"
#include "alpa/runtime/prefetch.h"

namespace alpa::driver {
namespace {

constexpr int64_t kDefaultSteps = 10;
constexpr size_t kLossesInCheckpoint = 10;
constexpr int kCannotSave = 1000;  // among the numbers of signals

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
  for (const auto& path : {o.save_plan, o.check_report, o.metrics, o.loss_curve, o.trace}) {
    if (!path.empty()) ALPA_RETURN_IF_ERROR(CheckWritable(path));
  }
  return Ok();
}

// One run of `alpa run`, from opened session to the last checkpoint.
class Training {
 public:
  Training(const RunOptions& options, const Processes& processes)
      : options_(options),
        processes_(processes),
        gate_(options.gate),
        checkpoints_({options.checkpoint, options.resume, options.keep}, session_, processes) {}

  Status Run() {
    ALPA_RETURN_IF_ERROR(processes_.Agree(Prepare()));
    if (data_ == nullptr) return Ok();  // the gate has stopped before
    ALPA_RETURN_IF_ERROR(AgreeOnRun());
    ALPA_RETURN_IF_ERROR(processes_.Agree(Resume()));
    ALPA_RETURN_IF_ERROR(processes_.Agree(Compile()));
    if (options_.gate.stop_after.has_value() && !gate_.Stops(Phase::kRun)) return Ok();
    ALPA_RETURN_IF_ERROR(processes_.EndWith(Steps()));
    ALPA_RETURN_IF_ERROR(processes_.Agree(saving_));
    processes_.At("after the last step");
    return processes_.Agree(Report());
  }

 private:
  // All up to the opened inputs; nothing here waits for another process.
  Status Prepare() {
    ALPA_RETURN_IF_ERROR(CheckOptions(options_));
    ALPA_TRY(xla::Engine* const engine, xla::LoadEngine());
    ALPA_TRY(session_,
             OpenSession(*engine,
                         {options_.load, options_.devices, options_.plan, options_.backend, options_.microbatches,
                          options_.per_microbatch, processes_.world.get(), processes_.watch.get()},
                         gate_));
    if (gate_.Stops(Phase::kImport) || gate_.Stops(Phase::kAnalyze)) return Ok();
    if (!options_.save_plan.empty()) {
      const std::string text = session_.pipeline ? plan::ToJson(*session_.pipeline) : plan::ToJson(session_.plan);
      ALPA_RETURN_IF_ERROR(WriteFileAtomic(options_.save_plan, text));
    }
    if (gate_.Stops(Phase::kPlan)) return Ok();
    ALPA_RETURN_IF_ERROR(checkpoints_.CheckFolder());
    return OpenInputs();
  }

  // That all processes train the same model on the same data, from the same step on.
  Status AgreeOnRun() const {
    ALPA_RETURN_IF_ERROR(processes_.AgreeOnValue("model", fmt::format("{}", ir::Fingerprint(session_.module()))));
    ALPA_RETURN_IF_ERROR(processes_.AgreeOnValue("plan", plan::ToJson(session_.plan)));
    if (session_.pipeline) {
      ALPA_RETURN_IF_ERROR(processes_.AgreeOnValue("plan", plan::ToJson(*session_.pipeline)));
    }
    ALPA_RETURN_IF_ERROR(processes_.AgreeOnValue("source of data", data_->Describe()));
    ALPA_RETURN_IF_ERROR(processes_.AgreeOnValue("number of steps", fmt::format("{}", LastStep())));
    return processes_.AgreeOnValue("use of checkpoints",
                                   fmt::format("{} {} {} {}", options_.checkpoint.string(), options_.checkpoint_every,
                                               options_.keep, options_.resume));
  }

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

  // All processes together: each checks a part of the checkpoint.
  Status Resume() {
    ALPA_RETURN_IF_ERROR(checkpoints_.Resume(*data_, options_.seed));
    if (!checkpoints_.resumed().has_value()) return Ok();
    first_step_ = done_ = checkpoints_.resumed()->info().step;
    losses_in_checkpoint_ = checkpoints_.resumed()->info().losses;
    return Ok();
  }

  Status Compile() {
    const runtime::InputProvider provider = [this](int32_t input) {
      const auto& resumed = checkpoints_.resumed();
      return resumed.has_value() ? resumed->Value(input) : initial_->Value(input);
    };
    ALPA_TRY(trainer_, CompileSession(session_, provider, gate_));
    if (session_.plan.prediction.has_value() || options_.gate.verbose) {
      fmt::print("{}", report::CollectivesTable(session_.plan, trainer_->executable().stats().collectives));
    }
    PrintCollectivesOfStages();
    if (options_.microbatches > 1 || options_.gate.verbose) {
      const xla::ExecutableStats& stats = trainer_->executable().stats();
      fmt::print("memory: {} for the inputs, {} while the step runs\n", ToString(stats.argument_bytes),
                 ToString(stats.temporary_bytes));
    }
    return Ok();
  }

  // Of the stages of this process, where the plan has stages.
  void PrintCollectivesOfStages() const {
    const auto* client = dynamic_cast<const runtime::PipelineClient*>(session_.client.get());
    if (client == nullptr || (options_.quiet && !options_.gate.verbose)) return;
    for (size_t s = 0; s < client->collectives().size(); ++s) {
      const plan::Plan& layout = session_.pipeline->stages[s].layout;
      const std::string line = report::CollectivesLine(layout, client->collectives()[s]);
      if (line.empty()) continue;
      fmt::print("stage {}: {}\n", s, line);
      if (options_.gate.verbose) fmt::print("{}", report::CollectivesTable(layout, client->collectives()[s]));
    }
  }

  int64_t LastStep() const {
    if (options_.steps > 0) return options_.steps;
    return check_ != nullptr ? check_->last_step() : kDefaultSteps;
  }

  Status Steps() {
    // Of several processes SIGTERM is the watch's: mpirun sends it also when one of them has died.
    const CatchInterrupt interrupt(processes_.count() > 1 ? std::vector<int>{SIGINT, SIGUSR1}
                                                          : std::vector<int>{SIGINT, SIGTERM});
    const auto heeding = processes_.OnSigterm([&interrupt] { interrupt.Catch(SIGTERM); });
    const Throughput throughput = ThroughputOf(session_);
    ALPA_TRY(Metrics metrics,
             Metrics::Open(options_.metrics, options_.resume ? std::optional(first_step_) : std::nullopt));
    ALPA_TRY(const auto prefetcher,
             runtime::Prefetcher::Start(std::move(data_), *session_.client, trainer_->batch_specs(), trainer_->mesh()));
    std::optional<report::Progress> progress;
    if (!options_.quiet) {
      progress.emplace(report::StderrScreen(),
                       report::ProgressOptions{LastStep(), first_step_, static_cast<double>(throughput.per_step),
                                               throughput.unit, FlopsOfStep().value});
    }
    for (bool stop = false; done_ < LastStep() && !stop;) {
      processes_.At(fmt::format("step {}, waiting for data", done_ + 1));
      ALPA_TRY(runtime::DeviceBatch batch, prefetcher->Next());
      processes_.At(fmt::format("step {}, on the devices", done_ + 1), /*waiting=*/true);
      ALPA_TRY(const runtime::StepResult result, trainer_->Step(batch.pointers()));
      ++done_;
      processes_.At(fmt::format("behind step {}", done_));
      ALPA_RETURN_IF_ERROR(AfterStep(done_, result, progress));
      last_batch_ = std::move(batch);
      last_wall_ = result.wall;
      ALPA_RETURN_IF_ERROR(
          metrics.Write({done_, result.loss, result.wall, static_cast<double>(throughput.per_step) / result.wall.value,
                         throughput.unit, FlopsOfStep(), TimelineOfStep()}));
      const bool due = options_.checkpoint_every > 0 && done_ % options_.checkpoint_every == 0;
      // All processes stop at the same step, whichever of them got the signal or could not save.
      ALPA_TRY(const int why, processes_.Largest(checkpoints_.failed() ? kCannotSave : interrupt.signal()));
      stop = why != 0;
      if (why != kCannotSave && done_ < LastStep()) interrupted_by_ = why;
      if (due || done_ == LastStep() || stop) {
        ALPA_TRY(const bool saving, Save(*prefetcher, progress));
        if (!saving) return Ok();
      }
    }
    processes_.At("the last checkpoint", /*waiting=*/true);
    saving_ = checkpoints_.Settle();
    if (progress.has_value()) progress->Finish();
    return Ok();
  }

  // Products and convolutions, as the planner counts them.
  Flops FlopsOfStep() const { return session_.loaded.analysis.total().dot_conv; }

  // Of the last step; null when the plan is for one mesh.
  const runtime::StepTimeline* TimelineOfStep() const {
    const auto* client = dynamic_cast<const runtime::PipelineClient*>(session_.client.get());
    return client == nullptr ? nullptr : &client->timeline();
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

  // Has the state written while training goes on. False when the save before has failed: `saving_` says why.
  Result<bool> Save(const runtime::Prefetcher& prefetcher, std::optional<report::Progress>& progress) {
    if (options_.checkpoint.empty()) return true;
    processes_.At(fmt::format("the checkpoint of step {}", done_));
    if (checkpoints_.busy() && progress.has_value()) progress->Say("waiting for the last checkpoint to be written");
    saving_ = checkpoints_.Settle();
    if (!saving_.ok()) return false;
    runtime::CheckpointInfo info;
    info.step = done_;
    info.data_position = prefetcher.position();
    info.data = prefetcher.description();
    info.batches_per_epoch = prefetcher.batches_per_epoch();
    info.seed = options_.seed;
    info.alpa_version = kVersion;
    info.losses = losses_in_checkpoint_;
    info.losses.insert(info.losses.end(), losses_.begin(), losses_.end());
    if (info.losses.size() > kLossesInCheckpoint)
      info.losses.erase(info.losses.begin(), info.losses.end() - kLossesInCheckpoint);
    ALPA_RETURN_IF_ERROR(checkpoints_.Start(std::move(info), *trainer_));
    return true;
  }

  // What a signal ended.
  Error Interrupted() const {
    const char* const name = interrupted_by_ == SIGINT ? "SIGINT" : interrupted_by_ == SIGTERM ? "SIGTERM" : "SIGUSR1";
    const std::string where = fmt::format("{}: {} of {} steps done", name, done_, LastStep());
    if (const auto& saved = checkpoints_.saved(); !saved.empty()) {
      return {Code::kInterrupted, fmt::format("{}, saved as {}", where, saved.string()), "go on with --resume"};
    }
    if (const auto& resumed = checkpoints_.resumed(); resumed.has_value() && done_ == first_step_) {
      return {Code::kInterrupted, fmt::format("{}, none since {}", where, resumed->folder().string()),
              "go on with --resume"};
    }
    return {Code::kInterrupted, fmt::format("{}, not saved", where),
            options_.checkpoint.empty() ? "give --checkpoint DIR to save what is done" : ""};
  }

  // Per device of a mesh.
  Bytes PlannedMemory(const runtime::PipelineClient& client, size_t mesh) const {
    std::vector<plan::StagePrediction> stages;
    for (size_t s = 0; s < session_.pipeline->stages.size(); ++s) {
      const int on = client.setup().pipeline.stages[s].mesh;
      if (on == static_cast<int>(mesh)) stages.push_back(session_.pipeline->stages[s].prediction);
    }
    return plan::PeakMemory(stages);
  }

  // Where the time of the last step went, mesh by mesh.
  Status ReportPipeline() const {
    const auto* client = dynamic_cast<const runtime::PipelineClient*>(session_.client.get());
    if (client == nullptr) {
      if (options_.trace.empty() || !processes_.first()) return Ok();
      const int64_t devices = session_.plan.mesh.size();
      ALPA_RETURN_IF_ERROR(WriteFileAtomic(options_.trace, TraceOfStep(done_, last_wall_, devices)));
      fmt::print("timeline written to {}: the step as a whole, which on one mesh is one program\n",
                 options_.trace.string());
      return Ok();
    }
    const runtime::StepTimeline& timeline = client->timeline();
    for (size_t m = 0; m < timeline.times.size() && timeline.wall > 0; ++m) {
      const runtime::MeshTimes& times = timeline.times[m];
      if (!times.here) continue;
      fmt::print(
          "mesh {} in the last step: {:.1f} % computing, {:.1f} % waiting for other meshes; at most {} of memory per "
          "device ({} planned)\n",
          m, 100 * times.computing / timeline.wall, 100 * times.waiting / timeline.wall, ToString(times.memory),
          ToString(PlannedMemory(*client, m)));
    }
    if (timeline.wall > 0) {
      fmt::print("bubble: {:.1f} % of the step; time outside of XLA's programs and of waiting: at most {:.1f} %\n",
                 100 * timeline.bubble(), 100 * timeline.overhead());
    }
    if (options_.trace.empty() || !processes_.first()) return Ok();
    ALPA_RETURN_IF_ERROR(WriteFileAtomic(options_.trace, TraceOf(*client, *session_.pipeline)));
    fmt::print("timeline written to {}; open it at ui.perfetto.dev\n", options_.trace.string());
    return Ok();
  }

  Status Report() {
    if (first_step_ >= LastStep()) {
      fmt::print("nothing to do: the checkpoint is at step {}, --steps says {}\n", first_step_, LastStep());
      return Ok();
    }
    if (!losses_.empty()) {
      fmt::print("steps {}-{}: loss {} -> {}\n", first_step_ + 1, done_, report::FormatLoss(losses_.front()),
                 report::FormatLoss(losses_.back()));
    } else if (done_ > first_step_) {
      fmt::print("steps {}-{} done; the step has no loss\n", first_step_ + 1, done_);
    }
    if (!checkpoints_.saved().empty()) fmt::print("checkpoint: {}\n", checkpoints_.saved().string());
    ALPA_RETURN_IF_ERROR(ReportPipeline());
    if (!options_.loss_curve.empty() && !losses_.empty()) {
      ALPA_RETURN_IF_ERROR(WriteFileAtomic(options_.loss_curve, report::LossCurveSvg(loss_steps_, losses_)));
      fmt::print("loss curve: {}\n", options_.loss_curve.string());
    }
    if (interrupted_by_ != 0) return Interrupted();
    if (check_ == nullptr) return Ok();
    if (!check_->comparison().ok()) {
      const runtime::InputProvider initial = [this](int32_t input) { return initial_->Value(input); };
      ALPA_RETURN_IF_ERROR(check_->AllowForRounding(*trainer_, initial, last_batch_.pointers()));
    }
    if (!options_.check_report.empty() && processes_.first()) {
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
  const Processes& processes_;
  const Gate gate_;
  Session session_;
  std::unique_ptr<GoldenCheck> check_;
  std::unique_ptr<runtime::InitialValues> initial_;
  std::unique_ptr<runtime::DataSource> data_;
  std::unique_ptr<runtime::Trainer> trainer_;
  runtime::DeviceBatch last_batch_;
  int64_t first_step_ = 0;  // steps done before this run
  int64_t done_ = 0;        // and with it
  Seconds last_wall_;       // of the last step
  std::vector<double> loss_steps_, losses_;
  std::vector<double> losses_in_checkpoint_;
  int interrupted_by_ = 0;  // a signal; 0: none
  bool warned_ = false;
  Status saving_;               // the outcome of the last checkpoint, the same in all processes
  RunCheckpoints checkpoints_;  // last: its thread uses the others
};

// Trains, together with the other processes if there are any. `first`: whether this is the one that prints.
Status RunTogether(const RunOptions& options, bool* first) {
  ALPA_TRY(const Processes processes, OpenProcesses(Seconds(options.hang_limit), [&options] {
             if (!options.checkpoint.empty()) runtime::RemoveStale(options.checkpoint);
           }));
  *first = processes.first();
  RunOptions mine = options;
  if (!processes.first()) {  // what the first one writes
    mine.quiet = true;
    mine.gate.verbose = false;
    mine.gate.dump_dir.clear();
    for (auto* path : {&mine.save_plan, &mine.metrics, &mine.loss_curve, &mine.trace}) path->clear();
  }
  const Status status = Training(mine, processes).Run();
  SayOnce(processes, status);
  return status;
}

// mpirun kills all processes as soon as one has ended with an error; the first one needs the time to say why.
constexpr std::chrono::milliseconds kTimeToPrint{500};

Status RunProcesses(const RunOptions& options) {
  KeepCompiled(options.cache);
  bool first = true;
  const Status status = RunTogether(options, &first);
  if (!first && !status.ok()) std::this_thread::sleep_for(kTimeToPrint);
  return status;
}

}  // namespace

Status Run(const RunOptions& options) {
  if (options.plan != kAutoPlan) {
    if (options.measure_again || !options.cluster.empty())
      return Contradiction("--measure-again and --cluster are about --plan auto");
    return RunProcesses(options);
  }
  if (options.devices != 0 || options.microbatches != 1 || options.per_microbatch || !options.backend.empty())
    return Contradiction("--plan auto finds devices and microbatches itself, on this machine's CPU; leave them out");
  if (process::StartedAsGroup())
    return Contradiction("--plan auto is for one process; start it without mpirun or srun");
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
  return RunProcesses(chosen);
}

}  // namespace alpa::driver
