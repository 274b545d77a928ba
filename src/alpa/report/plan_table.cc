#include "alpa/report/plan_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <tuple>
#include <vector>

namespace alpa::report {
namespace {

using intra::OpChoice;
using intra::PlannedStep;

// "3.20 ms" also for what is below a microsecond.
std::string Time(double seconds) { return ToString(Seconds(seconds)); }

std::string SignedTime(double seconds) { return (seconds < 0 ? "-" : "+") + Time(std::abs(seconds)); }

std::string SignedBytes(int64_t bytes) { return (bytes < 0 ? "-" : "+") + ToString(Bytes(std::abs(bytes))); }

// "[,x] +1.20 ms; [] +3.00 ms, +20 MiB".
std::string Others(const OpChoice& choice, const cluster::Mesh& mesh) {
  std::string out;
  for (const intra::Alternative& other : choice.others) {
    if (!out.empty()) out += "; ";
    out += fmt::format("{} {}", sharding::ToString(other.spec, mesh), SignedTime(other.seconds));
    if (other.bytes != 0) out += ", " + SignedBytes(other.bytes);
  }
  return out;
}

std::string Cut(std::string text, size_t width) {
  if (text.size() <= width) return text;
  return text.substr(0, width - 3) + "...";
}

std::string NameOf(const ir::Module& module, ir::OpId op) {
  for (size_t i = 0; i < module.inputs.size(); ++i) {
    if (module.value(module.inputs[i]).producer == op)
      return module.input_names[i].empty() ? fmt::format("input {}", i) : module.input_names[i];
  }
  return module.op(op).name;
}

std::string Where(const ir::Module& module, ir::OpId op) {
  const ir::Location location = ir::LocationOf(module, module.op(op));
  if (!location.file.empty()) {
    const size_t slash = location.file.rfind('/');
    const std::string file = slash == std::string::npos ? location.file : location.file.substr(slash + 1);
    return location.function.empty() ? fmt::format("{}:{}", file, location.line)
                                     : fmt::format("{}:{} ({})", file, location.line, location.function);
  }
  return location.name;
}

// Choices that look the same stand in one row.
struct Row {
  const OpChoice* first = nullptr;
  int count = 0;

