#include "alpa/simulate/perfetto.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

namespace alpa::simulate {
namespace {

using schedule::Instruction;
using schedule::Op;
using schedule::Pipeline;

// Groups of tracks, in the order in which they are shown.
enum Group { kComputing = 1, kTransfers = 2, kMemory = 3 };

// Writes the list of events.
class Writer {
 public:
  void Slice(Group group, size_t track, double start, double end, const std::string& name, const std::string& args) {
    Begin();
    fmt::format_to(Out(), R"({{"ph":"X","pid":{},"tid":{},"ts":{:.3f},"dur":{:.3f},"name":"{}","args":{{{}}}}})",
                   static_cast<int>(group), track, start * 1e6, (end - start) * 1e6, name, args);
  }

  void Counter(size_t mesh, double time, int64_t bytes) {
    Begin();
    fmt::format_to(Out(), R"({{"ph":"C","pid":{},"ts":{:.3f},"name":"mesh {}","args":{{"bytes":{}}}}})",
                   static_cast<int>(kMemory), time * 1e6, mesh, bytes);
  }

  void NameGroup(Group group, std::string_view name) {
    Begin();
    fmt::format_to(Out(), R"({{"ph":"M","pid":{0},"name":"process_name","args":{{"name":"{1}"}}}},)", int{group}, name);
    fmt::format_to(Out(), R"({{"ph":"M","pid":{0},"name":"process_sort_index","args":{{"sort_index":{0}}}}})",
                   static_cast<int>(group));
  }

  void NameTrack(Group group, size_t track, const std::string& name) {
    Begin();
    fmt::format_to(Out(), R"({{"ph":"M","pid":{},"tid":{},"name":"thread_name","args":{{"name":"{}"}}}},)", int{group},
                   track, name);
    fmt::format_to(Out(), R"({{"ph":"M","pid":{0},"tid":{1},"name":"thread_sort_index","args":{{"sort_index":{1}}}}})",
                   static_cast<int>(group), track);
  }

  std::string Finish() && { return std::move(text_) + "\n]}\n"; }

 private:
  std::back_insert_iterator<std::string> Out() { return std::back_inserter(text_); }
  void Begin() {
    text_ += first_ ? "\n" : ",\n";
    first_ = false;
  }

  std::string text_ = R"({"displayTimeUnit":"ms","traceEvents":[)";
  bool first_ = true;
};

// Which microbatches are written, and when they run.
struct Selection {
  int32_t first = 0;  // microbatches
  int32_t last = 0;
  double early = 0;  // the first ones end
  double late = 0;   // the last one begins

