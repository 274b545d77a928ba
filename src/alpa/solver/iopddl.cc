#include "alpa/solver/iopddl.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <unordered_map>
#include <utility>

#include "alpa/base/file.h"
#include "alpa/solver/json_cursor.h"

namespace alpa::solver {
namespace {

// A list of lists of numbers, e.g. the costs of the nodes. `each(i, row)` gets one inner list at a time.
template <typename Each>
Status ReadRows(JsonCursor& json, std::string_view what, Each each) {
  std::vector<double> row;
  int64_t i = 0;
  ALPA_RETURN_IF_ERROR(json.Enter('[', what));
  while (!json.TryLeave(']')) {
    ALPA_RETURN_IF_ERROR(json.Separator(i == 0));
    row.clear();
    if (!json.Numbers(&row)) return json.Expected(fmt::format("{}[{}]", what, i), "a list of numbers");
    ALPA_RETURN_IF_ERROR(each(i, row));
    ++i;
  }
  return Ok();
}

// Members of an object: `member(key)` reads the value of each.
template <typename Member>
Status ReadObject(JsonCursor& json, std::string_view what, Member member) {
  ALPA_RETURN_IF_ERROR(json.Enter('{', what));
  for (bool first = true; !json.TryLeave('}'); first = false) {
    ALPA_RETURN_IF_ERROR(json.Separator(first));
    ALPA_TRY(const std::string key, json.Key());
    ALPA_RETURN_IF_ERROR(member(key));
  }
  return Ok();
}

bool FitsInt64(double x) { return x == std::floor(x) && std::fabs(x) < 9.2e18; }

Error Invalid(std::string message) { return {Code::kInvalidInput, std::move(message), ""}; }

class Reader {
 public:
  explicit Reader(std::string_view text) : json_(text) {}

  Result<Problem> Read() {
    ALPA_RETURN_IF_ERROR(ReadObject(json_, "the file", [&](const std::string& key) -> Status {
      if (key == "problem") {
        return ReadObject(json_, key, [&](const std::string& inner) { return ReadMember(inner); });
      }
      return ReadMember(key);
    }));
    ALPA_RETURN_IF_ERROR(json_.AtEnd());
    ALPA_RETURN_IF_ERROR(Join());
    ALPA_RETURN_IF_ERROR(Verify(problem_));
    return std::move(problem_);
  }

 private:
  Status ReadMember(const std::string& key) {
    if (key == "name") {
      ALPA_TRY(problem_.name, json_.String("name"));
      return Ok();
    }
    if (key == "usage_limit") {
      if (json_.TryNull()) return Ok();
      ALPA_TRY(const double limit, json_.Number("usage_limit"));
      if (!(limit >= 0) || !FitsInt64(limit)) {
        return Invalid(fmt::format("usage_limit is {}; it must be a whole number >= 0", limit));
      }
      problem_.usage_limit = static_cast<int64_t>(limit);
      return Ok();
    }
    if (key == "nodes") {
      has_nodes_ = true;
      return ReadObject(json_, key, [&](const std::string& inner) { return ReadNodes(inner); });
    }
    if (key == "edges") return ReadObject(json_, key, [&](const std::string& inner) { return ReadEdges(inner); });
    return json_.Skip();
  }

  Status ReadNodes(const std::string& key) {
    if (key == "costs") {
      return ReadRows(json_, "nodes.costs", [&](int64_t, std::vector<double>& row) {
        for (double& cost : row) cost = cost >= kIopddlInfinity ? std::numeric_limits<double>::infinity() : cost;
        costs_.push_back(row);
        return Ok();
      });
    }
    if (key == "usages") {
      return ReadRows(json_, "nodes.usages", [&](int64_t v, const std::vector<double>& row) -> Status {
        std::vector<int64_t>& usages = usages_.emplace_back();
        for (const double usage : row) {
          if (!FitsInt64(usage))
            return Invalid(fmt::format("nodes.usages[{}] has {}; usages are whole numbers", v, usage));
          usages.push_back(static_cast<int64_t>(usage));
        }
        return Ok();
      });
    }
    if (key == "intervals") {
      return ReadRows(json_, "nodes.intervals", [&](int64_t v, const std::vector<double>& row) -> Status {
        if (row.size() != 2 || !FitsInt64(row[0]) || !FitsInt64(row[1])) {
          return Invalid(fmt::format("nodes.intervals[{}] must be two whole numbers, [begin, end)", v));
        }
        intervals_.push_back({static_cast<int64_t>(row[0]), static_cast<int64_t>(row[1])});
        return Ok();
      });
    }
    return json_.Skip();
  }

  Status ReadEdges(const std::string& key) {
    if (key == "nodes") {
      return ReadRows(json_, "edges.nodes", [&](int64_t e, const std::vector<double>& row) -> Status {
        if (row.size() != 2) {
          return Invalid(
              fmt::format("edges.nodes[{}] names {} nodes; only edges of two nodes are known", e, row.size()));
        }
        for (const double end : row) {
          if (end != std::floor(end) || end < 0 || end > 2e9) {
            return Invalid(fmt::format("edges.nodes[{}] names node {}; nodes are whole numbers >= 0", e, end));
          }
        }
        ends_.emplace_back(static_cast<int32_t>(row[0]), static_cast<int32_t>(row[1]));
        return Ok();
      });
    }
    if (key == "costs") {
      return ReadRows(json_, "edges.costs", [&](int64_t, std::vector<double>& row) {
        for (double& cost : row) cost = cost >= kIopddlInfinity ? std::numeric_limits<double>::infinity() : cost;
        tables_of_edges_.push_back(TableOf(row));
        return Ok();
      });
    }
    return json_.Skip();
  }

