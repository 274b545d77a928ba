// A run that is interrupted and resumed gives exactly the numbers of one that is not: `alpa run --checkpoint --resume`
// in this process, on real models and XLA's devices.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include "alpa/base/file.h"
#include "alpa/driver/run.h"
#include "alpa/driver/session.h"
#include "alpa/runtime/checkpoint.h"
#include "alpa/runtime/npz.h"
#include "alpa/runtime/prefetch.h"
#include "alpa/runtime/test_support.h"

namespace alpa {
namespace {

namespace fs = std::filesystem;
using driver::RunOptions;
using runtime::TempFolder;

const fs::path kModels = fs::path(ALPA_SOURCE_DIR) / "tests/models";
constexpr int64_t kSteps = 5;

// What a run left behind.
struct Outcome {
  std::vector<double> losses;  // as the metrics file has them, to the last bit
  std::string state;           // bytes of the newest checkpoint's tensors

  bool operator==(const Outcome&) const = default;
};

std::vector<double> LossesIn(const fs::path& metrics) {
  std::vector<double> out;
  std::istringstream lines(*ReadFile(metrics));
  for (std::string line; std::getline(lines, line);) out.push_back(nlohmann::json::parse(line)["loss"].get<double>());
  return out;
}

std::string StateAt(const fs::path& checkpoints, int64_t step) {
  auto bytes = ReadFile(runtime::CheckpointPath(checkpoints, step) / "shard-00000-of-00001.safetensors");
  ALPA_CHECK(bytes.ok(), bytes.ok() ? "" : bytes.error().message);
  return *std::move(bytes);
}

// Every file below `folder` with its bytes.
std::map<std::string, std::string> Snapshot(const fs::path& folder) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) out[entry.path().string()] = *ReadFile(entry.path());
  }
  return out;
}

// A model and what it is trained on.
struct Kind {
  const char* name;
  const char* model;
  enum class Data { kFixed, kArrays, kText } data;
};

void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.model; }

class Resume : public testing::TestWithParam<Kind> {
 protected:
  // Three batches and a rest, so that the runs below cross an epoch: 24 x 3 + 5 examples, 16 x 3 windows of 32 bytes.
  std::vector<fs::path> Data() const {
    switch (GetParam().data) {
      case Kind::Data::kFixed:
        return {};
      case Kind::Data::kArrays: {
        const auto values = [](int64_t count, double factor) {
          std::vector<double> out(static_cast<size_t>(count));
          for (size_t i = 0; i < out.size(); ++i) out[i] = factor * static_cast<double>(i * 7 % 31) - 0.5;
          return out;
        };
        ALPA_CHECK(runtime::WriteNpz(folder_ / "d.npz", {{"x", runtime::F32({77, 8}, values(77 * 8, 0.03))},
                                                         {"y", runtime::F32({77, 4}, values(77 * 4, 0.02))}})
                       .ok());
        return {folder_ / "d.npz"};
      }
      case Kind::Data::kText: {
        std::string text;
        for (int i = 0; text.size() < 16 * 3 * 32 + 40; ++i) text += std::to_string(i * i) + " ";
        return {runtime::Write(folder_ / "d.txt", text)};
      }
    }
    return {};
  }

  // Trains up to `steps`; `name` is the checkpoint folder.
  Status Train(const std::string& name, int64_t steps, int64_t devices, bool resume) {
    RunOptions options;
    options.load.model = kModels / GetParam().model;
    options.data = Data();
    options.devices = devices;
    options.steps = steps;
    options.seed = 3;
    options.checkpoint = folder_ / name;
    options.resume = resume;
    options.metrics = folder_ / (name + ".jsonl");
    options.quiet = true;
    return driver::Run(options);
  }
  void MustTrain(const std::string& name, int64_t steps, int64_t devices, bool resume = false) {
    const Status status = Train(name, steps, devices, resume);
    ASSERT_TRUE(status.ok()) << ToString(status.error());
  }
  Outcome OutcomeOf(const std::string& name) const {
    return {LossesIn(folder_ / (name + ".jsonl")), StateAt(folder_ / name, kSteps)};
  }

  TempFolder folder_;
};

TEST_P(Resume, GivesTheSameBitsAsARunWithoutInterruption) {
  for (const int64_t devices : {1, 2, 4}) {
    const std::string n = std::to_string(devices);
    MustTrain("whole" + n, kSteps, devices);
    MustTrain("parts" + n, 2, devices);
    MustTrain("parts" + n, kSteps, devices, /*resume=*/true);
    const Outcome whole = OutcomeOf("whole" + n);
    EXPECT_EQ(whole.losses.size(), static_cast<size_t>(kSteps));
    EXPECT_NE(whole.losses.front(), whole.losses.back());
    EXPECT_EQ(OutcomeOf("parts" + n), whole) << devices << " devices";
  }
}

