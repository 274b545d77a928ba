#include "alpa/report/text_timeline.h"

#include <gtest/gtest.h>

namespace alpa::report {
namespace {

TEST(TextRow, HasALetterForEachPieceOfTime) {
  EXPECT_EQ(TextRow({{'F', 0, 2}, {'B', 3, 7}, {'U', 7, 8}}, 8, 8), "FF.BBBBU");
  EXPECT_EQ(TextRow({{'F', 0, 2}, {'B', 3, 7}, {'U', 7, 8}}, 8, 4), "F.BB")
      << "half a column each: the first in the alphabet";
  EXPECT_EQ(TextRow({}, 8, 3), "...");
  EXPECT_EQ(TextRow({{'F', 0, 1}}, 0, 3), "...");
}

TEST(TextRow, LettersTakeTurnsWhereThereIsNoRoomForAll) {
  std::vector<TextBar> bars;
  for (int i = 0; i < 300; ++i) {  // one third forward, two thirds backward
    bars.push_back({'F', 3.0 * i, 3.0 * i + 1});
    bars.push_back({'B', 3.0 * i + 1, 3.0 * i + 3});
  }
  const std::string row = TextRow(bars, 900, 30);
  EXPECT_EQ(std::count(row.begin(), row.end(), 'F'), 10);
  EXPECT_EQ(std::count(row.begin(), row.end(), 'B'), 20);
}

TEST(PipelineTimelineText, ALinePerMesh) {
  schedule::Pipeline pipeline;
  pipeline.microbatches = 1;
  pipeline.meshes = 2;
  pipeline.stages = {{0, 0, false}, {1, 0, false}};
  simulate::Timeline timeline;
  timeline.makespan = 8;
  timeline.meshes.resize(2);
  EXPECT_EQ(PipelineTimelineText(timeline, pipeline), "") << "nothing was recorded";
  timeline.runs = {{{schedule::Op::kForward, 0, 0}, 0, 0, 1},  {{schedule::Op::kForward, 1, 0}, 1, 1, 2},
                   {{schedule::Op::kBackward, 1, 0}, 1, 2, 4}, {{schedule::Op::kBackward, 0, 0}, 0, 4, 6},
                   {{schedule::Op::kUpdate, 1, 0}, 1, 4, 5},   {{schedule::Op::kUpdate, 0, 0}, 0, 6, 8}};
  EXPECT_EQ(PipelineTimelineText(timeline, pipeline, 16),
            "\nTimeline      |0         8.00 s|\n"
            "  stage 0     |FF......BBBBUUUU|\n"
            "  stage 1     |..FFBBBBUU......|\n"
            "               F forward, B backward, U update, . nothing to do or waiting\n");
}

TEST(PipelineTimelineText, LeavesOutMeshesInTheMiddle) {
  schedule::Pipeline pipeline;
  simulate::Timeline timeline;
  timeline.makespan = 1;
  timeline.meshes.resize(40);
  for (int32_t m = 0; m < 40; ++m) {
    pipeline.stages.push_back({m, 0, false});
    timeline.runs.push_back({{schedule::Op::kForward, m, 0}, m, 0, 1});
  }
  const std::string text = PipelineTimelineText(timeline, pipeline, 8, 4);
  EXPECT_NE(text.find("  ...          36 more\n  stage 38    |FFFFFFFF|\n"), std::string::npos) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 8);
}

TEST(OpsTimelineText, ComputesAndCommunicates) {
  const auto op = [](const char* phase, double compute, double communication) {
    return plan::OpNote{"op", "", phase, 1, Seconds(compute), Seconds(communication), Bytes(0)};
  };
  EXPECT_EQ(OpsTimelineText({op("forward", 2, 0), op("backward", 3, 1), op("update", 2, 0)}, 16),
            "\nTimeline      |0         8.00 s|\n"
            "  each device |FFFFccBBBBBBUUUU|\n"
            "               F forward, B backward, U update, c collectives\n");
  EXPECT_EQ(OpsTimelineText({}), "");
}

}  // namespace
}  // namespace alpa::report