  void Add(const OpChoice& choice) {
    if (first == nullptr || first->others.empty()) first = &choice;
    ++count;
  }
};

// The `most` rows with the highest totals.
template <typename Key, typename Total>
std::vector<Row> Highest(const std::map<Key, Row>& rows, size_t most, const Total& of_one) {
  std::vector<Row> out;
  out.reserve(rows.size());
  for (const auto& [key, row] : rows) out.push_back(row);
  const auto total = [&](const Row& row) { return of_one(*row.first) * row.count; };
  std::stable_sort(out.begin(), out.end(), [&](const Row& a, const Row& b) { return total(a) > total(b); });
  out.resize(std::min(out.size(), most));
  return out;
}

// Operations from one place in the source that are carried out in the same way stand in one row.
std::vector<Row> MostExpensive(const ir::Module& module, const PlannedStep& planned) {
  std::map<std::tuple<std::string, std::string, std::string, int64_t, int64_t>, Row> rows;
  const auto nanoseconds = [](double seconds) { return static_cast<int64_t>(seconds * 1e9); };
  for (const OpChoice& choice : planned.choices) {
    if (choice.compute + choice.communication <= 0) continue;
    rows[{Where(module, choice.op), choice.strategy, sharding::ToString(choice.result, planned.plan.mesh),
          nanoseconds(choice.compute), nanoseconds(choice.communication)}]
        .Add(choice);
  }
  return Highest(rows, 12, [](const OpChoice& c) { return c.compute + c.communication; });
}

ir::InputRole RoleOf(const ir::Module& module, const ir::StepSignature& signature, const ir::Op& op) {
  const auto at = std::find(module.inputs.begin(), module.inputs.end(), op.results[0]);
  return signature.inputs[static_cast<size_t>(at - module.inputs.begin())].role;
}

// Inputs of one role with equal shape and layout stand in one row.
std::vector<Row> LargestInputs(const ir::Module& module, const ir::StepSignature& signature,
                               const PlannedStep& planned) {
  std::map<std::tuple<ir::InputRole, std::string, std::string>, Row> rows;
  for (const OpChoice& choice : planned.choices) {
    const ir::Op& op = module.op(choice.op);
    if (op.kind != ir::OpKind::kParameter) continue;
    rows[{RoleOf(module, signature, op), ir::ToString(module.shape(op.results[0])),
          sharding::ToString(choice.result, planned.plan.mesh)}]
        .Add(choice);
  }
  return Highest(rows, 10, [](const OpChoice& c) { return c.bytes.value; });
}

std::string Summary(const ir::Module& module, const cost::Model& model, const PlannedStep& planned,
                    std::optional<Bytes> limit) {
  const plan::Prediction& p = *planned.plan.prediction;
  const intra::SolveReport& r = planned.report;
  std::string out =
      fmt::format("{} on mesh {} of {} ({} x {}), method {}\n", module.name, cluster::ToString(planned.plan.mesh),
                  p.cluster, planned.plan.mesh.size(), model.device.name, planned.plan.method);
  out +=
      fmt::format("planned in {}: {} operations of {} kinds, {} edges; solver {}, {}\n\n", ToString(r.build + r.solve),
                  r.nodes, r.classes, r.edges, ToString(r.solve), solver::Name(r.status));
  out += fmt::format("{:<22}{:>12}\n", "step time, predicted", ToString(p.compute + p.communication));
  out += fmt::format("{:<22}{:>12}\n", "  compute", ToString(p.compute));
  out += fmt::format("{:<22}{:>12}\n", "  communication", ToString(p.communication));
  out += fmt::format("{:<22}{:>12}   {}\n", "memory, peak", ToString(p.memory),
                     limit ? fmt::format("of {} per device", ToString(*limit)) : "per device, without a limit");
  out += fmt::format("{:<22}{:>12}   no plan of this search space costs less than {}: gap {:.2f} %\n", "objective",
                     Time(r.cost), Time(r.bound), 100 * r.gap);
  return out;
}

std::string Collectives(const PlannedStep& planned) {
  const auto& mesh = planned.plan.mesh;
  std::string out = fmt::format("\n{:<22}{:<8}{:>8}{:>14}\n", "Communication", "axes", "count", "bytes");
  for (const plan::CollectiveTotal& t : planned.plan.prediction->collectives) {
    const std::string axes = cluster::AxisNames(mesh, t.axes);
    out += fmt::format("  {:<20}{:<8}{:>8}{:>14}\n", sharding::Name(t.kind), axes, t.count, ToString(t.bytes));
  }
  if (planned.plan.prediction->collectives.empty()) out += "  none\n";
  return out;
}

}  // namespace

std::string PlanText(const ir::Module& module, const ir::StepSignature& signature, const cost::Model& model,
                     const PlannedStep& planned, std::optional<Bytes> limit) {
  const auto& mesh = planned.plan.mesh;
  std::string out = Summary(module, model, planned, limit);

  out += fmt::format("\n{:<40}{:<11}{:<24}{:>4}  {:<10}{:>14}   {}\n", "Largest inputs", "role", "shape", "x", "layout",
                     "per device", "other layouts would cost");
  for (const Row& row : LargestInputs(module, signature, planned)) {
    const ir::Op& op = module.op(row.first->op);
    const ir::Shape& shape = module.shape(op.results[0]);
    out +=
        fmt::format("  {:<38}{:<11}{:<24}{:>4}  {:<10}{:>14}   {}\n", Cut(NameOf(module, row.first->op), 37),
                    ir::Name(RoleOf(module, signature, op)), ir::ToString(shape), row.count,
                    sharding::ToString(row.first->result, mesh),
                    ToString(sharding::ShardShape(row.first->result, shape, mesh).bytes()), Others(*row.first, mesh));
  }

  out += fmt::format("\n{:<22}{:>4}{:>11}{:>11}  {:<26}{:<10}{:<34} {}\n", "Most expensive, each", "x", "compute",
                     "comm.", "strategy", "result", "where", "other layouts would cost");
  for (const Row& row : MostExpensive(module, planned)) {
    const OpChoice& c = *row.first;
    out += fmt::format("  {:<20}{:>4}{:>11}{:>11}  {:<26}{:<10}{:<34} {}\n", Cut(NameOf(module, c.op), 19), row.count,
                       Time(c.compute), Time(c.communication), Cut(c.strategy, 25), sharding::ToString(c.result, mesh),
                       Cut(Where(module, c.op), 33), Others(c, mesh));
  }
  return out + Collectives(planned);
}

std::string PlanJson(const ir::Module& module, const cost::Model& model, const PlannedStep& planned) {
  const plan::Prediction& p = *planned.plan.prediction;
  const intra::SolveReport& r = planned.report;
  nlohmann::ordered_json out;
  out["model"] = module.name;
  out["method"] = planned.plan.method;
  out["mesh"] = planned.plan.mesh.shape;
  out["cluster"] = p.cluster;
  out["device"] = model.device.name;
  out["status"] = solver::Name(r.status);
  out["cost_s"] = r.cost;
  out["bound_s"] = r.bound;
  out["gap"] = r.gap;
  out["compute_s"] = p.compute.value;
  out["communication_s"] = p.communication.value;
  out["memory_bytes"] = p.memory.value;
  out["device_memory_bytes"] = model.device.memory.value;
  out["build_s"] = r.build.value;
  out["solve_s"] = r.solve.value;
  out["nodes"] = r.nodes;
  out["edges"] = r.edges;
  auto& collectives = out["collectives"] = nlohmann::ordered_json::array();
  for (const plan::CollectiveTotal& t : p.collectives) {
    const std::string axes = cluster::AxisNames(planned.plan.mesh, t.axes);
    collectives.push_back(
        {{"kind", sharding::Name(t.kind)}, {"axes", axes}, {"count", t.count}, {"bytes", t.bytes.value}});
  }
  auto& inputs = out["inputs"] = nlohmann::ordered_json::object();
  for (size_t i = 0; i < module.inputs.size(); ++i) {
    const std::string name = module.input_names[i].empty() ? fmt::format("input {}", i) : module.input_names[i];
    inputs[name] = sharding::ToString(planned.plan.inputs[i], planned.plan.mesh);
  }
  return out.dump(1) + "\n";
}

}  // namespace alpa::report
