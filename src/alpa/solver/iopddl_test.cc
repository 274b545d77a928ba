#include "alpa/solver/iopddl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <string>

namespace alpa::solver {
namespace {

using ::testing::HasSubstr;

constexpr const char* kSmall = R"({"problem": {"edges": {"costs": [[0, 1.5, 1000000000000000000, 3], [0, 1.5, 1e18, 3]],
  "nodes": [[0, 1], [1, 2]]}, "name": "small", "nodes": {"costs": [[1, 2], [3, 4], [0, 0]],
  "intervals": [[0, 5], [2, 9], [7, 7]], "usages": [[10, 20], [30, 40], []]}, "usage_limit": 50, "later": [{"x": null}]}})";

TEST(Iopddl, ReadsAProblem) {
  const auto problem = ParseIopddl(kSmall);
  ASSERT_TRUE(problem.ok()) << problem.error().message;
  EXPECT_EQ(problem->name, "small");
  ASSERT_EQ(problem->nodes.size(), 3U);
  EXPECT_EQ(problem->nodes[1], (Node{{3, 4}, {30, 40}, {2, 9}}));
  EXPECT_EQ(problem->edges, (std::vector<Edge>{{0, 1, 0}, {1, 2, 0}}));  // equal tables are one
  ASSERT_EQ(problem->tables.size(), 1U);
  EXPECT_EQ(problem->tables[0].costs[1], 1.5);
  EXPECT_TRUE(std::isinf(problem->tables[0].costs[2]));
  EXPECT_EQ(problem->usage_limit, 50);
}

TEST(Iopddl, ReadsWhatIsNotThere) {
  const auto problem = ParseIopddl(R"({"nodes": {"costs": [[1], [2]]}})");
  ASSERT_TRUE(problem.ok()) << problem.error().message;
  EXPECT_EQ(problem->nodes.size(), 2U);
  EXPECT_FALSE(problem->usage_limit.has_value());
}

TEST(Iopddl, SameNumbersInAnotherShapeAreAnotherTable) {
  const auto problem = ParseIopddl(R"({"nodes": {"costs": [[1, 1], [1, 1, 1], [1, 1]]},
    "edges": {"nodes": [[0, 1], [1, 2], [2, 1]], "costs": [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]]}})");
  ASSERT_TRUE(problem.ok()) << problem.error().message;
  EXPECT_EQ(problem->tables.size(), 2U);
  EXPECT_EQ(problem->edges[0].table, problem->edges[2].table);
  EXPECT_NE(problem->edges[0].table, problem->edges[1].table);
}

// A change to the small problem, and what the message must say.
struct Bad {
  std::string from, to;
  Code code;
  std::vector<std::string> words;
};

class BadIopddl : public ::testing::TestWithParam<Bad> {};

