#include "alpa/report/compare_plans.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "alpa/report/pipeline_table.h"

namespace alpa::report {
namespace {

constexpr size_t kMostTensors = 12;
constexpr size_t kMostPlaces = 8;

std::string Plural(int64_t n, std::string_view noun, std::string_view ending = "s") {
  return fmt::format("{} {}{}", n, noun, n == 1 ? "" : ending);
}

std::string Signed(Seconds s) { return (s.value < 0 ? "-" : "+") + ToString(Seconds(std::abs(s.value))); }
std::string Signed(Bytes b) { return (b.value < 0 ? "-" : "+") + ToString(Bytes(std::abs(b.value))); }

PlanFigures OfPipeline(const PlanOnPage& page) {
  const plan::PipelinePlan& plan = *page.pipeline;
  PlanFigures f;
  f.summary = fmt::format("{} ({}), {}, {}", Plural(static_cast<int64_t>(plan.stages.size()), "stage"),
                          StagesInShort(plan), plan.schedule, Plural(plan.microbatches, "microbatch", "es"));
  f.step = page.timeline != nullptr ? Seconds(page.timeline->makespan) : plan.prediction.step;
  f.devices = plan::DeviceCount(plan);
  Bytes memory, between;
  if (page.timeline != nullptr) {
    PipelinePage table;
    table.plan = &plan;
    table.pipeline = page.schedule;
    table.timeline = page.timeline;
    const TimeShares shares = SharesOf(table);
    f.computing = shares.busy;
    for (const simulate::MeshUse& use : page.timeline->meshes) memory = std::max(memory, Bytes(use.peak));
    f.waiting = shares.waiting;
    f.bubble = shares.bubble;
  }
  double communication = 0, all = 0, collected = 0;
  bool known = true;
  for (const plan::PipelineStage& stage : plan.stages) {
    if (page.timeline == nullptr) memory = std::max(memory, stage.prediction.peak);
    known = known && stage.layout.prediction.has_value();
    if (!stage.layout.prediction) continue;
    const auto devices = static_cast<double>(stage.layout.mesh.size());
    communication += devices * stage.layout.prediction->communication.value;
    all += devices * (stage.layout.prediction->compute + stage.layout.prediction->communication).value;
    for (const plan::CollectiveTotal& total : stage.layout.prediction->collectives)
      collected += devices * static_cast<double>(total.bytes.value) / static_cast<double>(f.devices);
  }
  for (const plan::PipelineEdge& edge : plan.edges) between += (edge.activation + edge.cotangent) * plan.microbatches;
  for (const plan::PipelineStepEdge& edge : plan.step_edges) between += edge.bytes;
  f.memory = memory;
  f.between = between;
  if (known) {
    f.collected = Bytes(static_cast<int64_t>(collected));
    if (f.computing && all > 0) f.collectives = *f.computing * communication / all;
  }
  return f;
}

PlanFigures OfMesh(const PlanOnPage& page) {
  const plan::Plan& plan = *page.mesh;
  PlanFigures f;
  f.summary = fmt::format("one mesh of {}, method {}", cluster::ToString(plan.mesh), plan.method);
  f.devices = plan.mesh.size();
  if (!plan.prediction) return f;
  const plan::Prediction& p = *plan.prediction;
  f.step = p.compute + p.communication;
  f.computing = 1;
  if (f.step->value > 0) f.collectives = p.communication / *f.step;
  f.waiting = f.bubble = 0;
  f.memory = p.memory;
  f.between = Bytes(0);
  Bytes collected;
  for (const plan::CollectiveTotal& total : p.collectives) collected += total.bytes;
  f.collected = collected;
  return f;
}

// Collects what is not the same.
class Differ {
 public:
  void Add(std::string what, std::string a, std::string b, std::string cost = "") {
    if (a != b) out_.push_back({std::move(what), std::move(a), std::move(b), std::move(cost)});
  }
  std::vector<Difference> Take() { return std::move(out_); }

