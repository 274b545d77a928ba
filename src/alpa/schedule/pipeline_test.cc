#include "alpa/schedule/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "alpa/schedule/sample_pipelines.h"

namespace alpa::schedule {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Kind, NamesParseBack) {
  for (int i = 0; i < kKindCount; ++i) {
    const auto kind = static_cast<Kind>(i);
    auto parsed = ParseKind(Name(kind));
    ASSERT_TRUE(parsed.ok()) << Name(kind);
    EXPECT_EQ(*parsed, kind);
  }
  auto unknown = ParseKind("zb-h2");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code, Code::kInvalidArgument);
  EXPECT_THAT(unknown.error().hint, HasSubstr("gpipe, 1f1b, interleaved, zb-h1, inference"));
}

// 0 -> 1 -> 3 -> 4, 0 -> 2 -> 4, 0 -> 4.
Pipeline Diamond() {
  Pipeline pipeline = ChainPipeline(Kind::k1F1B, 5, 8);
  pipeline.edges = {{0, 1}, {0, 2}, {1, 3}, {2, 4}, {3, 4}, {0, 4}};
  return pipeline;
}

TEST(StagesToEnd, TakesTheLongestPath) { EXPECT_THAT(StagesToEnd(Diamond()), ElementsAre(4, 3, 2, 2, 1)); }

TEST(InFlightBounds, FollowTheSchedule) {
  Pipeline pipeline = Diamond();
  EXPECT_THAT(InFlightBounds(pipeline).activations, ElementsAre(4, 3, 2, 2, 1));
  EXPECT_THAT(InFlightBounds(pipeline).weight_inputs, ElementsAre(4, 3, 2, 2, 1));
  pipeline.kind = Kind::kZbH1;
  EXPECT_THAT(InFlightBounds(pipeline).activations, ElementsAre(4, 3, 2, 2, 1));
  EXPECT_THAT(InFlightBounds(pipeline).weight_inputs, ElementsAre(4, 4, 4, 4, 4));
  pipeline.microbatches = 3;
  EXPECT_THAT(InFlightBounds(pipeline).activations, ElementsAre(3, 3, 2, 2, 1));
  EXPECT_THAT(InFlightBounds(pipeline).weight_inputs, ElementsAre(3, 3, 3, 3, 3));
  pipeline.kind = Kind::kGpipe;
  EXPECT_THAT(InFlightBounds(pipeline).activations, ElementsAre(3, 3, 3, 3, 3));
  pipeline.kind = Kind::kInference;
  EXPECT_THAT(InFlightBounds(pipeline).activations, ElementsAre(0, 0, 0, 0, 0));
  // 2 (4 - r - 1) + (2 - 1) 4 + 1.
  EXPECT_THAT(InFlightBounds(ChainPipeline(Kind::kInterleaved, 4, 8, 2)).activations, ElementsAre(11, 9, 7, 5));
  // At most m v = 8.
  EXPECT_THAT(InFlightBounds(ChainPipeline(Kind::kInterleaved, 4, 4, 2)).activations, ElementsAre(8, 8, 7, 5));
}

struct BadPipeline {
  const char* message;
  Kind kind;
  std::function<void(Pipeline*)> change;
};

