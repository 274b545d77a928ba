#include "alpa/runtime/checkpoint.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "alpa/runtime/checkpoint_files.h"
#include "alpa/runtime/save_checkpoint.h"
#include "alpa/runtime/test_support.h"

namespace alpa::runtime {
namespace {

namespace fs = std::filesystem;

constexpr const char* kShard = "shard-00000-of-00001.safetensors";

// The state params.w f32[2] and count s32[] of SumStep().
class CheckpointTest : public testing::Test {
 protected:
  Result<fs::path> Save(int64_t step, const SaveOptions& options = {}) { return Save(step, step_, options); }
  Result<fs::path> Save(int64_t step, const StepBuilder& b, const SaveOptions& options = {}) {
    const std::vector<ir::HostTensor> state = {F32({2}, {1, static_cast<double>(step)}), S32({}, {5})};
    CheckpointInfo info;
    info.step = step;
    info.data_position = 4 * step;
    info.data = "numbers";
    info.losses = {0.5};
    return SaveCheckpoint(
        dir_, info, b.module, b.signature, [&](size_t i) -> Result<ir::HostTensor> { return state[i]; }, options);
  }
  Result<Checkpoint> Load(std::optional<int64_t> step = {}) {
    return LoadCheckpoint(dir_, step, step_.module, step_.signature);
  }
  Error LoadError(std::optional<int64_t> step = {}) {
    const auto checkpoint = Load(step);
    return checkpoint.ok() ? Error{Code::kOutOfTolerance, "it loaded", ""} : checkpoint.error();
  }
  std::vector<int64_t> Steps() {
    std::vector<int64_t> out;
    const auto entries = ListCheckpoints(dir_);
    if (!entries.ok()) return {-1};
    for (const CheckpointEntry& entry : *entries) out.push_back(entry.step);
    return out;
  }
  // Everything in the folder, with its content.
  std::map<std::string, std::string> Content() {
    std::map<std::string, std::string> out;
    for (const auto& entry : fs::recursive_directory_iterator(dir_)) {
      out[fs::relative(entry.path(), dir_).string()] = entry.is_regular_file() ? Read(entry.path()) : "";
    }
    return out;
  }

