#include "alpa/base/disk_cache.h"

#include <gtest/gtest.h>
#include <stdlib.h>  // NOLINT(modernize-deprecated-headers): mkdtemp and setenv are POSIX

#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace alpa {
namespace {

namespace fs = std::filesystem;

class DiskCacheTest : public testing::Test {
 protected:
  DiskCacheTest() {
    std::string name = (fs::temp_directory_path() / "alpa-cache-XXXXXX").string();
    root_ = mkdtemp(name.data());
    cache_.folder = root_ / "a" / "b";  // is made when needed
  }
  ~DiskCacheTest() override { fs::remove_all(root_); }

  std::vector<fs::path> Files() const {
    std::vector<fs::path> out;
    for (const auto& entry : fs::directory_iterator(cache_.folder)) out.push_back(entry.path());
    return out;
  }

  fs::path root_;
  DiskCache cache_;
};

TEST_F(DiskCacheTest, GivesBackWhatWasWritten) {
  EXPECT_EQ(ReadCached(cache_, "k"), std::nullopt);
  const std::string value("a\nb\0c", 5);
  WriteCached(cache_, "k", value);
  WriteCached(cache_, "other", "");
  EXPECT_EQ(ReadCached(cache_, "k"), value);
  EXPECT_EQ(ReadCached(cache_, "other"), "");
  EXPECT_EQ(ReadCached(cache_, "K"), std::nullopt);
  WriteCached(cache_, "k", "new");
  EXPECT_EQ(ReadCached(cache_, "k"), "new");
  EXPECT_EQ(Files().size(), 2U);
}

TEST_F(DiskCacheTest, DamagedValuesAreNotThere) {
  WriteCached(cache_, "k", "value");
  const fs::path file = Files().at(0);
  std::string text;
  std::getline(std::ifstream(file, std::ios::binary), text, '\0');
  for (size_t at = 0; at <= text.size(); ++at) {
    std::string damaged = text.substr(0, at);  // cut off here, or a bit is flipped
    for (const bool flip : {false, true}) {
      if (at == text.size()) break;
      if (flip) {
        damaged = text;
        damaged[at] = static_cast<char>(damaged[at] ^ 4);
      }
      std::ofstream(file, std::ios::binary) << damaged;
      EXPECT_EQ(ReadCached(cache_, "k"), std::nullopt) << at;
      EXPECT_FALSE(fs::exists(file)) << at;
    }
  }
  WriteCached(cache_, "k", "value");
  EXPECT_EQ(ReadCached(cache_, "k"), "value");
}

TEST_F(DiskCacheTest, WhatWasNotReadForLongestGoes) {
  WriteCached(cache_, "1", std::string(400, 'x'));
  const auto size = static_cast<int64_t>(fs::file_size(Files().at(0)));
  cache_.max_bytes = 3 * size;
  const auto pause = [] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); };
  for (const char* key : {"2", "3"}) {
    pause();
    WriteCached(cache_, key, std::string(400, 'x'));
  }
  pause();
  EXPECT_TRUE(ReadCached(cache_, "1").has_value());
  pause();
  WriteCached(cache_, "4", std::string(400, 'x'));
  EXPECT_FALSE(ReadCached(cache_, "2").has_value());
  for (const char* key : {"1", "3", "4"}) EXPECT_TRUE(ReadCached(cache_, key).has_value()) << key;
  WriteCached(cache_, "5", std::string(static_cast<size_t>(3 * size) + 1, 'x'));  // would push out all others
  EXPECT_EQ(Files().size(), 3U);
}

TEST_F(DiskCacheTest, AFolderThatCannotBeIsNoError) {
  std::ofstream(root_ / "file") << "mine";
  cache_.folder = root_ / "file" / "below";
  WriteCached(cache_, "k", "value");
  EXPECT_EQ(ReadCached(cache_, "k"), std::nullopt);
  cache_.folder.clear();
  WriteCached(cache_, "k", "value");
  EXPECT_EQ(ReadCached(cache_, "k"), std::nullopt);
}

TEST_F(DiskCacheTest, ManyWritersAtOnce) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this] {
      for (int i = 0; i < 20; ++i) {
        WriteCached(cache_, "k", std::string(5000, 'x'));
        const auto value = ReadCached(cache_, "k");
        if (value) EXPECT_EQ(*value, std::string(5000, 'x'));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ReadCached(cache_, "k"), std::string(5000, 'x'));
}

TEST(CacheFolder, IsBelowXdgCacheHomeOrHome) {
  setenv("XDG_CACHE_HOME", "/x", 1);
  EXPECT_EQ(CacheFolder("compiled"), "/x/alpa/compiled");
  unsetenv("XDG_CACHE_HOME");
  setenv("HOME", "/h", 1);
  EXPECT_EQ(CacheFolder("compiled"), "/h/.cache/alpa/compiled");
  unsetenv("HOME");
  EXPECT_EQ(CacheFolder("compiled"), "");
}

}  // namespace
}  // namespace alpa
