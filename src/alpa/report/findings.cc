#include "alpa/report/findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

namespace alpa::report {
namespace {

std::string_view Name(Verdict verdict) {
  return verdict == Verdict::kOk ? "ok" : verdict == Verdict::kNote ? "note" : "WRONG";
}

}  // namespace

std::string FindingsText(const std::vector<Finding>& findings) {
  std::string out;
  for (const Finding& f : findings) {
    out += fmt::format("{:<6} {:<10} {}\n", Name(f.verdict), f.what, f.found);
    if (!f.todo.empty()) out += fmt::format("{:<17} -> {}\n", "", f.todo);
  }
  const auto wrong =
      std::count_if(findings.begin(), findings.end(), [](const Finding& f) { return f.verdict == Verdict::kWrong; });
  return out + (wrong == 0 ? "\nThis machine can plan and train.\n"
                           : fmt::format("\n{} thing{} to put right first.\n", wrong, wrong == 1 ? "" : "s"));
}

std::string FindingsJson(const std::vector<Finding>& findings) {
  auto j = nlohmann::ordered_json::array();
  for (const Finding& f : findings)
    j.push_back({{"verdict", f.verdict == Verdict::kWrong ? "wrong" : Name(f.verdict)},
                 {"what", f.what},
                 {"found", f.found},
                 {"todo", f.todo}});
  return j.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace alpa::report
