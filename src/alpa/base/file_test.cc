#include "alpa/base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <csignal>
#include <fstream>
#include <thread>
#include <vector>

namespace alpa {
namespace {

namespace fs = std::filesystem;

// Runs as root, too: there file permissions hold only for another effective user.
class OtherUser {
 public:
  OtherUser() : is_root_(::geteuid() == 0) {
    if (is_root_) EXPECT_EQ(::seteuid(65534), 0);
  }
  ~OtherUser() {
    if (is_root_) EXPECT_EQ(::seteuid(0), 0);
  }

 private:
  bool is_root_;
};

class File : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = fs::temp_directory_path() / "alpa_file_test.XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    fs::permissions(folder_, fs::perms(0755));
  }
  void TearDown() override { fs::remove_all(folder_); }

  // Names of all entries, sorted.
  std::vector<std::string> Entries() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }

  fs::path folder_;
};

using Names = std::vector<std::string>;

TEST_F(File, ReadsWhatWasWritten) {
  const std::string content("a\0b\n\xff", 5);
  ASSERT_TRUE(WriteFileAtomic(folder_ / "x", content).ok());
  EXPECT_EQ(*ReadFile(folder_ / "x"), content);
  ASSERT_TRUE(WriteFileAtomic(folder_ / "x", "").ok());
  EXPECT_EQ(*ReadFile(folder_ / "x"), "");
  EXPECT_EQ(Entries(), Names{"x"});  // no temporary file stays
}

TEST_F(File, ReadsFilesThatDoNotKnowTheirSize) {
  const Result<std::string> status = ReadFile("/proc/self/status");  // says it has 0 bytes
  ASSERT_TRUE(status.ok());
  EXPECT_NE(status->find("Pid:"), std::string::npos);
}

TEST_F(File, ReadSaysNotFound) {
  const auto result = ReadFile(folder_ / "none");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Code::kNotFound);
  EXPECT_EQ(result.error().message, (folder_ / "none").string() + ": no such file");
}

TEST_F(File, ReadSaysIoForAFolderAndWithoutPermission) {
  const auto folder = ReadFile(folder_);
  EXPECT_EQ(folder.error().code, Code::kIo);
  EXPECT_EQ(folder.error().message, folder_.string() + ": is a folder, not a file");

  ASSERT_TRUE(WriteFileAtomic(folder_ / "secret", "s").ok());
  fs::permissions(folder_ / "secret", fs::perms(0));
  const OtherUser other;
  const auto secret = ReadFile(folder_ / "secret");
  ASSERT_FALSE(secret.ok());
  EXPECT_EQ(secret.error().code, Code::kIo);
  EXPECT_EQ(secret.error().message, (folder_ / "secret").string() + ": cannot open: Permission denied");
}

TEST_F(File, WriteLeavesTheOldContentInAReadOnlyFolder) {
  ASSERT_TRUE(WriteFileAtomic(folder_ / "x", "old").ok());
  fs::permissions(folder_, fs::perms(0555));
  Status status;
  Status check;
  {
    const OtherUser other;
    check = CheckWritable(folder_ / "x");
    status = WriteFileAtomic(folder_ / "x", "new");
  }
  fs::permissions(folder_, fs::perms(0755));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::kIo);
  EXPECT_EQ(status.error().message, (folder_ / "x").string() + ": cannot write: Permission denied");
  ASSERT_FALSE(check.ok());
  EXPECT_EQ(check.error(), status.error());
  EXPECT_EQ(*ReadFile(folder_ / "x"), "old");
  EXPECT_EQ(Entries(), Names{"x"});
}

