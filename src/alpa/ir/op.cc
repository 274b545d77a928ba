#include "alpa/ir/op.h"

#include <fmt/format.h>

#include <unordered_map>

namespace alpa::ir {
namespace {

struct Row {
  std::string_view name;
  char family;
};

constexpr auto kRows = std::to_array<Row>({
#define ALPA_X(enumerator, name, family) {name, #family[0]},
    ALPA_OP_KINDS(ALPA_X)
#undef ALPA_X
});

}  // namespace

std::string_view Name(OpKind kind) { return kRows[static_cast<size_t>(kind)].name; }

bool OpKindFromName(std::string_view name, OpKind* kind) {
  static const auto* const kByName = [] {
    auto* map = new std::unordered_map<std::string_view, OpKind>();
    for (size_t i = 0; i < kRows.size(); ++i) map->emplace(kRows[i].name, static_cast<OpKind>(i));
    return map;
  }();
  const auto it = kByName->find(name);
  if (it == kByName->end()) return false;
  *kind = it->second;
  return true;
}

bool IsElementwise(OpKind kind) { return kRows[static_cast<size_t>(kind)].family == 'E'; }

std::string ToString(const Location& location) {
  if (!location.file.empty()) {
    std::string where = fmt::format("{}:{}", location.file, location.line);
    if (!location.function.empty() && location.function != "<module>") where += fmt::format(" ({})", location.function);
    return where;
  }
  if (location.line > 0) return fmt::format("line {}", location.line);
  return location.name.empty() ? "unknown source" : location.name;
}

}  // namespace alpa::ir
