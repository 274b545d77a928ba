#include "alpa/frontend/assign_roles.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <string>

#include "alpa/frontend/batch_dims.h"
#include "alpa/frontend/find_loss.h"
#include "alpa/frontend/input_names.h"
#include "alpa/frontend/match_state.h"

namespace alpa::frontend {
namespace {

using ir::InputRole;
using ir::OutputRole;

// For each input the output that updates it, or -1.
using Matching = std::vector<int>;

std::string DescribeOutput(const ir::Module& module, int output) {
  return fmt::format("output {} {}", output, ir::ToString(module.shape(module.outputs[static_cast<size_t>(output)])));
}

std::vector<InputRole> RolesOf(const Matching& matched) {
  std::vector<InputRole> roles;
  for (const int o : matched) roles.push_back(o < 0 ? InputRole::kBatch : InputRole::kState);
  return roles;
}

// Aliases and names that say "state" are not doubted.
bool IsBeyondDoubt(const ir::Module& module, size_t input) {
  const bool aliased = std::any_of(module.aliases.begin(), module.aliases.end(),
                                   [&](const ir::Alias& a) { return static_cast<size_t>(a.input) == input; });
  return aliased || HintOf(module.input_names[input]) == NameHint::kState;
}

bool IsLone(const Matching& matched, size_t i) {
  const bool before = i > 0 && matched[i - 1] >= 0 && matched[i - 1] + 1 == matched[i];
  const bool after = i + 1 < matched.size() && matched[i + 1] >= 0 && matched[i + 1] == matched[i] + 1;
  return !before && !after;
}

BatchAnalysis Propagate(const ir::Module& module, const std::vector<InputRole>& roles, std::vector<int> dims) {
  auto analysis = AnalyzeBatch(module, roles, BatchOptions{std::move(dims), std::nullopt});
  return analysis.ok() ? std::move(analysis).value()
                       : BatchAnalysis{0, {}, std::vector<BatchInfo>(module.values.size()), {}};
}

// Drops pairs whose output carries the batch: the next value of a state does not, a per-example loss does. Where such a
// pair is part of a run, it may be the state of a recurrent model, and the user has to say; returns those.
std::vector<int> DropBatched(const ir::Module& module, Matching& matched) {
  std::vector<int> doubtful;
  bool changed = false;
  for (size_t i = 0; i < matched.size(); ++i) changed |= matched[i] >= 0 && !IsBeyondDoubt(module, i);
  while (changed) {
    changed = false;
    const BatchAnalysis analysis = Propagate(module, RolesOf(matched), {});
    doubtful.clear();
    for (size_t i = 0; i < matched.size(); ++i) {
      if (matched[i] < 0 || IsBeyondDoubt(module, i)) continue;
      const ir::ValueId v = module.outputs[static_cast<size_t>(matched[i])];
      if (analysis.value(v).kind != BatchKind::kBatched) continue;
      if (!IsLone(matched, i)) {
        doubtful.push_back(static_cast<int>(i));
        continue;
      }
      matched[i] = -1;
      changed = true;
    }
  }
  return doubtful;
}

// Drops a lone scalar pair that may be the loss and its weight, when no other scalar result is left.
void DropScaledLoss(const ir::Module& module, const Evidence& evidence, Matching& matched) {
  auto is_number = [&](int o) {
    const ir::Shape& shape = module.shape(module.outputs[static_cast<size_t>(o)]);
    return ir::IsFloat(shape.dtype) && shape.dims.empty();
  };
  for (int o = 0; o < evidence.outputs(); ++o) {
    if (is_number(o) && std::find(matched.begin(), matched.end(), o) == matched.end()) return;
  }
  for (size_t i = 0; i < matched.size(); ++i) {
    if (matched[i] < 0 || !is_number(matched[i]) || !IsLone(matched, i) || IsBeyondDoubt(module, i)) continue;
    for (size_t b = 0; b < matched.size(); ++b) {
      if (matched[b] < 0 && evidence.DependsOn(matched[i], static_cast<int>(b))) {
        matched[i] = -1;
        return;
      }
    }
  }
}

// Inputs that could be the batch where every input has found an output of its shape: cut along its dimension 0, the
// step falls apart cleanly and its output stays cut (an autoencoder that returns what it has reconstructed).
std::vector<int> CouldBeBatch(const ir::Module& module, const Matching& matched) {
  constexpr int kMaxTried = 8;  // each costs a pass
  std::vector<int> out;
  int tried = 0;
  for (size_t i = 0; i < matched.size() && tried < kMaxTried; ++i) {
    const ir::Shape& shape = module.shape(module.inputs[i]);
    if (shape.rank() == 0 || !IsLone(matched, i) || IsBeyondDoubt(module, i) ||
        LooksLikeKey(shape, module.input_names[i])) {
      continue;
    }
    ++tried;
    std::vector<InputRole> roles = RolesOf(matched);
    roles[i] = InputRole::kBatch;
    std::vector<int> dims(matched.size(), -1);
    dims[i] = 0;
    const BatchAnalysis analysis = Propagate(module, roles, dims);
    const bool blocked = std::any_of(analysis.events.begin(), analysis.events.end(), [](const BatchEvent& e) {
      return e.kind != BatchEvent::Kind::kPosition && e.kind != BatchEvent::Kind::kRegrouped;
    });
    const ir::ValueId v = module.outputs[static_cast<size_t>(matched[i])];
    if (!blocked && analysis.value(v).kind == BatchKind::kBatched) out.push_back(static_cast<int>(i));
  }
  return out;
}

Error Ambiguous(const ir::Module& module, const std::vector<std::string>& candidates, const std::set<int>& inputs) {
  return {Code::kAmbiguous,
          fmt::format("it is not clear which inputs of '{}' are state and which are the batch:\n  {}", module.name,
                      fmt::join(candidates, "\n  ")),
          fmt::format(
              "export the step with its state donated (donate_argnums), or name the batch inputs, e.g. --batch-args {}",
              fmt::join(inputs, ","))};
}

// Fails when some pair could as well be another.
Status CheckRivals(const ir::Module& module, const Evidence& evidence, const Matching& matched) {
  std::vector<std::string> candidates;
  std::set<int> batch;
  for (size_t i = 0; i < matched.size(); ++i) {
    if (matched[i] < 0) batch.insert(static_cast<int>(i));
  }
  for (const Rivals& r : FindRivals(evidence, matched)) {
    if (candidates.size() == 8) {
      candidates.emplace_back("...");
      break;
    }
    std::string text =
        fmt::format("{} may be the next value of {}", DescribeOutput(module, r.output), DescribeInput(module, r.input));
    for (const int other : r.other_inputs) text += " or of " + DescribeInput(module, other);
    if (!r.other_outputs.empty()) {
      text = fmt::format("the next value of {} may be {}", DescribeInput(module, r.input),
                         DescribeOutput(module, r.output));
      for (const int other : r.other_outputs) text += " or " + DescribeOutput(module, other);
    }
    candidates.push_back(std::move(text));
  }
  if (candidates.empty()) return Ok();
  return Ambiguous(module, candidates, batch);
}

Error MayBeBatch(const ir::Module& module, const Matching& matched, const std::vector<int>& inputs) {
  std::vector<std::string> candidates;
  candidates.reserve(inputs.size());
  std::set<int> batch(inputs.begin(), inputs.end());
  for (const int i : inputs) {
    candidates.push_back(fmt::format("{} may be batch, or state whose next value is {}", DescribeInput(module, i),
                                     DescribeOutput(module, matched[static_cast<size_t>(i)])));
  }
  for (size_t i = 0; i < matched.size(); ++i) {
    if (matched[i] < 0) batch.insert(static_cast<int>(i));
  }
  return Ambiguous(module, candidates, batch);
}

Result<Matching> FindMatching(const ir::Module& module) {
  const Evidence evidence(module, std::vector<bool>(module.inputs.size(), true));
  Matching matched = MatchState(evidence);
  if (const auto doubtful = DropBatched(module, matched); !doubtful.empty())
    return MayBeBatch(module, matched, doubtful);
  DropScaledLoss(module, evidence, matched);
  if (std::find(matched.begin(), matched.end(), -1) == matched.end()) {
    const std::vector<int> could_be_batch = CouldBeBatch(module, matched);
    if (could_be_batch.size() > 1) return MayBeBatch(module, matched, could_be_batch);
    if (could_be_batch.size() == 1) matched[static_cast<size_t>(could_be_batch[0])] = -1;
  }
  ALPA_RETURN_IF_ERROR(CheckRivals(module, evidence, matched));
  return matched;
}

// The matching where the user has said what is batch.
Result<Matching> MatchAllBut(const ir::Module& module, const std::vector<int>& batch_args) {
  const int n = static_cast<int>(module.inputs.size());
  std::vector<bool> state(module.inputs.size(), true);
  for (const int i : batch_args) {
    if (i < 0 || i >= n) {
      return Error{Code::kInvalidArgument, fmt::format("--batch-args: there is no input {}", i),
                   n == 0 ? "the step has no inputs" : fmt::format("inputs are numbered 0 to {}", n - 1)};
    }
    state[static_cast<size_t>(i)] = false;
  }
  const Evidence evidence(module, state);
  Matching matched = MatchState(evidence);
  for (int i = 0; i < n; ++i) {
    int& o = matched[static_cast<size_t>(i)];
    for (int other = 0; state[static_cast<size_t>(i)] && o < 0 && other < evidence.outputs(); ++other) {
      const bool free = std::find(matched.begin(), matched.end(), other) == matched.end();
      if (free && evidence.Possible(i, other)) o = other;
    }
    if (!state[static_cast<size_t>(i)] || o >= 0) continue;
    return Error{
        Code::kInvalidArgument,
        fmt::format("--batch-args makes {} state, but no output is left that could be its next value",
                    DescribeInput(module, i)),
        fmt::format("an input that the step does not return updated belongs to the batch: add {} to --batch-args", i)};
  }
  return matched;
}

// Without a loss: whether `input` influences updates that are not carried from it, as a weight does through gradients.
bool InfluencesOthers(const ir::Module& module, const InputSets& reach, const std::vector<std::vector<Carry>>& carries,
                      size_t input) {
  for (size_t o = 0; o < module.outputs.size(); ++o) {
    const bool carried = std::any_of(carries[o].begin(), carries[o].end(),
                                     [&](const Carry& c) { return static_cast<size_t>(c.input) == input; });
    if (!carried && reach.Contains(module.outputs[o], static_cast<int32_t>(input))) return true;
  }
  return false;
}

void MarkParameters(const ir::Module& module, ir::StepSignature& signature) {
  std::vector<bool> read_by_loss;
  std::vector<std::vector<Carry>> carries;
  std::optional<InputSets> reach;
  if (signature.loss >= 0) {
    read_by_loss = Ancestors(module, module.outputs[static_cast<size_t>(signature.loss)]);
  } else {
    reach.emplace(module);
    for (const ir::ValueId v : module.outputs) carries.push_back(CarriesOf(module, v));
  }
  for (size_t i = 0; i < module.inputs.size(); ++i) {
    const ir::DType type = module.shape(module.inputs[i]).dtype;
    if (signature.inputs[i].role != InputRole::kState || !(ir::IsFloat(type) || ir::IsComplex(type))) continue;
    const auto producer = static_cast<size_t>(module.value(module.inputs[i]).producer);
    const bool parameter = signature.loss >= 0 ? read_by_loss[producer] : InfluencesOthers(module, *reach, carries, i);
    if (parameter) signature.inputs[i].role = InputRole::kParameter;
  }
}

}  // namespace

std::string DescribeInput(const ir::Module& module, int input) {
  const auto i = static_cast<size_t>(input);
  const std::string& name = module.input_names[i];
  return fmt::format("input {} {}{}", input, name.empty() ? "" : name + " ",
                     ir::ToString(module.shape(module.inputs[i])));
}

std::vector<InputRole> RolesOf(const ir::StepSignature& signature) {
  std::vector<InputRole> roles;
  for (const ir::StepInput& input : signature.inputs) roles.push_back(input.role);
  return roles;
}

Result<ir::StepSignature> AssignRoles(const ir::Module& module, const RoleOptions& options) {
  ALPA_TRY(const Matching matched,
           options.batch_args.has_value() ? MatchAllBut(module, *options.batch_args) : FindMatching(module));
  ir::StepSignature signature;
  signature.inputs.resize(module.inputs.size());
  signature.outputs.resize(module.outputs.size());
  for (size_t i = 0; i < matched.size(); ++i) {
    if (matched[i] < 0) continue;
    signature.inputs[i].role = InputRole::kState;
    signature.inputs[i].updated_by = matched[i];
    signature.outputs[static_cast<size_t>(matched[i])] = {OutputRole::kUpdatedState, static_cast<int32_t>(i)};
  }
  for (const ir::Alias& alias : module.aliases) signature.inputs[static_cast<size_t>(alias.input)].donated = true;
  for (const int32_t i : module.donated_inputs) signature.inputs[static_cast<size_t>(i)].donated = true;
  signature.loss = FindLoss(module, signature);
  MarkParameters(module, signature);
  return signature;
}

}  // namespace alpa::frontend
