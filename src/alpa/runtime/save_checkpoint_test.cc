// Several writers and readers of one checkpoint, played by threads; disks that are full; processes that are killed.
#include "alpa/runtime/save_checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): kill is POSIX
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <barrier>
#include <functional>
#include <numeric>
#include <optional>
#include <random>
#include <thread>

#include "alpa/runtime/checkpoint.h"
#include "alpa/runtime/checkpoint_files.h"
#include "alpa/runtime/test_support.h"

namespace alpa::runtime {
namespace {

namespace fs = std::filesystem;

// Threads that agree like processes.
class Crew {
 public:
  explicit Crew(int count) : count_(count), said_(static_cast<size_t>(count)), barrier_(count, Turn{this}) {}

  // Runs `work` as each of them; what they returned.
  template <typename T>
  std::vector<T> Run(const std::function<T(const Peers&)>& work) {
    std::vector<std::optional<T>> out(static_cast<size_t>(count_));
    std::vector<std::thread> threads;
    for (int rank = 0; rank < count_; ++rank) {
      threads.emplace_back([&, rank] {
        Peers peers;
        peers.rank = rank;
        peers.count = count_;
        peers.agree = [this, rank](const Status& mine) -> Status {
          said_[static_cast<size_t>(rank)] = mine;
          barrier_.arrive_and_wait();
          return outcome_;
        };
        out[static_cast<size_t>(rank)] = work(peers);
      });
    }
    for (std::thread& thread : threads) thread.join();
    std::vector<T> results;
    for (auto& result : out) results.push_back(*std::move(result));
    return results;
  }

 private:
  // When all have come: the first error. It changes only when all have come again, so all have read it by then.
  struct Turn {
    Crew* crew;
    void operator()() const noexcept {
      const auto failed = std::find_if(crew->said_.begin(), crew->said_.end(), [](const auto& s) { return !s.ok(); });
      crew->outcome_ = failed == crew->said_.end() ? Ok() : *failed;
    }
  };
  const int count_;
  std::vector<Status> said_;
  Status outcome_;
  std::barrier<Turn> barrier_;
};

// w f32[6, 4] = 0, 1, ..., 23 (+ 100 step), b bf16[5], none f32[0], count s32[] = step; the batch lies between them.
class SaveTest : public testing::Test {
 protected:
  SaveTest() {
    step_.module.name = "several";
    step_.Parameter("w", F32Shape({6, 4}));
    step_.Batch("x", F32Shape({1}));
    step_.Parameter("b", {ir::DType::kBF16, {5}});
    step_.State("none", F32Shape({0}));
    step_.State("count", S32Shape({}));
  }
  static std::vector<ir::HostTensor> State(int64_t step) {
    std::vector<double> w(24), b(5);
    std::iota(w.begin(), w.end(), 100.0 * static_cast<double>(step));
    std::iota(b.begin(), b.end(), 1);
    return {F32({6, 4}, w), Tensor(ir::DType::kBF16, {5}, b), F32({0}, {}), S32({}, {static_cast<double>(step)})};
  }
  // Writer `rank` of `count`: w in a grid of rows (and, of four, also columns), b by elements, the rest by one of them.
  static std::vector<StateBlock> Blocks(int rank, int count) {
    std::vector<StateBlock> out;
    const int64_t rows = count == 1 ? 1 : 2, columns = count / rows;
    const int64_t i = rank / columns, j = rank % columns;
    out.push_back({0, {{i * 6 / rows, j * 4 / columns}, {6 / rows, 4 / columns}}});
    const int64_t begin = 5 * rank / count, end = 5 * (rank + 1) / count;
    out.push_back({1, {{begin}, {end - begin}}});
    if (rank == 0) out.push_back({2, {{0}, {0}}});
    if (rank == count - 1) out.push_back({3, {{}, {}}});
    return out;
  }
  Result<fs::path> Save(int64_t step, const std::vector<StateBlock>& blocks, const Peers& peers = {}, int keep = 0) {
    const std::vector<ir::HostTensor> state = State(step);
    CheckpointInfo info;
    info.step = step;
    return SaveCheckpoint(
        dir_, info, step_.module, step_.signature, blocks,
        [&](size_t i) -> Result<ir::HostTensor> {
          return ir::SliceBlock(state[blocks[i].tensor], blocks[i].block.start, blocks[i].block.extent);
        },
        {keep}, peers);
  }
  std::vector<Result<fs::path>> SaveBy(int writers, int64_t step) {
    return Crew(writers).Run<Result<fs::path>>(
        [&](const Peers& peers) { return Save(step, Blocks(peers.rank, peers.count), peers); });
  }
  Result<NewestSound> Newest(const Peers& peers = {}) {
    return LoadNewestSound(dir_, step_.module, step_.signature, {}, peers);
  }
  std::vector<std::string> Names(const fs::path& folder) {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(folder)) out.push_back(entry.path().filename().string());
    std::sort(out.begin(), out.end());
    return out;
  }