TEST_P(BadIopddl, IsExplained) {
  std::string text = kSmall;
  const size_t at = text.find(GetParam().from);
  ASSERT_NE(at, std::string::npos);
  text.replace(at, GetParam().from.size(), GetParam().to);
  const auto problem = ParseIopddl(text);
  ASSERT_FALSE(problem.ok());
  EXPECT_EQ(problem.error().code, GetParam().code);
  for (const std::string& word : GetParam().words) EXPECT_THAT(problem.error().message, HasSubstr(word));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadIopddl,
    ::testing::Values(
        Bad{"[[1, 2], [3", "[[1, 2, 3], [3", Code::kInvalidInput, {"node 0", "3 strategies", "2 usages"}},
        Bad{"[1, 2], [3", "[1, -2], [3", Code::kInvalidInput, {"node 0", "strategy 1", "-2"}},
        Bad{"[0, 1.5, 1000000000000000000, 3]",
            "[0, 1.5, 3]",
            Code::kInvalidInput,
            {"edge 0", "needs 4 costs", "has 3"}},
        Bad{"[0, 1.5, 1e18, 3]", "[0, -1.5, 1e18, 3]", Code::kInvalidInput, {"edge 1", "entry 1", "-1.5"}},
        Bad{"[[0, 1], [1, 2]]", "[[0, 1], [1, 3]]", Code::kInvalidInput, {"edge 1", "node 3", "3 nodes"}},
        Bad{"[[0, 1], [1, 2]]", "[[0, 1], [1, 1]]", Code::kInvalidInput, {"edge 1", "itself"}},
        Bad{"[[0, 1], [1, 2]]", "[[0, 1], [1, -2]]", Code::kInvalidInput, {"edges.nodes[1]", "-2"}},
        Bad{"[[0, 1], [1, 2]]", "[[0, 1], [0, 1, 2]]", Code::kInvalidInput, {"edges.nodes[1]", "3 nodes"}},
        Bad{"[[0, 1], [1, 2]]", "[[0, 1]]", Code::kInvalidInput, {"edges.costs", "2 entries", "1 edges.nodes"}},
        Bad{"[[10, 20], [30, 40], []]",
            "[[10, 20]]",
            Code::kInvalidInput,
            {"nodes.usages", "1 entries", "3 nodes.costs"}},
        Bad{"[10, 20]", "[10, -20]", Code::kInvalidInput, {"node 0", "-20"}},
        Bad{"[10, 20]", "[10, 2.5]", Code::kInvalidInput, {"nodes.usages[0]", "2.5"}},
        Bad{"[2, 9]", "[2]", Code::kInvalidInput, {"nodes.intervals[1]"}},
        Bad{"\"usage_limit\": 50", "\"usage_limit\": -1", Code::kInvalidInput, {"usage_limit", "-1"}},
        Bad{"\"usage_limit\": 50", "\"usage_limit\": \"x\"", Code::kInvalidInput, {"usage_limit", "a number"}},
        Bad{"\"name\": \"small\"", "\"name\": 7", Code::kInvalidInput, {"name"}},
        Bad{"[1, 2], [3", "[1, \"two\"], [3", Code::kInvalidInput, {"nodes.costs[0]", "numbers"}},
        Bad{"[1, 2], [3", "7, [3", Code::kInvalidInput, {"nodes.costs[0]", "numbers"}},
        Bad{"\"nodes\": {", "\"knots\": {", Code::kInvalidInput, {"\"nodes\""}},
        Bad{"[1, 2], [3", "[1, 02], [3", Code::kInvalidInput, {"nodes.costs[0]"}},
        Bad{"[1, 2], [3", "[1, NaN], [3", Code::kInvalidInput, {"nodes.costs[0]"}},
        Bad{"[1, 2], [3", "[], [3", Code::kInvalidInput, {"node 0", "no strategies"}},
        Bad{"\"later\": [", "\"later\": [,", Code::kCorrupt, {"byte"}},
        Bad{"[{\"x\": null}]}}", "[{\"x\": null}]}", Code::kCorrupt, {"ends"}}));

TEST(Iopddl, EveryTruncationIsRefused) {
  const std::string text = kSmall;
  for (size_t n = 0; n < text.size(); ++n) EXPECT_FALSE(ParseIopddl(text.substr(0, n)).ok()) << n;
}

TEST(Iopddl, TextBehindTheProblemIsRefused) {
  EXPECT_FALSE(ParseIopddl(std::string(kSmall) + "x").ok());
  EXPECT_TRUE(ParseIopddl(std::string(kSmall) + "\n").ok());
}

TEST(Iopddl, DeepNestingIsSkipped) {
  const std::string deep = std::string(200000, '[') + std::string(200000, ']');
  EXPECT_TRUE(ParseIopddl(R"({"nodes": {"costs": [[1]]}, "x": )" + deep + "}").ok());
}

TEST(Iopddl, NamesTheFileInErrors) {
  const auto missing = ReadIopddl("no/such/file.json");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, Code::kNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr("no/such/file.json"));
}

}  // namespace
}  // namespace alpa::solver
