#include "alpa/driver/demo.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "alpa/base/file.h"
#include "alpa/driver/check.h"
#include "alpa/driver/sample.h"
#include "alpa/driver/session.h"
#include "alpa/report/loss_curve.h"
#include "alpa/report/progress.h"
#include "alpa/runtime/prefetch.h"

namespace alpa::driver {
namespace {

constexpr int64_t kComparedSteps = 10;
constexpr const char* kModel = "gpt_bytes.mlirbc";
constexpr const char* kLogits = "gpt_bytes_logits.mlirbc";

// The top of the checkout: where examples/demo lies, seen from here or from the program.
Result<std::filesystem::path> FindCheckout() {
  std::error_code ec;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", ec).parent_path();
  for (const auto& root : {std::filesystem::path("."), program / "..", program / "../.."}) {
    if (std::filesystem::exists(root / "examples/demo" / kModel, ec)) return root.lexically_normal();
  }
  return Error{Code::kNotFound, "examples/demo/gpt_bytes.mlirbc is not here",
               "run the demo in the checkout: ./dev demo"};
}

std::vector<std::string> DataPaths(const DemoOptions& options, const std::filesystem::path& root) {
  std::vector<std::string> paths;
  for (const auto& path : options.data) paths.push_back(path.string());
  if (!paths.empty()) return paths;
  for (const char* text : {"README.md", "docs", "src", "tools", "examples/models"})
    paths.push_back((root / text).string());
  return paths;
}

// Makes the folder for the loss curve, so that trouble with it shows before the training.
Status MakeOutFolder(const std::filesystem::path& out) {
  std::error_code ec;
  std::filesystem::create_directories(out, ec);
  if (ec) return Error{Code::kIo, fmt::format("{}: cannot make the folder: {}", out.string(), ec.message()), ""};
  return CheckWritable(out / "loss.svg");
}

// What a terminal can show of bytes that a model has written.
std::string Printable(const std::string& bytes) {
  std::string out;
  for (const char c : bytes) out += c == '\n' || (c >= ' ' && c <= '~') ? c : '?';
  return out;
}

// What a run leaves behind: its losses, and the outputs after kComparedSteps.
struct RunRecord {
  std::vector<double> losses;
  std::vector<ir::HostTensor> outputs;
  std::vector<ir::HostTensor> parameters;  // at the end
  double seconds = 0;
};

struct Setup {
  xla::Engine* engine = nullptr;
  std::filesystem::path root;
  std::vector<std::string> data;
};

Result<Session> Open(const Setup& setup, int64_t devices) {
  SessionOptions options;
  options.load.model = setup.root / "examples/demo" / kModel;
  options.devices = devices;
  return OpenSession(*setup.engine, options, Gate({}));
}

Result<std::unique_ptr<runtime::DataSource>> OpenText(const Setup& setup, const Session& session) {
  return runtime::OpenData(setup.data, session.module(), session.signature(), session.loaded.analysis.batch_dims(), {});
}

// Trains for `steps` steps on `data`. `keep`: the parameters are wanted, too.
Result<RunRecord> Train(const Session& session, std::unique_ptr<runtime::DataSource> data, int64_t steps,
                        const std::string& what, bool keep) {
  ALPA_TRY(const auto initial,
           runtime::OpenInitialValues(session.loaded.sidecar.string(), session.module(), session.signature()));
  fmt::print(stderr, "{}: compiling ...\n", what);
  ALPA_TRY(const auto trainer, CompileSession(
                                   session, [&](int32_t i) { return initial->Value(i); }, Gate({})));
  if (keep) fmt::print("data      {}\n", data->Describe());
  std::fflush(stdout);
  ALPA_TRY(const auto prefetcher,
           runtime::Prefetcher::Start(std::move(data), *session.client, trainer->batch_specs(), trainer->mesh()));
  const Throughput throughput = ThroughputOf(session);
  report::Progress progress(report::StderrScreen(),
                            {steps, 0, static_cast<double>(throughput.per_step), throughput.unit});
  RunRecord record;
  const auto start = std::chrono::steady_clock::now();
  for (int64_t step = 1; step <= steps; ++step) {
    ALPA_TRY(const runtime::DeviceBatch batch, prefetcher->Next());
    ALPA_TRY(const runtime::StepResult result, trainer->Step(batch.pointers()));
    if (step == std::min(steps, kComparedSteps)) {
      ALPA_TRY(record.outputs, OutputsToHost(session.signature(), *trainer, result));
    }
    record.losses.push_back(result.loss.value_or(NAN));
    progress.Update(step, result.loss);
  }
  progress.Finish();
  record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!keep) return record;
  for (size_t k = 0; k < trainer->state_inputs().size(); ++k) {
    if (session.signature().inputs[static_cast<size_t>(trainer->state_inputs()[k])].role != ir::InputRole::kParameter)
      continue;
    ALPA_TRY(ir::HostTensor parameter, trainer->StateToHost(k));
    record.parameters.push_back(std::move(parameter));
  }
  return record;
}

Status DrawCurve(const DemoOptions& options, const RunRecord& record) {
  std::vector<double> steps;
  for (size_t k = 1; k <= record.losses.size(); ++k) steps.push_back(static_cast<double>(k));
  report::LossCurveOptions curve;
  curve.title = fmt::format("Byte-level GPT on {} virtual devices", options.devices);
  return WriteFileAtomic(options.out / "loss.svg", report::LossCurveSvg(steps, record.losses, curve));
}

Status WriteText(const Setup& setup, const DemoOptions& options, const RunRecord& record) {
  ALPA_TRY(const auto sampler,
           TextSampler::Create(*setup.engine, setup.root / "examples/demo" / kLogits, record.parameters));
  ALPA_TRY(const std::string text, sampler->Continue(options.prompt, {}));
  fmt::print("\nthe model writes:\n");
  size_t at = 0;
  const std::string printable = Printable(text);
  while (at < printable.size()) {
    const size_t end = std::min(printable.find('\n', at), printable.size());
    fmt::print("  | {}\n", printable.substr(at, end - at));
    at = end + 1;
  }
  return Ok();
}

// The same first steps on one device.
Status CompareWithOneDevice(const Setup& setup, const DemoOptions& options, const RunRecord& many) {
  ALPA_TRY(const Session session, Open(setup, 1));
  ALPA_TRY(auto data, OpenText(setup, session));
  const int64_t steps = std::min(options.steps, kComparedSteps);
  ALPA_TRY(const RunRecord one, Train(session, std::move(data), steps, "one device", /*keep=*/false));
  double largest = 0;
  double value = 0;
  for (size_t o = 0; o < one.outputs.size(); ++o) {
    const std::vector<double> a = ir::ToDoubles(one.outputs[o]);
    const std::vector<double> b = ir::ToDoubles(many.outputs[o]);
    for (size_t i = 0; i < a.size(); ++i) {
      largest = std::max(largest, std::fabs(a[i] - b[i]));
      value = std::max(value, std::fabs(a[i]));
    }
  }
  double loss = 0;
  for (size_t k = 0; k < one.losses.size(); ++k) loss = std::max(loss, std::fabs(one.losses[k] - many.losses[k]));
  fmt::print(
      "\n{} devices against one, after the same {} steps: weights and optimizer state differ by at most {:.1e}\n"
      "(largest value {:.1f}), losses by {:.1e}\n",
      options.devices, steps, largest, value, loss);
  return Ok();
}

}  // namespace

