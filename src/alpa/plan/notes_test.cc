#include "alpa/plan/notes.h"

#include <gtest/gtest.h>

#include "alpa/plan/data_parallel.h"

namespace alpa::plan {
namespace {

Notes Sample() {
  Notes notes;
  notes.batch = 16;
  notes.peak_flops = 1e12;
  notes.gap = 0.004;
  notes.interleaved_bound = Seconds(0.5);
  notes.complete = false;
  notes.memory_limits = {{"V100", Bytes(16)}, {"A100", Bytes(40)}};
  notes.times = {{"solver", Seconds(1.5)}};
  notes.ways = {{"1f1b", 8, "4 x 1x2", Seconds(0.25)}};
  notes.layers = {{"h.0", Flops(10), Flops(20), Bytes(400)}, {}};
  TensorNote tensor{1, "params['w']", "parameter", "f32", {4, 8}, "[x,]", Bytes(128), 3, {}};
  tensor.others = {{"[,x]", -0.5, -64}};
  notes.tensors = {tensor};
  notes.ops = {{"dot.1", "model.py:3", "forward", 2, Seconds(0.1), Seconds(0.2), Bytes(512)}};
  return notes;
}

const char kPlan[] = R"({"alpa_plan": 2, "method": "m", "model": "f", "model_fingerprint": "0000000000000001",
  "mesh": {"shape": [2], "axes": ["x"]}, "inputs": ["[x,]"], "outputs": []})";

TEST(Notes, ComeBackAndLeaveThePlanAsItIs) {
  const std::string text = WithNotes(kPlan, Sample());
  const auto notes = NotesFromJson(text);
  ASSERT_TRUE(notes.ok()) << ToString(notes.error());
  EXPECT_EQ(**notes, Sample());
  const auto plan = FromJson(text), same = FromJson(kPlan);
  ASSERT_TRUE(plan.ok() && same.ok());
  EXPECT_EQ(*plan, *same);
}

TEST(Notes, OfMembersComeBackInOrder) {
  const std::string family = R"({"alpa_plan_family": 1, "members": [{"file": "a"}, {"file": "b"}]})";
  Notes second = Sample();
  second.batch = 8;
  const std::string text = WithNotes(family, Sample(), {Sample(), second});
  const auto notes = MemberNotesFromJson(text);
  ASSERT_TRUE(notes.ok()) << ToString(notes.error());
  ASSERT_EQ(notes->size(), 2U);
  EXPECT_EQ(*(*notes)[0], Sample());
  EXPECT_EQ(*(*notes)[1], second);
  EXPECT_FALSE((*MemberNotesFromJson(family))[1].has_value());
  EXPECT_EQ(MemberNotesFromJson(R"({"members": [{"notes": {}}]})").error().message,
            "plan: key 'members[0].notes.batch' is missing");
}

TEST(Notes, OfAPlanWithoutThemAreNothing) {
  const auto notes = NotesFromJson(kPlan);
  ASSERT_TRUE(notes.ok());
  EXPECT_FALSE(notes->has_value());
}

TEST(Notes, SayWhichKeyIsWrong) {
  const auto wrong = [](const std::string& notes) {
    const auto read = NotesFromJson(R"({"alpa_plan": 2, "notes": )" + notes + "}");
    return read.ok() ? std::string("it was read") : read.error().message;
  };
  EXPECT_EQ(wrong("3"), "plan: 'notes.' should be an object, is number");
  EXPECT_EQ(wrong("{}"), "plan: key 'notes.batch' is missing");
  const std::string head =
      R"({"batch": 1, "peak_flops": 0, "gap": 0, "interleaved_bound_seconds": 0, "complete": true)";
  EXPECT_EQ(wrong(head + R"(, "memory_limits": [{"device_type": "A", "bytes": "x"}]})"),
            "plan: key 'notes.memory_limits[0].bytes' should be an integer, is string");
  EXPECT_EQ(wrong(head + R"(, "layers": [7]})"), "plan: 'notes.layers[0].' should be an object, is number");
  EXPECT_EQ(wrong(head + R"(, "tensors": [{"stage": 0, "name": "a", "role": "b", "dtype": "f32", "spec": "[]",
      "bytes": 4, "count": 1, "shape": [-1]}]})"),
            "plan: key 'notes.tensors[0].shape[0]' should be an integer, 0 or above");
}

}  // namespace
}  // namespace alpa::plan
