#include "alpa/frontend/batch_dims.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "alpa/frontend/batch_propagation.h"
#include "alpa/frontend/input_names.h"

namespace alpa::frontend {
namespace {

using ir::InputRole;

// A reading: each input's batch dimension.
using Reading = std::vector<int>;

std::vector<BatchState> InputStates(const ir::Module& module, const std::vector<InputRole>& roles,
                                    const Reading& dims) {
  std::vector<BatchState> states(module.inputs.size());
  for (size_t i = 0; i < states.size(); ++i) {
    const ir::Shape& shape = module.shape(module.inputs[i]);
    // A float array without examples counts as state also where nothing updates it: frozen or evaluated weights.
    states[i].info.uses_state =
        ir::IsFloat(shape.dtype) && dims[i] < 0 && (roles[i] != InputRole::kBatch || shape.rank() > 0);
    if (dims[i] < 0) continue;
    states[i].info.kind = BatchKind::kBatched;
    states[i].info.dim = dims[i];
    states[i].info.parts = std::max<int64_t>(1, shape.dims[static_cast<size_t>(dims[i])]);
  }
  return states;
}

bool Blocks(const BatchEvent& event) {
  switch (event.kind) {
    case BatchEvent::Kind::kMixed:
    case BatchEvent::Kind::kFolded:
      return true;
    case BatchEvent::Kind::kNeedsComplete:
      return event.uses_state;
    default:
      return false;
  }
}

// The step falls apart into blocks and some scalar result is a sum over them, as a loss is. With `strictly`, no state
// is cut either (columns of the labels would cut the columns of the last weight).
bool IsClean(const ir::Module& module, const std::vector<InputRole>& roles, const Reading& dims, bool strictly) {
  BatchPropagation pass(module);
  pass.Run(InputStates(module, roles, dims));
  auto stains = [&](const BatchEvent& event) {
    return Blocks(event) || (strictly && event.kind == BatchEvent::Kind::kPosition && !event.random);
  };
  if (std::any_of(pass.events().begin(), pass.events().end(), stains)) return false;
  return std::any_of(module.outputs.begin(), module.outputs.end(), [&](ir::ValueId v) {
    return module.shape(v).dims.empty() && pass.infos()[static_cast<size_t>(v)].kind == BatchKind::kPartial;
  });
}

// Inputs that may carry the batch.
std::vector<size_t> Voters(const ir::Module& module, const std::vector<InputRole>& roles) {
  std::vector<size_t> out;
  for (size_t i = 0; i < roles.size(); ++i) {
    const ir::Shape& shape = module.shape(module.inputs[i]);
    const std::string& name = module.input_names[i];
    if (roles[i] != InputRole::kBatch || shape.rank() == 0 || LooksLikeKey(shape, name)) continue;
    if (HintOf(name) == NameHint::kState) continue;  // not updated, yet state by its name: frozen weights
    out.push_back(i);
  }
  return out;
}

// The readings in order of preference: the extent that most inputs (at least two) share as dimension 0, then the one
// that most have as dimension 0 or 1.
std::vector<Reading> Readings(const ir::Module& module, const std::vector<size_t>& voters) {
  struct Votes {
    int64_t inputs = 0, in_front = 0, elements = 0;
    Reading reading;
  };
  std::map<int64_t, Votes> by_extent;
  for (const size_t i : voters) {
    const ir::Shape& shape = module.shape(module.inputs[i]);
    for (int d = 0; d < std::min(2, shape.rank()); ++d) {
      const int64_t extent = shape.dims[static_cast<size_t>(d)];
      if (d == 1 && extent == shape.dims[0]) continue;
      Votes& votes = by_extent[extent];
      if (votes.reading.empty()) votes.reading.assign(module.inputs.size(), -1);
      votes.reading[i] = d;
      ++votes.inputs;
      votes.in_front += d == 0 ? 1 : 0;
      votes.elements += shape.elements();
    }
  }
  std::vector<Votes> sorted;
  sorted.reserve(by_extent.size());
  for (auto& [extent, votes] : by_extent) sorted.push_back(std::move(votes));
  std::stable_sort(sorted.begin(), sorted.end(), [](const Votes& a, const Votes& b) {
    auto rank = [](const Votes& v) {
      return std::tuple(v.in_front >= 2 ? v.in_front : 0, v.inputs, v.in_front, v.elements);
    };
    return rank(a) > rank(b);
  });
  std::vector<Reading> out;
  out.reserve(sorted.size());
  for (Votes& votes : sorted) out.push_back(std::move(votes.reading));
  return out;
}

// Each reading that is tried costs a pass over the module.
constexpr size_t kMaxReadings = 4;

Status CheckDims(const ir::Module& module, const std::vector<InputRole>& roles, const Reading& dims) {
  auto wrong = [](const std::string& what) { return Error{Code::kInvalidArgument, "batch dimensions: " + what, ""}; };
  if (dims.size() != module.inputs.size()) {
    return wrong(fmt::format("{} given for {} inputs", dims.size(), module.inputs.size()));
  }
  int first = -1;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] < 0) continue;
    const ir::Shape& shape = module.shape(module.inputs[i]);
    const std::string input = fmt::format("input {} '{}' {}", i, module.input_names[i], ir::ToString(shape));
    if (roles[i] != InputRole::kBatch) return wrong(input + " is state and carries no batch");
    if (dims[i] >= shape.rank()) return wrong(fmt::format("{} has no dimension {}", input, dims[i]));
    if (first < 0) first = static_cast<int>(i);
    const auto f = static_cast<size_t>(first);
    const int64_t batch = module.shape(module.inputs[f]).dims[static_cast<size_t>(dims[f])];
    if (shape.dims[static_cast<size_t>(dims[i])] != batch) {
      return wrong(fmt::format("{} has {} examples along dimension {}, input {} has {}", input,
                               shape.dims[static_cast<size_t>(dims[i])], dims[i], first, batch));
    }
  }
  return Ok();
}