  TempFolder folder_;
  fs::path dir_ = folder_ / "run/checkpoints";
  StepBuilder step_ = SumStep();
};

TEST_F(CheckpointTest, LoadsWhatItSaved) {
  const auto saved = Save(10);
  ASSERT_TRUE(saved.ok()) << saved.error().message;
  EXPECT_EQ(*saved, dir_ / "step-00000010");
  const auto checkpoint = Load();
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  EXPECT_EQ(checkpoint->info().step, 10);
  EXPECT_EQ(checkpoint->info().data_position, 40);
  EXPECT_EQ(checkpoint->info().data, "numbers");
  EXPECT_EQ(checkpoint->info().losses, std::vector<double>{0.5});
  EXPECT_EQ(*checkpoint->Value(0), F32({2}, {1, 10}));
  EXPECT_EQ(*checkpoint->Value(1), S32({}, {5}));
  EXPECT_EQ(checkpoint->Value(2).error().code, Code::kNotFound);
  EXPECT_EQ(SafetensorsFile::Open(*saved / kShard)->metadata().at("step"), "10");
}

TEST_F(CheckpointTest, ChoosesTheNewestOrTheStepAskedFor) {
  for (const int64_t step : {20, 3, 100}) ASSERT_TRUE(Save(step).ok());
  EXPECT_EQ(Steps(), (std::vector<int64_t>{3, 20, 100}));
  EXPECT_EQ(Load()->info().step, 100);
  EXPECT_EQ(Load(3)->info().step, 3);
  const Error error = LoadError(4);
  EXPECT_EQ(error.code, Code::kNotFound);
  EXPECT_EQ(error.hint, "there are checkpoints of steps 3, 20, 100");
  const auto direct = LoadCheckpoint(dir_ / "step-00000020", {}, step_.module, step_.signature);
  ASSERT_TRUE(direct.ok());
  EXPECT_EQ(direct->info().step, 20);
}

TEST_F(CheckpointTest, SaysWhenThereIsNone) {
  EXPECT_EQ(LoadError().code, Code::kNotFound);
  fs::create_directories(dir_ / "other");
  EXPECT_EQ(LoadError().code, Code::kNotFound);
  EXPECT_EQ(ListCheckpoints(folder_ / "missing").error().code, Code::kNotFound);
}

TEST_F(CheckpointTest, RefusesFilesThatAreCutAnywhere) {
  const fs::path folder = *Save(10);
  for (const char* name : {kShard, "manifest.json"}) {
    const std::string bytes = Read(folder / name);
    for (size_t n = 0; n + 1 < bytes.size(); n += 3) {
      Write(folder / name, bytes.substr(0, n));
      const Error error = LoadError();
      ASSERT_EQ(error.code, Code::kCorrupt) << name << " " << n;
      EXPECT_NE(error.message.find("step-00000010"), std::string::npos) << error.message;
    }
    Write(folder / name, bytes);
  }
  EXPECT_TRUE(Load().ok());
}

TEST_F(CheckpointTest, RefusesEveryFlippedBitOfTheState) {
  const fs::path path = *Save(10) / kShard;
  const std::string bytes = Read(path);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    Write(path, flipped);
    ASSERT_EQ(LoadError().code, Code::kCorrupt) << "bit " << bit;
  }
}

TEST_F(CheckpointTest, NamesTheDamagedTensorAndTheOtherCheckpoints) {
  ASSERT_TRUE(Save(5).ok());
  const fs::path path = *Save(10) / kShard;
  std::string bytes = Read(path);
  bytes.back() ^= 1;
  Write(path, bytes);
  const Error error = LoadError();
  EXPECT_NE(error.message.find("shard-00000-of-00001.safetensors: tensor 'count': its checksum differs"),
            std::string::npos)
      << error.message;
  EXPECT_EQ(error.hint, "there are other checkpoints, of steps 5");
  EXPECT_TRUE(Load(5).ok());
}

TEST_F(CheckpointTest, RefusesMissingFiles) {
  const fs::path folder = *Save(10);
  fs::remove(folder / kShard);
  EXPECT_EQ(LoadError().code, Code::kCorrupt);
  ASSERT_TRUE(Save(10).ok());
  fs::remove(folder / "manifest.json");
  const Error error = LoadError();
  EXPECT_EQ(error.code, Code::kCorrupt);
  EXPECT_NE(error.message.find("manifest.json is missing"), std::string::npos);
}

TEST_F(CheckpointTest, RefusesOtherModelsAndForeignFolders) {
  StepBuilder other = SumStep("other");
  other.Batch("more", F32Shape({1}));
  ASSERT_TRUE(Save(10, other).ok());
  const Error error = LoadError();
  EXPECT_EQ(error.code, Code::kMismatch);
  EXPECT_NE(error.message.find("of another model: 'other'"), std::string::npos) << error.message;
  EXPECT_EQ(CheckCheckpointFolder(dir_, step_.module).error().code, Code::kMismatch);

  const auto before = Content();
  const auto refused = Save(10);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::kMismatch);
  EXPECT_EQ(Content(), before) << "nothing is overwritten";

  Write(dir_ / "step-00000010/manifest.json", "{\"some\": \"thing\"}");
  EXPECT_EQ(LoadError().code, Code::kMismatch);
  Write(dir_ / "step-00000020/notes.txt", "mine");
  EXPECT_EQ(Save(20).error().code, Code::kMismatch);
  EXPECT_EQ(Read(dir_ / "step-00000020/notes.txt"), "mine");
}

// SumStep() with a batch input more, and the state behind other inputs: another shape of the model has the same names.
StepBuilder Sibling(bool other_state = false) {
  StepBuilder b;
  b.module.name = "sum";
  b.Batch("batch.x", F32Shape({8, 2}));
  b.Parameter("params.w", F32Shape({other_state ? 3 : 2}));
  b.State("count", S32Shape({}));
  return b;
}

