#include "alpa/runtime/array_data.h"

#include <gtest/gtest.h>

#include <set>

#include "alpa/runtime/npz.h"
#include "alpa/runtime/test_support.h"
#include "alpa/runtime/zip_writer.h"

namespace alpa::runtime {
namespace {

// x f32[2, 3] and y s32[2] of a batch of two.
std::vector<BatchInput> Inputs() { return {{1, "batch.x", F32Shape({2, 3}), 0}, {2, "batch.y", S32Shape({2}), 0}}; }

// Example e is x = (e, e + 0.25, e + 0.5), y = e, for e from `first` on.
std::vector<NamedTensor> Examples(int64_t count, int64_t first = 0) {
  std::vector<double> x, y;
  for (int64_t e = first; e < first + count; ++e) {
    for (const double part : {0.0, 0.25, 0.5}) x.push_back(static_cast<double>(e) + part);
    y.push_back(static_cast<double>(e));
  }
  return {{"y", S32({count}, y)}, {"x", F32({count, 3}, x)}};
}

class ArrayDataTest : public testing::Test {
 protected:
  std::string Npz(const std::string& name, const std::vector<NamedTensor>& tensors) {
    ALPA_CHECK(WriteNpz(folder_ / name, tensors).ok());
    return (folder_ / name).string();
  }
  Result<std::unique_ptr<DataSource>> Open(const std::vector<std::string>& paths, uint64_t seed = 0,
                                           std::vector<BatchInput> inputs = Inputs()) {
    return OpenArrayData(paths, std::move(inputs), {seed});
  }
  Error ErrorOf(const std::vector<std::string>& paths, std::vector<BatchInput> inputs = Inputs()) {
    const auto data = Open(paths, 0, std::move(inputs));
    return data.ok() ? Error{Code::kOutOfTolerance, "it opened", ""} : data.error();
  }
  TempFolder folder_;
};

// The labels of so many batches; checks that x belongs to y.
std::vector<int> Labels(DataSource& data, int64_t batches) {
  std::vector<int> out;
  for (int64_t i = 0; i < batches; ++i) {
    const auto batch = data.Next();
    ALPA_CHECK(batch.ok());
    for (size_t e = 0; e < 2; ++e) {
      const int label = (*batch)[1].as<int32_t>()[e];
      for (size_t k = 0; k < 3; ++k) {
        EXPECT_EQ((*batch)[0].as<float>()[e * 3 + k], static_cast<float>(label) + 0.25F * static_cast<float>(k));
      }
      out.push_back(label);
    }
  }
  return out;
}

TEST_F(ArrayDataTest, ShowsEachExampleOncePerEpoch) {
  auto data = Open({Npz("a.npz", Examples(10))});
  ASSERT_TRUE(data.ok()) << data.error().message;
  EXPECT_EQ((*data)->batches_per_epoch(), 5);
  std::vector<int> first = Labels(**data, 5);
  std::vector<int> second = Labels(**data, 5);
  EXPECT_NE(first, second) << "epochs have orders of their own";
  EXPECT_EQ(std::set<int>(first.begin(), first.end()).size(), 10U);
  EXPECT_EQ(std::set<int>(second.begin(), second.end()).size(), 10U);
}

TEST_F(ArrayDataTest, LeavesOutARestThatFillsNoBatch) {
  auto data = Open({Npz("a.npz", Examples(7))});
  ASSERT_TRUE(data.ok());
  EXPECT_EQ((*data)->batches_per_epoch(), 3);
  const std::vector<int> labels = Labels(**data, 3);
  EXPECT_EQ(std::set<int>(labels.begin(), labels.end()).size(), 6U);
}

TEST_F(ArrayDataTest, ResumesWhereItWas) {
  const std::string path = Npz("a.npz", Examples(10));
  auto whole = Open({path}, 3);
  const std::vector<int> all = Labels(**whole, 12);
  auto resumed = Open({path}, 3);
  ASSERT_TRUE((*resumed)->Seek(4).ok());
  EXPECT_EQ(Labels(**resumed, 8), std::vector<int>(all.begin() + 8, all.end()));
  EXPECT_EQ((*resumed)->position(), 12);
  EXPECT_NE(Labels(**Open({path}, 4), 5), std::vector<int>(all.begin(), all.begin() + 10)) << "another seed";
}

TEST_F(ArrayDataTest, JoinsSeveralFiles) {
  auto data = Open({Npz("a.npz", Examples(3)), Npz("b.npz", Examples(5, 3))});
  ASSERT_TRUE(data.ok()) << data.error().message;
  const std::vector<int> labels = Labels(**data, 4);
  EXPECT_EQ(std::set<int>(labels.begin(), labels.end()), (std::set<int>{0, 1, 2, 3, 4, 5, 6, 7}));
}

TEST_F(ArrayDataTest, ReadsOneNpyFilePerInput) {
  std::vector<std::string> paths;
  for (const NamedTensor& t : Examples(4)) {
    paths.push_back(
        Write(folder_ / (t.name + ".npy"), *MakeNpyHeader(t.tensor.shape()) + std::string(t.tensor.view())).string());
  }
  auto data = Open(paths);
  ASSERT_TRUE(data.ok()) << data.error().message;
  EXPECT_EQ(Labels(**data, 2).size(), 4U);
}

TEST_F(ArrayDataTest, GoesByOrderWhenNamesAreUnknown) {
  std::vector<BatchInput> inputs = Inputs();
  for (BatchInput& input : inputs) input.name.clear();
  std::vector<NamedTensor> tensors = Examples(4);
  EXPECT_EQ(ErrorOf({Npz("a.npz", tensors)}, inputs).code, Code::kMismatch) << "y comes first";
  std::swap(tensors[0], tensors[1]);
  EXPECT_TRUE(Open({Npz("b.npz", tensors)}, 0, inputs).ok());
  tensors.push_back({"z", F32({4}, {0, 0, 0, 0})});
  const Error error = ErrorOf({Npz("c.npz", tensors)}, inputs);
  EXPECT_EQ(error.code, Code::kMismatch);
  EXPECT_NE(error.message.find("holds 3 arrays (x, y, z), the model has 2"), std::string::npos) << error.message;
}

TEST_F(ArrayDataTest, CutsAlongOtherDimensionsToo) {
  // [seq = 2, batch = 2] out of [2, 3]: columns are examples.
  const std::string path = Npz("a.npz", {{"x", S32({2, 3}, {0, 1, 2, 10, 11, 12})}});
  auto data = Open({path}, 0, {{0, "x", S32Shape({2, 2}), 1}});
  ASSERT_TRUE(data.ok()) << data.error().message;
  const auto batch = (*data)->Next();
  const auto x = (*batch)[0].as<int32_t>();
  EXPECT_EQ(x[2], x[0] + 10);
  EXPECT_EQ(x[3], x[1] + 10);
  EXPECT_NE(x[0], x[1]);
}

TEST_F(ArrayDataTest, GivesInputsWithoutBatchDimensionAsTheyAre) {
  std::vector<NamedTensor> tensors = Examples(4);
  tensors.push_back({"rate", F32({}, {0.5})});
  std::vector<BatchInput> inputs = Inputs();
  inputs.push_back({3, "rate", F32Shape({}), -1});
  auto data = Open({Npz("a.npz", tensors)}, 0, inputs);
  ASSERT_TRUE(data.ok()) << data.error().message;
  EXPECT_EQ((*(*data)->Next())[2], F32({}, {0.5}));
}

TEST_F(ArrayDataTest, SaysWhatDoesNotFit) {
  const auto message = [&](const std::vector<NamedTensor>& tensors) {
    const Error error = ErrorOf({Npz("a.npz", tensors)});
    EXPECT_EQ(error.code, Code::kMismatch);
    return error.message;
  };
  const auto contains = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  std::vector<NamedTensor> tensors = Examples(4);
  contains(message({tensors[0], {"x", F32({4, 2}, std::vector<double>(8))}}),
           "a.npz: member 'x': is f32[4,2], input 1 'batch.x' needs f32[examples,3]");
  contains(message({{"y", F32({4}, {0, 1, 2, 3})}, tensors[1]}),
           "member 'y': is f32[4], input 2 'batch.y' needs s32[examples]");
  contains(message({{"y", S32({}, {0})}, tensors[1]}), "member 'y': is s32[]");
  contains(message({tensors[0], {"z", tensors[1].tensor}}), "no array is called 'batch.x' or 'x'");
  contains(message({Examples(3)[0], tensors[1]}), "holds");
  contains(message(Examples(1)), "holds 1 examples, fewer than one batch of 2");
  contains(message(Examples(0)), "fewer than one batch");
}

TEST_F(ArrayDataTest, RefusesDamagedFilesAndMixtures) {
  const std::string path = Npz("a.npz", Examples(4));
  std::string bytes = Read(path);
  bytes[static_cast<size_t>(*NpzFile::Open(path)->ElementsOffset("x").value())] ^= 1;
  EXPECT_EQ(ErrorOf({Write(folder_ / "bad.npz", bytes).string()}).code, Code::kCorrupt);
  EXPECT_EQ(ErrorOf({path, Write(folder_ / "x.npy", "x").string()}).code, Code::kInvalidArgument);
  EXPECT_EQ(ErrorOf({path}, {{0, "x", F32Shape({3}), -1}}).code, Code::kUnsupported);
  EXPECT_EQ(ErrorOf({path}, {{0, "x", F32Shape({2, 3}), 0}, {1, "y", S32Shape({4}), 0}}).code, Code::kUnsupported);
}

TEST_F(ArrayDataTest, DescribesTheContent) {
  const std::string a = (*Open({Npz("a.npz", Examples(4))}))->Describe();
  EXPECT_EQ(a, (*Open({Npz("a.npz", Examples(4))}))->Describe());
  EXPECT_NE(a, (*Open({Npz("a.npz", Examples(4, 1))}))->Describe());
}

}  // namespace
}  // namespace alpa::runtime
