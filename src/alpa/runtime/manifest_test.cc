#include "alpa/runtime/manifest.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace alpa::runtime {
namespace {

Manifest Sample() {
  Manifest m;
  m.info = {10, 40, "4 examples in a.npz", 18446744073709551615U, {2.5, 1.25}, "0.1.0", 6};
  m.model = "step";
  m.model_fingerprint = 0xfedcba9876543210;
  m.shards = {{"shard-00000-of-00002.safetensors", 1234, 0xdeadbeef}, {"shard-00001-of-00002.safetensors", 99, 7}};
  m.tensors = {{"params.w",
                0,
                ir::InputRole::kParameter,
                {ir::DType::kBF16, {2, 3}},
                {{0, {{0, 0}, {2, 1}}, 0xffffffff}, {1, {{0, 1}, {2, 2}}, 2}}},
               {"count", 2, ir::InputRole::kState, {ir::DType::kS32, {}}, {{1, {{}, {}}, 1}}}};
  return m;
}

TEST(Manifest, ReadsWhatItWrote) {
  const auto manifest = ManifestFromJson(ToJson(Sample()), "m.json");
  ASSERT_TRUE(manifest.ok()) << manifest.error().message;
  EXPECT_EQ(*manifest, Sample());
}

TEST(Manifest, ReadsVersion1) {
  // Written by alpa 0.1.0.
  const std::string text =
      R"({"alpa_checkpoint":1,"alpa_version":"0.1.0","checksum":"15f64caa","data":{"description":"d",
    "position":40,"seed":7},"header_crc32":"deadbeef","losses":[2.5],"model":"step","model_fingerprint":"00000000000000ff",
    "state_bytes":1234,"step":10,"tensors":[{"crc32":"0000002a","dtype":"f32","input":0,"name":"w","role":"parameter",
    "shape":[2,3]}]})";
  const auto manifest = ManifestFromJson(text, "m.json");
  ASSERT_TRUE(manifest.ok()) << manifest.error().message;
  Manifest expected;
  expected.info = {10, 40, "d", 7, {2.5}, "0.1.0"};
  expected.model = "step";
  expected.model_fingerprint = 0xff;
  expected.shards = {{"state.safetensors", 1234, 0xdeadbeef}};
  expected.tensors = {{"w", 0, ir::InputRole::kParameter, {ir::DType::kF32, {2, 3}}, {{0, {{0, 0}, {2, 3}}, 0x2a}}}};
  EXPECT_EQ(*manifest, expected);
  EXPECT_TRUE(CheckBlocks(*manifest).ok());
}

TEST(Manifest, NamesBlocksAsNumPyWritesThem) {
  const Manifest m = Sample();
  EXPECT_EQ(BlockName(m.tensors[0], m.tensors[0].blocks[1].block), "params.w[0:2,1:3]");
  EXPECT_EQ(BlockName(m.tensors[0], {{0, 0}, {2, 3}}), "params.w");
  EXPECT_EQ(BlockName(m.tensors[1], {{}, {}}), "count");
}

TEST(Manifest, ChecksThatTheBlocksMakeUpTheTensors) {
  EXPECT_TRUE(CheckBlocks(Sample()).ok());
  Manifest m = Sample();
  m.tensors[0].blocks.pop_back();
  EXPECT_EQ(CheckBlocks(m).error().message, "tensor 'params.w': 4 of 6 elements are missing");
  m = Sample();
  m.tensors[1].blocks[0].shard = 2;
  EXPECT_EQ(CheckBlocks(m).error().message, "tensor 'count': there is no shard 2");
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
  const auto newer = ManifestFromJson(R"({"alpa_checkpoint": 3})", "m.json");
  ASSERT_FALSE(newer.ok());
  EXPECT_EQ(newer.error().code, Code::kUnsupported);
  EXPECT_NE(newer.error().message.find("m.json: a checkpoint of version 3"), std::string::npos);
  const auto empty = ManifestFromJson(R"({"alpa_checkpoint": 1})", "m.json");
  EXPECT_EQ(empty.error().code, Code::kCorrupt);
}

}  // namespace
}  // namespace alpa::runtime