  // The table with these costs: one that is known, or a new one.
  int32_t TableOf(const std::vector<double>& costs) {
    const std::string_view bytes(reinterpret_cast<const char*>(costs.data()), costs.size() * sizeof(double));
    std::vector<int32_t>& same = by_hash_[std::hash<std::string_view>()(bytes)];
    for (const int32_t t : same) {
      if (problem_.tables[t].costs == costs) return t;
    }
    same.push_back(static_cast<int32_t>(problem_.tables.size()));
    problem_.tables.push_back({0, 0, costs});
    return same.back();
  }

  // Puts together what the file has in separate lists, in any order.
  Status Join() {
    if (!has_nodes_) {
      return Error{Code::kInvalidInput, "there is no \"nodes\"", "expected a problem in the format of google/iopddl"};
    }
    const auto count = [&](std::string_view what, size_t n, size_t want, std::string_view of) -> Status {
      if (n == want) return Ok();
      return Invalid(fmt::format("{} has {} entries, but there are {} {}", what, n, want, of));
    };
    if (!usages_.empty()) ALPA_RETURN_IF_ERROR(count("nodes.usages", usages_.size(), costs_.size(), "nodes.costs"));
    if (!intervals_.empty()) {
      ALPA_RETURN_IF_ERROR(count("nodes.intervals", intervals_.size(), costs_.size(), "nodes.costs"));
    }
    ALPA_RETURN_IF_ERROR(count("edges.costs", tables_of_edges_.size(), ends_.size(), "edges.nodes"));
    problem_.nodes.resize(costs_.size());
    for (size_t v = 0; v < costs_.size(); ++v) {
      problem_.nodes[v].costs = std::move(costs_[v]);
      if (!usages_.empty()) problem_.nodes[v].usages = std::move(usages_[v]);
      if (!intervals_.empty()) problem_.nodes[v].live = intervals_[v];
    }
    for (size_t e = 0; e < ends_.size(); ++e) ALPA_RETURN_IF_ERROR(AddEdge(e));
    return Ok();
  }

  Status AddEdge(size_t e) {
    const auto [a, b] = ends_[e];
    for (const int32_t end : {a, b}) {
      if (end >= std::ssize(problem_.nodes)) {
        return Invalid(fmt::format("edge {} names node {}; there are {} nodes", e, end, problem_.nodes.size()));
      }
    }
    const auto rows = static_cast<int32_t>(problem_.nodes[a].costs.size());
    const auto columns = static_cast<int32_t>(problem_.nodes[b].costs.size());
    int32_t t = tables_of_edges_[e];
    CostTable& table = problem_.tables[t];
    if (table.rows == 0 && table.columns == 0) {
      table.rows = rows;
      table.columns = columns;
    } else if (table.rows != rows || table.columns != columns) {  // the same numbers in another shape
      CostTable other{rows, columns, table.costs};
      const auto [at, is_new] = other_shapes_.try_emplace({t, rows}, static_cast<int32_t>(problem_.tables.size()));
      if (is_new || problem_.tables[at->second].columns != columns) {
        at->second = static_cast<int32_t>(problem_.tables.size());
        problem_.tables.push_back(std::move(other));
      }
      t = at->second;
    }
    problem_.edges.push_back({a, b, t});
    return Ok();
  }

  struct PairHash {
    size_t operator()(const std::pair<int32_t, int32_t>& p) const {
      return static_cast<size_t>(p.first) * 1000003 + static_cast<size_t>(p.second);
    }
  };

  JsonCursor json_;
  Problem problem_;
  bool has_nodes_ = false;
  std::vector<std::vector<double>> costs_;
  std::vector<std::vector<int64_t>> usages_;
  std::vector<Interval> intervals_;
  std::vector<std::pair<int32_t, int32_t>> ends_;
  std::vector<int32_t> tables_of_edges_;
  std::unordered_map<size_t, std::vector<int32_t>> by_hash_;
  std::unordered_map<std::pair<int32_t, int32_t>, int32_t, PairHash> other_shapes_;  // (table, rows) -> table
};

}  // namespace

Result<Problem> ParseIopddl(std::string_view json) { return Reader(json).Read(); }

Result<Problem> ReadIopddl(const std::filesystem::path& path) {
  const auto named = [&](Error error) {
    error.message = fmt::format("{}: {}", path.string(), error.message);
    return error;
  };
  ALPA_TRY(std::string bytes, ReadFile(path));
  if (bytes.empty()) return named(Invalid("the file is empty"));
  if (IsGzip(bytes)) {
    auto unpacked = Gunzip(bytes);
    if (!unpacked.ok()) return named(unpacked.error());
    bytes = std::move(unpacked).value();
  }
  auto problem = ParseIopddl(bytes);
  if (!problem.ok()) return named(problem.error());
  if (problem->name.empty()) problem->name = path.filename().string();
  return problem;
}

}  // namespace alpa::solver