// The reading that has the batch at dimension `dim` in as many inputs as possible.
Result<Reading> ReadingAt(const ir::Module& module, const std::vector<InputRole>& roles, int dim) {
  const std::vector<size_t> voters = Voters(module, roles);
  const auto d = static_cast<size_t>(dim);
  std::map<int64_t, int> votes;
  auto dims_of = [&](size_t i) -> const std::vector<int64_t>& { return module.shape(module.inputs[i]).dims; };
  for (const size_t i : voters) {
    if (dim >= 0 && d < dims_of(i).size()) ++votes[dims_of(i)[d]];
  }
  if (votes.empty()) {
    return Error{Code::kInvalidArgument, fmt::format("--batch-dim {}: no batch input has that dimension", dim), ""};
  }
  const int64_t batch = std::max_element(votes.begin(), votes.end(), [](const auto& a, const auto& b) {
                          return a.second < b.second;
                        })->first;
  Reading out(module.inputs.size(), -1);
  for (const size_t i : voters) {
    const auto& dims = dims_of(i);
    const auto first = std::find(dims.begin(), dims.end(), batch);
    if (first == dims.end()) continue;
    out[i] = d < dims.size() && dims[d] == batch ? dim : static_cast<int>(first - dims.begin());
  }
  return out;
}

}  // namespace

std::string_view Name(BatchKind kind) {
  switch (kind) {
    case BatchKind::kNone:
      return "none";
    case BatchKind::kBatched:
      return "batched";
    case BatchKind::kPartial:
      return "partial";
    case BatchKind::kReduced:
      return "reduced";
    case BatchKind::kMixed:
      return "mixed";
  }
  return "";
}

std::string ToString(const BatchInfo& info) {
  std::string out(Name(info.kind));
  if (info.kind == BatchKind::kBatched) out += fmt::format("(dim {}, {} parts)", info.dim, info.parts);
  if (info.origin >= 0) out += fmt::format(" from op {}", info.origin);
  if (info.level > 0) out += fmt::format(" at level {}", info.level);
  return out;
}

std::vector<int> InferBatchDims(const ir::Module& module, const std::vector<InputRole>& roles) {
  ALPA_CHECK(roles.size() == module.inputs.size(), module.name);
  const Reading none(module.inputs.size(), -1);
  std::vector<Reading> readings = Readings(module, Voters(module, roles));
  if (readings.empty()) return none;
  if (readings.size() > kMaxReadings) readings.resize(kMaxReadings);
  for (const Reading& reading : readings) {
    if (IsClean(module, roles, reading, /*strictly=*/&reading != &readings[0])) return reading;
  }
  // Without any state, weights are among the inputs that voted: better no batch than weights cut in two.
  const bool has_state = std::any_of(roles.begin(), roles.end(), [](InputRole r) { return r != InputRole::kBatch; });
  const bool named = std::any_of(module.input_names.begin(), module.input_names.end(),
                                 [](const std::string& name) { return HintOf(name) == NameHint::kState; });
  return has_state || named ? readings[0] : none;
}

Result<BatchAnalysis> AnalyzeBatch(const ir::Module& module, const std::vector<InputRole>& roles,
                                   const BatchOptions& options) {
  ALPA_CHECK(roles.size() == module.inputs.size(), module.name);
  BatchAnalysis out;
  out.input_dims = options.input_batch_dims;
  if (out.input_dims.empty() && options.batch_dim.has_value()) {
    ALPA_TRY(out.input_dims, ReadingAt(module, roles, *options.batch_dim));
  } else if (out.input_dims.empty()) {
    out.input_dims = InferBatchDims(module, roles);
  }
  ALPA_RETURN_IF_ERROR(CheckDims(module, roles, out.input_dims));
  for (size_t i = 0; i < out.input_dims.size() && out.batch_size == 0; ++i) {
    if (out.input_dims[i] < 0) continue;
    out.batch_size = module.shape(module.inputs[i]).dims[static_cast<size_t>(out.input_dims[i])];
  }
  BatchPropagation pass(module);
  pass.Run(InputStates(module, roles, out.input_dims));
  out.values = std::move(pass.infos());
  out.events = std::move(pass.events());
  return out;
}

}  // namespace alpa::frontend