// Like a full disk: the file system takes the first bytes and refuses the rest.
TEST_F(File, WriteLeavesTheOldContentWhenTheDiskRefuses) {
  ASSERT_TRUE(WriteFileAtomic(folder_ / "x", "old").ok());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit limit{4096, before.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  const Status status = WriteFileAtomic(folder_ / "x", std::string(100'000, 'n'));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::kIo);
  EXPECT_EQ(status.error().message, (folder_ / "x").string() + ": cannot write: File too large");
  EXPECT_EQ(*ReadFile(folder_ / "x"), "old");
  EXPECT_EQ(Entries(), Names{"x"});
}

TEST_F(File, WriteRefusesWhereNoFileCanBe) {
  ASSERT_TRUE(WriteFileAtomic(folder_ / "file", "old").ok());
  fs::create_directory(folder_ / "sub");
  const std::pair<fs::path, std::string> cases[] = {
      {folder_ / "file" / "x", "Not a directory"},
      {folder_ / "none" / "x", "No such file or directory"},
      {folder_ / "sub", "Is a directory"},
      {"", "No such file or directory"},
  };
  for (const auto& [path, reason] : cases) {
    const std::string message = path.string() + ": cannot write: " + reason;
    const Status check = CheckWritable(path);
    ASSERT_FALSE(check.ok()) << path;
    EXPECT_EQ(check.error().code, Code::kIo);
    EXPECT_EQ(check.error().message, message);
    const Status write = WriteFileAtomic(path, "new");
    ASSERT_FALSE(write.ok()) << path;
    EXPECT_EQ(write.error().message, message);
  }
  EXPECT_EQ(*ReadFile(folder_ / "file"), "old");
  EXPECT_EQ(Entries(), (Names{"file", "sub"}));
}

TEST_F(File, CheckWritableCreatesNothing) {
  EXPECT_TRUE(CheckWritable(folder_ / "new").ok());
  EXPECT_EQ(Entries(), Names{});
  EXPECT_TRUE(CheckWritable("in_the_working_directory").ok());
  EXPECT_FALSE(fs::exists("in_the_working_directory"));
}

TEST_F(File, WriteKeepsLinksAndPermissions) {
  ASSERT_TRUE(WriteFileAtomic(folder_ / "x", "old").ok());
  fs::permissions(folder_ / "x", fs::perms(0640));
  fs::create_symlink("x", folder_ / "link");
  EXPECT_TRUE(CheckWritable(folder_ / "link").ok());
  ASSERT_TRUE(WriteFileAtomic(folder_ / "link", "new").ok());
  EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
  EXPECT_EQ(*ReadFile(folder_ / "x"), "new");
  EXPECT_EQ(fs::status(folder_ / "x").permissions(), fs::perms(0640));
  EXPECT_EQ(Entries(), (Names{"link", "x"}));
}

TEST_F(File, WriteFollowsALinkToWhereNothingIsYet) {
  fs::create_symlink("x", folder_ / "link");
  ASSERT_TRUE(WriteFileAtomic(folder_ / "link", "new").ok());
  EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
  EXPECT_EQ(*ReadFile(folder_ / "x"), "new");
}

// A rename would put a plain file in the place of the pipe (or of /dev/null).
TEST_F(File, WritesPipesInPlace) {
  const fs::path pipe = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const int fd = ::open(pipe.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  EXPECT_TRUE(CheckWritable(pipe).ok());
  EXPECT_TRUE(WriteFileAtomic(pipe, "hello").ok());
  char buffer[16];
  EXPECT_EQ(::read(fd, buffer, sizeof(buffer)), 5);
  EXPECT_EQ(std::string(buffer, 5), "hello");
  ::close(fd);
  EXPECT_TRUE(fs::is_fifo(pipe));
}

TEST_F(File, ThreadsThatWriteTheSamePathLeaveOneWholeFile) {
  std::vector<std::thread> threads;
  for (char c = 'a'; c < 'e'; ++c) {
    threads.emplace_back([&, c] {
      for (int i = 0; i < 5; ++i) EXPECT_TRUE(WriteFileAtomic(folder_ / "x", std::string(50'000, c)).ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string content = *ReadFile(folder_ / "x");
  ASSERT_EQ(content.size(), 50'000U);
  EXPECT_EQ(content, std::string(50'000, content[0]));
  EXPECT_EQ(Entries(), Names{"x"});
}

// ---------------------------------------------------------------- gzip

std::string Gzip(std::string_view text) {
  z_stream z{};
  EXPECT_EQ(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&z, text.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

// Bytes that do not compress, and that repeat in no short period.
std::string Noise(size_t n) {
  std::string out(n, '\0');
  uint32_t x = 1;
  for (char& c : out) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  return out;
}

const char kText[] = "to be or not to be, that is the question: to be or not";

TEST(Gzip, IsKnownByItsFirstTwoBytes) {
  EXPECT_TRUE(IsGzip(Gzip("x")));
  EXPECT_FALSE(IsGzip(""));
  EXPECT_FALSE(IsGzip("\x1f"));
  EXPECT_FALSE(IsGzip("module @jit_step"));
}

TEST(Gzip, InflatesWhatWasDeflated) {
  constexpr size_t kChunk = 1 << 18;  // of the output buffer: its borders are where loops go wrong
  for (const size_t n : {size_t{0}, size_t{1}, kChunk - 1, kChunk, kChunk + 1, 2 * kChunk, 3 * kChunk + 7}) {
    EXPECT_EQ(*Gunzip(Gzip(Noise(n))), Noise(n)) << n;
    EXPECT_EQ(*Gunzip(Gzip(std::string(n, 'a'))), std::string(n, 'a')) << n;
  }
}

TEST(Gzip, InflatesSeveralMembers) {
  EXPECT_EQ(*Gunzip(Gzip("one ") + Gzip("") + Gzip("two")), "one two");
  EXPECT_EQ(*Gunzip(Gzip(Noise(1 << 18)) + Gzip("tail")), Noise(1 << 18) + "tail");
}

TEST(Gzip, RefusesTruncationAtEveryByte) {
  const std::string one = Gzip(kText);
  for (size_t n = 0; n < one.size(); ++n) {
    const auto result = Gunzip(one.substr(0, n));
    ASSERT_FALSE(result.ok()) << n << " of " << one.size() << " bytes";
    EXPECT_EQ(result.error().code, Code::kCorrupt);
    EXPECT_EQ(result.error().message, "gzip data is truncated or damaged");
  }
  const std::string two = one + Gzip("second");
  for (size_t n = one.size() + 1; n < two.size(); ++n) EXPECT_FALSE(Gunzip(two.substr(0, n)).ok()) << n;
  EXPECT_EQ(*Gunzip(two.substr(0, one.size())), kText);  // cut between members: cannot be seen
}

TEST(Gzip, NeverReturnsOtherTextWhenABitFlips) {
  const std::string good = Gzip(kText);
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    const auto result = Gunzip(bad);
    if (!result.ok()) {
      EXPECT_EQ(result.error().code, Code::kCorrupt);
      continue;
    }
    EXPECT_EQ(*result, kText) << "bit " << bit;
    // Not seen only where it changes nothing: the header's "text" flag, its time (4 bytes), extra flags and operating
    // system, and the padding of the last byte before the checksum and the length (4 bytes each).
    const size_t byte = bit / 8;
    EXPECT_TRUE(bit == 3 * 8 || (byte >= 4 && byte <= 9) || byte == good.size() - 9) << "bit " << bit;
  }
}

TEST(Gzip, RefusesBytesBehindTheStream) {
  EXPECT_EQ(Gunzip(Gzip(kText) + "garbage").error().code, Code::kCorrupt);
  EXPECT_EQ(Gunzip("garbage").error().code, Code::kCorrupt);
}

TEST(Gzip, RefusesToInflateBeyondTheLimit) {
  const std::string bomb = Gzip(std::string(1'500'000, '\0'));
  EXPECT_LT(bomb.size(), 20'000U);
  const auto result = Gunzip(bomb, 1'000'000);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Code::kCorrupt);
  EXPECT_EQ(result.error().message, "gzip data inflates to more than 1000000 bytes");
  EXPECT_EQ(Gunzip(Gzip("12345"), 5)->size(), 5U);
  EXPECT_FALSE(Gunzip(Gzip("12345"), 4).ok());
}

// ---------------------------------------------------------------- hashes

TEST(Hash, Crc32HasItsCheckValue) {
  EXPECT_EQ(Crc32("123456789"), 0xcbf43926U);
  EXPECT_EQ(Crc32(""), 0U);
  EXPECT_EQ(Crc32("6789", Crc32("12345")), Crc32("123456789"));
}

TEST(Hash, Fnv1aHasItsPublishedValues) {
  EXPECT_EQ(Fnv1a(""), 0xcbf29ce484222325U);
  EXPECT_EQ(Fnv1a("a"), 0xaf63dc4c8601ec8cU);
  EXPECT_EQ(Fnv1a("foobar"), 0x85944171f73967e8U);
  EXPECT_EQ(Fnv1a("bar", Fnv1a("foo")), Fnv1a("foobar"));
}

}  // namespace
}  // namespace alpa