  TempFolder folder_;
  fs::path dir_ = folder_ / "ck";
  StepBuilder step_;
};

// A run that is killed between a checkpoint and the removal of the oldest one leaves one too many.
TEST_F(SaveTest, WhatIsTooManyIsRemovedLater) {
  for (const int64_t step : {3, 6, 9, 12}) ASSERT_TRUE(Save(step, Blocks(0, 1)).ok());
  RemoveOldCheckpoints(dir_, 9, step_.module, {2});
  EXPECT_THAT(Names(dir_), testing::ElementsAre("step-00000006", "step-00000009", "step-00000012"))
      << "newer ones are not its business";
  RemoveOldCheckpoints(dir_, 12, step_.module, {0});
  EXPECT_EQ(Names(dir_).size(), 3U) << "0: all stay";
}

TEST_F(SaveTest, WritesAShardPerWriterAndReadsAnyBlocks) {
  const std::vector<ir::HostTensor> state = State(7);
  for (const int writers : {1, 2, 4}) {
    for (const auto& saved : SaveBy(writers, 7)) ASSERT_TRUE(saved.ok()) << saved.error().message;
    std::vector<std::string> files = {"manifest.json"};
    for (int w = 0; w < writers; ++w) files.push_back(ShardFile(w, writers));
    EXPECT_EQ(Names(dir_ / "step-00000007"), files);
    EXPECT_EQ(Names(dir_), std::vector<std::string>{"step-00000007"});
    for (const int readers : {1, 3}) {
      const auto outcomes = Crew(readers).Run<Status>([&](const Peers& peers) -> Status {
        ALPA_TRY(const NewestSound newest, Newest(peers));
        // Every block of w there is, and the other tensors whole.
        for (int64_t at = 0; at < 6 * 4 * 6 * 4; ++at) {
          const int64_t a = at % 6, b = at / 6 % 4, m = at / 24 % 6 + 1, n = at / 144 + 1;
          if (a + m > 6 || b + n > 4) continue;
          ALPA_TRY(const ir::HostTensor part, newest.checkpoint.ReadBlock(0, {{a, b}, {m, n}}));
          EXPECT_EQ(part, ir::SliceBlock(state[0], std::vector<int64_t>{a, b}, std::vector<int64_t>{m, n}));
        }
        for (const auto& [input, tensor] : {std::pair{2, 1}, {3, 2}, {4, 3}}) {
          ALPA_TRY(const ir::HostTensor whole, newest.checkpoint.Value(input));
          EXPECT_EQ(whole, state[static_cast<size_t>(tensor)]);
        }
        return Ok();
      });
      for (const Status& outcome : outcomes) EXPECT_TRUE(outcome.ok()) << outcome.error().message;
    }
  }
}

TEST_F(SaveTest, NamesBlocksInTheFile) {
  ASSERT_TRUE(SaveBy(2, 7)[0].ok());
  const auto file = *SafetensorsFile::Open(dir_ / "step-00000007" / ShardFile(1, 2));
  ASSERT_NE(file.Find("w[3:6,0:4]"), nullptr);
  EXPECT_EQ(*file.Read(*file.Find("b[2:5]")), Tensor(ir::DType::kBF16, {3}, {3, 4, 5}));
  EXPECT_NE(file.Find("count"), nullptr) << "a whole tensor has its plain name";
  EXPECT_EQ(file.metadata().at("shard"), "1 of 2");
}

TEST_F(SaveTest, FindsADamagedShardWhicheverReaderChecksIt) {
  ASSERT_TRUE(SaveBy(4, 1)[0].ok());
  ASSERT_TRUE(SaveBy(4, 2)[0].ok());
  for (int shard = 0; shard < 4; ++shard) {
    const fs::path path = dir_ / "step-00000002" / ShardFile(shard, 4);
    const std::string sound = Read(path);
    std::string bytes = sound;
    bytes.back() ^= 1;
    Write(path, bytes);
    const auto newest = Crew(3).Run<std::string>([&](const Peers& peers) -> std::string {
      const auto found = Newest(peers);
      if (!found.ok() || found->checkpoint.info().step != 1 || found->damaged.size() != 1) return "wrong";
      return found->damaged[0].message;
    });
    for (const std::string& message : newest) EXPECT_NE(message.find(path.string()), std::string::npos) << message;
    Write(path, sound);
  }
  EXPECT_EQ(Newest()->checkpoint.info().step, 2);
}

TEST_F(SaveTest, IsNotThereWhenOneWriterFails) {
  ASSERT_TRUE(SaveBy(4, 1)[0].ok());
  for (int bad = 0; bad < 4; ++bad) {
    const auto outcomes = Crew(4).Run<Result<fs::path>>([&](const Peers& peers) {
      CheckpointInfo info;
      info.step = 2;
      const auto blocks = Blocks(peers.rank, 4);
      const auto state = State(2);
      return SaveCheckpoint(
          dir_, info, step_.module, step_.signature, blocks,
          [&](size_t i) -> Result<ir::HostTensor> {
            if (peers.rank == bad && i == 1) return Error{Code::kEnvironment, "device lost", ""};
            return ir::SliceBlock(state[blocks[i].tensor], blocks[i].block.start, blocks[i].block.extent);
          },
          {}, peers);
    });
    for (const auto& outcome : outcomes) {
      ASSERT_FALSE(outcome.ok());
      EXPECT_EQ(outcome.error().message, "device lost");
    }
    EXPECT_EQ(Names(dir_), std::vector<std::string>{"step-00000001"});
  }
}

TEST_F(SaveTest, RefusesBlocksThatDoNotMakeUpTheState) {
  const auto outcomes = Crew(2).Run<Result<fs::path>>([&](const Peers& peers) {
    std::vector<StateBlock> blocks = Blocks(peers.rank, 2);
    if (peers.rank == 1) blocks[0].block = {{2, 0}, {4, 4}};  // row 2 is the other's
    return Save(2, blocks, peers);
  });
  ASSERT_FALSE(outcomes[0].ok());
  EXPECT_NE(outcomes[0].error().message.find("do not make up the state: tensor 'w': [2:3,0:4] is there twice"),
            std::string::npos)
      << outcomes[0].error().message;
  EXPECT_FALSE(outcomes[1].ok());
  EXPECT_TRUE(fs::is_empty(dir_));
}

TEST_F(SaveTest, NumbersOfWritersReplaceEachOther) {
  for (const int writers : {4, 1, 2}) {
    for (const auto& saved : SaveBy(writers, 3)) ASSERT_TRUE(saved.ok()) << saved.error().message;
    EXPECT_EQ(Newest()->checkpoint.manifest().shards.size(), static_cast<size_t>(writers));
  }
  EXPECT_EQ(Names(dir_ / "step-00000003").size(), 3U);
}

// ---- what the machine does

// In a process of its own, in which no file may pass `bytes`: for the writer the same as a disk that is full.
std::string WithLittleSpace(uint64_t bytes, const std::function<std::string()>& work) {
  int ends[2];
  ALPA_CHECK(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{bytes, bytes};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const std::string said = work();
    const ssize_t written = ::write(ends[1], said.data(), said.size());
    ::_exit(written == static_cast<ssize_t>(said.size()) ? 0 : 1);
  }
  ::close(ends[1]);
  std::string said;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(ends[0], buffer, sizeof(buffer))) > 0;) said.append(buffer, static_cast<size_t>(n));
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return said;
}

