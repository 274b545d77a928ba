#include "alpa/runtime/npz.h"

#include <gtest/gtest.h>

#include <array>

#include "alpa/runtime/test_support.h"
#include "alpa/runtime/zip_writer.h"

namespace alpa::runtime {
namespace {

std::vector<NamedTensor> Sample() {
  return {{"in/0000", F32({2, 2}, {1, -2, 3.5, 0})},
          {"b", Tensor(ir::DType::kBF16, {3}, {1, 2, 3})},
          {"losses", Tensor(ir::DType::kF64, {}, {0.1})}};
}

TEST(NpzFile, ReadsWhatWasWritten) {
  const TempFolder folder;
  ASSERT_TRUE(WriteNpz(folder / "a.npz", Sample()).ok());
  const auto npz = NpzFile::Open(folder / "a.npz");
  ASSERT_TRUE(npz.ok()) << npz.error().message;
  EXPECT_EQ(npz->names(), (std::vector<std::string>{"in/0000", "b", "losses"}));
  for (const NamedTensor& t : Sample()) EXPECT_EQ(*npz->Read(t.name), t.tensor) << t.name;
  EXPECT_EQ(npz->Header("b")->shape, (ir::Shape{ir::DType::kBF16, {3}}));
  EXPECT_TRUE(npz->Has("b"));
  EXPECT_FALSE(npz->Has("b.npy"));
}

TEST(NpzFile, SaysWhereTheElementsOfStoredArraysLie) {
  const TempFolder folder;
  ASSERT_TRUE(WriteNpz(folder / "a.npz", Sample()).ok());
  const auto npz = NpzFile::Open(folder / "a.npz");
  const auto offset = npz->ElementsOffset("in/0000");
  ASSERT_TRUE(offset.ok() && offset->has_value());
  EXPECT_EQ(*npz->file().ReadString(**offset, 16), std::string(Sample()[0].tensor.view()));
}

TEST(NpzFile, NamesWhatIsMissing) {
  const TempFolder folder;
  ASSERT_TRUE(WriteNpz(folder / "a.npz", Sample()).ok());
  const auto missing = NpzFile::Open(folder / "a.npz")->Read("other");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, Code::kNotFound);
  EXPECT_NE(missing.error().message.find("a.npz: there is no member 'other'"), std::string::npos);
  EXPECT_EQ(NpzFile::Open(folder / "none.npz").error().code, Code::kNotFound);
}

TEST(NpzFile, FindsEveryFlippedByteOfTheElements) {
  const TempFolder folder;
  ASSERT_TRUE(WriteNpz(folder / "a.npz", {Sample()[0]}).ok());
  const std::string original = Read(folder / "a.npz");
  const int64_t offset = NpzFile::Open(folder / "a.npz")->ElementsOffset("in/0000")->value();
  for (size_t i = 0; i < 16; ++i) {
    std::string bytes = original;
    bytes[static_cast<size_t>(offset) + i] ^= 1;
    const auto npz = NpzFile::Open(Write(folder / "bad.npz", bytes));
    ASSERT_TRUE(npz.ok());
    const auto tensor = npz->Read("in/0000");
    ASSERT_FALSE(tensor.ok());
    EXPECT_EQ(tensor.error().code, Code::kCorrupt);
    EXPECT_NE(tensor.error().message.find("bad.npz: member 'in/0000.npy': its checksum differs"), std::string::npos)
        << tensor.error().message;
  }
}

TEST(NpzFile, FindsMembersThatAreNoArrays) {
  const TempFolder folder;
  auto zip = ZipWriter::Create(folder / "a.npz");
  ASSERT_TRUE(zip->Add("x.npy", std::array<std::string_view, 1>{"this is not an array"}).ok());
  ASSERT_TRUE(zip->Add("README.txt", std::array<std::string_view, 1>{"text"}).ok());
  ASSERT_TRUE(zip->Close().ok());
  const auto npz = NpzFile::Open(folder / "a.npz");
  EXPECT_EQ(npz->names(), std::vector<std::string>{"x"});
  const auto tensor = npz->Read("x");
  ASSERT_FALSE(tensor.ok());
  EXPECT_EQ(tensor.error().code, Code::kCorrupt);
  EXPECT_NE(tensor.error().message.find("member 'x'"), std::string::npos) << tensor.error().message;
}

TEST(WriteNpz, IsDeterministic) {
  const TempFolder folder;
  ASSERT_TRUE(WriteNpz(folder / "a.npz", Sample()).ok());
  ASSERT_TRUE(WriteNpz(folder / "b.npz", Sample()).ok());
  EXPECT_EQ(Read(folder / "a.npz"), Read(folder / "b.npz"));
}

TEST(WriteNpz, RefusesTypesNumPyHasNotAndLeavesNothing) {
  const TempFolder folder;
  const Status status = WriteNpz(folder / "a.npz", {{"x", ir::HostTensor(ir::Shape{ir::DType::kF8E5M2, {1}})}});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::kUnsupported);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace alpa::runtime
