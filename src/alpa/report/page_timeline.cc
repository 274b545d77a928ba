#include "alpa/report/page_timeline.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

namespace alpa::report {
namespace {

using nlohmann::ordered_json;

constexpr double kTicks = 1e7;             // in a step
constexpr size_t kMemoryPoints = 150'000;  // of all meshes

int KindOf(schedule::Op op) {
  switch (op) {
    case schedule::Op::kForward:
      return 0;
    case schedule::Op::kBackwardWeight:
      return 2;
    case schedule::Op::kUpdate:
      return 3;
    default:
      return 1;
  }
}

class Clock {
 public:
  explicit Clock(double makespan) : tick_(makespan > 0 ? makespan / kTicks : 1) {}
  int64_t operator()(double seconds) const { return std::llround(seconds / tick_); }
  double tick() const { return tick_; }

 private:
  double tick_;
};

// Which microbatches are written: those in front of `first`, and from `last` on.
struct Shown {
  int32_t first = std::numeric_limits<int32_t>::max(), last = 0;
  bool Has(const schedule::Instruction& i) const {
    if (i.op == schedule::Op::kUpdate || i.op == schedule::Op::kSendStep) return true;
    return i.microbatch < first || i.microbatch >= last;
  }
};

// Highs and lows survive: of each group of points the first, the least and the most.
std::vector<simulate::MemoryPoint> Thin(const std::vector<simulate::MemoryPoint>& points, size_t most) {
  if (points.size() <= most) return points;
  const size_t group = 3 * points.size() / most + 1;
  std::vector<simulate::MemoryPoint> out;
  for (size_t begin = 0; begin < points.size(); begin += group) {
    const auto first = points.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto end = points.begin() + static_cast<std::ptrdiff_t>(std::min(begin + group, points.size()));
    const auto [low, high] = std::minmax_element(
        first, end, [](const simulate::MemoryPoint& a, const simulate::MemoryPoint& b) { return a.bytes < b.bytes; });
    std::vector<std::vector<simulate::MemoryPoint>::const_iterator> kept = {first, low, high};
    std::sort(kept.begin(), kept.end());
    kept.erase(std::unique(kept.begin(), kept.end()), kept.end());
    for (const auto& point : kept) out.push_back(*point);
  }
  return out;
}

}  // namespace

ordered_json TimelineJson(const simulate::Timeline& timeline, const schedule::Pipeline& pipeline, size_t most_events) {
  const Clock clock(timeline.makespan);
  ordered_json j;
  j["makespan_s"] = timeline.makespan;
  j["tick"] = clock.tick();
  Shown shown;
  const size_t events = timeline.runs.size() + timeline.transfers.size();
  if (events > most_events) {
    const double share = static_cast<double>(most_events) / static_cast<double>(events);
    shown.first = std::max(1, static_cast<int32_t>(share * pipeline.microbatches / 2));
    shown.last = std::max(shown.first, pipeline.microbatches - shown.first);
    j["left_out"] = {shown.first, shown.last};
  }
  std::vector<std::vector<int64_t>> runs(timeline.meshes.size());
  std::vector<int64_t> ends(timeline.meshes.size(), 0);
  for (const simulate::Run& run : timeline.runs) {
    if (!shown.Has(run.instruction)) continue;
    const auto mesh = static_cast<size_t>(run.mesh);
    const int64_t start = clock(run.start), end = clock(run.end);
    const std::initializer_list<int64_t> entry = {KindOf(run.instruction.op) + 4 * int64_t{run.instruction.index},
                                                  run.instruction.microbatch, start - ends[mesh], end - start};
    runs[mesh].insert(runs[mesh].end(), entry);
    ends[mesh] = end;
  }
  std::vector<int64_t> transfers;
  int64_t before = 0;
  for (const simulate::Transfer& transfer : timeline.transfers) {
    const schedule::Instruction& send = transfer.instruction;
    if (!shown.Has(send)) continue;
    const int64_t kind = send.op == schedule::Op::kSendActivation ? 0 : send.op == schedule::Op::kSendCotangent ? 1 : 2;
    const int64_t start = clock(transfer.start);
    const std::initializer_list<int64_t> entry = {kind + 3 * int64_t{send.index}, send.microbatch, start - before,
                                                  clock(transfer.end) - start};
    transfers.insert(transfers.end(), entry);
    before = start;
  }
  j["transfers"] = std::move(transfers);
  j["meshes"] = ordered_json::array();
  for (size_t m = 0; m < timeline.meshes.size(); ++m) {
    const simulate::MeshUse& use = timeline.meshes[m];
    std::vector<int64_t> memory;
    int64_t time = 0;
    for (const simulate::MemoryPoint& point : Thin(use.memory, kMemoryPoints / timeline.meshes.size())) {
      memory.push_back(clock(point.time) - time);
      memory.push_back(point.bytes);
      time = clock(point.time);
    }
    j["meshes"].push_back({{"busy_s", use.busy},
                           {"waiting_s", use.waiting},
                           {"bubble_s", use.bubble},
                           {"peak", use.peak},
                           {"runs", std::move(runs[m])},
                           {"memory", std::move(memory)}});
  }
  j["links"] = ordered_json::array();
  for (const simulate::LinkUse& link : timeline.links) {
    if (link.bytes <= 0) continue;
    const char* kind = link.kind == simulate::LinkKind::kWithin ? "within"
                       : link.kind == simulate::LinkKind::kOut  ? "out"
                                                                : "in";
    j["links"].push_back({{"host", link.host}, {"link", kind}, {"busy_s", link.busy}, {"bytes", link.bytes}});
  }
  return j;
}

ordered_json MeasuredJson(const std::vector<MeasuredTrack>& tracks) {
  double makespan = 0;
  for (const MeasuredTrack& track : tracks) {
    for (const MeasuredSlice& slice : track.slices) makespan = std::max(makespan, slice.end);
  }
  const Clock clock(makespan);
  ordered_json j;
  j["makespan_s"] = makespan;
  j["tick"] = clock.tick();
  j["tracks"] = ordered_json::array();
  for (const MeasuredTrack& track : tracks) {
    std::vector<int64_t> slices;
    ordered_json names = ordered_json::object();
    double busy = 0;
    int64_t before = 0;
    for (const MeasuredSlice& slice : track.slices) {
      const int64_t kind = !slice.compute ? 4 : slice.has_instruction ? KindOf(slice.instruction.op) : 0;
      const bool of_stage = slice.has_instruction && schedule::IsCompute(slice.instruction.op);
      const int64_t start = clock(slice.start);
      if (!of_stage) names[std::to_string(slices.size() / 4)] = slice.name;
      const std::initializer_list<int64_t> entry = {kind + 5 * (of_stage ? int64_t{slice.instruction.index} : 0),
                                                    slice.has_instruction ? slice.instruction.microbatch : 0,
                                                    start - before, clock(slice.end) - start};
      slices.insert(slices.end(), entry);
      before = start;
      if (slice.compute) busy += slice.end - slice.start;
    }
    j["tracks"].push_back(
        {{"name", track.name}, {"busy_s", busy}, {"slices", std::move(slices)}, {"names", std::move(names)}});
  }
  return j;
}

}  // namespace alpa::report
