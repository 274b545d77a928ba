// `alpa run --check` on the models of tests/models: the numbers that JAX got, on several devices. `./dev bench golden`
// does it for all models and device counts; here small models run on most counts, slow ones on two.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <ostream>
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
  int64_t steps = 0;  // 0: all that the golden file has
};

std::vector<Golden> Models() {
  std::vector<Golden> out = {
      {"ambiguous", {1, 8}},
      {"batch_dim1", {1, 2, 3, 4, 6}},
      {"clip_norm", {1, 2, 3, 4, 6}},
      {"gpt_b24", {3, 8}, Allowance::kRounding},
      {"gpt_mini", {2, 8}},
      {"gpt_scan", {4}, Allowance::kRounding},
      {"gpt_scan_remat", {6}, Allowance::kRounding},
      {"gpt_tiny", {1, 8}, Allowance::kRounding},
      {"gpt_tiny_bf16", {8}},
      {"gpt_tiny_remat", {4}, Allowance::kRounding},
      {"gpt_tiny_sgd", {2, 8}},
      {"gpt_tiny_tied_gather", {4}, Allowance::kRounding},
      {"mlp_b24", {1, 2, 3, 4, 6, 8}},
      {"mlp_family_b8", {1, 4}},
      {"mlp_family_b16", {1, 4}},
      {"mlp_tiny", {1, 2, 4, 8}},
      {"mlp_tiny_sgd", {1, 2, 4, 8}},
      {"moe_mini", {2}, Allowance::kRounding},
      {"moe_tiny", {1, 8}, Allowance::kRounding},
      {"moe_tiny_sgd", {2}},
      {"wresnet_tiny", {1, 8}, Allowance::kRounding, 1},
      {"wresnet_tiny_gn", {2}},
      {"wresnet_tiny_sgd", {8}},
  };
  for (const char* const model : {"batch_result",   "donate_some",    "drop_unused",   "dropout",     "dropout_rbg",
                                  "eval_gpt",       "eval_only",      "eval_scan",     "f16_mixed",   "fft_conv",
                                  "fori",           "gather_scatter", "gqa_rope",      "lora",        "loss_first",
                                  "memory_bank",    "no_donate",      "metrics_first", "rnn_scan",    "scan_microbatch",
                                  "sharded_export", "special_math",   "swapped",       "topk_sort",   "two_tower",
                                  "two_tower_sum",  "unet",           "while_dynamic", "while_update"}) {
    out.push_back({model, {4}});  // on one device most are run in microbatches
  }
  for (const char* const model : {"memory_bank", "scan_microbatch", "two_tower", "while_dynamic", "while_update"})
    out.push_back({model, {1}});
  return out;
}

// One run on one number of devices, or in microbatches on one device.
struct Run {
  Golden golden;
  int64_t devices = 1;
  int64_t microbatches = 1;
  bool loops = false;  // counted loops stay loops
};

std::vector<Run> Runs() {
  std::vector<Run> out;
  for (const Golden& golden : Models()) {
    for (const int64_t devices : golden.devices) out.push_back({golden, devices});
  }
  return out;
}

// Models that can be cut, each kind of trouble at least once. `./dev bench golden --microbatches` runs all of them in
// 2, 4, 8 and 16 pieces.
std::vector<Run> MicrobatchRuns() {
  std::vector<Run> out;
  const auto add = [&](const std::string& model, int64_t count, bool loops = false,
                       Allowance allowance = Allowance::kNone) {
    out.push_back({{model, {}, allowance}, 1, count, loops});
  };
  for (const char* const model :
       {"ambiguous",     "batch_dim1",  "batch_result",   "clip_norm",     "donate_some", "drop_unused",
        "dropout",       "dropout_rbg", "eval_gpt",       "eval_only",     "eval_scan",   "f16_mixed",
        "fft_conv",      "fori",        "gather_scatter", "gqa_rope",      "lora",        "loss_first",
        "metrics_first", "mlp_tiny",    "mlp_tiny_sgd",   "no_donate",     "rnn_scan",    "sharded_export",
        "special_math",  "swapped",     "topk_sort",      "two_tower_sum", "unet"}) {
    add(model, 4);
  }
  for (const char* const model : {"batch_result", "dropout", "gqa_rope", "mlp_family_b8", "mlp_family_b16", "mlp_tiny"})
    add(model, 2);
  add("batch_dim1", 12);
  add("gpt_tiny_bf16", 4);
  add("gpt_tiny_sgd", 16);
  add("mlp_tiny", 16);
  add("moe_tiny_sgd", 8);
  add("wresnet_tiny_gn", 2);
  for (const char* const model : {"fori", "rnn_scan"}) add(model, 4, /*loops=*/true);
  add("gpt_scan", 4, /*loops=*/true, Allowance::kRounding);
  return out;
}

