#include "alpa/runtime/npy.h"

#include <gtest/gtest.h>

#include "alpa/runtime/test_support.h"

namespace alpa::runtime {
namespace {

// A file of version 1 whose header says `literal`, as NumPy pads it.
std::string Npy(std::string literal, std::string_view data) {
  while ((10 + literal.size() + 1) % 64 != 0) literal += ' ';
  literal += '\n';
  std::string out = "\x93NUMPY";
  out += '\x01';
  out += '\0';
  out += static_cast<char>(literal.size());
  out += '\0';
  return out + literal + std::string(data);
}

std::string Bytes(const ir::HostTensor& tensor) { return std::string(tensor.view()); }

Result<ir::HostTensor> ReadBytes(const std::string& bytes) {
  const TempFolder folder;
  return ReadNpyFile(Write(folder / "a.npy", bytes));
}

Code CodeOf(const std::string& bytes) {
  const auto tensor = ReadBytes(bytes);
  return tensor.ok() ? Code::kOutOfTolerance : tensor.error().code;
}

TEST(Npy, ReadsWhatNumPyWrites) {
  const auto expected = F32({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto tensor = ReadBytes(Npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", expected.view()));
  ASSERT_TRUE(tensor.ok()) << tensor.error().message;
  EXPECT_EQ(*tensor, expected);
}

TEST(Npy, ReadsEveryElementType) {
  const std::pair<const char*, ir::DType> types[] = {
      {"|b1", ir::DType::kPred}, {"|i1", ir::DType::kS8},   {"<i2", ir::DType::kS16},       {"<i4", ir::DType::kS32},
      {"<i8", ir::DType::kS64},  {"|u1", ir::DType::kU8},   {"<u2", ir::DType::kU16},       {"<u4", ir::DType::kU32},
      {"<u8", ir::DType::kU64},  {"<f2", ir::DType::kF16},  {"<f4", ir::DType::kF32},       {"<f8", ir::DType::kF64},
      {"|V2", ir::DType::kBF16}, {"<V2", ir::DType::kBF16}, {"bfloat16", ir::DType::kBF16}, {"<c8", ir::DType::kC64}};
  for (const auto& [descr, type] : types) {
    const auto expected = Tensor(type, {2}, {1, 0});
    const auto tensor = ReadBytes(
        Npy(std::string("{'descr': '") + descr + "', 'fortran_order': False, 'shape': (2,), }", expected.view()));
    ASSERT_TRUE(tensor.ok()) << descr << ": " << tensor.error().message;
    EXPECT_EQ(*tensor, expected) << descr;
  }
}

TEST(Npy, ReadsScalarsEmptyArraysAndOtherVersions) {
  EXPECT_EQ(*ReadBytes(Npy("{'descr': '<i4', 'fortran_order': False, 'shape': (), }", Bytes(S32({}, {7})))),
            S32({}, {7}));
  EXPECT_EQ(*ReadBytes(Npy("{'descr': '<i4', 'fortran_order': False, 'shape': (0, 3), }", "")), S32({0, 3}, {}));
  const std::string literal = "{'descr': '<i4', 'fortran_order': False, 'shape': (1L,)}";
  for (const char version : {'\x02', '\x03'}) {
    std::string bytes = std::string("\x93NUMPY") + version + '\0' + static_cast<char>(literal.size());
    bytes += std::string(3, '\0') + literal + Bytes(S32({}, {7}));
    const auto tensor = ReadBytes(bytes);
    ASSERT_TRUE(tensor.ok()) << tensor.error().message;
    EXPECT_EQ(*tensor, S32({1}, {7}));
  }
}

TEST(Npy, TransposesColumnMajorArrays) {
  // numpy.asfortranarray([[1, 2, 3], [4, 5, 6]]) lies as 1 4 2 5 3 6.
  const auto stored = S32({6}, {1, 4, 2, 5, 3, 6});
  const auto tensor = ReadBytes(Npy("{'descr': '<i4', 'fortran_order': True, 'shape': (2, 3), }", stored.view()));
  ASSERT_TRUE(tensor.ok());
  EXPECT_EQ(*tensor, S32({2, 3}, {1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(*ReadBytes(Npy("{'descr': '<i4', 'fortran_order': True, 'shape': (6,), }", stored.view())), stored);
}

TEST(Npy, RefusesElementTypesItHasNot) {
  for (const char* descr : {">f4", "<U3", "|O", "|V1", "<f16", "<M8[ns]"}) {
    const auto tensor =
        ReadBytes(Npy(std::string("{'descr': '") + descr + "', 'fortran_order': False, 'shape': (1,), }", "12345678"));
    ASSERT_FALSE(tensor.ok()) << descr;
    EXPECT_EQ(tensor.error().code, Code::kUnsupported) << descr;
    EXPECT_NE(tensor.error().message.find(descr), std::string::npos) << tensor.error().message;
  }
}

TEST(Npy, RefusesDamagedHeaders) {
  const std::string data = Bytes(S32({}, {7}));
  for (const char* literal :
       {"", "{", "{}", "[]", "{'descr': '<i4'}", "{'descr': '<i4', 'fortran_order': False, 'shape': (1,}",
        "{'descr': '<i4', 'fortran_order': Maybe, 'shape': (1,), }",
        "{'descr': '<i4', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': '<i4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
        "{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<i4', 'fortran_order': False, 'shape': (9223372036854775807, 9), }",
        "{'descr': '<i4', 'fortran_order': False, 'shape': (1,), } x"}) {
    EXPECT_EQ(CodeOf(Npy(literal, data)), Code::kCorrupt) << literal;
  }
  EXPECT_EQ(CodeOf(std::string("\x93NUMPY\x09\x00\x10\x00", 10) + std::string(100, ' ')), Code::kUnsupported);
}

TEST(Npy, FindsTruncationAndExcessAnywhere) {
  const auto tensor = F32({2, 2}, {1, 2, 3, 4});
  const std::string bytes = Npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }", tensor.view());
  for (size_t n = 0; n < bytes.size(); ++n) EXPECT_EQ(CodeOf(bytes.substr(0, n)), Code::kCorrupt) << n;
  EXPECT_EQ(CodeOf(bytes + "x"), Code::kCorrupt);
}

TEST(Npy, WritesNumPysHeader) {
  const auto header = MakeNpyHeader(F32Shape({2, 3}));
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(*header, Npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", ""));
  EXPECT_EQ(*MakeNpyHeader(S32Shape({5})), Npy("{'descr': '<i4', 'fortran_order': False, 'shape': (5,), }", ""));
  EXPECT_EQ(*MakeNpyHeader({ir::DType::kPred, {}}), Npy("{'descr': '|b1', 'fortran_order': False, 'shape': (), }", ""));
  EXPECT_EQ(MakeNpyHeader({ir::DType::kF8E5M2, {1}}).error().code, Code::kUnsupported);
}

}  // namespace
}  // namespace alpa::runtime
