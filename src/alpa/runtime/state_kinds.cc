#include "alpa/runtime/state_kinds.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "alpa/runtime/input_names.h"

namespace alpa::runtime {
namespace {

using Path = std::vector<std::string>;

std::vector<size_t> InputsOf(const ir::StepSignature& signature, ir::InputRole role) {
  std::vector<size_t> out;
  for (size_t i = 0; i < signature.inputs.size(); ++i) {
    if (signature.inputs[i].role == role) out.push_back(i);
  }
  return out;
}

// The names of the parameters, whole and without one or more of the keys that they have in common at the front.
std::set<Path> ParameterPaths(const std::vector<std::string>& names, const std::vector<size_t>& parameters) {
  std::vector<Path> paths;
  for (const size_t i : parameters) {
    Path path = NameComponents(names[i]);
    if (!path.empty()) paths.push_back(std::move(path));
  }
  if (paths.empty()) return {};
  size_t common = 0;
  const auto shared = [&](const Path& path) { return common + 1 < path.size() && path[common] == paths[0][common]; };
  while (std::all_of(paths.begin(), paths.end(), shared)) ++common;
  std::set<Path> out;
  for (const Path& path : paths) {
    for (size_t cut = 0; cut <= common; ++cut) out.emplace(path.begin() + static_cast<std::ptrdiff_t>(cut), path.end());
  }
  return out;
}

std::string KindFromName(const std::string& name, const std::set<Path>& parameters) {
  const Path path = NameComponents(name);
  for (size_t front = 1; front < path.size(); ++front) {
    const auto split = path.begin() + static_cast<std::ptrdiff_t>(front);
    if (parameters.count(Path(split, path.end())) > 0) return fmt::format("{}", fmt::join(path.begin(), split, "."));
  }
  return LastComponent(name);
}

// Kinds by position, for state without names.
void KindsFromShapes(const ir::Module& module, const std::vector<size_t>& parameters, const std::vector<size_t>& state,
                     std::vector<std::string>& kinds) {
  const auto dims = [&](size_t input) -> const std::vector<int64_t>& {
    return module.shape(module.inputs[input]).dims;
  };
  int slots = 0;
  for (size_t at = 0; at < state.size();) {
    bool run = !parameters.empty() && state.size() - at >= parameters.size();
    for (size_t k = 0; run && k < parameters.size(); ++k) run = dims(state[at + k]) == dims(parameters[k]);
    const size_t length = run ? parameters.size() : 1;
    const std::string kind = run ? fmt::format("slot {}", slots++) : fmt::format("state {}", state[at]);
    for (size_t k = 0; k < length; ++k) kinds[state[at + k]] = kind;
    at += length;
  }
}

}  // namespace

std::vector<std::string> StateKinds(const ir::Module& module, const ir::StepSignature& signature) {
  std::vector<std::string> kinds(module.inputs.size());
  const std::vector<size_t> parameters = InputsOf(signature, ir::InputRole::kParameter);
  const std::vector<size_t> state = InputsOf(signature, ir::InputRole::kState);
  for (const size_t i : parameters) kinds[i] = "parameter";
  const std::vector<std::string>& names = module.input_names;
  const bool named =
      !names.empty() && std::none_of(state.begin(), state.end(), [&](size_t i) { return names[i].empty(); });
  if (!named) {
    KindsFromShapes(module, parameters, state, kinds);
    return kinds;
  }
  const std::set<Path> paths = ParameterPaths(names, parameters);
  for (const size_t i : state) kinds[i] = KindFromName(names[i], paths);
  return kinds;
}

}  // namespace alpa::runtime
