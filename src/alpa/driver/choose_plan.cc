#include "alpa/driver/choose_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "alpa/base/file.h"
#include "alpa/cluster/cluster.h"
#include "alpa/driver/plan_candidates.h"
#include "alpa/driver/version.h"
#include "alpa/report/clusters.h"
#include "alpa/report/progress.h"
#include "alpa/runtime/initial_values.h"

namespace alpa::driver {
namespace {

constexpr int kWarmUp = 1, kTimed = 3;  // steps
constexpr double kHopeless = 1.5;       // a warm step this much slower than the best so far ends a measurement
constexpr double kClose = 1.25;         // what is this close to the best is measured twice

std::filesystem::path CacheFolder() {
  const auto given = [](const char* name) {
    const char* value = std::getenv(name);
    return std::filesystem::path(value == nullptr ? "" : value);
  };
  if (!given("ALPA_CACHE").empty()) return given("ALPA_CACHE");
  if (!given("XDG_CACHE_HOME").empty()) return given("XDG_CACHE_HOME") / "alpa";
  return (given("HOME").empty() ? std::filesystem::temp_directory_path() : given("HOME") / ".cache") / "alpa";
}

std::string CpuName() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("model name")) return line;
  }
  return "unknown";
}

// Everything but the model that decides how fast a plan is, or which plans there are.
Result<uint64_t> MachineHash(const ChooseOptions& options) {
  ALPA_TRY(const cluster::Cluster machine, cluster::LoadCluster(options.cluster.empty() ? "local" : options.cluster));
  const char* flags = std::getenv("XLA_FLAGS");
  return Fnv1a(fmt::format("{}|{}|{}|{}|{}", CpuName(), std::thread::hardware_concurrency(), kVersion,
                           flags == nullptr ? "" : flags, report::ClusterText(machine)));
}

// Seconds of a step, the median; nothing when a warm step is hopelessly slower than `best`.
Result<std::optional<double>> TimeOf(xla::Engine& engine, const ChooseOptions& options, const PlanChoice& choice,
                                     double best) {
  const Gate gate({});
  ALPA_TRY(const Session session,
           OpenSession(engine, {options.load, choice.devices, choice.plan, {}, choice.microbatches, false}, gate));
  const std::string source = session.loaded.sidecar.empty() ? "random:0" : session.loaded.sidecar.string();
  ALPA_TRY(const auto initial, runtime::OpenInitialValues(source, session.module(), session.signature()));
  ALPA_TRY(const auto batch, runtime::InitialBatch(*initial, session.signature()));
  ALPA_TRY(const auto trainer, CompileSession(
                                   session, [&](int32_t input) { return initial->Value(input); }, gate));
  std::vector<std::unique_ptr<xla::Array>> arrays;
  std::vector<xla::Array*> pointers;
  const std::vector<sharding::Spec> specs = trainer->batch_specs();
  for (size_t i = 0; i < batch.size(); ++i) {
    ALPA_TRY(auto array, session.client->Put(batch[i], specs[i], trainer->mesh()));
    pointers.push_back(array.get());
    arrays.push_back(std::move(array));
  }
  std::vector<double> seconds;
  for (int step = 0; step < kWarmUp + kTimed; ++step) {
    ALPA_TRY(const runtime::StepResult result, trainer->Step(pointers));
    if (step < kWarmUp) continue;
    seconds.push_back(result.wall.value);
    if (result.wall.value > kHopeless * best) return std::optional<double>();
  }
  std::sort(seconds.begin(), seconds.end());
  return std::optional(seconds[seconds.size() / 2]);
}

// One round over `choices`: keeps the better of what they had and what they have now.
void Measure(xla::Engine& engine, const ChooseOptions& options, std::string_view what,
             std::vector<PlanChoice>* choices) {
  double best = std::numeric_limits<double>::infinity();
  for (const PlanChoice& c : *choices) best = c.measured.value > 0 ? std::min(best, c.measured.value) : best;
  for (size_t i = 0; i < choices->size(); ++i) {
    PlanChoice& choice = (*choices)[i];
    if (!options.quiet) fmt::print(stderr, "{} {} of {}: {}: ", what, i + 1, choices->size(), choice.label);
    const auto time = TimeOf(engine, options, choice, best);
    std::string outcome;
    if (!time.ok()) {
      outcome = "does not run here: " + time.error().message;
    } else if (!time->has_value()) {
      outcome = "much slower";
    } else {
      const double seconds = **time;
      outcome = fmt::format("{} a step", ToString(Seconds(seconds)));
      if (choice.measured.value == 0 || seconds < choice.measured.value) choice.measured = Seconds(seconds);
      best = std::min(best, seconds);
    }
    if (!options.quiet) fmt::print(stderr, "{}\n", outcome);
  }
}

