#include "alpa/simulate/perfetto.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "alpa/schedule/make_instructions.h"
#include "alpa/schedule/sample_pipelines.h"

namespace alpa::simulate {
namespace {

using nlohmann::json;
using schedule::ChainPipeline;
using schedule::Kind;
using schedule::Pipeline;
using ::testing::ElementsAre;

// A chain of two hosts' worth of meshes with transfers of a second each.
struct Sample {
  Pipeline pipeline;
  Timeline timeline;
};

Sample MakeSample(Kind kind, int32_t meshes, int32_t microbatches, int32_t chunks = 1) {
  Sample sample{ChainPipeline(kind, meshes, microbatches, chunks), {}};
  for (schedule::Edge& edge : sample.pipeline.edges) edge.forward_bytes = edge.backward_bytes = 8;
  StageCost cost;
  cost.forward = 1;
  cost.backward_input = cost.backward_weight = 2;
  cost.update = 3;
  cost.activation = 100;
  Costs costs = WithoutTransfers(sample.pipeline, std::vector<StageCost>(sample.pipeline.stages.size(), cost));
  costs.hosts[0].intra = {Seconds(0), 0.125};
  const auto program = schedule::MakeInstructions(sample.pipeline).value();
  sample.timeline = Simulate(program, sample.pipeline, costs, {.events = true}).value();
  return sample;
}

json Events(const Sample& sample, const PerfettoOptions& options = {}) {
  return json::parse(ToPerfetto(sample.timeline, sample.pipeline, options)).at("traceEvents");
}

TEST(ToPerfetto, OneMicrobatchThroughTwoMeshes) {
  const Sample sample = MakeSample(Kind::k1F1B, 2, 1);
  std::vector<std::string> lines;
  for (const json& event : Events(sample)) {
    const std::string phase = event["ph"];
    if (phase == "X") {
      lines.push_back(fmt::format("{}.{} {} {:g}+{:g}", event["pid"].get<int>(), event["tid"].get<int>(),
                                  event["name"].get<std::string>(), event["ts"].get<double>() / 1e6,
                                  event["dur"].get<double>() / 1e6));
    } else if (phase == "C") {
      lines.push_back(fmt::format("{} at {:g}: {}", event["name"].get<std::string>(), event["ts"].get<double>() / 1e6,
                                  event["args"]["bytes"].get<int64_t>()));
    } else {
      lines.push_back(event["args"].value("name", ""));
    }
  }
  std::erase(lines, "");
  EXPECT_THAT(lines, ElementsAre("computing", "mesh 0: stage 0", "mesh 1: stage 1", "1.0 F 0 0+1", "1.1 F 0 2+1",
                                 "1.1 B 0 3+4", "1.1 U 7+3", "1.0 B 0 8+4", "1.0 U 12+3",  //
                                 "transfers", "mesh 0 to mesh 1", "2.0 activation 0 1+1",  //
                                 "mesh 1 to mesh 0", "2.1 cotangent 0 7+1",                //
                                 "memory per device", "mesh 0 at 0: 100", "mesh 0 at 12: 0", "mesh 1 at 0: 0",
                                 "mesh 1 at 2: 100", "mesh 1 at 7: 0"));
}

TEST(ToPerfetto, SlicesOfATrackDoNotOverlap) {
  const Sample sample = MakeSample(Kind::kInterleaved, 2, 8, 2);
  std::map<std::pair<int, int>, std::vector<std::pair<double, double>>> tracks;
  std::set<std::string> names;
  for (const json& event : Events(sample)) {
    if (event["ph"] != "X") continue;
    const double start = event["ts"];
    tracks[{event["pid"], event["tid"]}].emplace_back(start, start + event["dur"].get<double>());
    names.insert(event["name"]);
  }
  size_t slices = 0;
  for (auto& [track, intervals] : tracks) {
    std::sort(intervals.begin(), intervals.end());
    for (size_t i = 1; i < intervals.size(); ++i) EXPECT_LE(intervals[i - 1].second, intervals[i].first);
    slices += intervals.size();
  }
  EXPECT_EQ(slices, sample.timeline.runs.size() + sample.timeline.transfers.size());
  EXPECT_EQ(names.count("F 7 stage 3"), 1U);
  EXPECT_EQ(names.count("W 7 stage 3"), 0U);
}

TEST(ToPerfetto, WeightGradientsHaveANameOfTheirOwn) {
  std::set<std::string> names;
  for (const json& event : Events(MakeSample(Kind::kZbH1, 2, 2))) {
    if (event["ph"] == "X") names.insert(event["name"]);
  }
  EXPECT_THAT(names, ElementsAre("B 0", "B 1", "F 0", "F 1", "U", "W 0", "W 1", "activation 0", "activation 1",
                                 "cotangent 0", "cotangent 1"));
}

TEST(ToPerfetto, StaysSmallForManyMicrobatches) {
  const Sample sample = MakeSample(Kind::k1F1B, 64, 1024);
  const std::string text = ToPerfetto(sample.timeline, sample.pipeline, {.microbatches = 8});
  EXPECT_LT(text.size(), 4U << 20);
  const std::string all = ToPerfetto(sample.timeline, sample.pipeline);
  fmt::print("64 meshes x 1024 microbatches: {} bytes with 8 microbatches, {} with all\n", text.size(), all.size());
  EXPECT_LT(text.size() * 10, all.size());
  std::set<std::string> forwards;
  std::map<std::string, int64_t> peaks;
  const json parsed = json::parse(text);
  for (const json& event : parsed.at("traceEvents")) {
    const std::string name = event["name"];
    if (name[0] == 'F') forwards.insert(name);
    if (event["ph"] == "C") peaks[name] = std::max(peaks[name], event["args"]["bytes"].get<int64_t>());
  }
  EXPECT_THAT(forwards, ElementsAre("F 0", "F 1", "F 1023", "F 2", "F 3", "F 4", "F 5", "F 6", "F 7"));
  EXPECT_EQ(peaks["mesh 0"], 6400);
  EXPECT_EQ(peaks["mesh 63"], 100);
}

}  // namespace
}  // namespace alpa::simulate
