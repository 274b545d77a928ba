#include "alpa/report/measured.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

namespace alpa::report {
namespace {

using nlohmann::json;

constexpr double kMicroseconds = 1e6;

Error Bad(const std::string& what) {
  return {Code::kInvalidInput, "trace: " + what, "alpa run MODEL --plan PLAN --trace trace.json writes one"};
}

std::string Text(const json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : "";
}

double Number(const json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_number() ? at->get<double>() : std::numeric_limits<double>::quiet_NaN();
}

std::string ArgsName(const json& event) {
  const auto at = event.find("args");
  return at != event.end() && at->is_object() ? Text(*at, "name") : "";
}

// "forward s2 k5".
void ReadInstruction(MeasuredSlice* slice) {
  const Result<schedule::Program> program = schedule::ParseProgram("mesh 0\n" + slice->name + "\n");
  if (!program.ok() || program->meshes.size() != 1 || program->meshes[0].size() != 1) return;
  slice->has_instruction = true;
  slice->instruction = program->meshes[0][0];
}

}  // namespace

Result<std::vector<MeasuredTrack>> ReadMeasured(std::string_view trace) {
  const json j = json::parse(trace, nullptr, /*allow_exceptions=*/false);
  if (j.is_discarded()) return Bad("not valid JSON (damaged or truncated file)");
  if (!j.is_object() || !j.contains("traceEvents") || !j.at("traceEvents").is_array())
    return Bad("key 'traceEvents' should be a list of events");
  const json& events = j.at("traceEvents");
  double process = -1;
  for (const json& event : events) {
    if (event.is_object() && Text(event, "name") == "process_name" && ArgsName(event) == "measured")
      process = Number(event, "pid");
  }
  if (process < 0) return Bad("nothing in it was measured");
  std::map<int64_t, MeasuredTrack> tracks;
  double first = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < events.size(); ++i) {
    const json& event = events[i];
    if (!event.is_object() || Number(event, "pid") != process) continue;
    const std::string phase = Text(event, "ph");
    const double track = Number(event, "tid");
    if (!std::isfinite(track) || std::abs(track) > 1e9) continue;
    if (phase == "M" && Text(event, "name") == "thread_name")
      tracks[static_cast<int64_t>(track)].name = ArgsName(event);
    if (phase != "X") continue;
    const double start = Number(event, "ts"), duration = Number(event, "dur");
    if (!std::isfinite(start) || !std::isfinite(duration) || duration < 0)
      return Bad(fmt::format("event {} has no 'ts' and 'dur' of at least 0", i));
    MeasuredSlice slice{Text(event, "name"),
                        Text(event, "cat") != "communication",
                        start / kMicroseconds,
                        (start + duration) / kMicroseconds,
                        false,
                        {}};
    ReadInstruction(&slice);
    first = std::min(first, slice.start);
    tracks[static_cast<int64_t>(track)].slices.push_back(std::move(slice));
  }
  std::vector<MeasuredTrack> out;
  for (auto& [number, track] : tracks) {
    for (MeasuredSlice& slice : track.slices) {
      slice.start -= first;
      slice.end -= first;
    }
    std::stable_sort(track.slices.begin(), track.slices.end(),
                     [](const MeasuredSlice& a, const MeasuredSlice& b) { return a.start < b.start; });
    out.push_back(std::move(track));
  }
  return out;
}

}  // namespace alpa::report
