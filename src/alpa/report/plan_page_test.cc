#include "alpa/report/plan_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "alpa/report/page_timeline.h"
#include "alpa/schedule/make_instructions.h"

namespace alpa::report {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

schedule::Pipeline TwoStages(int32_t microbatches) {
  schedule::Pipeline pipeline;
  pipeline.microbatches = microbatches;
  pipeline.meshes = 2;
  pipeline.stages = {{0, 0, false}, {1, 0, false}};
  pipeline.edges = {{0, 1, 8, 8, true}};
  return pipeline;
}

// Forward 1 s, backward 3 s, update 2 s; transfers take no time.
simulate::Timeline Simulated(const schedule::Pipeline& pipeline) {
  const simulate::StageCost cost{1, 3, 0, 2, 100, 10, 0, 1};
  simulate::Options options;
  options.events = true;
  return *simulate::Simulate(*schedule::MakeInstructions(pipeline), pipeline,
                             simulate::WithoutTransfers(pipeline, {cost, cost}), options);
}

TEST(TimelineJson, CountsTicksFromTheEndOfTheRunBefore) {
  const schedule::Pipeline pipeline = TwoStages(1);
  const json j = TimelineJson(Simulated(pipeline), pipeline, 1000);
  const auto second = std::llround(1 / j["tick"].get<double>());
  EXPECT_EQ(j["makespan_s"], 10);  // forward of 1 s twice, backward of 3 s twice, update of 2 s
  // Stage 1 (4 + kind): forward from 1 s, backward, update.
  EXPECT_THAT(j["meshes"][1]["runs"].get<std::vector<int64_t>>(),
              ElementsAre(4, 0, second, second, 5, 0, 0, 3 * second, 7, 0, 0, 2 * second));
  // Activation at 1 s, cotangent 4 s later.
  EXPECT_THAT(j["transfers"].get<std::vector<int64_t>>(), ElementsAre(0, 0, second, 0, 1, 0, 4 * second, 0));
  EXPECT_EQ(j["meshes"][1]["peak"], 111);
  EXPECT_FALSE(j.contains("left_out"));
}

TEST(TimelineJson, LeavesOutMicrobatchesInTheMiddle) {
  const schedule::Pipeline pipeline = TwoStages(100);
  const json j = TimelineJson(Simulated(pipeline), pipeline, 60);
  EXPECT_THAT(j["left_out"].get<std::vector<int>>(), ElementsAre(4, 96));
  EXPECT_EQ(j["meshes"][0]["runs"].size(), 4 * (2 * 8 + 1));
  EXPECT_EQ(j["meshes"][0]["busy_s"], 402) << "numbers are of the whole step";
}

TEST(ReadMeasured, TakesTheMeasuredProcess) {
  const auto tracks = ReadMeasured(R"({"traceEvents": [
    {"ph": "M", "name": "process_name", "pid": 1, "args": {"name": "simulated: computing"}},
    {"ph": "X", "pid": 1, "tid": 0, "ts": 0, "dur": 5, "name": "F 0"},
    {"ph": "M", "name": "process_name", "pid": 1000, "args": {"name": "measured"}},
    {"ph": "M", "name": "thread_name", "pid": 1000, "tid": 0, "args": {"name": "mesh 0: stage 0"}},
    {"ph": "X", "pid": 1000, "tid": 0, "ts": 3e6, "dur": 1e6, "name": "receive-cotangent e0 k0", "cat": "communication"},
    {"ph": "X", "pid": 1000, "tid": 0, "ts": 1e6, "dur": 2e6, "name": "forward s0 k0", "cat": "compute"}]})");
  ASSERT_TRUE(tracks.ok()) << ToString(tracks.error());
  ASSERT_EQ(tracks->size(), 1U);
  const MeasuredTrack& track = tracks->front();
  EXPECT_EQ(track.name, "mesh 0: stage 0");
  ASSERT_EQ(track.slices.size(), 2U);
  EXPECT_EQ(track.slices[0].start, 0) << "the first begins at 0";
  EXPECT_EQ(track.slices[0].instruction, (schedule::Instruction{schedule::Op::kForward, 0, 0}));
  EXPECT_FALSE(track.slices[1].compute);
  EXPECT_EQ(track.slices[1].end, 3);
}

TEST(ReadMeasured, SaysWhatIsWrong) {
  const auto wrong = [](std::string_view text) {
    const auto read = ReadMeasured(text);
    return read.ok() ? std::string("it was read") : read.error().message;
  };
  EXPECT_EQ(wrong("{"), "trace: not valid JSON (damaged or truncated file)");
  EXPECT_EQ(wrong("[]"), "trace: key 'traceEvents' should be a list of events");
  EXPECT_EQ(wrong(R"({"traceEvents": []})"), "trace: nothing in it was measured");
  EXPECT_EQ(wrong(R"({"traceEvents": [{"name": "process_name", "pid": 1, "args": {"name": "measured"}},
                      {"ph": "X", "pid": 1, "tid": 0, "ts": "x"}]})"),
            "trace: event 1 has no 'ts' and 'dur' of at least 0");
}

plan::Plan OnTwo() {
  plan::Plan plan;
  plan.model = "</script>&";
  plan.mesh = cluster::MakeMesh({2});
  return plan;
}

TEST(PlanPage, HoldsDataThatIsNoMarkup) {
  const plan::Plan plan = OnTwo();
  PlanPage page;
  page.title = "a<b";
  page.plans.emplace_back();
  page.plans[0].mesh = &plan;
  const auto html = PlanPageHtml(page);
  ASSERT_TRUE(html.ok());
  EXPECT_THAT(*html, HasSubstr("<title>a&lt;b"));
  EXPECT_THAT(*html, HasSubstr(R"("model":"\u003c/script\u003e\u0026")"));
  EXPECT_THAT(*html, Not(HasSubstr("@DATA@")));
}

TEST(PlanPage, NotesHaveToFitThePlan) {
  const plan::Plan plan = OnTwo();
  plan::Notes notes;
  notes.tensors = {{0, "w", "parameter", "f32", {3, 4}, "[,x]", Bytes(48), 1, {}}};
  PlanPage page;
  page.plans.emplace_back();
  page.plans[0].mesh = &plan;
  page.plans[0].notes = &notes;
  const auto data = PlanPageData(page);
  ASSERT_TRUE(data.ok());
  EXPECT_EQ(json::parse(*data)["plans"][0]["notes"]["tensors"][0]["split"], json::parse("[[], [0]]"));
  notes.tensors[0].spec = "[x,]";
  EXPECT_THAT(PlanPageData(page).error().message, HasSubstr("key 'notes.tensors[0].spec'"));
  notes.tensors[0] = {1, "w", "parameter", "f32", {4}, "[x]", Bytes(16), 1, {}};
  EXPECT_EQ(PlanPageData(page).error().message, "plan: key 'notes.tensors[0].stage' is 1 of 1");
}

}  // namespace
}  // namespace alpa::report