TEST_F(SaveTest, LeavesThePreviousOneWhenThereIsNoSpace) {
  const auto blocks = Blocks(0, 1);
  ASSERT_TRUE(Save(1, blocks).ok());
  const uint64_t shard = fs::file_size(dir_ / "step-00000001" / ShardFile(0, 1));
  const uint64_t manifest = fs::file_size(dir_ / "step-00000001/manifest.json");
  ASSERT_LT(shard, manifest) << "so that there is space enough for the first, not for the second";
  for (const auto& [space, file] :
       {std::pair{shard - 1, ShardFile(0, 1)}, {manifest - 1, std::string("manifest.json")}}) {
    const std::string said = WithLittleSpace(space, [&] {
      const auto saved = Save(2, blocks, {}, 1);
      return saved.ok() ? std::string("it was saved") : saved.error().message;
    });
    EXPECT_NE(said.find(file + ": cannot write: File too large"), std::string::npos) << said;
    EXPECT_EQ(Names(dir_), std::vector<std::string>{"step-00000001"});
    EXPECT_EQ(Newest()->checkpoint.info().step, 1);
  }
}

// A process saves steps 1, 2, ... and is killed, again and again. What is there afterwards is always sound, and never
// older than what SaveCheckpoint had returned for.
TEST_F(SaveTest, LosesNothingWhenKilledAtRandomPoints) {
  constexpr int kKills = 150;
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto blocks = Blocks(0, 1);
  int64_t at = 0;
  double longest = 4000;  // microseconds until a kill; grows until saves come to an end on this machine
  for (int kill = 0; kill < kKills; ++kill) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      for (int64_t step = at + 1;; ++step) {
        if (!Save(step, blocks, {}, 2).ok()) ::_exit(1);
        if (::write(ends[1], &step, sizeof(step)) != sizeof(step)) ::_exit(1);
      }
    }
    ::close(ends[1]);
    ::usleep(std::uniform_int_distribution<useconds_t>(0, static_cast<useconds_t>(longest))(random));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it could not save";
    const int64_t before = at;
    int64_t returned = at;
    for (int64_t step = 0; ::read(ends[0], &step, sizeof(step)) == sizeof(step);) returned = step;
    ::close(ends[0]);
    const auto newest = Newest();
    if (!newest.ok()) {
      ASSERT_EQ(returned, 0) << newest.error().message;
      longest *= 1.2;
      continue;
    }
    EXPECT_TRUE(newest->damaged.empty());
    at = newest->checkpoint.info().step;
    ASSERT_TRUE(at == returned || at == returned + 1) << at << " after " << returned;
    EXPECT_EQ(*newest->checkpoint.Value(0), State(at)[0]);
    longest = std::clamp(longest * (at == before ? 1.2 : 0.9), 4000.0, 500000.0);
  }
  EXPECT_GT(at, 0);
  ASSERT_TRUE(Save(at + 1, blocks, {}, 2).ok());
  for (const std::string& name : Names(dir_)) EXPECT_TRUE(name.starts_with("step-")) << name << " was left";
  EXPECT_LE(Names(dir_).size(), 2U);
}

}  // namespace
}  // namespace alpa::runtime
