#include "alpa/runtime/initial_values.h"

#include <gtest/gtest.h>

#include <cmath>

#include "alpa/runtime/init_rule.h"
#include "alpa/runtime/npz.h"
#include "alpa/runtime/safetensors.h"
#include "alpa/runtime/test_support.h"

namespace alpa::runtime {
namespace {

// params.w f32[2], count s32[], batch.x f32[4, 2].
class InitialValuesTest : public testing::Test {
 protected:
  Result<std::unique_ptr<InitialValues>> Open(const std::string& source) {
    return OpenInitialValues(source, step_.module, step_.signature);
  }
  Error ErrorOf(const std::string& source) {
    const auto values = Open(source);
    return values.ok() ? Error{Code::kOutOfTolerance, "it opened", ""} : values.error();
  }
  std::string Npz(const std::vector<NamedTensor>& tensors) {
    ALPA_CHECK(WriteNpz(folder_ / "m.npz", tensors).ok());
    return (folder_ / "m.npz").string();
  }
  std::string Safetensors(const std::vector<NamedTensor>& tensors) {
    std::vector<TensorInfo> infos;
    infos.reserve(tensors.size());
    for (const NamedTensor& t : tensors) infos.push_back({t.name, t.tensor.shape()});
    const auto provide = [&](size_t i) -> Result<ir::HostTensor> { return tensors[i].tensor; };
    ALPA_CHECK(WriteSafetensors(folder_ / "m.safetensors", infos, {}, provide).ok());
    return (folder_ / "m.safetensors").string();
  }

  StepBuilder step_ = SumStep();
  TempFolder folder_;
  const ir::HostTensor w_ = F32({2}, {1, 2});
  const ir::HostTensor count_ = S32({}, {5});
  const ir::HostTensor x_ = F32({4, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
};

TEST_F(InitialValuesTest, ComeFromAnNpzByIndex) {
  const auto values = Open(Npz({{"in/0000", w_}, {"in/0001", count_}, {"in/0002", x_}, {"out1/0000", w_}}));
  ASSERT_TRUE(values.ok()) << values.error().message;
  EXPECT_EQ(*(*values)->Value(0), w_);
  EXPECT_EQ(*(*values)->Value(1), count_);
  EXPECT_EQ(*(*values)->Value(2), x_);
  EXPECT_EQ(*InitialBatch(**values, step_.signature), std::vector<ir::HostTensor>{x_});
}

TEST_F(InitialValuesTest, SayThatAFileHoldsSamplesOnly) {
  const Error error = ErrorOf(Npz({{"in/0000", w_},
                                   {"in/0001", count_},
                                   {"in/0002.stats", Tensor(ir::DType::kF64, {3}, {0, 0, 0})},
                                   {"in/0002", F32({3}, {1, 4, 7})}}));
  EXPECT_EQ(error.code, Code::kMismatch);
  EXPECT_NE(error.message.find("3 samples of input 2 'batch.x' only, not its 8 elements"), std::string::npos)
      << error.message;
  EXPECT_NE(error.hint.find(".json"), std::string::npos);
}

TEST_F(InitialValuesTest, RefuseAnNpzOfAnotherModel) {
  EXPECT_EQ(ErrorOf(Npz({{"in/0000", w_}})).code, Code::kMismatch);
  EXPECT_EQ(ErrorOf(Npz({{"in/0000", w_}, {"in/0001", count_}, {"in/0002", w_}})).code, Code::kMismatch);
  EXPECT_EQ(ErrorOf(Npz({{"in/0000", w_}, {"in/0001", F32({}, {5})}, {"in/0002", x_}})).code, Code::kMismatch);
  const Error gap = ErrorOf(Npz({{"in/0000", w_}, {"in/0001", count_}, {"in/0003", x_}}));
  EXPECT_EQ(gap.code, Code::kNotFound);
  EXPECT_NE(gap.message.find("in/0002"), std::string::npos);
}

TEST_F(InitialValuesTest, NarrowTheFloatsThatGoldenFilesKeepOfBFloat16) {
  step_.module.values[static_cast<size_t>(step_.module.inputs[0])].shape.dtype = ir::DType::kBF16;
  const auto values = Open(Npz({{"in/0000", w_}, {"in/0001", count_}, {"in/0002", x_}}));
  ASSERT_TRUE(values.ok());
  EXPECT_EQ(*(*values)->Value(0), Tensor(ir::DType::kBF16, {2}, {1, 2}));
}

TEST_F(InitialValuesTest, ComeFromTheRulesOfASidecar) {
  const std::string text = R"({"args": [
      {"name": "a", "shape": [2], "dtype": "float32", "init": {"kind": "uniform", "value": 1, "seed": 3}},
      {"name": "b", "shape": [], "dtype": "int32", "init": {"kind": "const", "value": 5}},
      {"name": "c", "shape": [4, 2], "dtype": "float32", "init": {"kind": "uniform", "value": 1, "seed": 1000000}}]})";
  const auto values = Open(Write(folder_ / "m.json", text).string());
  ASSERT_TRUE(values.ok()) << values.error().message;
  EXPECT_EQ(*(*values)->Value(0), Materialise(F32Shape({2}), {InitRule::Kind::kUniform, 1, 3}));
  EXPECT_EQ(*(*values)->Value(1), count_);
  EXPECT_EQ((*values)->names(), (std::vector<std::string>{"a", "b", "c"}));