TEST_P(Resume, GoesOnWithAnotherNumberOfDevices) {
  MustTrain("whole", kSteps, 2);
  MustTrain("start", 2, 2);
  for (const int64_t devices : {1, 4}) {
    const std::string name = "from2to" + std::to_string(devices);
    fs::copy(folder_ / "start", folder_ / name, fs::copy_options::recursive);
    fs::copy(folder_ / "start.jsonl", folder_ / (name + ".jsonl"));
    const std::string state = StateAt(folder_ / name, 2);
    MustTrain(name, kSteps, devices, /*resume=*/true);
    EXPECT_EQ(StateAt(folder_ / name, 2), state) << "the old checkpoint stays as it was";
    const Outcome whole = OutcomeOf("whole");
    const Outcome resumed = OutcomeOf(name);
    ASSERT_EQ(resumed.losses.size(), whole.losses.size());
    // The first steps ran on the same devices; then sums are taken in another order.
    for (size_t i = 0; i < whole.losses.size(); ++i) {
      EXPECT_NEAR(resumed.losses[i], whole.losses[i], i < 2 ? 0 : 1e-5 * whole.losses[i]) << "step " << i + 1;
    }
    EXPECT_EQ(resumed.state.size(), whole.state.size());
  }
}

INSTANTIATE_TEST_SUITE_P(Data, Resume,
                         testing::Values(Kind{"FixedBatch", "dropout.mlirbc", Kind::Data::kFixed},
                                         Kind{"Arrays", "mlp_b24.mlirbc", Kind::Data::kArrays},
                                         Kind{"Text", "gpt_tiny_sgd.mlirbc", Kind::Data::kText}),
                         [](const auto& info) { return std::string(info.param.name); });

// ---- beneath `alpa run`: what is loaded is what was saved, and how far ahead data is loaded does not matter

class ResumedSession : public testing::Test {
 protected:
  static driver::Session Open(int64_t devices) {
    driver::SessionOptions options;
    options.load.model = kModels / "mlp_b24.mlirbc";
    options.devices = devices;
    auto engine = xla::LoadEngine();
    ALPA_CHECK(engine.ok(), engine.ok() ? "" : engine.error().message);
    auto session = driver::OpenSession(**engine, options, driver::Gate({}));
    ALPA_CHECK(session.ok(), session.ok() ? "" : session.error().message);
    return *std::move(session);
  }
  static std::unique_ptr<runtime::InitialValues> Initial(const driver::Session& session) {
    return *runtime::OpenInitialValues((kModels / "mlp_b24.json").string(), session.module(), session.signature());
  }
  std::unique_ptr<runtime::DataSource> Batches(const driver::Session& session) const {
    std::vector<double> values(24 * 5 * 8);
    for (size_t i = 0; i < values.size(); ++i) values[i] = 0.01 * static_cast<double>(i % 97);
    const std::vector<double> y(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(24 * 5 * 4));
    ALPA_CHECK(runtime::WriteNpz(folder_ / "d.npz",
                                 {{"x", runtime::F32({24 * 5, 8}, values)}, {"y", runtime::F32({24 * 5, 4}, y)}})
                   .ok());
    return *runtime::OpenData({(folder_ / "d.npz").string()}, session.module(), session.signature(),
                              session.loaded.analysis.batch_dims(), {1});
  }

  TempFolder folder_;
};

TEST_F(ResumedSession, PutsTheSavedBitsOntoAnyNumberOfDevices) {
  RunOptions options;
  options.load.model = kModels / "mlp_b24.mlirbc";
  options.devices = 2;
  options.steps = 3;
  options.checkpoint = folder_ / "ck";
  options.quiet = true;
  ASSERT_TRUE(driver::Run(options).ok());
  for (const int64_t devices : {1, 2, 3, 8}) {
    const driver::Session session = Open(devices);
    const auto checkpoint = runtime::LoadCheckpoint(folder_ / "ck", {}, session.module(), session.signature());
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
    const auto trainer = driver::CompileSession(
        session, [&](int32_t input) { return checkpoint->Value(input); }, driver::Gate({}));
    ASSERT_TRUE(trainer.ok()) << trainer.error().message;
    for (size_t k = 0; k < (*trainer)->state_inputs().size(); ++k) {
      EXPECT_EQ(*(*trainer)->StateToHost(k), *checkpoint->Value((*trainer)->state_inputs()[k]))
          << devices << " devices";
    }
  }
}