TEST_F(CheckpointTest, IsTakenFromASiblingWhoseInputsHaveOtherNumbers) {
  const StepBuilder sibling = Sibling();
  ASSERT_TRUE(Save(10, sibling).ok());
  ASSERT_EQ(LoadError().code, Code::kMismatch);
  const Siblings siblings = {7, ir::Fingerprint(sibling.module)};
  ASSERT_EQ(LoadCheckpoint(dir_, {}, step_.module, step_.signature, {7}).error().code, Code::kMismatch);
  const auto checkpoint = LoadCheckpoint(dir_, {}, step_.module, step_.signature, siblings);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  EXPECT_EQ(*checkpoint->Value(0), F32({2}, {1, 10}));
  EXPECT_EQ(*checkpoint->Value(1), S32({}, {5}));
  const auto newest = LoadNewestSound(dir_, step_.module, step_.signature, siblings);
  ASSERT_TRUE(newest.ok()) << newest.error().message;
  EXPECT_EQ(*newest->checkpoint.Value(0), F32({2}, {1, 10}));

  EXPECT_FALSE(CheckCheckpointFolder(dir_, step_.module).ok());
  EXPECT_TRUE(CheckCheckpointFolder(dir_, step_.module, siblings).ok());
  EXPECT_FALSE(Save(10, {2}).ok()) << "it is not replaced as if it were its own";
  ASSERT_TRUE(Save(20, {2, siblings}).ok());
  ASSERT_TRUE(Save(30, {2, siblings}).ok());
  EXPECT_EQ(Steps(), (std::vector<int64_t>{20, 30})) << "the sibling's counts among those that are kept";
}

TEST_F(CheckpointTest, RefusesASiblingWithAnotherState) {
  const StepBuilder other = Sibling(/*other_state=*/true);
  const std::vector<ir::HostTensor> state = {F32({3}, {1, 2, 3}), S32({}, {5})};
  ASSERT_TRUE(
      SaveCheckpoint(dir_, {.step = 10}, other.module, other.signature, [&](size_t i) -> Result<ir::HostTensor> {
        return state[i];
      }).ok());
  const auto refused = LoadCheckpoint(dir_, {}, step_.module, step_.signature, {ir::Fingerprint(other.module)});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::kMismatch);
  EXPECT_NE(refused.error().message.find("tensor 'params.w' is f32[3]"), std::string::npos) << refused.error().message;
}

TEST_F(CheckpointTest, ReplacesItsOwnStep) {
  ASSERT_TRUE(Save(10).ok());
  const auto before = Content();
  Write(dir_ / "step-00000010/extra", "x");
  ASSERT_TRUE(Save(10).ok());
  EXPECT_EQ(Content(), before) << "saving is deterministic and leaves nothing else";
}

TEST_F(CheckpointTest, ChangesNothingWhenTheStateCannotBeHad) {
  ASSERT_TRUE(Save(10).ok());
  const auto before = Content();
  CheckpointInfo info;
  info.step = 10;
  const auto saved = SaveCheckpoint(dir_, info, step_.module, step_.signature, [](size_t i) -> Result<ir::HostTensor> {
    if (i == 1) return Error{Code::kEnvironment, "device lost", ""};
    return F32({2}, {7, 7});
  });
  ASSERT_FALSE(saved.ok());
  EXPECT_EQ(saved.error().message, "device lost");
  EXPECT_EQ(Content(), before);
}

TEST_F(CheckpointTest, IgnoresAndRemovesWhatAnInterruptedSaveLeft) {
  ASSERT_TRUE(Save(10).ok());
  // No process has the number 2^22 + 1; process 1 always runs.
  Write(dir_ / ".step-00000020.tmp4194305/state.safetensors", "half");
  Write(dir_ / ".step-00000020.tmp1/state.safetensors", "being written");
  EXPECT_EQ(Load()->info().step, 10);
  ASSERT_TRUE(Save(11).ok());
  EXPECT_FALSE(fs::exists(dir_ / ".step-00000020.tmp4194305"));
  EXPECT_TRUE(fs::exists(dir_ / ".step-00000020.tmp1"));
}