void KeepMeasured(std::vector<PlanChoice>* choices) {
  std::erase_if(*choices, [](const PlanChoice& c) { return c.measured.value == 0; });
  std::stable_sort(choices->begin(), choices->end(),
                   [](const PlanChoice& a, const PlanChoice& b) { return a.measured < b.measured; });
}

// A choice that is there, readable, and whose plan file still is.
std::optional<std::vector<PlanChoice>> Remembered(const std::filesystem::path& file) {
  const auto text = ReadFile(file);
  if (!text.ok()) return std::nullopt;
  auto choices = ChoicesFromJson(*text);
  if (!choices.ok() || choices->empty()) return std::nullopt;
  const std::string& plan = choices->front().plan;
  if (plan != "data-parallel" && !std::filesystem::exists(plan)) return std::nullopt;
  return std::move(*choices);
}

}  // namespace

Result<MeasuredChoice> ChoosePlan(xla::Engine& engine, const ChooseOptions& options) {
  ALPA_TRY(const uint64_t machine, MachineHash(options));
  const Gate gate({});
  ALPA_TRY(const LoadedStep loaded, LoadStep(engine, options.load, gate));
  const std::filesystem::path folder =
      CacheFolder() / "plans" / fmt::format("{:016x}-{:016x}", ir::Fingerprint(loaded.step.module), machine);
  const std::filesystem::path file = folder / "choice.json";
  if (!options.again) {
    if (auto known = Remembered(file)) return MeasuredChoice{std::move(*known), true};
  }
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return Error{Code::kIo, fmt::format("{}: {}", folder.string(), error.message()), "set ALPA_CACHE"};
  if (!options.quiet) fmt::print(stderr, "planning for this machine\n");
  ALPA_TRY(std::vector<PlanChoice> candidates, PlanCandidates(loaded, options, folder));
  std::vector<PlanChoice> choices = WorthTiming(std::move(candidates), options.most);
  Measure(engine, options, "measuring", &choices);
  KeepMeasured(&choices);
  if (choices.empty()) return Error{Code::kUnsupported, "no plan for this machine could be run", "try alpa run alone"};
  // The best and what is close to it once more, since other work on the machine makes single rounds unfair.
  const auto far = std::find_if(choices.begin(), choices.end(), [&](const PlanChoice& c) {
    return c.measured.value > kClose * choices.front().measured.value;
  });
  std::vector<PlanChoice> close(choices.begin(), far);
  if (close.size() > 1) {
    Measure(engine, options, "again", &close);
    std::copy(close.begin(), close.end(), choices.begin());
    KeepMeasured(&choices);
  }
  ALPA_RETURN_IF_ERROR(WriteFileAtomic(file, ToJson(choices)));
  return MeasuredChoice{std::move(choices), false};
}

std::string ToJson(const std::vector<PlanChoice>& choices) {
  nlohmann::json list = nlohmann::json::array();
  for (const PlanChoice& c : choices) {
    // JSON has no infinity: a plan that the cost model thinks impossible has no prediction.
    const nlohmann::json predicted =
        std::isfinite(c.predicted.value) ? nlohmann::json(c.predicted.value) : nlohmann::json(nullptr);
    list.push_back({{"label", c.label},
                    {"plan", c.plan},
                    {"devices", c.devices},
                    {"microbatches", c.microbatches},
                    {"predicted", predicted},
                    {"measured", c.measured.value}});
  }
  return nlohmann::json{{"choices", list}}.dump(1) + "\n";
}

Result<std::vector<PlanChoice>> ChoicesFromJson(std::string_view text) {
  try {
    std::vector<PlanChoice> choices;
    const nlohmann::json file = nlohmann::json::parse(text);
    for (const nlohmann::json& c : file.at("choices")) {
      const nlohmann::json& predicted = c.at("predicted");
      choices.push_back({c.at("label"), c.at("plan"), c.at("devices"), c.at("microbatches"),
                         Seconds(predicted.is_null() ? HUGE_VAL : predicted.get<double>()),
                         Seconds(c.at("measured").get<double>())});
    }
    return choices;
  } catch (const nlohmann::json::exception& error) {
    return Error{Code::kCorrupt, fmt::format("measured plans: {}", error.what()), ""};
  }
}

std::string ChoicesText(const MeasuredChoice& choice) {
  std::string text = fmt::format("{:<40} {:>12} {:>12}\n", "plan", "predicted", "measured");
  for (const PlanChoice& c : choice.measured) {
    text += fmt::format("{:<40} {:>12} {:>12}\n", c.label,
                        std::isfinite(c.predicted.value) ? ToString(c.predicted) : "-", ToString(c.measured));
  }
  return text;
}

}  // namespace alpa::driver