Status Demo(const DemoOptions& options) {
  Setup setup;
  ALPA_TRY(setup.root, FindCheckout());
  setup.data = DataPaths(options, setup.root);
  ALPA_TRY(setup.engine, xla::LoadEngine());
  ALPA_TRY(const Session session, Open(setup, options.devices));
  ALPA_TRY(auto data, OpenText(setup, session));
  ALPA_RETURN_IF_ERROR(MakeOutFolder(options.out));
  int64_t parameters = 0;
  for (size_t i = 0; i < session.module().inputs.size(); ++i) {
    const bool parameter = session.signature().inputs[i].role == ir::InputRole::kParameter;
    if (parameter) parameters += session.module().shape(session.module().inputs[i]).elements();
  }
  fmt::print(
      "model     a byte-level GPT of {:.2f} million parameters, exported from JAX\n"
      "plan      data parallel: a batch of {} over {} virtual devices\n",
      static_cast<double>(parameters) / 1e6, session.loaded.analysis.batch.batch_size, options.devices);
  ALPA_TRY(const RunRecord record,
           Train(session, std::move(data), options.steps, fmt::format("{} devices", options.devices), /*keep=*/true));
  ALPA_RETURN_IF_ERROR(DrawCurve(options, record));
  fmt::print("loss      {:.2f} -> {:.2f} in {} steps, {:.0f} s; curve: {}\n", record.losses.front(),
             record.losses.back(), options.steps, record.seconds, (options.out / "loss.svg").string());
  ALPA_RETURN_IF_ERROR(WriteText(setup, options, record));
  return CompareWithOneDevice(setup, options, record);
}

}  // namespace alpa::driver
