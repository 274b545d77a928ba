#include "alpa/driver/verify.h"

#include <fmt/format.h>

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "alpa/driver/check.h"
#include "alpa/driver/session.h"
#include "alpa/runtime/compare.h"
#include "alpa/runtime/data_source.h"
#include "alpa/runtime/initial_values.h"
#include "alpa/runtime/prefetch.h"

namespace alpa::driver {
namespace {

// A step that is trained on its initial batch.
class Run {
 public:
  Run(const VerifyOptions& options, std::string plan) : options_(options), plan_(std::move(plan)) {}

  Status Open(xla::Engine& engine) {
    SessionOptions session;
    session.load = options_.load;
    session.plan = plan_;
    ALPA_TRY(session_, OpenSession(engine, session, gate_));
    std::string source = options_.init;
    if (source.empty()) source = session_.loaded.sidecar.empty() ? "random:0" : session_.loaded.sidecar.string();
    ALPA_TRY(initial_, runtime::OpenInitialValues(source, session_.module(), session_.signature()));
    ALPA_TRY(trainer_, CompileSession(
                           session_, [this](int32_t input) { return initial_->Value(input); }, gate_));
    ALPA_TRY(const auto batch, runtime::InitialBatch(*initial_, session_.signature()));
    const std::vector<sharding::Spec> specs = trainer_->batch_specs();
    for (size_t b = 0; b < batch.size(); ++b) {
      ALPA_TRY(auto array, session_.client->Put(batch[b], specs[b], trainer_->mesh()));
      batch_.push_back(std::move(array));
    }
    return Ok();
  }

  std::vector<xla::Array*> batch() const {
    std::vector<xla::Array*> out;
    for (const auto& array : batch_) out.push_back(array.get());
    return out;
  }
  runtime::Trainer& trainer() { return *trainer_; }
  const Session& session() const { return session_; }
  const runtime::InitialValues& initial() const { return *initial_; }

 private:
  const VerifyOptions& options_;
  const std::string plan_;
  const Gate gate_{GateOptions{}};
  Session session_;
  std::unique_ptr<runtime::InitialValues> initial_;
  std::unique_ptr<runtime::Trainer> trainer_;
  std::vector<std::unique_ptr<xla::Array>> batch_;
};

Result<runtime::GoldenFile> TrainOnOneDevice(xla::Engine& engine, const VerifyOptions& options) {
  Run run(options, "data-parallel");
  ALPA_RETURN_IF_ERROR(run.Open(engine));
  std::map<int64_t, std::vector<ir::HostTensor>> outputs;
  std::vector<double> losses;
  for (int64_t step = 1; step <= options.steps; ++step) {
    ALPA_TRY(const runtime::StepResult result, run.trainer().Step(run.batch()));
    if (result.loss) losses.push_back(*result.loss);
    if (step != 1 && step != options.steps) continue;
    ALPA_TRY(outputs[step], OutputsToHost(run.session().signature(), run.trainer(), result));
  }
  return runtime::GoldenFile::FromRun("one device", std::move(outputs), std::move(losses));
}

}  // namespace

Status VerifyPlan(const VerifyOptions& options) {
  KeepCompiled(options.cache);
  ALPA_TRY(xla::Engine* const engine, xla::LoadEngine());
  Run run(options, options.plan);
  ALPA_RETURN_IF_ERROR(run.Open(*engine));
  ALPA_TRY(runtime::GoldenFile golden, TrainOnOneDevice(*engine, options));
  const auto check =
      GoldenCheck::With(std::move(golden), run.session().module(), run.session().signature(), options.tolerance);
  for (int64_t step = 1; step <= options.steps; ++step) {
    ALPA_TRY(const runtime::StepResult result, run.trainer().Step(run.batch()));
    ALPA_RETURN_IF_ERROR(check->AfterStep(step, run.trainer(), result));
  }
  if (!check->comparison().ok()) {
    const runtime::InputProvider initial = [&](int32_t input) { return run.initial().Value(input); };
    ALPA_RETURN_IF_ERROR(check->AllowForRounding(run.trainer(), initial, run.batch()));
  }
  fmt::print("{} against one device, {} steps (expected: of one device)\n{}", options.plan, options.steps,
             check->Table(options.all));
  return runtime::Verdict(check->comparison());
}

}  // namespace alpa::driver
