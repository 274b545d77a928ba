// `alpa run --check` on the models of tests/models: the numbers that JAX got, on several devices. `./dev bench golden`
// does it for all models and device counts; here small models run on most counts, slow ones on two.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "alpa/base/file.h"
#include "alpa/driver/run.h"
#include "alpa/runtime/test_support.h"

namespace alpa {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using runtime::TempFolder;

const fs::path kModels = fs::path(ALPA_SOURCE_DIR) / "tests/models";

enum class Allowance {
  kNone,      // every tensor is within the tolerance of compare.h
  kRounding,  // some may need the allowance for rounding (driver/check.h): Adam, where a gradient vanishes
};

struct Golden {
  std::string model;
  std::vector<int64_t> devices;
  Allowance allowance = Allowance::kNone;
  int64_t steps = 0;                 // 0: all that the golden file has
  std::vector<int> batch_args = {};  // where alpa asks for them
};

std::vector<Golden> Models() {
  const std::vector<int64_t> twelve = {1, 2, 3, 4, 6};  // those of 1, 2, 3, 4, 6, 8 that divide a batch of 12
  std::vector<Golden> out = {
      {"ambiguous", {1, 2, 4, 8}},
      {"clip_norm", twelve, Allowance::kNone, 0, {18, 19}},
      {"gpt_b24", {1, 3, 6, 8}, Allowance::kRounding},
      {"gpt_mini", {2, 8}},
      {"gpt_scan", {1, 4}, Allowance::kRounding},
      {"gpt_scan_remat", {6}, Allowance::kRounding},
      {"gpt_tiny", {1, 8}, Allowance::kRounding},
      {"gpt_tiny_bf16", {2, 8}},
      {"gpt_tiny_remat", {4}, Allowance::kRounding},
      {"gpt_tiny_sgd", {2, 8}},
      {"gpt_tiny_tied_gather", {8}, Allowance::kRounding},
      {"mlp_b24", {1, 2, 3, 4, 6, 8}},
      {"mlp_tiny", {1, 2, 4, 8}},
      {"mlp_tiny_sgd", {1, 2, 4, 8}},
      {"moe_mini", {2}, Allowance::kRounding},
      {"moe_tiny", {1, 8}, Allowance::kRounding},
      {"moe_tiny_sgd", {2, 8}},
      {"wresnet_mini", {2}, Allowance::kRounding, 1},
      {"wresnet_tiny", {1, 8}, Allowance::kRounding, 1},
      {"wresnet_tiny_gn", {2}},
      {"wresnet_tiny_sgd", {8}},
  };
  for (const char* const model : {"batch_dim1",     "batch_result",  "donate_some", "drop_unused",     "dropout",
                                  "dropout_rbg",    "eval_only",     "f16_mixed",   "fft_conv",        "fori",
                                  "gather_scatter", "gqa_rope",      "lora",        "loss_first",      "memory_bank",
                                  "metrics_first",  "no_donate",     "rnn_scan",    "scan_microbatch", "sharded_export",
                                  "special_math",   "swapped",       "topk_sort",   "two_tower",       "two_tower_sum",
                                  "unet",           "while_dynamic", "while_update"}) {
    out.push_back({model, twelve});
  }
  return out;
}

// One run on one number of devices.
struct Run {
  Golden golden;
  int64_t devices = 1;
};

std::vector<Run> Runs() {
  std::vector<Run> out;
  for (const Golden& golden : Models()) {
    for (const int64_t devices : golden.devices) out.push_back({golden, devices});
  }
  return out;
}

driver::RunOptions OptionsFor(const std::string& model, int64_t devices) {
  driver::RunOptions options;
  options.load.model = kModels / (model + ".mlirbc");
  options.devices = devices;
  options.quiet = true;
  return options;
}

class GoldenRun : public testing::TestWithParam<Run> {
 protected:
  TempFolder folder_;
};

TEST_P(GoldenRun, GivesTheNumbersOfJax) {
  const auto& [golden, devices] = GetParam();
  driver::RunOptions options = OptionsFor(golden.model, devices);
  options.check = kModels / (golden.model + ".npz");
  options.check_report = folder_ / "report.json";
  options.steps = golden.steps;
  if (!golden.batch_args.empty()) options.load.batch_args = golden.batch_args;
  const Status status = driver::Run(options);
  ASSERT_TRUE(status.ok()) << ToString(status.error());

  const json report = json::parse(*ReadFile(options.check_report));
  EXPECT_TRUE(report["ok"]);
  EXPECT_FALSE(report["tensors"].empty());
  int needed = 0;
  for (const json& tensor : report["tensors"]) {
    const double difference = tensor["max_abs_diff"];
    if (difference <= tensor["tolerance"]) continue;
    ++needed;
    // An allowance of the tensor's own size would let anything pass.
    EXPECT_LE(tensor["allowance"], 0.2 * tensor["largest_value"].get<double>()) << tensor;
  }
  if (golden.allowance == Allowance::kNone) {
    EXPECT_EQ(needed, 0) << "tensors beyond their tolerance, with the allowance for rounding only";
  }
  EXPECT_LE(needed, report["tensors"].size() / 10) << "most tensors are not at the mercy of rounding";
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenRun, testing::ValuesIn(Runs()), [](const auto& info) {
  return fmt::format("{}_{}", info.param.golden.model, info.param.devices);
});

TEST(GoldenModels, AreAllRunOnSeveralDevices) {
  std::set<std::string> run;
  for (const Golden& golden : Models()) {
    if (*std::max_element(golden.devices.begin(), golden.devices.end()) > 1) run.insert(golden.model);
  }
  std::set<std::string> there;
  for (const auto& entry : fs::directory_iterator(kModels)) {
    if (entry.path().extension() == ".npz") there.insert(entry.path().stem().string());
  }
  EXPECT_EQ(run, there);
}

// ---- the models for timing, of which only losses are known

struct Losses {
  std::string model;
  int64_t devices = 1;
  int64_t steps = 5;
};

class SmallModel : public testing::TestWithParam<Losses> {
 protected:
  TempFolder folder_;
};

TEST_P(SmallModel, GivesTheLossesOfJax) {
  const auto& [model, devices, steps] = GetParam();
  driver::RunOptions options = OptionsFor(model, devices);
  options.steps = steps;
  options.metrics = folder_ / "metrics.jsonl";
  const Status status = driver::Run(options);
  ASSERT_TRUE(status.ok()) << ToString(status.error());
  const json expected = json::parse(*ReadFile(kModels / (model + ".json")))["losses"];
  std::istringstream lines(*ReadFile(options.metrics));
  int64_t step = 0;
  for (std::string line; std::getline(lines, line); ++step) {
    const double want = expected[static_cast<size_t>(step)];
    const double got = json::parse(line)["loss"];
    EXPECT_NEAR(got, want, 1e-5 * want) << "step " << step + 1;
    fmt::print("step {}: loss {}, JAX {}, apart {:.1e} relative\n", step + 1, got, want, std::fabs(got - want) / want);
  }
  EXPECT_EQ(step, steps);
}

// wresnet_small: batch norm under Adam, untrained, is chaotic; the second loss of two correct programs differs by a
// quarter, so only the first is a reference.
INSTANTIATE_TEST_SUITE_P(Losses, SmallModel,
                         testing::Values(Losses{"gpt_small", 2}, Losses{"moe_small", 1}, Losses{"wresnet_small", 2, 1}),
                         [](const auto& info) { return info.param.model; });

}  // namespace
}  // namespace alpa
