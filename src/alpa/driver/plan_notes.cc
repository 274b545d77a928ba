#include "alpa/driver/plan_notes.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "alpa/driver/plan.h"
#include "alpa/frontend/segment.h"
#include "alpa/intra/lifetimes.h"

namespace alpa::driver {
namespace {

constexpr size_t kTensors = 12;  // of each stage
constexpr size_t kResults = 12;  // of ops, with alternatives
constexpr size_t kOps = 800;

// The parts of "params['h'][3].w": params, h, 3, w.
std::vector<std::string> PartsOf(const std::string& name) {
  std::vector<std::string> parts(1);
  for (const char c : name) {
    if (c == '[' || c == ']' || c == '.') {
      if (!parts.back().empty()) parts.emplace_back();
    } else if (c != '\'' && c != '"') {
      parts.back() += c;
    }
  }
  if (parts.back().empty()) parts.pop_back();
  return parts;
}

bool IsNumber(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

std::string Where(const ir::Module& module, const ir::Op& op) {
  const ir::Location location = ir::LocationOf(module, op);
  if (location.file.empty()) return location.name;
  const std::string file = location.file.substr(location.file.rfind('/') + 1);
  return location.function.empty() ? fmt::format("{}:{}", file, location.line)
                                   : fmt::format("{}:{} ({})", file, location.line, location.function);
}

// Keeps those that are largest together with those that look alike, largest first.
class Largest {
 public:
  void Add(plan::TensorNote note) {
    const auto key = std::tuple(note.role, note.dtype, note.shape, note.spec);
    const auto [it, fresh] = places_.emplace(key, notes_.size());
    if (fresh) {
      notes_.push_back(std::move(note));
    } else {
      ++notes_[it->second].count;
      if (notes_[it->second].others.empty()) notes_[it->second].others = std::move(note.others);
    }
  }
  // At most `most` of them.
  std::vector<plan::TensorNote> Take(size_t most = kTensors) {
    std::stable_sort(notes_.begin(), notes_.end(),
                     [](const auto& a, const auto& b) { return a.bytes.value * a.count > b.bytes.value * b.count; });
    notes_.resize(std::min(notes_.size(), most));
    return std::move(notes_);
  }

 private:
  std::map<std::tuple<std::string, std::string, std::vector<int64_t>, std::string>, size_t> places_;
  std::vector<plan::TensorNote> notes_;
};

plan::TensorNote NoteOf(const ir::Module& module, ir::ValueId value, std::string role, const sharding::Spec& spec,
                        const cluster::Mesh& mesh) {
  const ir::Shape& shape = module.shape(value);
  plan::TensorNote note;
  note.name = module.producer(value).name;
  note.role = std::move(role);
  note.dtype = ir::Name(shape.dtype);
  note.shape = shape.dims;
  note.spec = sharding::ToString(spec, mesh);
  note.bytes = shape.bytes();
  return note;
}

// Of an input, called as the user calls it.
plan::TensorNote NoteOfInput(const ir::Module& module, size_t input, std::string role, const sharding::Spec& spec,
                             const cluster::Mesh& mesh) {
  plan::TensorNote note = NoteOf(module, module.inputs[input], std::move(role), spec, mesh);
  if (input < module.input_names.size() && !module.input_names[input].empty()) note.name = module.input_names[input];
  return note;
}

void AddOthers(const intra::OpChoice& choice, const cluster::Mesh& mesh, plan::TensorNote* note) {
  for (const intra::Alternative& other : choice.others)
    note->others.push_back({sharding::ToString(other.spec, mesh), other.seconds, other.bytes});
}

std::vector<plan::LayerNote> LayersOf(const LoadedStep& loaded, const frontend::Layering& layering) {
  const ir::Module& module = loaded.step.module;
  std::vector<std::vector<std::string>> parameters(static_cast<size_t>(layering.count));
  for (size_t i = 0; i < module.inputs.size(); ++i) {
    const int layer = layering.layer_of_op[static_cast<size_t>(module.value(module.inputs[i]).producer)];
    if (layer >= 0 && loaded.analysis.signature.inputs[i].role == ir::InputRole::kParameter &&
        !module.input_names[i].empty())
      parameters[static_cast<size_t>(layer)].push_back(module.input_names[i]);
  }
  std::vector<plan::LayerNote> notes;
  for (size_t l = 0; l < parameters.size(); ++l) {
    const frontend::LayerContent& content = layering.layers[l];
    notes.push_back({LayerName(parameters[l]), content.forward, content.backward, content.parameters});
  }
  return notes;
}

// Of one microbatch.
void AddStageTensors(const LoadedStep& loaded, const frontend::Layering& layering, const plan::PipelinePlan& plan,
                     size_t s, std::vector<plan::TensorNote>* out) {
  const plan::PipelineStage& stage = plan.stages[s];
  frontend::Segment segment = frontend::ExtractSegment(loaded.step.module, loaded.analysis, layering, stage.first_layer,
                                                       stage.last_layer, stage.recompute);
  Largest largest;
  for (size_t i = 0; i < segment.module.inputs.size() && i < stage.layout.inputs.size(); ++i) {
    const auto value = static_cast<size_t>(segment.module.inputs[i]);
    const frontend::BatchInfo& info = loaded.analysis.batch.value(segment.value_origin[value]);
    if (info.kind == frontend::BatchKind::kBatched)
      segment.module.values[value].shape.dims[static_cast<size_t>(info.dim)] /= plan.microbatches;
    const frontend::BorderKind kind = segment.input_kinds[i];
    const std::string role(kind == frontend::BorderKind::kOwn ? ir::Name(segment.signature.inputs[i].role)
                                                              : frontend::Name(kind));
    plan::TensorNote note = NoteOfInput(segment.module, i, role, stage.layout.inputs[i], stage.layout.mesh);
    note.stage = static_cast<int>(s);
    largest.Add(std::move(note));
  }
  std::vector<plan::TensorNote> notes = largest.Take();
  out->insert(out->end(), std::make_move_iterator(notes.begin()), std::make_move_iterator(notes.end()));
}

// Bytes per device while each op runs. The solver counts the same, at its peak.
std::vector<int64_t> MemoryByOp(const PlannerInput& input, const ir::StepSignature& signature, const plan::Plan& plan) {
  const ir::Module& module = input.module;
  std::vector<char> accumulates(input.work.size(), 0);
  for (size_t i = 0; i < accumulates.size(); ++i) accumulates[i] = input.work[i].accumulates && input.work[i].runs > 1;
  const std::vector<intra::Lifetime> lifetimes = intra::FindLifetimes(module, signature, accumulates);
  std::map<ir::ValueId, size_t> inputs;
  for (size_t i = 0; i < module.inputs.size(); ++i) inputs[module.inputs[i]] = i;
  std::vector<int64_t> change(module.ops.size() + 1, 0);
  for (const ir::Op& op : module.ops) {
    for (size_t r = 0; r < op.results.size(); ++r) {
      const ir::ValueId value = op.results[r];
      const intra::Lifetime& lifetime = lifetimes[static_cast<size_t>(value)];
      if (lifetime.live.begin >= lifetime.live.end) continue;
      const auto at = inputs.find(value);
      const auto named = plan.ops.find(plan::ResultName(op, r));
      const sharding::Spec spec = at != inputs.end()        ? plan.inputs[at->second]
                                  : named == plan.ops.end() ? sharding::Spec()
                                                            : named->second;
      const int64_t bytes = sharding::ShardShape(spec, module.shape(value), plan.mesh).bytes().value;
      change[static_cast<size_t>(std::max<int64_t>(lifetime.live.begin, 0))] += bytes;
      change[std::min(static_cast<size_t>(lifetime.live.end), module.ops.size())] -= bytes;
    }
  }
  std::vector<int64_t> held;
  int64_t now = 0;
  for (size_t i = 0; i < module.ops.size(); ++i) held.push_back(now += change[i]);
  return held;
}

// Appends `op` to the note before it if `same`.
void Append(plan::OpNote op, bool same, std::vector<plan::OpNote>* notes, double* dearest) {
  const double seconds = (op.compute + op.communication).value;
  if (!same) {
    *dearest = seconds;
    notes->push_back(std::move(op));
    return;
  }
  plan::OpNote& last = notes->back();
  if (seconds > *dearest) {
    *dearest = seconds;
    last.name = op.name;
    last.where = op.where;
  }
  last.count += op.count;
  last.compute += op.compute;
  last.communication += op.communication;
  last.memory = std::max(last.memory, op.memory);
}

// Where there are more than kOps, neighbours of one phase become one.
std::vector<plan::OpNote> Thin(std::vector<plan::OpNote> notes) {
  while (notes.size() > kOps) {
    std::vector<plan::OpNote> half;
    double dearest = 0;
    for (size_t i = 0; i < notes.size(); ++i)
      Append(notes[i], i % 2 == 1 && half.back().phase == notes[i].phase, &half, &dearest);
    if (half.size() == notes.size()) break;
    notes = std::move(half);
  }
  return notes;
}

}  // namespace

std::string LayerName(const std::vector<std::string>& parameters, size_t most) {
  std::vector<std::vector<std::string>> paths;
  for (const std::string& parameter : parameters) {
    paths.push_back(PartsOf(parameter));
    if (paths.back().size() > 1) paths.back().erase(paths.back().begin());  // the name of the argument
    if (paths.back().empty()) paths.pop_back();
  }
  // How many parts of the first one all have.
  size_t common = paths.empty() ? 0 : paths[0].size();
  for (const std::vector<std::string>& path : paths)
    common = static_cast<size_t>(
        std::mismatch(path.begin(), path.end(), paths[0].begin(), paths[0].begin() + std::ptrdiff_t(common)).first -
        path.begin());
  std::vector<std::string> names;
  for (const std::vector<std::string>& path : paths) {
    std::string name = path[0];
    if (path.size() > 1 && (IsNumber(path[1]) || common > 1)) {
      name += "." + path[1];
    } else if (path.size() > 1 && IsNumber(path.back())) {  // of a stack taken apart
      name += "." + path.back();
    }
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
  }
  std::string out;
  for (size_t i = 0; i < std::min(names.size(), most); ++i) out += (i == 0 ? "" : ", ") + names[i];
  return names.size() > most ? out + fmt::format(" and {} more", names.size() - most) : out;
}

plan::Notes StageNotes(const LoadedStep& loaded, const frontend::Layering& layering, const plan::PipelinePlan& plan) {
  plan::Notes notes;
  notes.batch = loaded.analysis.batch.batch_size;
  if (plan.prediction.bound.value > 0)
    notes.gap = std::max(0.0, plan.prediction.closed_form / plan.prediction.bound - 1);
  notes.layers = LayersOf(loaded, layering);
  for (size_t s = 0; s < plan.stages.size(); ++s) AddStageTensors(loaded, layering, plan, s, &notes.tensors);
  return notes;
}

Result<plan::Notes> PipelineNotes(const LoadedStep& loaded, const FoundPipeline& found,
                                  const report::PipelinePage& page) {
  std::optional<TakenApart> apart;
  if (found.plan.unstacked) {
    ALPA_TRY(apart, TakeApart(loaded));
  }
  plan::Notes notes = StageNotes(apart ? apart->loaded : loaded, found.layering, found.plan);
  notes.peak_flops = page.peak_flops;
  notes.memory_limits = page.memory;
  notes.gap = page.gap;
  notes.interleaved_bound = page.interleaved_bound;
  notes.complete = page.complete;
  notes.times = page.times;
  for (const report::RunnerUp& r : page.runners_up)
    notes.ways.push_back({r.schedule, r.microbatches, r.stages, r.step});
  return notes;
}

Result<plan::Notes> MeshNotes(const LoadedStep& loaded, const cost::Model& model, const intra::PlannedStep& planned,
                              int64_t microbatches, bool per_microbatch) {
  ALPA_TRY(const PlannerInput input, MakePlannerInput(loaded, microbatches, per_microbatch));
  const ir::Module& module = input.module;
  const cluster::Mesh& mesh = planned.plan.mesh;
  plan::Notes notes;
  notes.batch = loaded.analysis.batch.batch_size;
  notes.memory_limits = {{model.device.name, model.device.memory}};
  notes.gap = planned.report.gap;
  notes.complete = planned.report.status == solver::SolveStatus::kOptimal || planned.report.gap <= 0.01;
  notes.times = {{"problem", planned.report.build}, {"solver", planned.report.solve}};
  std::map<ir::OpId, size_t> inputs;
  for (size_t i = 0; i < module.inputs.size(); ++i) inputs[module.value(module.inputs[i]).producer] = i;
  const std::vector<int64_t> held = MemoryByOp(input, loaded.analysis.signature, planned.plan);
  Largest largest, results;
  double dearest = 0;
  for (const intra::OpChoice& choice : planned.choices) {
    const ir::Op& op = module.op(choice.op);
    if (const auto at = inputs.find(choice.op); at != inputs.end()) {
      const std::string role(ir::Name(loaded.analysis.signature.inputs[at->second].role));
      plan::TensorNote note = NoteOfInput(module, at->second, role, planned.plan.inputs[at->second], mesh);
      AddOthers(choice, mesh, &note);
      largest.Add(std::move(note));
      continue;
    }
    if (!choice.others.empty()) {
      plan::TensorNote result = NoteOf(module, op.results[0], "result", choice.result, mesh);
      AddOthers(choice, mesh, &result);
      results.Add(std::move(result));
    }
    plan::OpNote note;
    note.name = op.name;
    note.where = Where(module, op);
    note.phase = frontend::Name(loaded.analysis.phases[static_cast<size_t>(choice.op)]);
    note.compute = Seconds(choice.compute);
    note.communication = Seconds(choice.communication);
    note.memory = Bytes(held[static_cast<size_t>(choice.op)]);
    const bool same =
        !notes.ops.empty() && notes.ops.back().where == note.where && notes.ops.back().phase == note.phase;
    Append(std::move(note), same, &notes.ops, &dearest);
  }
  notes.ops = Thin(std::move(notes.ops));
  notes.tensors = largest.Take();
  for (plan::TensorNote& result : results.Take(kResults)) notes.tensors.push_back(std::move(result));
  return notes;
}

}  // namespace alpa::driver
