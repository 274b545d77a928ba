// The rules and strategies of every op of every model in tests/models.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <set>

#include "alpa/base/file.h"
#include "alpa/sharding/rule.h"
#include "alpa/sharding/strategy.h"
#include "alpa/xla/engine_test_support.h"

namespace alpa::test {
namespace {

using ir::OpKind;
using sharding::FactorKind;
using sharding::Rule;
using sharding::RuleOf;
using sharding::Strategy;
using xla::Get;

std::vector<std::filesystem::path> Models() {
  std::vector<std::filesystem::path> out;
  for (const auto& entry : std::filesystem::directory_iterator(ALPA_SOURCE_DIR "/tests/models")) {
    if (entry.path().extension() == ".mlirbc") out.push_back(entry.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

bool CanBeSplit(const Rule& rule) {
  return std::any_of(rule.factors.begin(), rule.factors.end(), [](const sharding::Factor& f) {
    const bool joins = f.kind != FactorKind::kContracted || f.combiner != sharding::Combiner::kOther;
    return f.size > 1 && f.kind != FactorKind::kWhole && joins;
  });
}

// Specs and layouts fit the arrays, no two strategies are equal, the first is the replicated one.
void Check(const std::vector<Strategy>& strategies, const ir::Module& module, const ir::Op& op,
           const cluster::Mesh& mesh) {
  ASSERT_FALSE(strategies.empty());
  EXPECT_EQ(strategies[0].parallelism, 1);
  std::set<std::string> texts;
  for (const Strategy& s : strategies) {
    std::string text;
    for (size_t k = 0; k < s.operands.size(); ++k) {
      const Status valid = Verify(s.operands[k], module.shape(op.operands[k]), mesh);
      ASSERT_TRUE(valid.ok()) << valid.error().message;
      text += ToString(s.operands[k], mesh);
    }
    for (size_t r = 0; r < s.results.size(); ++r) {
      const Status valid = Verify(s.results[r], module.shape(op.results[r]), mesh);
      ASSERT_TRUE(valid.ok()) << valid.error().message;
      text += ToString(s.results[r], mesh);
    }
    EXPECT_TRUE(texts.insert(text).second) << Describe(module, op) << ": two strategies are " << text;
  }
}

TEST(Rules, HoldForEveryOpOfEveryModel) {
  const auto mesh = cluster::MakeMesh({2, 2});
  std::map<OpKind, std::pair<int, int>> kinds;  // ops with arrays in them, and those of them that can be split
  std::map<OpKind, std::set<std::string>> whole;
  size_t ops = 0;
  size_t strategies = 0;
  double seconds = 0;
  for (const auto& path : Models()) {
    const auto step = Get(xla::TheEngine().Import(Get(ReadFile(path)), {.source = path.filename()}));
    const ir::Module& module = step.module;
    for (const ir::Op& op : module.ops) {
      const auto start = std::chrono::steady_clock::now();
      const Rule rule = RuleOf(module, op);
      const auto list = Strategies(rule, module, op, mesh);
      seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      const Status valid = Verify(rule, module, op);
      ASSERT_TRUE(valid.ok()) << path << ": " << valid.error().message;
      Check(list, module, op, mesh);
      ++ops;
      strategies += list.size();
      auto has_extent = [&](ir::ValueId v) { return module.shape(v).elements() > 1; };
      if (std::none_of(op.operands.begin(), op.operands.end(), has_extent) &&
          std::none_of(op.results.begin(), op.results.end(), has_extent)) {
        continue;
      }
      ++kinds[op.kind].first;
      kinds[op.kind].second += CanBeSplit(rule) ? 1 : 0;
      if (!CanBeSplit(rule)) whole[op.kind].insert(Describe(module, op));
    }
  }
  fmt::print("{} ops, {} strategies, {:.2f} s\n", ops, strategies, seconds);
  for (const auto& [kind, count] : kinds) {
    fmt::print("{:<22} {:>6} ops, {:>6} can be split\n", Name(kind), count.first, count.second);
    for (const std::string& op : whole[kind]) {
      if (whole[kind].size() < 4) fmt::print("    not: {}\n", op);
    }
  }
  // What the exported models of the issue consist of (models/OPS.txt).
  for (const char* name :
       {"broadcast",  "constant", "multiply", "add",           "divide", "reduce",      "convert", "reshape",
        "subtract",   "dot",      "sqrt",     "transpose",     "negate", "convolution", "compare", "select",
        "rsqrt",      "maximum",  "reverse",  "slice",         "pad",    "exponential", "tanh",    "iota",
        "power",      "log",      "and",      "reduce-window", "gather", "scatter",     "or",      "select-and-scatter",
        "opt-barrier"}) {
    OpKind kind{};
    ASSERT_TRUE(ir::OpKindFromName(name, &kind)) << name;
    EXPECT_GT(kinds[kind].second, 0) << name;
    EXPECT_GE(2 * kinds[kind].second, kinds[kind].first) << name << ": most stay whole";
  }
}

}  // namespace
}  // namespace alpa::test
