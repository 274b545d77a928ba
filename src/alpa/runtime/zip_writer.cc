#include "alpa/runtime/zip_writer.h"

#include "alpa/base/file.h"

namespace alpa::runtime {
namespace {

constexpr uint32_t kIn64 = 0xffffffff;  // the value stands in the zip64 record

template <typename T>
void Append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

uint32_t Small(bool large, int64_t value) { return large ? kIn64 : static_cast<uint32_t>(value); }

// What the two headers of a member have in common: version needed 2.0 (4.5 for zip64), UTF-8 name, stored,
// 1980-01-01 00:00, checksum, sizes.
std::string CommonHeader(std::string_view name, uint32_t crc, int64_t size, bool zip64, bool large_size) {
  std::string out;
  Append(out, static_cast<uint16_t>(zip64 ? 45 : 20));
  for (const int field : {0x0800, 0, 0, 0x0021}) Append(out, static_cast<uint16_t>(field));
  Append(out, crc);
  for (int i = 0; i < 2; ++i) Append(out, Small(large_size, size));
  Append(out, static_cast<uint16_t>(name.size()));
  return out;
}

// The zip64 field with those of `values` that do not fit; empty without any.
std::string Zip64Extra(std::span<const int64_t> values) {
  std::string out;
  if (values.empty()) return out;
  Append(out, uint16_t{1});
  Append(out, static_cast<uint16_t>(values.size() * sizeof(int64_t)));
  for (const int64_t value : values) Append(out, value);
  return out;
}

}  // namespace

Result<ZipWriter> ZipWriter::Create(const std::filesystem::path& path, bool force_zip64) {
  ALPA_TRY(OutputFile file, OutputFile::Create(path));
  return ZipWriter(std::move(file), force_zip64);
}

Status ZipWriter::Add(std::string_view name, std::span<const std::string_view> parts) {
  ALPA_CHECK(name.size() <= 0xffff, std::string(name));
  uint32_t crc = 0;
  int64_t size = 0;
  for (const std::string_view part : parts) {
    crc = Crc32(part, crc);
    size += static_cast<int64_t>(part.size());
  }
  const int64_t offset = file_.size();
  const bool large_size = force_zip64_ || size >= kIn64;
  const bool large_offset = force_zip64_ || offset >= kIn64;
  std::vector<int64_t> large;
  if (large_size) large = {size, size};
  const std::string local_extra = Zip64Extra(large);
  if (large_offset) large.push_back(offset);
  const std::string central_extra = Zip64Extra(large);
  const std::string common = CommonHeader(name, crc, size, large_size || large_offset, large_size);

  std::string local = "PK\x03\x04" + common;
  Append(local, static_cast<uint16_t>(local_extra.size()));
  local.append(name).append(local_extra);
  ALPA_RETURN_IF_ERROR(file_.Write(local));
  for (const std::string_view part : parts) ALPA_RETURN_IF_ERROR(file_.Write(part));

  directory_ += "PK\x01\x02";
  Append(directory_, uint16_t{0x032d});  // made by: unix, version 4.5
  directory_ += common;
  Append(directory_, static_cast<uint16_t>(central_extra.size()));
  for (int i = 0; i < 3; ++i) Append(directory_, uint16_t{0});  // comment, volume, text or not
  Append(directory_, uint32_t{0100644} << 16);
  Append(directory_, Small(large_offset, offset));
  directory_.append(name).append(central_extra);
  ++count_;
  return Ok();
}

Status ZipWriter::Close() {
  const int64_t offset = file_.size();
  const auto bytes = static_cast<int64_t>(directory_.size());
  const bool large = force_zip64_ || offset >= kIn64 || bytes >= kIn64 || count_ >= 0xffff;
  std::string end;
  if (large) {
    end += "PK\x06\x06";
    Append(end, int64_t{44});  // bytes of the record that follow
    for (int i = 0; i < 2; ++i) Append(end, uint16_t{45});
    for (int i = 0; i < 2; ++i) Append(end, uint32_t{0});
    for (const int64_t value : {count_, count_, bytes, offset}) Append(end, value);
    end += "PK\x06\x07";
    Append(end, uint32_t{0});
    Append(end, offset + bytes);
    Append(end, uint32_t{1});
  }
  end += "PK\x05\x06";
  for (int i = 0; i < 2; ++i) Append(end, uint16_t{0});
  for (int i = 0; i < 2; ++i) Append(end, static_cast<uint16_t>(large ? 0xffff : count_));
  Append(end, Small(large, bytes));
  Append(end, Small(large, offset));
  Append(end, uint16_t{0});
  ALPA_RETURN_IF_ERROR(file_.Write(directory_));
  ALPA_RETURN_IF_ERROR(file_.Write(end));
  return file_.Close();
}

}  // namespace alpa::runtime
