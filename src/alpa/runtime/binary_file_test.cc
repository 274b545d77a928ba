#include "alpa/runtime/binary_file.h"

#include <gtest/gtest.h>

#include <array>

#include "alpa/runtime/test_support.h"

namespace alpa::runtime {
namespace {

TEST(InputFile, ReadsAnyPart) {
  const TempFolder folder;
  const auto file = InputFile::Open(Write(folder / "a", "0123456789"));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->size(), 10);
  EXPECT_EQ(*file->ReadString(3, 4), "3456");
  EXPECT_EQ(*file->ReadString(10, 0), "");
}

TEST(InputFile, RefusesPartsBeyondTheEnd) {
  const TempFolder folder;
  const auto file = InputFile::Open(Write(folder / "a", "0123456789"));
  const auto text = file->ReadString(8, 3);
  ASSERT_FALSE(text.ok());
  EXPECT_EQ(text.error().code, Code::kCorrupt);
  EXPECT_NE(text.error().message.find("truncated"), std::string::npos) << text.error().message;
}

TEST(InputFile, SaysWhatIsNotAFile) {
  const TempFolder folder;
  EXPECT_EQ(InputFile::Open(folder / "missing").error().code, Code::kNotFound);
  EXPECT_EQ(InputFile::Open(folder.path()).error().code, Code::kIo);
  EXPECT_EQ(InputFile::Open("/dev/null").error().code, Code::kIo);
}

TEST(OutputFile, GetsItsNameWhenClosed) {
  const TempFolder folder;
  auto file = OutputFile::Create(folder / "a");
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->Write("ab").ok());
  ASSERT_TRUE(file->Write("cd").ok());
  EXPECT_FALSE(std::filesystem::exists(folder / "a"));
  ASSERT_TRUE(file->Close().ok());
  EXPECT_EQ(Read(folder / "a"), "abcd");
}

TEST(OutputFile, LeavesTheOldFileWhenNotClosed) {
  const TempFolder folder;
  Write(folder / "a", "old");
  {
    auto file = OutputFile::Create(folder / "a");
    ASSERT_TRUE(file->Write("new").ok());
  }
  EXPECT_EQ(Read(folder / "a"), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(OutputFile, RefusesAMissingFolder) {
  const TempFolder folder;
  EXPECT_EQ(OutputFile::Create(folder / "no/such/file").error().code, Code::kIo);
}

TEST(SyncFolder, RefusesAMissingFolder) {
  const TempFolder folder;
  EXPECT_TRUE(SyncFolder(folder.path()).ok());
  EXPECT_EQ(SyncFolder(folder / "missing").error().code, Code::kIo);
}

}  // namespace
}  // namespace alpa::runtime