TEST(Verify, RefusesWhatAScheduleCannotDo) {
  const std::vector<BadPipeline> cases = {
      {"0 microbatches", Kind::k1F1B, [](Pipeline* p) { p->microbatches = 0; }},
      {"without stages", Kind::k1F1B, [](Pipeline* p) { p->stages.clear(); }},
      {"4 stages and 3 edges times 8388608 microbatches are more than 33554432", Kind::k1F1B,
       [](Pipeline* p) { p->microbatches = 1 << 23; }},
      {"4 stages on 0 meshes", Kind::k1F1B, [](Pipeline* p) { p->meshes = 0; }},
      {"4 stages on 5 meshes", Kind::k1F1B, [](Pipeline* p) { p->meshes = 5; }},
      {"stage 3 lies on mesh 4 of 4", Kind::k1F1B, [](Pipeline* p) { p->stages[3].mesh = 4; }},
      {"stage 3 is chunk 1 of mesh 3, where the next one is chunk 0", Kind::k1F1B,
       [](Pipeline* p) { p->stages[3].chunk = 1; }},
      {"mesh 3 has no stage", Kind::kInterleaved,
       [](Pipeline* p) {
         p->stages[3] = {2, 1, false};
       }},
      {"schedule 1f1b: mesh 2 has 2 stages", Kind::k1F1B,
       [](Pipeline* p) {
         p->stages[3] = {2, 1, false};
         p->meshes = 3;
       }},
      {"edge 0 from stage 0 to stage 4: there are 4 stages", Kind::k1F1B, [](Pipeline* p) { p->edges[0].to = 4; }},
      {"edge 0 from stage 1 to stage 1: stages are numbered in topological order", Kind::k1F1B,
       [](Pipeline* p) { p->edges[0].from = 1; }},
      {"edge 1 from stage 0 to stage 1 is there twice", Kind::k1F1B, [](Pipeline* p) { p->edges[1] = p->edges[0]; }},
      {"edge 2 from stage 2 to stage 3: negative bytes", Kind::k1F1B,
       [](Pipeline* p) { p->edges[2].backward_bytes = -1; }},
      {"-1 rounds", Kind::k1F1B, [](Pipeline* p) { p->update_rounds = -1; }},
      {"schedule inference: 1 rounds", Kind::kInference, [](Pipeline* p) { p->update_rounds = 1; }},
      {"step edge 0 from stage 3 to stage -1: there are 4", Kind::k1F1B,
       [](Pipeline* p) {
         p->step_edges = {{3, -1, 0, 8}};
       }},
      {"step edge 0 from stage 3 to stage 3: the stage has", Kind::k1F1B,
       [](Pipeline* p) {
         p->step_edges = {{3, 3, 0, 8}};
       }},
      {"step edge 0 from stage 3 to stage 0: round 2 of 1", Kind::k1F1B,
       [](Pipeline* p) {
         p->step_edges = {{3, 0, 2, 8}};
       }},
      {"step edge 0 from stage 3 to stage 0: negative", Kind::k1F1B,
       [](Pipeline* p) {
         p->step_edges = {{3, 0, 1, -8}};
       }},
      {"6 microbatches on 4 meshes", Kind::kInterleaved, [](Pipeline* p) { p->microbatches = 6; }},
      {"4 stages on 3 meshes; all need equally many", Kind::kInterleaved,
       [](Pipeline* p) {
         p->stages[3] = {0, 1, false};
         p->meshes = 3;
       }},
      {"stage 0 lies on mesh 1, not 0", Kind::kInterleaved, [](Pipeline* p) { std::swap(p->stages[0], p->stages[1]); }},
      {"stage 1 does not pass activations and cotangents to stage 2", Kind::kInterleaved,
       [](Pipeline* p) {
         p->edges[1] = {0, 2};
       }},
      {"stage 1 does not pass activations and cotangents to stage 2", Kind::kInterleaved,
       [](Pipeline* p) { p->edges[1].cotangent = false; }},
  };
  for (const BadPipeline& bad : cases) {
    Pipeline pipeline = ChainPipeline(bad.kind, 4, 8);
    ASSERT_TRUE(Verify(pipeline).ok()) << bad.message;
    bad.change(&pipeline);
    const Status status = Verify(pipeline);
    ASSERT_FALSE(status.ok()) << bad.message;
    EXPECT_EQ(status.error().code, Code::kInvalidArgument);
    EXPECT_THAT(status.error().message, HasSubstr(bad.message));
  }
}

TEST(Pipeline, PrintsStagesAndEdges) {
  Pipeline pipeline = ChainPipeline(Kind::k1F1B, 2, 8);
  pipeline.stages[1].recompute = true;
  pipeline.edges[0].forward_bytes = 640;
  pipeline.step_edges = {{1, 0, 0, 32}};
  EXPECT_EQ(ToString(pipeline),
            "pipeline 1f1b: 8 microbatches, 2 meshes, 1 update rounds\n"
            "stage 0: mesh 0, chunk 0\n"
            "stage 1: mesh 1, chunk 0, recompute\n"
            "edge 0: stage 0 -> 1, 640 B forward, 0 B backward\n"
            "step edge 0: stage 1 -> 0, round 0, 32 B\n");
}

}  // namespace
}  // namespace alpa::schedule
