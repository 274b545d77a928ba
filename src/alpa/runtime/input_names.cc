#include "alpa/runtime/input_names.h"

#include <fmt/format.h>

#include <set>
#include <utility>

namespace alpa::runtime {

std::vector<std::string> UniqueInputNames(const ir::Module& module) {
  std::vector<std::string> names;
  std::set<std::string> used;
  for (size_t i = 0; i < module.inputs.size(); ++i) {
    std::string name = module.input_names.empty() ? "" : module.input_names[i];
    if (name.empty()) name = fmt::format("input_{:04}", i);
    if (used.count(name) > 0) name += fmt::format("#{}", i);
    while (!used.insert(name).second) name += '_';
    names.push_back(std::move(name));
  }
  return names;
}

void FillInputNames(const std::vector<std::string>& names, ir::Module& module) {
  module.input_names.resize(module.inputs.size());
  for (size_t i = 0; i < names.size() && i < module.input_names.size(); ++i) {
    if (module.input_names[i].empty()) module.input_names[i] = names[i];
  }
}

std::vector<std::string> NameComponents(std::string_view name) {
  std::vector<std::string> out;
  std::string part;
  for (const char c : name) {
    const bool separator = c == '.' || c == '[' || c == ']' || c == '\'' || c == '"' || c == '/';
    if (!separator) part += c;
    if (separator && !part.empty()) out.push_back(std::exchange(part, {}));
  }
  if (!part.empty()) out.push_back(part);
  return out;
}

std::string LastComponent(std::string_view name) {
  auto parts = NameComponents(name);
  return parts.empty() ? std::string(name) : std::move(parts.back());
}

}  // namespace alpa::runtime