 private:
  std::vector<Difference> out_;
};

// "0-5 | 6-11".
std::string Cuts(const plan::PipelinePlan& plan) {
  std::string out;
  for (const plan::PipelineStage& s : plan.stages) out += (out.empty() ? "" : " | ") + LayersText(s);
  return out;
}

Seconds OfMicrobatch(const plan::PipelineStage& stage) { return stage.prediction.forward + stage.prediction.backward; }

// How many layouts of two plans for the same program on the same mesh are not the same.
std::pair<size_t, size_t> DifferentInputs(const plan::Plan& a, const plan::Plan& b) {
  size_t different = 0;
  const size_t n = std::min(a.inputs.size(), b.inputs.size());
  for (size_t i = 0; i < n; ++i) different += a.inputs[i] == b.inputs[i] ? 0 : 1;
  return {different, n};
}
size_t DifferentOps(const plan::Plan& a, const plan::Plan& b) {
  size_t different = 0;
  for (const auto& [name, spec] : a.ops) {
    const auto it = b.ops.find(name);
    different += it == b.ops.end() || it->second != spec ? 1 : 0;
  }
  return different;
}

void AddLayouts(const std::string& where, const plan::Plan& a, const plan::Plan& b, Differ* out) {
  if (a.mesh != b.mesh || a.model_fingerprint != b.model_fingerprint) return;
  const auto [inputs, all] = DifferentInputs(a, b);
  const size_t ops = DifferentOps(a, b);
  if (inputs + ops == 0) return;
  out->Add("layouts" + where, "",
           fmt::format("{} of {} inputs, {} of {} ops lie otherwise", inputs, all, ops,
                       std::max(a.ops.size(), b.ops.size())));
}

void AddStages(const plan::PipelinePlan& a, const plan::PipelinePlan& b, Differ* out) {
  out->Add("layers of stages", Cuts(a), Cuts(b));
  if (Cuts(a) != Cuts(b)) {
    out->Add("submeshes", StagesInShort(a), StagesInShort(b));
    return;
  }
  for (size_t s = 0; s < a.stages.size(); ++s) {
    const plan::PipelineStage &x = a.stages[s], &y = b.stages[s];
    const std::string of = fmt::format(" of stage {}", s);
    out->Add("devices" + of, PlaceText(x.placement), PlaceText(y.placement));
    out->Add("device type" + of, x.placement.device_type, y.placement.device_type);
    out->Add("mesh" + of, cluster::ToString(x.layout.mesh), cluster::ToString(y.layout.mesh));
    out->Add("recomputation" + of, x.recompute ? "yes" : "no", y.recompute ? "yes" : "no");
    AddLayouts(of, x.layout, y.layout, out);
    const Seconds more = OfMicrobatch(y) - OfMicrobatch(x);
    if (std::abs(more.value) > 0.005 * OfMicrobatch(x).value)
      out->Add("microbatch" + of, ToString(OfMicrobatch(x)), ToString(OfMicrobatch(y)), Signed(more) + " each");
    const Bytes peak = y.prediction.peak - x.prediction.peak;
    if (std::abs(static_cast<double>(peak.value)) > 0.005 * static_cast<double>(x.prediction.peak.value))
      out->Add("memory" + of, ToString(x.prediction.peak), ToString(y.prediction.peak), Signed(peak) + " per device");
  }
}

std::string Kinds(const plan::Plan& plan, sharding::CollectiveKind kind) {
  int64_t count = 0;
  Bytes bytes;
  for (const plan::CollectiveTotal& total : plan.prediction->collectives) {
    if (total.kind != kind) continue;
    count += total.count;
    bytes += total.bytes;
  }
  return count == 0 ? "none" : fmt::format("{} of {}", count, ToString(bytes));
}

void AddCollectives(const plan::Plan& a, const plan::Plan& b, Differ* out) {
  if (!a.prediction || !b.prediction) return;
  using enum sharding::CollectiveKind;
  for (const auto kind : {kAllReduce, kAllGather, kReduceScatter, kAllToAll, kCollectivePermute})
    out->Add(std::string(sharding::Name(kind)), Kinds(a, kind), Kinds(b, kind));
}

const cluster::Mesh& MeshOf(const PlanOnPage& page, int stage) {
  return page.pipeline != nullptr ? page.pipeline->stages[static_cast<size_t>(stage)].layout.mesh : page.mesh->mesh;
}

// Bytes per device; of what cannot be parsed the whole.
Bytes PieceOf(const PlanOnPage& page, const plan::TensorNote& tensor) {
  const int stages = page.pipeline != nullptr ? static_cast<int>(page.pipeline->stages.size()) : 1;
  if (tensor.stage >= stages) return tensor.bytes;
  const Result<sharding::Spec> spec = sharding::ParseSpec(tensor.spec, MeshOf(page, tensor.stage));
  if (!spec.ok()) return tensor.bytes;
  int64_t parts = 1;
  for (int d = 0; d < static_cast<int>(spec->dims.size()); ++d)
    parts *= sharding::Parts(*spec, d, MeshOf(page, tensor.stage));
  return Bytes(tensor.bytes.value / parts);
}

// Arrays that both plans name.
void AddTensors(const PlanOnPage& a, const PlanOnPage& b, Differ* out) {
  if (a.notes == nullptr || b.notes == nullptr) return;
  std::map<std::string, const plan::TensorNote*> theirs;
  for (const plan::TensorNote& tensor : b.notes->tensors) theirs.emplace(tensor.name, &tensor);
  size_t shown = 0;
  for (const plan::TensorNote& tensor : a.notes->tensors) {
    const auto it = theirs.find(tensor.name);
    if (it == theirs.end() || it->second->shape != tensor.shape || shown >= kMostTensors) continue;
    const plan::TensorNote& other = *it->second;
    const Bytes more = PieceOf(b, other) - PieceOf(a, tensor);
    if (tensor.spec == other.spec && more.value == 0) continue;
    const auto text = [](const PlanOnPage& page, const plan::TensorNote& t) {
      return fmt::format("{} on {}", t.spec, cluster::ToString(MeshOf(page, t.stage)));
    };
    out->Add(tensor.name, text(a, tensor), text(b, other), more.value == 0 ? "" : Signed(more) + " per device");
    ++shown;
  }
}

// Places of the source whose time changes most.
void AddPlaces(const PlanOnPage& a, const PlanOnPage& b, Differ* out) {
  if (a.notes == nullptr || b.notes == nullptr || a.notes->ops.empty() || b.notes->ops.empty()) return;
  std::map<std::pair<std::string, std::string>, std::pair<Seconds, Seconds>> places;
  for (const plan::OpNote& op : a.notes->ops) places[{op.where, op.phase}].first += op.compute + op.communication;
  for (const plan::OpNote& op : b.notes->ops) places[{op.where, op.phase}].second += op.compute + op.communication;
  std::vector<std::pair<double, Difference>> list;
  for (const auto& [place, seconds] : places) {
    const Seconds more = seconds.second - seconds.first;
    if (std::abs(more.value) < 1e-9) continue;
    list.push_back({std::abs(more.value),
                    {fmt::format("{}, {}", place.first, place.second), ToString(seconds.first),
                     ToString(seconds.second), Signed(more)}});
  }
  std::stable_sort(list.begin(), list.end(), [](const auto& x, const auto& y) { return x.first > y.first; });
  for (size_t i = 0; i < std::min(list.size(), kMostPlaces); ++i) {
    const Difference& d = list[i].second;
    out->Add(d.what, d.a, d.b, d.cost);
  }
}

template <typename T>
std::string Text(const std::optional<T>& value) {
  if constexpr (std::is_same_v<T, double>)
    return value ? fmt::format("{:.1f} %", 100 * *value) : "?";
  else
    return value ? ToString(*value) : "?";
}

template <typename T>
std::string More(const std::optional<T>& a, const std::optional<T>& b) {
  if (!a || !b) return "";
  if constexpr (std::is_same_v<T, double>) {
    return fmt::format("{:+.1f} points", 100 * (*b - *a));
  } else {
    const T more = *b - *a;
    return a->value > 0 ? fmt::format("{} ({:+.1f} %)", Signed(more), 100 * (more / *a)) : Signed(more);
  }
}

std::string Short(const std::string& text, size_t width) {
  return text.size() <= width ? text : text.substr(0, width - 3) + "...";
}

}  // namespace

PlanFigures FiguresOf(const PlanOnPage& plan) { return plan.pipeline != nullptr ? OfPipeline(plan) : OfMesh(plan); }

PlanComparison ComparePlans(const PlanOnPage& a, const PlanOnPage& b, std::optional<Seconds> schedule_alone) {
  PlanComparison out;
  out.name_a = a.name;
  out.name_b = b.name;
  out.a = FiguresOf(a);
  out.b = FiguresOf(b);
  Differ differ;
  const auto model = [](const PlanOnPage& p) {
    return p.pipeline != nullptr ? p.pipeline->model_fingerprint : p.mesh->model_fingerprint;
  };
  out.same_model = model(a) == model(b);
  if (a.pipeline != nullptr && b.pipeline != nullptr) {
    const plan::PipelinePlan &x = *a.pipeline, &y = *b.pipeline;
    differ.Add("cluster", x.cluster, y.cluster);
    differ.Add("schedule", x.schedule, y.schedule,
               schedule_alone && out.a.step ? Signed(*schedule_alone - *out.a.step) + " a step, this alone" : "");
    differ.Add("microbatches", fmt::format("{}", x.microbatches), fmt::format("{}", y.microbatches));
    differ.Add("sums of 16-bit gradients", x.half_sums ? "16 bits" : "32 bits", y.half_sums ? "16 bits" : "32 bits");
    AddStages(x, y, &differ);
  } else if (a.mesh != nullptr && b.mesh != nullptr) {
    differ.Add("mesh", cluster::ToString(a.mesh->mesh), cluster::ToString(b.mesh->mesh));
    differ.Add("method", a.mesh->method, b.mesh->method);
    AddLayouts("", *a.mesh, *b.mesh, &differ);
    AddCollectives(*a.mesh, *b.mesh, &differ);
    AddPlaces(a, b, &differ);
  } else {
    differ.Add("kind", a.mesh != nullptr ? "one mesh" : "stages", b.mesh != nullptr ? "one mesh" : "stages");
  }
  AddTensors(a, b, &differ);
  out.differences = differ.Take();
  return out;
}

std::string ComparisonText(const PlanComparison& c) {
  const auto trim = [](const std::string& text) { return text.substr(0, text.find_last_not_of(' ') + 1); };
  std::string out = fmt::format("A  {}: {}\nB  {}: {}\n", c.name_a, c.a.summary, c.name_b, c.b.summary);
  if (!c.same_model) out += "They are plans of different models.\n";
  out += fmt::format("\n{:<26}{:>14}{:>14}   {}\n", "", "A", "B", "B against A");
  const auto line = [&](const char* name, const auto& a, const auto& b) {
    if (a || b)
      out += trim(fmt::format("{:<26}{:>14}{:>14}   {}", name, Text(a), Text(b), a == b ? "" : More(a, b))) + "\n";
  };
  line("step time, predicted", c.a.step, c.b.step);
  line("  computing", c.a.computing, c.b.computing);
  line("    of it in collectives", c.a.collectives, c.b.collectives);
  line("  waiting for transfers", c.a.waiting, c.b.waiting);
  line("  bubble", c.a.bubble, c.b.bubble);
  line("memory, fullest device", c.a.memory, c.b.memory);
  line("in collectives, a device", c.a.collected, c.b.collected);
  line("between stages", c.a.between, c.b.between);
  if (c.a.devices != c.b.devices) out += fmt::format("{:<26}{:>14}{:>14}\n", "devices", c.a.devices, c.b.devices);
  if (c.differences.empty()) return out + (c.same_model ? "\nThe plans are the same.\n" : "");
  out += fmt::format("\n{:<44} {:<28} {:<28} {}\n", "What differs", "A", "B", "what it costs");
  for (const Difference& d : c.differences) {
    if (d.a.empty()) {
      out += fmt::format("  {:<42} {}\n", Short(d.what, 42), d.b);
    } else {
      out += trim(fmt::format("  {:<42} {:<28} {:<28} {}", Short(d.what, 42), Short(d.a, 28), Short(d.b, 28), d.cost)) +
             "\n";
    }
  }
  return out;
}

std::string ComparisonJson(const PlanComparison& c) {
  const auto figures = [](const PlanFigures& f) {
    nlohmann::ordered_json j;
    j["summary"] = f.summary;
    j["devices"] = f.devices;
    const auto put = [&](const char* key, const auto& value) {
      if (!value) {
        j[key] = nullptr;
      } else if constexpr (std::is_same_v<std::decay_t<decltype(*value)>, double>) {
        j[key] = *value;
      } else {
        j[key] = value->value;
      }
    };
    put("step_s", f.step);
    put("computing", f.computing);
    put("collectives", f.collectives);
    put("waiting", f.waiting);
    put("bubble", f.bubble);
    put("memory_bytes", f.memory);
    put("collective_bytes", f.collected);
    put("between_bytes", f.between);
    return j;
  };
  nlohmann::ordered_json j;
  j["same_model"] = c.same_model;
  j["a"] = figures(c.a);
  j["b"] = figures(c.b);
  j["differences"] = nlohmann::ordered_json::array();
  for (const Difference& d : c.differences)
    j["differences"].push_back({{"what", d.what}, {"a", d.a}, {"b", d.b}, {"cost", d.cost}});
  return j.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace alpa::report
