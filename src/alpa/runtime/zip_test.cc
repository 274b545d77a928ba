#include "alpa/runtime/zip.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <array>

#include "alpa/runtime/test_support.h"
#include "alpa/runtime/zip_writer.h"

namespace alpa::runtime {
namespace {

void WriteZip(const std::filesystem::path& path, bool zip64) {
  auto zip = ZipWriter::Create(path, zip64);
  ASSERT_TRUE(zip.ok());
  ASSERT_TRUE(zip->Add("a.txt", std::array<std::string_view, 2>{"hello ", "world"}).ok());
  ASSERT_TRUE(zip->Add("empty", std::array<std::string_view, 1>{""}).ok());
  ASSERT_TRUE(zip->Close().ok());
}

// All bytes of a member, or the first error.
Result<std::string> Unpack(const ZipFile& zip, const ZipMember& member) {
  ZipReader reader = zip.Read(member);
  std::string out(static_cast<size_t>(member.size), '\0');
  ALPA_RETURN_IF_ERROR(reader.Read(std::as_writable_bytes(std::span(out.data(), out.size()))));
  ALPA_RETURN_IF_ERROR(reader.Finish());
  return out;
}

// The contents of all members of the file.
Result<std::string> UnpackAll(const std::filesystem::path& path) {
  ALPA_TRY(const ZipFile zip, ZipFile::Open(path));
  std::string out;
  for (const ZipMember& member : zip.members()) {
    ALPA_TRY(const std::string text, Unpack(zip, member));
    out += text;
  }
  return out;
}

// "x" deflated by hand: `unzip` and Python read this file.
std::string DeflatedZip(const std::string& text) {
  z_stream z{};
  deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY);
  std::string packed(text.size() + 100, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(packed.data());
  z.avail_out = static_cast<uInt>(packed.size());
  deflate(&z, Z_FINISH);
  packed.resize(z.total_out);
  deflateEnd(&z);
  const auto number = [](uint64_t value, int bytes) {
    std::string out;
    for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
    return out;
  };
  const std::string common = number(20, 2) + number(0, 2) + number(8, 2) + number(0, 4) + number(Crc32(text), 4) +
                             number(packed.size(), 4) + number(text.size(), 4) + number(1, 2);
  const std::string local = "PK\x03\x04" + common + number(0, 2) + "x" + packed;
  const std::string central =
      "PK\x01\x02" + number(20, 2) + common + number(0, 2) + number(0, 2) + number(0, 8) + number(0, 4) + "x";
  return local + central + "PK\x05\x06" + number(0, 4) + number(1, 2) + number(1, 2) + number(central.size(), 4) +
         number(local.size(), 4) + number(0, 2);
}

TEST(Zip, ReadsWhatItWrote) {
  const TempFolder folder;
  for (const bool zip64 : {false, true}) {
    WriteZip(folder / "a.zip", zip64);
    const auto zip = ZipFile::Open(folder / "a.zip");
    ASSERT_TRUE(zip.ok()) << zip.error().message;
    ASSERT_EQ(zip->members().size(), 2U);
    EXPECT_EQ(zip->members()[1].name, "empty");
    EXPECT_EQ(*Unpack(*zip, *zip->Find("a.txt")), "hello world");
    EXPECT_EQ(*Unpack(*zip, *zip->Find("empty")), "");
    EXPECT_EQ(zip->Find("other"), nullptr);
  }
}

TEST(Zip, InflatesMembers) {
  const TempFolder folder;
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += std::to_string(i);
  const auto zip = ZipFile::Open(Write(folder / "a.zip", DeflatedZip(text)));
  ASSERT_TRUE(zip.ok()) << zip.error().message;
  EXPECT_TRUE(zip->members()[0].deflated);
  EXPECT_EQ(*Unpack(*zip, zip->members()[0]), text);
}

TEST(Zip, FindsTruncationAnywhere) {
  const TempFolder folder;
  for (const bool zip64 : {false, true}) {
    WriteZip(folder / "a.zip", zip64);
    const std::string bytes = Read(folder / "a.zip");
    for (size_t n = 0; n < bytes.size(); ++n) {
      const auto content = UnpackAll(Write(folder / "cut.zip", bytes.substr(0, n)));
      ASSERT_FALSE(content.ok()) << n;
      EXPECT_EQ(content.error().code, Code::kCorrupt) << n << ": " << content.error().message;
    }
  }
}

TEST(Zip, NeverGivesOtherBytesWhenABitIsFlipped) {
  const TempFolder folder;
  WriteZip(folder / "a.zip", true);
  const std::string packed = DeflatedZip("a text that is packed, a text that is packed");
  for (const std::string& original : {Read(folder / "a.zip"), packed}) {
    const auto content = UnpackAll(Write(folder / "original.zip", original));
    ASSERT_TRUE(content.ok());
    for (size_t i = 0; i < original.size(); ++i) {
      std::string bytes = original;
      bytes[i] = static_cast<char>(bytes[i] ^ (1 << (i % 8)));
      const auto unpacked = UnpackAll(Write(folder / "flipped.zip", bytes));
      if (unpacked.ok()) EXPECT_EQ(*unpacked, *content) << "byte " << i;
    }
  }
}

TEST(Zip, RefusesWhatItCannotRead) {
  const TempFolder folder;
  EXPECT_EQ(ZipFile::Open(folder / "missing").error().code, Code::kNotFound);
  EXPECT_EQ(ZipFile::Open(Write(folder / "a", "")).error().code, Code::kCorrupt);
  EXPECT_EQ(ZipFile::Open(Write(folder / "a", std::string(1000, 'x'))).error().code, Code::kCorrupt);

  const std::string original = DeflatedZip("text");
  const size_t central = original.find("PK\x01\x02");
  std::string encrypted = original;
  encrypted[central + 8] = 1;
  EXPECT_EQ(ZipFile::Open(Write(folder / "a", encrypted)).error().code, Code::kUnsupported);
  std::string lzma = original;
  lzma[central + 10] = 14;
  EXPECT_EQ(ZipFile::Open(Write(folder / "a", lzma)).error().code, Code::kUnsupported);
}

TEST(Zip, RefusesTwoMembersOfOneName) {
  const TempFolder folder;
  auto zip = ZipWriter::Create(folder / "a.zip");
  ASSERT_TRUE(zip->Add("x", std::array<std::string_view, 1>{"1"}).ok());
  ASSERT_TRUE(zip->Add("x", std::array<std::string_view, 1>{"2"}).ok());
  ASSERT_TRUE(zip->Close().ok());
  const auto opened = ZipFile::Open(folder / "a.zip");
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, Code::kInvalidInput);
}

TEST(Zip, RefusesSizesThatCannotBe) {
  const TempFolder folder;
  std::string bytes = DeflatedZip("text");
  bytes[bytes.find("PK\x01\x02") + 27] = 0x7f;  // unpacked: 2 GB
  const auto opened = ZipFile::Open(Write(folder / "a.zip", bytes));
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, Code::kCorrupt);
  EXPECT_NE(opened.error().message.find("member 'x'"), std::string::npos);
}

}  // namespace
}  // namespace alpa::runtime