// That take longer; only the benchmark runs them.
const std::set<std::string> kInBenchmarkOnly = {"gpt_b24",  "gpt_mini",       "gpt_scan_remat",
                                                "gpt_tiny", "gpt_tiny_remat", "gpt_tiny_tied_gather",
                                                "mlp_b24",  "moe_mini",       "moe_tiny"};

// Models that would become another step, and the op that is to blame.
const std::vector<std::pair<std::string, std::string>> kRefused = {
    {"memory_bank", "dynamic-update-slice 'dynamic_update_slice.1' at examples/models/export_more.py:608"},
    {"scan_microbatch", "slice 'slice' at examples/models/export_more.py:210"},
    {"two_tower", "dot 'dot_general.18' at examples/models/export_more.py:296"},
    {"while_dynamic", "while 'while.6' at examples/models/export_more.py:175"},
    {"while_update", "while 'while.8' at examples/models/export_more.py:189"},
    {"wresnet_mini", "reduce 'reduce_sum.3027' at examples/models/models.py:201"},
    {"wresnet_tiny", "reduce 'reduce_sum.787' at examples/models/models.py:201"},
    {"wresnet_tiny_sgd", "reduce 'reduce_sum.787' at examples/models/models.py:201"}};

driver::RunOptions OptionsFor(const std::string& model, int64_t devices) {
  driver::RunOptions options;
  options.load.model = kModels / (model + ".mlirbc");
  options.devices = devices;
  options.quiet = true;
  return options;
}

void PrintTo(const Run& run, std::ostream* out) {
  *out << run.golden.model << " on " << run.devices << ", microbatches: " << run.microbatches;
}

class GoldenRun : public testing::TestWithParam<Run> {
 protected:
  TempFolder folder_;
};

TEST_P(GoldenRun, GivesTheNumbersOfJax) {
  const Golden& golden = GetParam().golden;
  driver::RunOptions options = OptionsFor(golden.model, GetParam().devices);
  options.microbatches = GetParam().microbatches;
  if (GetParam().loops) options.load.max_unrolled_ops = 0;
  options.check = kModels / (golden.model + ".npz");
  options.check_report = folder_ / "report.json";
  options.steps = golden.steps;
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
    // However large the allowance: a tensor that is off by its own size is wrong.
    const double largest = tensor["largest_value"];
    const double tolerance = tensor["tolerance"];
    EXPECT_LE(difference, std::max(0.2 * largest, 2 * tolerance)) << tensor;
  }
  if (golden.allowance == Allowance::kNone) {
    EXPECT_EQ(needed, 0) << "tensors beyond their tolerance, with the allowance for rounding only";
  }
  EXPECT_LE(needed, report["tensors"].size() / 10) << "most tensors are not at the mercy of rounding";
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenRun, testing::ValuesIn(Runs()), [](const auto& info) {
  return fmt::format("{}_{}", info.param.golden.model, info.param.devices);
});

INSTANTIATE_TEST_SUITE_P(InMicrobatches, GoldenRun, testing::ValuesIn(MicrobatchRuns()), [](const auto& info) {
  return fmt::format("{}_{}{}", info.param.golden.model, info.param.microbatches, info.param.loops ? "_loops" : "");
});

