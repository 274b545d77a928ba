#include "alpa/plan/notes.h"

#include <nlohmann/json.hpp>

#include "alpa/plan/json_reader.h"

namespace alpa::plan {
namespace {

using internal::Bad;
using internal::Reader;
using nlohmann::json;
using nlohmann::ordered_json;

ordered_json TensorJson(const TensorNote& t) {
  ordered_json j = {{"stage", t.stage}, {"name", t.name}, {"role", t.role},         {"dtype", t.dtype},
                    {"shape", t.shape}, {"spec", t.spec}, {"bytes", t.bytes.value}, {"count", t.count}};
  if (t.others.empty()) return j;
  j["others"] = ordered_json::array();
  for (const OtherLayout& o : t.others)
    j["others"].push_back({{"spec", o.spec}, {"seconds", o.seconds}, {"bytes", o.bytes}});
  return j;
}

// A number of any sign.
Status GetSigned(const json& object, const char* key, const std::string& where, json* out) {
  if (!object.contains(key) || !object.at(key).is_number())
    return Bad(fmt::format("key '{}.{}' should be a number", where, key));
  *out = object.at(key);
  return Ok();
}

Result<OtherLayout> OtherFromJson(const json& j, const std::string& where) {
  OtherLayout other;
  Reader reader(j, where + ".");
  reader.Get("spec", &other.spec);
  ALPA_RETURN_IF_ERROR(reader.status());
  json number;
  ALPA_RETURN_IF_ERROR(GetSigned(j, "seconds", where, &number));
  other.seconds = number.get<double>();
  ALPA_RETURN_IF_ERROR(GetSigned(j, "bytes", where, &number));
  other.bytes = number.get<int64_t>();
  return other;
}

// Appends what `from_json` makes of the entries of the list `key`, which may be missing.
template <typename T>
void GetList(Reader* reader, const char* key, std::vector<T>* out,
             Result<T> (*from_json)(const json&, const std::string&)) {
  if (!reader->Has(key)) return;
  reader->Each(key, [&](const json& value, const std::string& where) -> Status {
    ALPA_TRY(T entry, from_json(value, where));
    out->push_back(std::move(entry));
    return Ok();
  });
}

Result<TensorNote> TensorFromJson(const json& j, const std::string& where) {
  TensorNote tensor;
  Reader reader(j, where + ".");
  reader.Get("stage", &tensor.stage);
  reader.Get("name", &tensor.name);
  reader.Get("role", &tensor.role);
  reader.Get("dtype", &tensor.dtype);
  reader.Get("spec", &tensor.spec);
  reader.Get("bytes", &tensor.bytes);
  reader.Get("count", &tensor.count);
  reader.Each("shape", [&](const json& extent, const std::string& at) -> Status {
    if (!extent.is_number_integer() || extent.get<int64_t>() < 0)
      return Bad(fmt::format("key '{}' should be an integer, 0 or above", at));
    tensor.shape.push_back(extent.get<int64_t>());
    return Ok();
  });
  GetList(&reader, "others", &tensor.others, &OtherFromJson);
  ALPA_RETURN_IF_ERROR(reader.status());
  return tensor;
}

Result<OpNote> OpFromJson(const json& j, const std::string& where) {
  OpNote op;
  Reader reader(j, where + ".");
  reader.Get("name", &op.name);
  reader.Get("where", &op.where);
  reader.Get("phase", &op.phase);
  reader.Get("count", &op.count);
  reader.Get("compute_seconds", &op.compute);
  reader.Get("communication_seconds", &op.communication);
  reader.Get("memory_bytes", &op.memory);
  ALPA_RETURN_IF_ERROR(reader.status());
  return op;
}

Result<LayerNote> LayerFromJson(const json& j, const std::string& where) {
  LayerNote layer;
  Reader reader(j, where + ".");
  reader.Get("name", &layer.name);
  reader.Get("forward_flops", &layer.forward);
  reader.Get("backward_flops", &layer.backward);
  reader.Get("parameter_bytes", &layer.parameters);
  ALPA_RETURN_IF_ERROR(reader.status());
  return layer;
}

Result<WayNote> WayFromJson(const json& j, const std::string& where) {
  WayNote way;
  Reader reader(j, where + ".");
  reader.Get("name", &way.name);
  reader.Get("microbatches", &way.microbatches);
  reader.Get("stages", &way.stages);
  reader.Get("step_seconds", &way.step);
  ALPA_RETURN_IF_ERROR(reader.status());
  return way;
}

Result<std::pair<std::string, Bytes>> LimitFromJson(const json& j, const std::string& where) {
  std::pair<std::string, Bytes> limit;
  Reader reader(j, where + ".");
  reader.Get("device_type", &limit.first);
  reader.Get("bytes", &limit.second);
  ALPA_RETURN_IF_ERROR(reader.status());
  return limit;
}

Result<std::pair<std::string, Seconds>> TimeFromJson(const json& j, const std::string& where) {
  std::pair<std::string, Seconds> time;
  Reader reader(j, where + ".");
  reader.Get("phase", &time.first);
  reader.Get("seconds", &time.second);
  ALPA_RETURN_IF_ERROR(reader.status());
  return time;
}

ordered_json NotesJson(const Notes& notes) {
  ordered_json j;
  j["batch"] = notes.batch;
  j["peak_flops"] = notes.peak_flops;
  j["gap"] = notes.gap;
  j["interleaved_bound_seconds"] = notes.interleaved_bound.value;
  j["complete"] = notes.complete;
  j["memory_limits"] = ordered_json::array();
  for (const auto& [type, limit] : notes.memory_limits)
    j["memory_limits"].push_back({{"device_type", type}, {"bytes", limit.value}});
  j["planning_times"] = ordered_json::array();
  for (const auto& [phase, time] : notes.times)
    j["planning_times"].push_back({{"phase", phase}, {"seconds", time.value}});
  j["ways"] = ordered_json::array();
  for (const WayNote& w : notes.ways)
    j["ways"].push_back(
        {{"name", w.name}, {"microbatches", w.microbatches}, {"stages", w.stages}, {"step_seconds", w.step.value}});
  j["layers"] = ordered_json::array();
  for (const LayerNote& layer : notes.layers)
    j["layers"].push_back({{"name", layer.name},
                           {"forward_flops", layer.forward.value},
                           {"backward_flops", layer.backward.value},
                           {"parameter_bytes", layer.parameters.value}});
  j["tensors"] = ordered_json::array();
  for (const TensorNote& tensor : notes.tensors) j["tensors"].push_back(TensorJson(tensor));
  j["ops"] = ordered_json::array();
  for (const OpNote& op : notes.ops)
    j["ops"].push_back({{"name", op.name},
                        {"where", op.where},
                        {"phase", op.phase},
                        {"count", op.count},
                        {"compute_seconds", op.compute.value},
                        {"communication_seconds", op.communication.value},
                        {"memory_bytes", op.memory.value}});
  return j;
}

// The notes that `holder` has under "notes"; `where`: "" or "members[0].", for messages.
Result<std::optional<Notes>> NotesIn(const json& holder, const std::string& where) {
  if (!holder.is_object() || !holder.contains("notes")) return std::optional<Notes>();
  Notes notes;
  Reader reader(holder.at("notes"), where + "notes.");
  reader.Get("batch", &notes.batch);
  reader.Get("peak_flops", &notes.peak_flops);
  reader.Get("gap", &notes.gap);
  reader.Get("interleaved_bound_seconds", &notes.interleaved_bound);
  reader.Get("complete", &notes.complete);
  GetList(&reader, "memory_limits", &notes.memory_limits, &LimitFromJson);
  GetList(&reader, "planning_times", &notes.times, &TimeFromJson);
  GetList(&reader, "ways", &notes.ways, &WayFromJson);
  GetList(&reader, "layers", &notes.layers, &LayerFromJson);
  GetList(&reader, "tensors", &notes.tensors, &TensorFromJson);
  GetList(&reader, "ops", &notes.ops, &OpFromJson);
  ALPA_RETURN_IF_ERROR(reader.status());
  return std::optional<Notes>(std::move(notes));
}

Result<json> ParseObject(std::string_view text) {
  json j = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (j.is_discarded() || !j.is_object()) return Bad("not valid JSON (damaged or truncated file)");
  return j;
}

}  // namespace

std::string WithNotes(const std::string& plan_json, const Notes& notes) { return WithNotes(plan_json, notes, {}); }

std::string WithNotes(const std::string& family_json, const Notes& notes, const std::vector<Notes>& of_members) {
  ordered_json j = ordered_json::parse(family_json, nullptr, /*allow_exceptions=*/false);
  ALPA_CHECK(j.is_object(), "a plan is an object");
  for (size_t i = 0; i < of_members.size(); ++i) j["members"][i]["notes"] = NotesJson(of_members[i]);
  j["notes"] = NotesJson(notes);
  return j.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<std::optional<Notes>> NotesFromJson(std::string_view plan_json) {
  ALPA_TRY(const json j, ParseObject(plan_json));
  return NotesIn(j, "");
}

Result<std::vector<std::optional<Notes>>> MemberNotesFromJson(std::string_view family_json) {
  ALPA_TRY(const json j, ParseObject(family_json));
  std::vector<std::optional<Notes>> out;
  if (!j.contains("members") || !j.at("members").is_array()) return Bad("key 'members' should be a list");
  for (const json& member : j.at("members")) {
    ALPA_TRY(std::optional<Notes> notes, NotesIn(member, fmt::format("members[{}].", out.size())));
    out.push_back(std::move(notes));
  }
  return out;
}

}  // namespace alpa::plan