  EXPECT_EQ(ErrorOf(Write(folder_ / "cut.json", text.substr(0, 100)).string()).code, Code::kInvalidInput);
  EXPECT_EQ(ErrorOf(Write(folder_ / "few.json", R"({"args": []})").string()).code, Code::kMismatch);
  std::string other = text;
  other.replace(other.find("[4, 2]"), 6, "[4, 3]");
  const Error error = ErrorOf(Write(folder_ / "other.json", other).string());
  EXPECT_EQ(error.code, Code::kMismatch);
  EXPECT_NE(error.message.find("input 2 'batch.x' of the model is f32[4,2], the file has f32[4,3]"), std::string::npos);
}

TEST_F(InitialValuesTest, ComeFromSafetensorsByName) {
  const auto values = Open(Safetensors({{"count", count_}, {"params.w", w_}, {"more", w_}}));
  ASSERT_TRUE(values.ok()) << values.error().message;
  EXPECT_EQ(*(*values)->Value(0), w_);
  EXPECT_EQ(*(*values)->Value(1), count_);
  EXPECT_EQ((*values)->Value(2).error().code, Code::kNotFound);
  EXPECT_NE((*values)->Describe().find("2 of 3 tensors"), std::string::npos);
}

TEST_F(InitialValuesTest, FillInStateThatSafetensorsLack) {
  const auto values = Open(Safetensors({{"params.w", w_}}));
  ASSERT_TRUE(values.ok());
  EXPECT_EQ(*(*values)->Value(1), S32({}, {0}));
}

TEST_F(InitialValuesTest, RefuseSafetensorsWithoutAParameterOrWithOtherShapes) {
  const Error missing = ErrorOf(Safetensors({{"count", count_}}));
  EXPECT_EQ(missing.code, Code::kMismatch);
  EXPECT_NE(missing.message.find("no tensor 'params.w', a parameter"), std::string::npos);
  EXPECT_EQ(ErrorOf(Safetensors({{"params.w", x_}})).code, Code::kMismatch);
}

TEST_F(InitialValuesTest, CanBeRandom) {
  const auto a = Open("random:7");
  ASSERT_TRUE(a.ok());
  EXPECT_EQ(*(*a)->Value(2), *(*Open("random:7"))->Value(2));
  EXPECT_NE(*(*a)->Value(2), *(*Open("random:8"))->Value(2));
  EXPECT_EQ(*(*a)->Value(1), S32({}, {0}));
  const ir::HostTensor x = *(*a)->Value(2);
  for (const float v : x.as<float>()) EXPECT_LE(std::abs(v), 1);
  for (const char* bad : {"random:", "random:x", "random:-1", "random:1x"}) {
    EXPECT_EQ(ErrorOf(bad).code, Code::kInvalidArgument) << bad;
  }
}

TEST_F(InitialValuesTest, RefuseOtherFiles) {
  EXPECT_EQ(ErrorOf("model.pt").code, Code::kInvalidArgument);
  EXPECT_EQ(ErrorOf((folder_ / "none.npz").string()).code, Code::kNotFound);
  EXPECT_EQ(ErrorOf((folder_ / "none.json").string()).code, Code::kNotFound);
  EXPECT_EQ(ErrorOf((folder_ / "none.safetensors").string()).code, Code::kNotFound);
  EXPECT_EQ(ErrorOf(Write(folder_ / "bad.npz", "PK").string()).code, Code::kCorrupt);
}

}  // namespace
}  // namespace alpa::runtime
