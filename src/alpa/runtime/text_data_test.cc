#include "alpa/runtime/text_data.h"

#include <gtest/gtest.h>

#include <set>

#include "alpa/runtime/corpus.h"
#include "alpa/runtime/test_support.h"

namespace alpa::runtime {
namespace {

TEST(ReadCorpus, TakesTheTextOfAFolderInOrder) {
  const TempFolder folder;
  Write(folder / "b.txt", "bb");
  Write(folder / "a/x.cc", "xx");
  Write(folder / "a.md", "aa");
  Write(folder / "empty", "");
  Write(folder / "binary", std::string("x\0y", 3));
  Write(folder / ".hidden", "hidden");
  Write(folder / ".git/config", "hidden");
  Write(folder / "build/log", "built");
  Write(folder / "cmake-build-debug/log", "built");
  std::filesystem::create_symlink(folder / "b.txt", folder / "link.txt");
  const auto corpus = ReadCorpus({folder.path().string()});
  ASSERT_TRUE(corpus.ok()) << corpus.error().message;
  EXPECT_EQ(corpus->bytes, std::string("xx\0aa\0bb", 8));  // "a/x.cc" < "a.md" < "b.txt": folders by their parts
  EXPECT_EQ(corpus->files, 3);
}

TEST(ReadCorpus, TakesNamedFilesInTheOrderGiven) {
  const TempFolder folder;
  const auto b = Write(folder / "b", "bb").string();
  const auto a = Write(folder / ".a", "aa").string();
  EXPECT_EQ(ReadCorpus({b, a})->bytes, std::string("bb\0aa", 5));
}

TEST(ReadCorpus, RefusesBinaryFilesThatAreNamedAndNoText) {
  const TempFolder folder;
  const auto binary = ReadCorpus({Write(folder / "a.bin", std::string("x\0y", 3)).string()});
  ASSERT_FALSE(binary.ok());
  EXPECT_EQ(binary.error().code, Code::kInvalidInput);
  EXPECT_NE(binary.error().message.find("a.bin"), std::string::npos);
  EXPECT_EQ(ReadCorpus({folder.path().string()}).error().code, Code::kInvalidInput);
  EXPECT_EQ(ReadCorpus({(folder / "missing").string()}).error().code, Code::kNotFound);
}

// ids and labels s32[2, 3]; ids are compared with an iota of `vocabulary`.
StepBuilder Model(int64_t vocabulary, const char* first = "batch.ids", const char* second = "batch.labels") {
  StepBuilder b;
  const auto ids = b.Batch(first, S32Shape({2, 3}));
  b.Batch(second, S32Shape({2, 3}));
  const auto iota = b.Op(ir::OpKind::kIota, {}, S32Shape({vocabulary}), ir::DimsAttr{{0}});
  b.Op(ir::OpKind::kCompare, {ids, iota}, {ir::DType::kPred, {2, 3}}, ir::TextAttr{"EQ"});
  return b;
}

Result<std::unique_ptr<DataSource>> Open(const std::string& path, const StepBuilder& b, uint64_t seed = 0) {
  return OpenTextData({path}, BatchInputs(b.module, b.signature, {0, 0}), b.module, {seed});
}

std::string Row(const ir::HostTensor& tensor, size_t row) {
  std::string out;
  for (size_t i = 0; i < 3; ++i) out += static_cast<char>(tensor.as<int32_t>()[row * 3 + i]);
  return out;
}

TEST(TextData, CutsWindowsAndShiftsThemByOne) {
  const TempFolder folder;
  const StepBuilder b = Model(256);
  // Four windows of three: abc def ghi jkl; m is only a label, n is left over.
  auto data = Open(Write(folder / "a.txt", "abcdefghijklmn").string(), b);
  ASSERT_TRUE(data.ok()) << data.error().message;
  EXPECT_EQ((*data)->batches_per_epoch(), 2);
  std::set<std::string> seen;
  for (int i = 0; i < 2; ++i) {
    const auto batch = (*data)->Next();
    ASSERT_TRUE(batch.ok());
    for (size_t row = 0; row < 2; ++row) {
      const std::string ids = Row((*batch)[0], row);
      seen.insert(ids);
      EXPECT_EQ(Row((*batch)[1], row), ids.substr(1) + static_cast<char>(ids[2] + 1));
    }
  }
  EXPECT_EQ(seen, (std::set<std::string>{"abc", "def", "ghi", "jkl"}));
}

TEST(TextData, ResumesWithoutShowingAWindowTwiceInAnEpoch) {
  const TempFolder folder;
  const StepBuilder b = Model(256);
  std::string text;
  for (int i = 0; i < 60; ++i) text += static_cast<char>('A' + i);
  const std::string path = Write(folder / "a.txt", text + "!").string();
  auto whole = Open(path, b, 7);
  EXPECT_EQ((*whole)->batches_per_epoch(), 10);
  std::vector<std::vector<ir::HostTensor>> batches;
  batches.reserve(15);
  for (int i = 0; i < 15; ++i) batches.push_back(*(*whole)->Next());
  auto resumed = Open(path, b, 7);
  ASSERT_TRUE((*resumed)->Seek(4).ok());
  std::set<std::string> seen;
  for (size_t i = 0; i < 4; ++i) seen.insert({Row(batches[i][0], 0), Row(batches[i][0], 1)});
  for (size_t i = 4; i < 15; ++i) {
    const auto batch = *(*resumed)->Next();
    EXPECT_EQ(batch, batches[i]);
    if (i < 10) seen.insert({Row(batch[0], 0), Row(batch[0], 1)});
  }
  EXPECT_EQ(seen.size(), 20U);
  EXPECT_NE(*(*Open(path, b, 8))->Next(), batches[0]) << "another seed";
}

TEST(TextData, FindsTheLabelsByName) {
  const TempFolder folder;
  const StepBuilder b = Model(256, "batch.targets", "batch.tokens");
  auto data = Open(Write(folder / "a.txt", "abcabcabcabc").string(), b);
  ASSERT_TRUE(data.ok());
  const auto batch = *(*data)->Next();
  EXPECT_EQ(Row(batch[0], 0), "bca");
  EXPECT_EQ(Row(batch[1], 0), "abc");
}

TEST(TextData, ReadsBytesAsUnsigned) {
  const TempFolder folder;
  auto data = Open(Write(folder / "a.txt", std::string(20, '\xc3')).string(), Model(256));
  ASSERT_TRUE(data.ok());
  EXPECT_EQ((*(*data)->Next())[0].as<int32_t>()[0], 0xc3);
}

TEST(TextData, RefusesTextBeyondTheVocabulary) {
  const TempFolder folder;
  const std::string path = Write(folder / "a.txt", "abcdefghijklmnopq\xc3").string();
  EXPECT_TRUE(Open(path, Model(256)).ok());
  const auto data = Open(path, Model(128));
  ASSERT_FALSE(data.ok());
  EXPECT_EQ(data.error().code, Code::kMismatch);
  EXPECT_NE(data.error().message.find("bytes up to 195, but 'batch.ids' of the model takes values below 128"),
            std::string::npos)
      << data.error().message;
  EXPECT_TRUE(Open(Write(folder / "ascii", "abcdefghijkl").string(), Model(128)).ok());
}

TEST(TextData, RefusesLessThanABatch) {
  const TempFolder folder;
  const auto data = Open(Write(folder / "a.txt", "abcdef").string(), Model(256));
  ASSERT_FALSE(data.ok());
  EXPECT_EQ(data.error().code, Code::kMismatch);
  EXPECT_NE(data.error().message.find("makes 1 windows of 3, fewer than one batch of 2"), std::string::npos)
      << data.error().message;
  EXPECT_TRUE(Open(Write(folder / "b.txt", "abcdefg").string(), Model(256)).ok());
}

TEST(TextData, RefusesOtherModels) {
  const TempFolder folder;
  const std::string path = Write(folder / "a.txt", "abcdefghijkl").string();
  StepBuilder images;
  images.Batch("x", F32Shape({2, 3}));
  images.Batch("y", S32Shape({2}));
  const auto data = Open(path, images);
  ASSERT_FALSE(data.ok());
  EXPECT_EQ(data.error().code, Code::kMismatch);
  EXPECT_NE(data.error().message.find("this one has f32[2,3] x, s32[2] y"), std::string::npos) << data.error().message;
}

}  // namespace
}  // namespace alpa::runtime
