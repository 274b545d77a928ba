#include "alpa/intra/pins.h"

#include <fmt/format.h>

#include <regex>

namespace alpa::intra {
namespace {

// A spec of full rank, so that "[]" and "[,]" are one, without the axes of extent 1, which split nothing.
sharding::Spec Normalised(sharding::Spec spec, int rank, const cluster::Mesh& mesh) {
  spec.dims.resize(static_cast<size_t>(rank));
  for (std::vector<int>& axes : spec.dims) {
    std::erase_if(axes, [&](int axis) { return mesh.shape[static_cast<size_t>(axis)] == 1; });
  }
  return spec;
}

struct Named {
  std::string name;
  ir::ValueId value;
};

std::vector<Named> Names(const ir::Module& module) {
  std::vector<Named> all;
  for (size_t i = 0; i < module.inputs.size(); ++i) {
    if (!module.input_names[i].empty()) all.push_back({module.input_names[i], module.inputs[i]});
  }
  for (const ir::Op& op : module.ops) {
    if (op.kind != ir::OpKind::kParameter && op.results.size() == 1) all.push_back({op.name, op.results[0]});
  }
  return all;
}

std::string SomeNames(const ir::Module& module) {
  std::string out;
  int count = 0;
  for (const std::string& name : module.input_names) {
    if (name.empty() || count == 6) continue;
    out += (count++ == 0 ? "" : ", ") + name;
  }
  return out;
}

}  // namespace

Result<Pin> ParsePin(const std::string& text) {
  const size_t at = text.rfind('=');
  if (at == std::string::npos || at == 0 || at + 1 == text.size()) {
    return Error{Code::kInvalidArgument, fmt::format("pin '{}': not PATTERN=SPEC", text),
                 "e.g. --pin 'params.*wte=[x,]': the inputs and ops whose name matches, and how they lie"};
  }
  return Pin{text.substr(0, at), text.substr(at + 1)};
}

Result<std::map<ir::ValueId, sharding::Spec>> ResolvePins(const std::vector<Pin>& pins, const ir::Module& module,
                                                          const cluster::Mesh& mesh) {
  std::map<ir::ValueId, sharding::Spec> specs;
  std::map<ir::ValueId, const Pin*> by;
  const std::vector<Named> names = pins.empty() ? std::vector<Named>{} : Names(module);
  for (const Pin& pin : pins) {
    auto bad = [&](const std::string& what, std::string hint) {
      return Error{Code::kInvalidArgument, fmt::format("pin '{}={}': {}", pin.pattern, pin.spec, what),
                   std::move(hint)};
    };
    std::regex pattern;
    try {
      pattern = std::regex(pin.pattern);
    } catch (const std::regex_error& e) {
      return bad(fmt::format("the pattern is not a regular expression ({})", e.what()),
                 "put \\ before brackets that are meant literally");
    }
    const Result<sharding::Spec> spec = sharding::ParseSpec(pin.spec, mesh);
    if (!spec.ok()) return bad(spec.error().message, spec.error().hint);
    bool matched = false;
    for (const Named& named : names) {
      if (!std::regex_search(named.name, pattern)) continue;
      matched = true;
      const ir::Shape& shape = module.shape(named.value);
      if (const Status fits = sharding::Verify(*spec, shape, mesh); !fits.ok())
        return bad(fmt::format("'{}': {}", named.name, fits.error().message), fits.error().hint);
      const sharding::Spec padded = Normalised(*spec, shape.rank(), mesh);
      const auto [it, inserted] = specs.emplace(named.value, padded);
      if (!inserted && it->second != padded) {
        return bad(fmt::format("'{}' is pinned to {} by '{}={}'", named.name, sharding::ToString(it->second, mesh),
                               by[named.value]->pattern, by[named.value]->spec),
                   "leave out one of the two, or make its pattern narrower");
      }
      by[named.value] = &pin;
    }
    if (!matched)
      return bad("no input or operation has such a name", "inputs are called " + SomeNames(module) + ", ...");
  }
  return specs;
}

}  // namespace alpa::intra
