#include "alpa/runtime/stored_array.h"

#include <gtest/gtest.h>

#include "alpa/runtime/test_support.h"

namespace alpa::runtime {
namespace {

std::string Part(const StoredArray& array, int64_t from, size_t bytes) {
  std::string out(bytes, '\0');
  const Status status = array.Read(from, std::as_writable_bytes(std::span(out.data(), out.size())));
  return status.ok() ? out : status.error().message;
}

TEST(ArraySet, ReadsPartsFromMemoryAndFromTheFileAlike) {
  const TempFolder folder;
  const auto x = S32({4}, {10, 11, 12, 13});
  ASSERT_TRUE(WriteNpz(folder / "a.npz", {{"x", x}}).ok());
  const auto sets = ArraySet::Open({(folder / "a.npz").string()});
  ASSERT_TRUE(sets.ok());
  for (const int64_t limit : {0, 1000}) {
    const auto array = (*sets)[0].Get(0, Bytes(limit));
    ASSERT_TRUE(array.ok());
    EXPECT_EQ(array->shape(), x.shape());
    EXPECT_EQ(Part(*array, 4, 8), x.view().substr(4, 8));
    EXPECT_EQ(Part(*array, 12, 4), x.view().substr(12, 4));
  }
}

TEST(ArraySet, ChecksOnlyWhatItKeepsInMemory) {
  const TempFolder folder;
  ASSERT_TRUE(WriteNpz(folder / "a.npz", {{"x", S32({1}, {10})}}).ok());
  std::string bytes = Read(folder / "a.npz");
  bytes[static_cast<size_t>(*NpzFile::Open(folder / "a.npz")->ElementsOffset("x").value())] ^= 1;
  Write(folder / "a.npz", bytes);
  const auto sets = ArraySet::Open({(folder / "a.npz").string()});
  EXPECT_EQ((*sets)[0].Get(0).error().code, Code::kCorrupt);
  EXPECT_TRUE((*sets)[0].Get(0, Bytes(0)).ok());
}

TEST(ArraySet, MakesOneSetOfNpyFiles) {
  const TempFolder folder;
  std::vector<std::string> paths;
  for (const char* name : {"b", "a"}) {
    const auto tensor = S32({}, {name[0] * 1.0});
    paths.push_back(
        Write(folder / (std::string(name) + ".npy"), *MakeNpyHeader(tensor.shape()) + std::string(tensor.view()))
            .string());
  }
  const auto sets = ArraySet::Open(paths);
  ASSERT_TRUE(sets.ok());
  ASSERT_EQ(sets->size(), 1U);
  EXPECT_EQ((*sets)[0].names(), (std::vector<std::string>{"b", "a"}));
  EXPECT_EQ(Part(*(*sets)[0].Get(1), 0, 1), "a");
}

}  // namespace
}  // namespace alpa::runtime
