#include "alpa/runtime/manifest.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace alpa::runtime {
namespace {

Manifest Sample() {
  Manifest m;
  m.info = {10, 40, "4 examples in a.npz", 18446744073709551615U, {2.5, 1.25}, "0.1.0"};
  m.model = "step";
  m.model_fingerprint = 0xfedcba9876543210;
  m.state_bytes = 1234;
  m.header_crc = 0xdeadbeef;
  m.tensors = {{"params.w", 0, ir::InputRole::kParameter, {ir::DType::kBF16, {2, 3}}, 0xffffffff},
               {"count", 2, ir::InputRole::kState, {ir::DType::kS32, {}}, 1}};
  return m;
}

TEST(Manifest, ReadsWhatItWrote) {
  const auto manifest = ManifestFromJson(ToJson(Sample()), "m.json");
  ASSERT_TRUE(manifest.ok()) << manifest.error().message;
  EXPECT_EQ(*manifest, Sample());
}

TEST(Manifest, KeepsLossesThatAreNoNumbersAndTextThatIsNotUtf8) {
  Manifest m = Sample();
  m.info.losses = {1, std::numeric_limits<double>::quiet_NaN()};
  m.info.data = "caf\xe9";
  const auto manifest = ManifestFromJson(ToJson(m), "m.json");
  ASSERT_TRUE(manifest.ok()) << manifest.error().message;
  EXPECT_EQ(manifest->info.losses[0], 1);
  EXPECT_TRUE(std::isnan(manifest->info.losses[1]));
}

TEST(Manifest, FindsTruncationAndEveryFlippedBit) {
  const std::string text = ToJson(Sample());
  for (size_t n = 0; n + 1 < text.size(); ++n) {
    const auto manifest = ManifestFromJson(text.substr(0, n), "m.json");
    ASSERT_FALSE(manifest.ok()) << n;
    EXPECT_EQ(manifest.error().code, Code::kCorrupt);
  }
  for (size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string flipped = text;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const auto manifest = ManifestFromJson(flipped, "m.json");
    // A flip may leave the meaning alone (a space becomes a line feed).
    if (manifest.ok()) EXPECT_EQ(*manifest, Sample()) << "bit " << bit;
  }
}

TEST(Manifest, TellsOtherJsonFromDamage) {
  EXPECT_EQ(ManifestFromJson("{}", "m.json").error().code, Code::kMismatch);
  EXPECT_EQ(ManifestFromJson("[1]", "m.json").error().code, Code::kMismatch);
  const auto newer = ManifestFromJson(R"({"alpa_checkpoint": 2})", "m.json");
  ASSERT_FALSE(newer.ok());
  EXPECT_EQ(newer.error().code, Code::kUnsupported);
  EXPECT_NE(newer.error().message.find("m.json: a checkpoint of version 2"), std::string::npos);
  const auto empty = ManifestFromJson(R"({"alpa_checkpoint": 1})", "m.json");
  EXPECT_EQ(empty.error().code, Code::kCorrupt);
}

}  // namespace
}  // namespace alpa::runtime