TEST_F(CheckpointTest, KeepsTheLastOnesOfThisModelUpToTheStep) {
  for (const int64_t step : {10, 20, 30, 40}) ASSERT_TRUE(Save(step).ok());
  ASSERT_TRUE(Save(25, {2}).ok());
  EXPECT_EQ(Steps(), (std::vector<int64_t>{20, 25, 30, 40})) << "later ones of an earlier run stay";
  ASSERT_TRUE(Save(50, {2}).ok());
  EXPECT_EQ(Steps(), (std::vector<int64_t>{40, 50}));
  ASSERT_TRUE(Save(60, {1}).ok());
  EXPECT_EQ(Steps(), std::vector<int64_t>{60});
  ASSERT_TRUE(Save(70, SaveOptions{0}).ok());
  EXPECT_EQ(Steps(), (std::vector<int64_t>{60, 70}));
}

TEST_F(CheckpointTest, ReadsWhatVersion1Wrote) {
  // The state file of version 1 is that of one writer under another name; its manifest had a checksum per tensor.
  const fs::path folder = *Save(10);
  const Manifest m = *ReadManifest(folder);
  const auto tensor = [&](size_t t, const char* rest) {
    return fmt::format(R"({{"crc32":"{:08x}","dtype":{},"name":"{}",{}}})", m.tensors[t].blocks[0].crc,
                       t == 0 ? R"("f32","input":0)" : R"("s32","input":1)", m.tensors[t].name, rest);
  };
  const auto json = [&](const std::string& checksum) {
    return fmt::format(
        R"({{"alpa_checkpoint":1,"alpa_version":"",{}"data":{{"description":"numbers","position":40,"seed":0}},)"
        R"("header_crc32":"{:08x}","losses":[0.5],"model":"sum","model_fingerprint":"{:016x}","state_bytes":{},)"
        R"("step":10,"tensors":[{},{}]}})",
        checksum, m.shards[0].header_crc, m.model_fingerprint, m.shards[0].bytes,
        tensor(0, R"("role":"parameter","shape":[2])"), tensor(1, R"("role":"state","shape":[])"));
  };
  fs::rename(folder / kShard, folder / "state.safetensors");
  Write(folder / "manifest.json", json(fmt::format(R"("checksum":"{:08x}",)", Crc32(json("")))));
  const auto checkpoint = Load();
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  EXPECT_EQ(checkpoint->info().step, 10);
  EXPECT_EQ(*checkpoint->Value(0), F32({2}, {1, 10}));
  EXPECT_EQ(*checkpoint->Value(1), S32({}, {5}));
  ASSERT_TRUE(Save(10).ok()) << "it may be replaced";
  EXPECT_TRUE(fs::exists(folder / kShard));
  EXPECT_FALSE(fs::exists(folder / "state.safetensors"));
}

// ---- the newest that is not damaged

class NewestSoundTest : public CheckpointTest {
 protected:
  NewestSoundTest() {
    for (const int64_t step : {10, 20, 30}) ALPA_CHECK(Save(step).ok());
  }
  Result<NewestSound> Newest() { return LoadNewestSound(dir_, step_.module, step_.signature); }
  void Cut(int64_t step, const std::string& file) {
    const fs::path path = CheckpointPath(dir_, step) / file;
    fs::resize_file(path, fs::file_size(path) - 1);
  }
};

TEST_F(NewestSoundTest, IsTheNewestWhenAllAreSound) {
  const auto newest = Newest();
  ASSERT_TRUE(newest.ok());
  EXPECT_EQ(newest->checkpoint.info().step, 30);
  EXPECT_TRUE(newest->damaged.empty());
}