TEST_F(ResumedSession, GivesTheSameWhateverIsLoadedAhead) {
  const driver::Session session = Open(2);
  const auto initial = Initial(session);
  const runtime::InputProvider provider = [&](int32_t input) { return initial->Value(input); };
  const auto trainer = *driver::CompileSession(session, provider, driver::Gate({}));
  std::vector<std::vector<double>> losses;
  for (const int depth : {1, 2, 9}) {
    ASSERT_TRUE(trainer->SetState(provider).ok());
    losses.emplace_back();
    int64_t position = 0;
    for (const int64_t stop : {3, 7}) {  // interrupted after 3 steps, with up to `depth` batches loaded for nothing
      auto source = Batches(session);
      ASSERT_TRUE(source->Seek(position).ok());
      const auto prefetcher = *runtime::Prefetcher::Start(std::move(source), *session.client, trainer->batch_specs(),
                                                          trainer->mesh(), depth);
      while (prefetcher->position() < stop) {
        const runtime::DeviceBatch batch = *prefetcher->Next();
        losses.back().push_back(*trainer->Step(batch.pointers())->loss);
      }
      position = prefetcher->position();
    }
  }
  EXPECT_EQ(losses[0].size(), 7U);
  EXPECT_EQ(losses[1], losses[0]);
  EXPECT_EQ(losses[2], losses[0]);
}

// ---- what must not be resumed; the program's messages are tested in tests/cli/bad_input_test.py

class Refused : public ResumedSession {
 protected:
  Refused() {
    ALPA_CHECK(Run("mlp_b24.mlirbc", 2, false).ok());
    ALPA_CHECK(Run("mlp_b24.mlirbc", 3, true).ok());
  }
  Status Run(const std::string& model, int64_t steps, bool resume, uint64_t seed = 0) const {
    RunOptions options;
    options.load.model = kModels / model;
    options.devices = 2;
    options.steps = steps;
    options.seed = seed;
    options.checkpoint = folder_ / "ck";
    options.resume = resume;
    options.quiet = true;
    return driver::Run(options);
  }
  // That resuming fails with `code`, naming `word`, and changes nothing.
  void Expect(const Status& status, Code code, const std::string& word,
              const std::map<std::string, std::string>& before) const {
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, code) << status.error().message;
    EXPECT_NE(status.error().message.find(word), std::string::npos) << status.error().message;
    EXPECT_EQ(Snapshot(folder_.path()), before) << "every file as it was, none added";
  }
  fs::path newest() const { return runtime::CheckpointPath(folder_ / "ck", 3); }
};

TEST_F(Refused, WhenAnyByteOfTheOnlyOneIsDamaged) {
  fs::remove_all(runtime::CheckpointPath(folder_ / "ck", 2));
  for (const char* const file : {"shard-00000-of-00001.safetensors", "manifest.json"}) {
    const std::string sound = *ReadFile(newest() / file);
    for (const size_t at : {size_t{0}, sound.size() / 3, sound.size() - 3}) {
      std::string damaged = sound;
      damaged[at] = static_cast<char>(damaged[at] ^ 4);
      runtime::Write(newest() / file, damaged);
      const auto before = Snapshot(folder_.path());
      Expect(Run("mlp_b24.mlirbc", 5, true), Code::kCorrupt, newest().string(), before);
    }
    runtime::Write(newest() / file, sound);
  }
  EXPECT_TRUE(Run("mlp_b24.mlirbc", 4, true).ok()) << "the sound one is still good";
}

TEST_F(Refused, OnlyTheDamagedOneWhenThereIsAnother) {
  const fs::path shard = newest() / "shard-00000-of-00001.safetensors";
  fs::resize_file(shard, fs::file_size(shard) - 1);
  testing::internal::CaptureStderr();
  EXPECT_TRUE(Run("mlp_b24.mlirbc", 4, true).ok());
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find(shard.string() + ": "), std::string::npos) << said;
  EXPECT_NE(said.find("(truncated); going on from " + runtime::CheckpointPath(folder_ / "ck", 2).string()),
            std::string::npos)
      << said;
}

TEST_F(Refused, WhenItIsTruncatedOrIncomplete) {
  fs::remove_all(runtime::CheckpointPath(folder_ / "ck", 2));
  const std::string sound = *ReadFile(newest() / "shard-00000-of-00001.safetensors");
  runtime::Write(newest() / "shard-00000-of-00001.safetensors", sound.substr(0, sound.size() - 1));
  Expect(Run("mlp_b24.mlirbc", 5, true), Code::kCorrupt, "shard-00000-of-00001.safetensors", Snapshot(folder_.path()));
  fs::remove(newest() / "shard-00000-of-00001.safetensors");
  Expect(Run("mlp_b24.mlirbc", 5, true), Code::kCorrupt, "shard-00000-of-00001.safetensors", Snapshot(folder_.path()));
}

TEST_F(Refused, WhenItIsOfAnotherModelOrOtherData) {
  const auto before = Snapshot(folder_.path());
  Expect(Run("mlp_tiny.mlirbc", 5, true), Code::kMismatch, "another model", before);
  Expect(Run("mlp_tiny.mlirbc", 5, false), Code::kMismatch, "another model", before);
  Expect(Run("mlp_b24.mlirbc", 5, true, /*seed=*/8), Code::kMismatch, "other data", before);
  Expect(Run("mlp_b24.mlirbc", 5, false), Code::kInvalidArgument, "already holds checkpoints", before);
}

}  // namespace
}  // namespace alpa
