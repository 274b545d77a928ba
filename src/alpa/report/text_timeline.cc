#include "alpa/report/text_timeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "alpa/base/units.h"

namespace alpa::report {
namespace {

char LetterOf(schedule::Op op) {
  switch (op) {
    case schedule::Op::kForward:
      return 'F';
    case schedule::Op::kBackwardWeight:
      return 'W';
    case schedule::Op::kUpdate:
      return 'U';
    default:
      return 'B';
  }
}

// "Timeline      |0 s                 7.81 ms|".
std::string Ruler(double span, int width) {
  const std::string end = ToString(Seconds(span));
  return fmt::format("\n{:<14}|0{:>{}}|\n", "Timeline", end, std::max(1, width - 1));
}

const char* Turns(const std::vector<std::vector<TextBar>>& rows, int width) {
  const auto many = [&](const std::vector<TextBar>& bars) { return bars.size() > static_cast<size_t>(width); };
  return std::any_of(rows.begin(), rows.end(), many) ? "; by their shares of the time" : "";
}

}  // namespace

std::string TextRow(const std::vector<TextBar>& bars, double span, int width) {
  std::string out(static_cast<size_t>(width), '.');
  if (span <= 0) return out;
  const double step = span / width;
  const bool turns = bars.size() > static_cast<size_t>(width);
  std::map<char, double> owed;  // columns
  size_t next = 0;
  for (int c = 0; c < width; ++c) {
    const double from = c * step, to = from + step;
    double idle = 1;
    if (!turns) owed.clear();
    for (size_t i = next; i < bars.size() && bars[i].start < to; ++i) {
      const double part = std::max(0.0, std::min(bars[i].end, to) - std::max(bars[i].start, from)) / step;
      owed[bars[i].letter] += part;
      idle -= part;
      if (bars[i].end <= to) next = i + 1;
    }
    owed['.'] += std::max(0.0, idle);
    const auto most =
        std::max_element(owed.begin(), owed.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    out[static_cast<size_t>(c)] = most->first;
    most->second -= 1;
  }
  return out;
}

std::string PipelineTimelineText(const simulate::Timeline& timeline, const schedule::Pipeline& pipeline, int width,
                                 size_t most) {
  if (timeline.runs.empty()) return "";
  std::vector<std::vector<TextBar>> bars(timeline.meshes.size());
  bool split = false;
  for (const simulate::Run& run : timeline.runs) {
    const char letter = LetterOf(run.instruction.op);
    split = split || letter == 'W';
    bars[static_cast<size_t>(run.mesh)].push_back({letter, run.start, run.end});
  }
  std::string out = Ruler(timeline.makespan, width);
  for (size_t m = 0; m < bars.size(); ++m) {
    if (bars.size() > most && m == most / 2) {
      const size_t left_out = bars.size() - 2 * (most / 2);
      out += fmt::format("{:<14} {} more\n", "  ...", left_out);
      m += left_out;
    }
    std::string stages;
    for (size_t s = 0; s < pipeline.stages.size(); ++s) {
      if (static_cast<size_t>(pipeline.stages[s].mesh) == m)
        stages += fmt::format("{}{}", stages.empty() ? "" : ",", s);
    }
    out += fmt::format("  {:<12}|{}|\n", ("stage " + stages).substr(0, 11), TextRow(bars[m], timeline.makespan, width));
  }
  return out + fmt::format("{:<14} F forward, B backward{}, U update, . nothing to do or waiting{}\n", "",
                           split ? ", W weight gradients" : "", Turns(bars, width));
}

std::string OpsTimelineText(const std::vector<plan::OpNote>& ops, int width) {
  std::vector<TextBar> bars;
  double time = 0;
  for (const plan::OpNote& op : ops) {
    bars.push_back({'c', time, time + op.communication.value});
    time += op.communication.value;
    const char letter = op.phase == "update" ? 'U' : op.phase == "backward" ? 'B' : 'F';
    bars.push_back({letter, time, time + op.compute.value});
    time += op.compute.value;
  }
  if (time <= 0) return "";
  return Ruler(time, width) + fmt::format("  {:<12}|{}|\n", "each device", TextRow(bars, time, width)) +
         fmt::format("{:<14} F forward, B backward, U update, c collectives\n", "");
}

}  // namespace alpa::report
