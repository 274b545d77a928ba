#include "alpa/driver/plan_notes.h"

#include <gtest/gtest.h>

namespace alpa::driver {
namespace {

TEST(LayerName, IsWhatParametersHaveInCommon) {
  EXPECT_EQ(LayerName({"params['h'][3]['fc1']['w']", "params['h'][3]['fc1']['b']"}), "h.3");
  EXPECT_EQ(LayerName({"params['wte']", "params['h'][0]['qkv']['w']", "params['wpe']"}), "wte, h.0, wpe");
  EXPECT_EQ(LayerName({"params['h']['fc1']['w'][2]", "params['h']['fc2']['w'][2]"}), "h.2");
  EXPECT_EQ(LayerName({"p['a']", "p['b']", "p['c']", "p['d']"}), "a, b, c and 1 more");
  EXPECT_EQ(LayerName({"params['image']['wide']"}), "image.wide");
  EXPECT_EQ(LayerName({"params['text']['a']['w']", "params['text']['a']['b']"}), "text.a");
  EXPECT_EQ(LayerName({"w"}), "w");
  EXPECT_EQ(LayerName({}), "");
}

}  // namespace
}  // namespace alpa::driver