  bool Has(const Instruction& i) const {
    return i.op == Op::kUpdate || i.op == Op::kSendStep || i.microbatch < first || i.microbatch == last;
  }
  bool Has(double time) const { return time <= early || time >= late; }
};

Selection Select(const Timeline& timeline, const Pipeline& pipeline, const PerfettoOptions& options) {
  const int32_t m = pipeline.microbatches;
  Selection selection{options.microbatches > 0 ? std::min(options.microbatches, m) : m, m - 1, 0, timeline.makespan};
  for (const Run& run : timeline.runs) {
    if (run.instruction.op == Op::kUpdate) continue;
    if (run.instruction.microbatch < selection.first) selection.early = std::max(selection.early, run.end);
    if (run.instruction.microbatch == selection.last) selection.late = std::min(selection.late, run.start);
  }
  return selection;
}

std::string NameOf(const Pipeline& pipeline, const Instruction& instruction, bool with_stage) {
  std::string name;
  switch (instruction.op) {
    case Op::kForward:
      name = fmt::format("F {}", instruction.microbatch);
      break;
    case Op::kBackwardWeight:
      name = fmt::format("W {}", instruction.microbatch);
      break;
    case Op::kUpdate:
      name = pipeline.update_rounds > 1 ? fmt::format("U {}", instruction.microbatch) : "U";
      break;
    default:
      name = fmt::format("B {}", instruction.microbatch);
  }
  return with_stage ? fmt::format("{} stage {}", name, instruction.index) : name;
}

void WriteRuns(const Timeline& timeline, const Pipeline& pipeline, const Selection& selection, Writer* writer) {
  std::vector<std::string> stages(static_cast<size_t>(pipeline.meshes));
  std::vector<int> counts(stages.size(), 0);
  for (size_t s = 0; s < pipeline.stages.size(); ++s) {
    const auto mesh = static_cast<size_t>(pipeline.stages[s].mesh);
    stages[mesh] += fmt::format("{}{}", counts[mesh]++ == 0 ? "" : ", ", s);
  }
  writer->NameGroup(kComputing, "computing");
  for (size_t mesh = 0; mesh < stages.size(); ++mesh)
    writer->NameTrack(kComputing, mesh, fmt::format("mesh {}: stage {}", mesh, stages[mesh]));
  for (const Run& run : timeline.runs) {
    if (!selection.Has(run.instruction)) continue;
    const auto mesh = static_cast<size_t>(run.mesh);
    writer->Slice(
        kComputing, mesh, run.start, run.end, NameOf(pipeline, run.instruction, counts[mesh] > 1),
        fmt::format(R"("stage":"stage {}","instruction":"{}")", run.instruction.index, ToString(run.instruction)));
  }
}

// What passes between two meshes. Slices of one track may not overlap, so each pair has as many as it needs.
void WriteTransfers(const Timeline& timeline, const Pipeline& pipeline, const Selection& selection, Writer* writer) {
  writer->NameGroup(kTransfers, "transfers");
  struct Lane {
    double end = 0;
    std::vector<const Transfer*> transfers;
  };
  std::map<std::pair<int32_t, int32_t>, std::vector<Lane>> lanes_of;
  for (const Transfer& transfer : timeline.transfers) {
    if (!selection.Has(transfer.instruction)) continue;
    std::vector<Lane>& lanes = lanes_of[{transfer.from, transfer.to}];
    auto lane = std::find_if(lanes.begin(), lanes.end(), [&](const Lane& l) { return l.end <= transfer.start; });
    if (lane == lanes.end()) lane = lanes.insert(lane, Lane{});
    lane->end = transfer.end;
    lane->transfers.push_back(&transfer);
  }
  size_t track = 0;
  for (const auto& [pair, lanes] : lanes_of) {
    for (size_t l = 0; l < lanes.size(); ++l, ++track) {
      const std::string more = l == 0 ? "" : fmt::format(" ({})", l + 1);
      writer->NameTrack(kTransfers, track, fmt::format("mesh {} to mesh {}{}", pair.first, pair.second, more));
      for (const Transfer* transfer : lanes[l].transfers) {
        const Instruction& send = transfer->instruction;
        const auto i = static_cast<size_t>(send.index);
        const bool step = send.op == Op::kSendStep, forward = send.op == Op::kSendActivation;
        const int64_t bytes = step      ? pipeline.step_edges[i].bytes
                              : forward ? pipeline.edges[i].forward_bytes
                                        : pipeline.edges[i].backward_bytes;
        const std::string name = step ? fmt::format("step {}", send.index)
                                      : fmt::format("{} {}", forward ? "activation" : "cotangent", send.microbatch);
        writer->Slice(kTransfers, track, transfer->start, transfer->end, name,
                      fmt::format(R"("bytes":{},"instruction":"{}")", bytes, ToString(send)));
      }
    }
  }
}

void WriteMemory(const Timeline& timeline, const Selection& selection, Writer* writer) {
  writer->NameGroup(kMemory, "memory per device");
  for (size_t mesh = 0; mesh < timeline.meshes.size(); ++mesh) {
    bool peak_written = false;
    for (const MemoryPoint& point : timeline.meshes[mesh].memory) {
      const bool peak = !peak_written && point.bytes == timeline.meshes[mesh].peak;
      if (!peak && !selection.Has(point.time)) continue;
      peak_written = peak_written || peak;
      writer->Counter(mesh, point.time, point.bytes);
    }
  }
}

}  // namespace

std::string ToPerfetto(const Timeline& timeline, const Pipeline& pipeline, const PerfettoOptions& options) {
  const Selection selection = Select(timeline, pipeline, options);
  Writer writer;
  WriteRuns(timeline, pipeline, selection, &writer);
  WriteTransfers(timeline, pipeline, selection, &writer);
  WriteMemory(timeline, selection, &writer);
  return std::move(writer).Finish();
}

}  // namespace alpa::simulate