TEST_F(NewestSoundTest, SkipsWhatIsDamagedAndNamesIt) {
  fs::remove(CheckpointPath(dir_, 30) / kShard);
  Cut(20, kShard);
  const auto newest = Newest();
  ASSERT_TRUE(newest.ok()) << newest.error().message;
  EXPECT_EQ(newest->checkpoint.info().step, 10);
  ASSERT_EQ(newest->damaged.size(), 2U);
  EXPECT_EQ(newest->damaged[0].message, (dir_ / "step-00000030: ").string() + kShard + " is missing");
  EXPECT_EQ(newest->damaged[1].message.find((dir_ / "step-00000020" / kShard).string() + ": "), 0U);
  EXPECT_NE(newest->damaged[1].message.find("(truncated)"), std::string::npos);
}

TEST_F(NewestSoundTest, SkipsManifestsThatAreMissingOrCut) {
  fs::remove(CheckpointPath(dir_, 30) / "manifest.json");
  Cut(20, "manifest.json");
  Cut(20, "manifest.json");  // the last byte is a line feed
  const auto newest = Newest();
  ASSERT_TRUE(newest.ok()) << newest.error().message;
  EXPECT_EQ(newest->checkpoint.info().step, 10);
  EXPECT_NE(newest->damaged[0].message.find("manifest.json is missing"), std::string::npos);
  EXPECT_NE(newest->damaged[1].message.find("step-00000020/manifest.json: not valid JSON"), std::string::npos);
  ASSERT_TRUE(Save(30).ok()) << "the remains do not stand in the way";
  EXPECT_EQ(Newest()->checkpoint.info().step, 30);
}

TEST_F(NewestSoundTest, IsNoneWhenAllAreDamaged) {
  for (const int64_t step : {10, 20, 30}) Cut(step, kShard);
  const auto newest = Newest();
  ASSERT_FALSE(newest.ok());
  EXPECT_EQ(newest.error().code, Code::kCorrupt);
  EXPECT_NE(newest.error().message.find("step-00000030"), std::string::npos);
  EXPECT_EQ(newest.error().hint, "none of the 3 checkpoints there is sound");
}

TEST_F(NewestSoundTest, DoesNotSkipAnotherModel) {
  StepBuilder other = SumStep("other");
  other.Batch("more", F32Shape({1}));
  ASSERT_TRUE(Save(40, other).ok());
  EXPECT_EQ(Newest().error().code, Code::kMismatch);
}

TEST_F(NewestSoundTest, IsNotRemovedForDamagedOnes) {
  Cut(20, kShard);
  Cut(30, kShard);
  ASSERT_TRUE(Save(40, {2}).ok());
  EXPECT_EQ(Steps(), (std::vector<int64_t>{10, 20, 30, 40})) << "10 is the second sound one";
  ASSERT_TRUE(Save(50, {2}).ok());
  EXPECT_EQ(Steps(), (std::vector<int64_t>{40, 50}));
}

TEST_F(CheckpointTest, AsksBeforeARunWhetherItCanSave) {
  EXPECT_TRUE(CheckCheckpointFolder(dir_, step_.module).ok());
  EXPECT_FALSE(fs::exists(folder_ / "run")) << "asking creates nothing";
  ASSERT_TRUE(Save(10).ok());
  EXPECT_TRUE(CheckCheckpointFolder(dir_, step_.module).ok());
  Write(folder_ / "file", "x");
  EXPECT_EQ(CheckCheckpointFolder(folder_ / "file", step_.module).error().code, Code::kIo);
  EXPECT_EQ(CheckCheckpointFolder(folder_ / "file/below", step_.module).error().code, Code::kIo);
  CheckpointInfo info;
  EXPECT_EQ(SaveCheckpoint(folder_ / "file/below", info, step_.module, step_.signature, nullptr).error().code,
            Code::kIo);
}

TEST_F(CheckpointTest, FindsStateByPositionWhateverItIsCalled) {
  ASSERT_TRUE(Save(10).ok());
  step_.module.input_names = {"", "", ""};
  const auto checkpoint = Load();
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  EXPECT_EQ(*checkpoint->Value(0), F32({2}, {1, 10}));
}

}  // namespace
}  // namespace alpa::runtime
