#include "alpa/runtime/safetensors.h"

#include <gtest/gtest.h>

#include "alpa/runtime/npz.h"
#include "alpa/runtime/test_support.h"

namespace alpa::runtime {
namespace {

Result<SafetensorsSummary> WriteAll(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors,
                                    const std::map<std::string, std::string>& metadata = {}) {
  std::vector<TensorInfo> infos;
  infos.reserve(tensors.size());
  for (const NamedTensor& t : tensors) infos.push_back({t.name, t.tensor.shape()});
  return WriteSafetensors(path, infos, metadata, [&](size_t i) -> Result<ir::HostTensor> { return tensors[i].tensor; });
}

// A file with this header and so many bytes behind it.
std::filesystem::path WriteRaw(const TempFolder& folder, const std::string& header, size_t data_bytes) {
  std::string length;
  for (int i = 0; i < 8; ++i) length += static_cast<char>(header.size() >> (8 * i));
  return Write(folder / "raw.safetensors", length + header + std::string(data_bytes, '\1'));
}

Error OpenRaw(const std::string& header, size_t data_bytes) {
  const TempFolder folder;
  const auto file = SafetensorsFile::Open(WriteRaw(folder, header, data_bytes));
  return file.ok() ? Error{Code::kOutOfTolerance, "it opened", ""} : file.error();
}

std::vector<NamedTensor> Sample() {
  return {{"b", Tensor(ir::DType::kBF16, {3}, {1, 2, 3})},
          {"w", F32({2, 2}, {1, -2, 3.5, 0})},
          {"step", S32({}, {7})},
          {"none", F32({0}, {})}};
}

TEST(Safetensors, ReadsWhatItWrote) {
  const TempFolder folder;
  const auto summary = WriteAll(folder / "a", Sample(), {{"format", "alpa"}});
  ASSERT_TRUE(summary.ok()) << summary.error().message;
  const auto file = SafetensorsFile::Open(folder / "a");
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->metadata().at("format"), "alpa");
  EXPECT_EQ(file->file_bytes(), summary->file_bytes);
  EXPECT_EQ(file->header_crc(), summary->header_crc);
  for (size_t i = 0; i < Sample().size(); ++i) {
    const auto* entry = file->Find(Sample()[i].name);
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(*file->Read(*entry), Sample()[i].tensor);
    EXPECT_EQ(summary->tensor_crcs[i], Crc32(Sample()[i].tensor.view()));
  }
  EXPECT_EQ(file->Find("other"), nullptr);
}

// The layout is that of Python's safetensors: largest element types first, each tensor aligned to its element size.
TEST(Safetensors, WritesThisFile) {
  const TempFolder folder;
  ASSERT_TRUE(WriteAll(folder / "a", {{"b", Tensor(ir::DType::kBF16, {1}, {1})}, {"w", F32({1}, {1})}}).ok());
  const std::string header =
      R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"BF16","shape":[1],"data_offsets":[4,6]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  const std::string data("\x00\x00\x80\x3f\x80\x3f", 6);
  EXPECT_EQ(Read(folder / "a"), static_cast<char>(padded.size()) + std::string(7, '\0') + padded + data);
}

TEST(Safetensors, HasEveryElementTypeOfTheFormat) {
  for (const char* name : {"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL",
                           "F8_E4M3", "F8_E5M2", "C64"}) {
    const auto type = DTypeFromSafetensors(name);
    ASSERT_TRUE(type.has_value()) << name;
    EXPECT_EQ(SafetensorsName(*type), name);
  }
  EXPECT_FALSE(DTypeFromSafetensors("F31").has_value());
  EXPECT_FALSE(SafetensorsName(ir::DType::kC128).has_value());
}

TEST(Safetensors, RefusesToWriteWhatCannotBeNamed) {
  const TempFolder folder;
  const auto code = [&](const std::string& name, ir::DType type = ir::DType::kF32) {
    const auto summary = WriteAll(folder / "a", {{"x", F32({1}, {1})}, {name, ir::HostTensor(ir::Shape{type, {1}})}});
    return summary.ok() ? Code::kOutOfTolerance : summary.error().code;
  };
  EXPECT_EQ(code("x"), Code::kInvalidInput);
  EXPECT_EQ(code("__metadata__"), Code::kInvalidInput);
  EXPECT_EQ(code("\xff"), Code::kInvalidInput);
  EXPECT_EQ(code("y", ir::DType::kC128), Code::kUnsupported);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Safetensors, LeavesNothingWhenATensorCannotBeHad) {
  const TempFolder folder;
  const auto summary = WriteSafetensors(folder / "a", {{"x", F32Shape({1})}}, {}, [](size_t) -> Result<ir::HostTensor> {
    return Error{Code::kEnvironment, "device lost", ""};
  });
  ASSERT_FALSE(summary.ok());
  EXPECT_EQ(summary.error().message, "device lost");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Safetensors, FindsTruncationAnywhere) {
  const TempFolder folder;
  ASSERT_TRUE(WriteAll(folder / "a", Sample()).ok());
  const std::string bytes = Read(folder / "a");
  for (size_t n = 0; n < bytes.size(); ++n) {
    const auto file = SafetensorsFile::Open(Write(folder / "cut", bytes.substr(0, n)));
    ASSERT_FALSE(file.ok()) << n;
    EXPECT_EQ(file.error().code, Code::kCorrupt) << n;
  }
}

TEST(Safetensors, ChecksTheHeaderAgainstTheFile) {
  const std::string good = R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  EXPECT_EQ(OpenRaw(good, 4).message, "it opened");
  for (
      const auto& [header, bytes, what] : std::vector<std::tuple<std::string, size_t, std::string>>{
          {good, 3, "tensor 'x' reaches beyond"},
          {good, 5, "1 bytes follow the last tensor"},
          {"", 0, "not a JSON object"},
          {"[]", 0, "not a JSON object"},
          {good + "x", 4, "not a JSON object"},
          {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
           4, "distinct names"},
          {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8, "tensor 'x' leaves a gap"},
          {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"y":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
           4, "tensor 'y' overlaps"},
          {R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4,
           "tensor 'x': bytes 0 to 4 do not hold f32[2]"},
          {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, "tensor 'x': bytes 4 to 0"},
          {R"({"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, "tensor 'x': dtype, shape or"},
          {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4, "tensor 'x': dtype, shape or"},
          {R"({"x":{"dtype":"F32","shape":[1]}})", 4, "tensor 'x': the header gives no"},
          {R"({"x":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}})", 4, "tensor 'x': bytes"},
          {R"({"__metadata__":{"a":1}})", 0, "__metadata__ 'a' is not a string"}}) {
    const Error error = OpenRaw(header, bytes);
    EXPECT_EQ(error.code, Code::kCorrupt) << header;
    EXPECT_NE(error.message.find(what), std::string::npos) << error.message;
    EXPECT_NE(error.message.find("raw.safetensors"), std::string::npos) << error.message;
  }
  const Error unknown = OpenRaw(R"({"x":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}})", 4);
  EXPECT_EQ(unknown.code, Code::kUnsupported);
}

TEST(Safetensors, RefusesHeadersLongerThanTheFile) {
  const TempFolder folder;
  EXPECT_EQ(SafetensorsFile::Open(Write(folder / "a", std::string(8, '\x7f'))).error().code, Code::kCorrupt);
  EXPECT_EQ(
      SafetensorsFile::Open(Write(folder / "a", std::string("\xff\x00\x00\x00\x00\x00\x00\x00{}", 10))).error().code,
      Code::kCorrupt);
  EXPECT_EQ(SafetensorsFile::Open(folder / "missing").error().code, Code::kNotFound);
}

}  // namespace
}  // namespace alpa::runtime