TEST(Microbatches, ThatWouldMakeAnotherStepAreRefusedByName) {
  for (const auto& [model, op] : kRefused) {
    driver::RunOptions options = OptionsFor(model, 1);
    options.microbatches = 2;
    const Status status = driver::Run(options);
    ASSERT_FALSE(status.ok()) << model;
    EXPECT_EQ(status.error().code, Code::kInvalidArgument) << model;
    EXPECT_NE(status.error().message.find(op), std::string::npos) << status.error().message;
  }
}

// Batch norm: on request, statistics of each microbatch. Another step, but the same model: its losses are near.
TEST(Microbatches, TakeTheirOwnStatisticsOnRequest) {
  const TempFolder folder;
  driver::RunOptions options = OptionsFor("wresnet_tiny_sgd", 1);
  options.microbatches = 2;
  options.per_microbatch = true;
  options.steps = 1;
  options.metrics = folder / "metrics.jsonl";
  const Status status = driver::Run(options);
  ASSERT_TRUE(status.ok()) << ToString(status.error());
  const double loss = json::parse(*ReadFile(options.metrics))["loss"];
  const double whole = json::parse(*ReadFile(kModels / "wresnet_tiny_sgd.json"))["losses"][0];
  EXPECT_NEAR(loss, whole, 0.1 * whole);
  EXPECT_GT(std::fabs(loss - whole), 1e-4 * whole) << "with statistics of the whole batch it would be the same";
}

// What stays refused, on request or not: examples that need one another by more than statistics, more pieces than the
// model allows, more than one device.
TEST(Microbatches, HaveTheirLimits) {
  struct Case {
    std::string model;
    int64_t microbatches = 2;
    int64_t devices = 1;
    bool per_microbatch = false;
    std::string says;
  };
  for (const Case& c : {Case{"two_tower", 2, 1, true, "pairs examples with one another"},
                        Case{"wresnet_tiny_sgd", 3, 1, true, "3 microbatches"},
                        Case{"mlp_tiny", 3, 1, false, "at most 64, or any number that divides it"},
                        Case{"moe_tiny", 16, 1, false, "at most 8 microbatches"},
                        Case{"mlp_tiny", 64, 2, false, "64 microbatches have 1 examples each"}}) {
    driver::RunOptions options = OptionsFor(c.model, c.devices);
    options.microbatches = c.microbatches;
    options.per_microbatch = c.per_microbatch;
    const Status status = driver::Run(options);
    ASSERT_FALSE(status.ok()) << c.model;
    EXPECT_EQ(status.error().code, Code::kInvalidArgument) << c.model;
    EXPECT_NE(status.error().message.find(c.says), std::string::npos) << status.error().message;
  }
}

// wresnet_mini is chaotic even within its first step: JAX on 2, 4 or 8 devices differs from JAX on one beyond the
// tolerance in more than a third of the tensors (docs/accuracy.md), among them gradients by 15 %. What comes before the
// gradients does agree.
class WresnetMini : public testing::TestWithParam<int64_t> {
 protected:
  TempFolder folder_;
};

TEST_P(WresnetMini, AgreesInTheForwardPass) {
  driver::RunOptions options = OptionsFor("wresnet_mini", GetParam());
  options.check = kModels / "wresnet_mini.npz";
  options.check_report = folder_ / "report.json";
  options.steps = 1;
  const Status status = driver::Run(options);
  ASSERT_TRUE(status.ok() || status.error().code == Code::kOutOfTolerance) << ToString(status.error());
  const json report = json::parse(*ReadFile(options.check_report));
  int statistics = 0;
  for (const json& tensor : report["tensors"]) {
    if (tensor["role"] != "mean" && tensor["role"] != "var") continue;
    ++statistics;
    EXPECT_LE(tensor["max_abs_diff"], tensor["tolerance"]) << tensor;
  }
  EXPECT_EQ(statistics, 106) << "means and variances of 53 batch norms";
  const json& loss = report["losses"].at(0);
  EXPECT_NEAR(loss["actual"], loss["expected"].get<double>(), 2e-5 * loss["expected"].get<double>());
}

