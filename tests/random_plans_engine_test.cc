// Random plans of several stages train to the numbers of the golden files: a fixed set of seeds, and new seeds in every
// run, for ALPA_RANDOM_SECONDS (default 15). `./dev bench pipelines` tries many more.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "alpa/base/file.h"
#include "alpa/driver/load_step.h"
#include "alpa/driver/random_pipeline.h"
#include "alpa/driver/run.h"
#include "alpa/runtime/test_support.h"
#include "alpa/xla/engine.h"

namespace alpa {
namespace {

namespace fs = std::filesystem;

const fs::path kModels = fs::path(ALPA_SOURCE_DIR) / "tests/models";
constexpr int64_t kSteps = 2;

struct Case {
  std::string model;
  uint64_t seed = 0;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.model << ", seed " << c.seed; }

Result<plan::PipelinePlan> PlanFor(const Case& c) {
  ALPA_TRY(xla::Engine* const engine, xla::LoadEngine());
  driver::LoadOptions load;
  load.model = kModels / (c.model + ".mlirbc");
  ALPA_TRY(const driver::LoadedStep loaded, driver::LoadStep(*engine, load, driver::Gate({})));
  ALPA_TRY(const cluster::Cluster cluster, cluster::LoadCluster("local:1x8"));
  return driver::RandomPipeline(loaded, cluster, {c.seed});
}

std::string HowToRepeat(const Case& c) {
  return fmt::format(
      "alpa plan tests/models/{0}.mlirbc --random {1} --cluster local:1x8 -o p.json && "
      "alpa run tests/models/{0}.mlirbc --plan p.json --check tests/models/{0}.npz --steps {2}",
      c.model, c.seed, kSteps);
}

// Trains with the plan of the seed; true when it was executed, false when its stages cannot be cut.
bool Train(const Case& c) {
  SCOPED_TRACE(HowToRepeat(c));
  const auto plan = PlanFor(c);
  EXPECT_TRUE(plan.ok()) << (plan.ok() ? "" : ToString(plan.error()));
  if (!plan.ok()) return false;
  const std::string line = driver::DescribeInLine(*plan);
  SCOPED_TRACE(line);
  const runtime::TempFolder folder;
  driver::RunOptions options;
  options.load.model = kModels / (c.model + ".mlirbc");
  options.quiet = true;
  options.plan = (folder / "plan.json").string();
  options.check = kModels / (c.model + ".npz");
  options.check_report = folder / "report.json";
  options.steps = kSteps;
  EXPECT_TRUE(WriteFileAtomic(options.plan, plan::ToJson(*plan)).ok());
  const Status status = driver::Run(options);
  if (!status.ok() && status.error().code == Code::kUnsupported) {
    // Found while the stages are cut: the op and its line are named.
    EXPECT_NE(status.error().message.find(" at "), std::string::npos) << ToString(status.error());
    fmt::print("refused: {}: {}: {}\n", c.model, line, status.error().message);
    return false;
  }
  EXPECT_TRUE(status.ok()) << ToString(status.error());
  if (!status.ok()) return true;
  const auto report = nlohmann::json::parse(*ReadFile(options.check_report));
  const auto& tensors = report["tensors"];
  EXPECT_FALSE(tensors.empty());
  // The allowance for rounding is for few tensors, and not for those that are off by their own size.
  size_t beyond = 0;
  for (const auto& tensor : tensors) {
    const double difference = tensor["max_abs_diff"], tolerance = tensor["tolerance"];
    if (difference <= tolerance) continue;
    ++beyond;
    EXPECT_LE(difference, std::max(0.2 * tensor["largest_value"].get<double>(), 2 * tolerance)) << tensor;
  }
  EXPECT_LE(beyond, tensors.size() / 10);
  fmt::print("{}: {}\n", c.model, line);
  return true;
}

class RandomPlan : public testing::TestWithParam<Case> {};

TEST_P(RandomPlan, OfAFixedSeedGivesTheNumbersOfJax) {
  EXPECT_TRUE(Train(GetParam())) << "this plan was not refused before";
}

INSTANTIATE_TEST_SUITE_P(Fixed, RandomPlan,
                         testing::Values(Case{"mlp_tiny", 1}, Case{"mlp_tiny", 2}, Case{"two_tower_sum", 1},
                                         Case{"unet", 91999}, Case{"lora", 1}, Case{"gqa_rope", 1},
                                         Case{"batch_result", 1}),
                         [](const auto& info) { return fmt::format("{}_{}", info.param.model, info.param.seed); });

TEST(RandomPlans, OfNewSeedsGiveTheNumbersOfJax) {
  const std::vector<std::string> models = {"mlp_tiny",     "mlp_tiny_sgd", "clip_norm",    "dropout",
                                           "gqa_rope",     "lora",         "unet",         "batch_result",
                                           "moe_tiny_sgd", "gpt_tiny_sgd", "two_tower_sum"};
  const char* const given = std::getenv("ALPA_RANDOM_SECONDS");
  const double seconds = given != nullptr ? std::atof(given) : 15;
  const char* const fixed = std::getenv("ALPA_RANDOM_SEED");
  const uint64_t first = fixed != nullptr ? std::strtoull(fixed, nullptr, 10) : std::random_device()() % 1'000'000;
  fmt::print("first seed: {} (ALPA_RANDOM_SEED repeats it), {} s (ALPA_RANDOM_SECONDS)\n", first, seconds);
  std::fflush(stdout);
  const auto start = std::chrono::steady_clock::now();
  int executed = 0, tried = 0;
  for (uint64_t seed = first;; ++seed) {
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    if (spent.count() > seconds && tried > 0) break;
    ++tried;
    executed += Train({models[seed % models.size()], seed}) ? 1 : 0;
    if (HasFailure()) break;
  }
  fmt::print("{} random plans, {} executed\n", tried, executed);
  if (tried > 3) EXPECT_GT(executed, tried / 2) << "most random plans can be executed";
}

}  // namespace
}  // namespace alpa