INSTANTIATE_TEST_SUITE_P(Devices, WresnetMini, testing::Values(4), testing::PrintToStringParamName());

TEST(GoldenModels, AreAllRunOnSeveralDevices) {
  std::set<std::string> run = {"wresnet_mini"};
  for (const Golden& golden : Models()) {
    if (*std::max_element(golden.devices.begin(), golden.devices.end()) > 1) run.insert(golden.model);
  }
  std::set<std::string> there;
  for (const auto& entry : fs::directory_iterator(kModels)) {
    if (entry.path().extension() == ".npz") there.insert(entry.path().stem().string());
  }
  EXPECT_EQ(run, there);
}

TEST(GoldenModels, AreAllRunInMicrobatchesOrRefused) {
  std::set<std::string> known = kInBenchmarkOnly;
  for (const auto& [model, op] : kRefused) known.insert(model);
  for (const auto& run : MicrobatchRuns()) known.insert(run.golden.model);
  std::set<std::string> there;
  for (const auto& entry : fs::directory_iterator(kModels)) {
    if (entry.path().extension() == ".npz") there.insert(entry.path().stem().string());
  }
  EXPECT_EQ(known, there);
}

// ---- the models for timing, of which only losses are known

struct Losses {
  std::string model;
  int64_t devices = 1;
  int64_t steps = 5;
  // What JAX got on another machine, where that is not the same: either may come out.
  std::vector<double> elsewhere = {};
};

void PrintTo(const Losses& losses, std::ostream* out) { *out << losses.model << " on " << losses.devices; }

class SmallModel : public testing::TestWithParam<Losses> {
 protected:
  TempFolder folder_;
};

// The largest relative difference of the first losses.
double Apart(const std::vector<double>& got, const std::vector<double>& want) {
  double out = 0;
  for (size_t i = 0; i < got.size(); ++i) out = std::max(out, std::fabs(got[i] - want.at(i)) / want.at(i));
  return out;
}

TEST_P(SmallModel, GivesTheLossesOfJax) {
  const auto& [model, devices, steps, elsewhere] = GetParam();
  driver::RunOptions options = OptionsFor(model, devices);
  options.steps = steps;
  options.metrics = folder_ / "metrics.jsonl";
  const Status status = driver::Run(options);
  ASSERT_TRUE(status.ok()) << ToString(status.error());
  std::vector<double> got;
  std::istringstream lines(*ReadFile(options.metrics));
  for (std::string line; std::getline(lines, line);) got.push_back(json::parse(line)["loss"]);
  ASSERT_EQ(got.size(), static_cast<size_t>(steps));
  const json sidecar = json::parse(*ReadFile(kModels / (model + ".json")));
  double apart = Apart(got, sidecar["losses"].get<std::vector<double>>());
  if (!elsewhere.empty()) apart = std::min(apart, Apart(got, elsewhere));
  EXPECT_LE(apart, 1e-5) << testing::PrintToString(got);
  fmt::print("largest relative difference of a loss: {:.1e}\n", apart);
}

// The sidecars have what JAX gave on the reference machine (one device), `elsewhere` what it gave on the one where the
// .npz files were made.
// moe_small: somewhere the router's choice hangs on the last bit. There are two outcomes, 1.7e-5 apart in the first
// loss (about what one of its 2048 tokens contributes) and 4e-4 later. alpa gives the first on 1 and 2 devices and the
// second on 4, each to 3e-7.
// wresnet_small: batch norm under Adam, untrained, is chaotic; the two machines' second losses differ by a hundredth,
// the fourth by a quarter, so only the first is a reference, and even that they have 1.7e-5 apart.
INSTANTIATE_TEST_SUITE_P(
    Losses, SmallModel,
    testing::Values(Losses{"gpt_small", 2},
                    Losses{"moe_small", 1, 5, {8.8120012, 7.9292442, 7.1535444, 6.4981976, 5.6190886}},
                    Losses{"wresnet_small", 2, 1, {6.0185785}}),
    [](const auto& info) { return info.param.model; });

}  // namespace
}  // namespace alpa
