#include "alpa/runtime/zip.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_set>

#include "alpa/base/file.h"

namespace alpa::runtime {
namespace {

// Sizes of the fixed parts of the records, and their signatures (APPNOTE.TXT 4.3).
constexpr int64_t kLocalBytes = 30, kCentralBytes = 46, kEndBytes = 22, kEnd64Bytes = 56, kLocator64Bytes = 20;
constexpr uint32_t kLocalSignature = 0x04034b50, kCentralSignature = 0x02014b50, kEndSignature = 0x06054b50,
                   kEnd64Signature = 0x06064b50, kLocator64Signature = 0x07064b50;
constexpr uint16_t kZip64Extra = 1;
constexpr uint32_t kIn64 = 0xffffffff;  // the value stands in the zip64 record
constexpr int64_t kMaxDeflateRatio = 1040;

template <typename T>
T Load(std::string_view bytes, int64_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

Error Corrupt(const InputFile& file, const std::string& what) {
  return {Code::kCorrupt, fmt::format("{}: {}", file.path(), what), "the file is damaged or incomplete: copy it again"};
}

// Where the directory lies and how many members it lists.
struct Directory {
  int64_t offset = 0, bytes = 0, count = 0;
};

// Follows the zip64 locator in front of the end record at `end`, when there is one.
Result<std::optional<Directory>> FindDirectory64(const InputFile& file, int64_t end) {
  if (end < kLocator64Bytes) return std::optional<Directory>();
  ALPA_TRY(const std::string locator, file.ReadString(end - kLocator64Bytes, kLocator64Bytes));
  if (Load<uint32_t>(locator, 0) != kLocator64Signature) return std::optional<Directory>();
  const auto at = Load<int64_t>(locator, 8);
  if (at < 0 || at > end - kLocator64Bytes - kEnd64Bytes)
    return Corrupt(file, "its zip64 record lies outside the file");
  ALPA_TRY(const std::string record, file.ReadString(at, kEnd64Bytes));
  if (Load<uint32_t>(record, 0) != kEnd64Signature) return Corrupt(file, "its zip64 record is damaged");
  return std::optional<Directory>({Load<int64_t>(record, 48), Load<int64_t>(record, 40), Load<int64_t>(record, 32)});
}

Result<Directory> FindDirectory(const InputFile& file) {
  const int64_t tail_bytes = std::min<int64_t>(file.size(), kEndBytes + 0xffff);
  ALPA_TRY(const std::string tail, file.ReadString(file.size() - tail_bytes, tail_bytes));
  for (int64_t at = tail_bytes - kEndBytes; at >= 0; --at) {
    if (Load<uint32_t>(tail, at) != kEndSignature) continue;
    if (at + kEndBytes + Load<uint16_t>(tail, at + 20) != tail_bytes) continue;
    if (Load<uint16_t>(tail, at + 4) != Load<uint16_t>(tail, at + 6)) {
      return Error{Code::kUnsupported, fmt::format("{}: a zip archive of several volumes", file.path()), ""};
    }
    const int64_t end = file.size() - tail_bytes + at;
    ALPA_TRY(const std::optional<Directory> large, FindDirectory64(file, end));
    const Directory directory = large.value_or(
        Directory{Load<uint32_t>(tail, at + 16), Load<uint32_t>(tail, at + 12), Load<uint16_t>(tail, at + 10)});
    if (directory.offset < 0 || directory.bytes < 0 || directory.count < 0 || directory.offset > end ||
        directory.bytes > end - directory.offset || directory.count > directory.bytes / kCentralBytes) {
      return Corrupt(file, "its directory lies outside the file");
    }
    return directory;
  }
  return Corrupt(file,
                 file.size() == 0 ? "the file is empty" : "no zip directory at its end: truncated, or not a zip file");
}

// Replaces the values that are marked as "in the zip64 record" by those of that record.
bool ApplyZip64Extra(std::string_view extra, ZipMember& member, int64_t& header_offset) {
  std::string_view values;
  while (extra.size() >= 4) {
    const auto id = Load<uint16_t>(extra, 0);
    const size_t bytes = Load<uint16_t>(extra, 2);
    if (bytes > extra.size() - 4) return false;
    if (id == kZip64Extra) values = extra.substr(4, bytes);
    extra.remove_prefix(4 + bytes);
  }
  for (int64_t* const field : {&member.size, &member.packed_size, &header_offset}) {
    if (*field != kIn64) continue;
    if (values.size() < 8) return false;
    *field = Load<int64_t>(values, 0);
    values.remove_prefix(8);
  }
  return member.size >= 0 && member.packed_size >= 0 && header_offset >= 0;
}

// Reads the record in front of the data of a member and checks it against the directory.
Status LocateData(const InputFile& file, int64_t header_offset, int64_t limit, ZipMember& member) {
  const auto damaged = [&] { return Corrupt(file, fmt::format("the header of member '{}' is damaged", member.name)); };
  if (header_offset > limit - kLocalBytes) return damaged();
  ALPA_TRY(const std::string header, file.ReadString(header_offset, kLocalBytes));
  const auto name_bytes = Load<uint16_t>(header, 26);
  if (Load<uint32_t>(header, 0) != kLocalSignature || name_bytes != member.name.size()) return damaged();
  member.data_offset = header_offset + kLocalBytes + name_bytes + Load<uint16_t>(header, 28);
  if (member.data_offset > limit || member.packed_size > limit - member.data_offset) {
    return Corrupt(file, fmt::format("member '{}' reaches beyond the data (truncated)", member.name));
  }
  ALPA_TRY(const std::string name, file.ReadString(header_offset + kLocalBytes, name_bytes));
  return name == member.name ? Ok() : Status(damaged());
}

// Parses the directory entry at the front of `rest` and removes it.
Result<ZipMember> TakeMember(const InputFile& file, int64_t limit, std::string_view& rest) {
  const auto damaged = [&] { return Corrupt(file, "its directory is damaged"); };
  if (static_cast<int64_t>(rest.size()) < kCentralBytes || Load<uint32_t>(rest, 0) != kCentralSignature)
    return damaged();
  const size_t name_bytes = Load<uint16_t>(rest, 28);
  const size_t extra_bytes = Load<uint16_t>(rest, 30);
  const size_t total = kCentralBytes + name_bytes + extra_bytes + Load<uint16_t>(rest, 32);
  if (total > rest.size()) return damaged();
  ZipMember member;
  member.name = rest.substr(kCentralBytes, name_bytes);
  member.crc = Load<uint32_t>(rest, 16);
  member.packed_size = Load<uint32_t>(rest, 20);
  member.size = Load<uint32_t>(rest, 24);
  int64_t header_offset = Load<uint32_t>(rest, 42);
  const auto flags = Load<uint16_t>(rest, 8);
  const auto method = Load<uint16_t>(rest, 10);
  if (!ApplyZip64Extra(rest.substr(kCentralBytes + name_bytes, extra_bytes), member, header_offset)) return damaged();
  rest.remove_prefix(total);
  if ((flags & 1) != 0) {
    return Error{Code::kUnsupported, fmt::format("{}: member '{}' is encrypted", file.path(), member.name), ""};
  }
  if (method != 0 && method != 8) {
    return Error{Code::kUnsupported,
                 fmt::format("{}: member '{}' is packed with method {}", file.path(), member.name, method),
                 "store or deflate it (numpy.savez, numpy.savez_compressed)"};
  }
  member.deflated = method == 8;
  ALPA_RETURN_IF_ERROR(LocateData(file, header_offset, limit, member));
  // Keeps a damaged size from allocating more memory than the packed bytes could ever fill.
  const bool possible =
      member.deflated ? member.size / kMaxDeflateRatio <= member.packed_size + 1 : member.size == member.packed_size;
  if (!possible) return Corrupt(file, fmt::format("the size of member '{}' contradicts its packed size", member.name));
  return member;
}

}  // namespace

Result<ZipFile> ZipFile::Open(const std::filesystem::path& path) {
  ALPA_TRY(InputFile file, InputFile::Open(path));
  ALPA_TRY(const Directory directory, FindDirectory(file));
  ALPA_TRY(const std::string bytes, file.ReadString(directory.offset, directory.bytes));
  ZipFile zip;
  std::string_view rest = bytes;
  std::unordered_set<std::string> names;
  for (int64_t i = 0; i < directory.count; ++i) {
    ALPA_TRY(ZipMember member, TakeMember(file, directory.offset, rest));
    if (!names.insert(member.name).second) {
      return Error{Code::kInvalidInput, fmt::format("{}: two members are named '{}'", file.path(), member.name), ""};
    }
    zip.members_.push_back(std::move(member));
  }
  if (!rest.empty()) return Corrupt(file, "its directory is longer than the number of its members");
  zip.file_ = std::make_shared<const InputFile>(std::move(file));
  return zip;
}

const ZipMember* ZipFile::Find(std::string_view name) const {
  const auto it = std::find_if(members_.begin(), members_.end(), [&](const ZipMember& m) { return m.name == name; });
  return it == members_.end() ? nullptr : &*it;
}

ZipReader ZipFile::Read(const ZipMember& member) const { return {file_, member}; }

// zlib's state with a buffer of packed bytes; raw deflate without a header, as zip holds it.
struct ZipReader::Inflater {
  Inflater() { ALPA_CHECK(inflateInit2(&stream, -15) == Z_OK); }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  z_stream stream{};
  std::array<std::byte, 1 << 16> input;
  bool ended = false;
};

ZipReader::ZipReader(std::shared_ptr<const InputFile> file, ZipMember member)
    : file_(std::move(file)), member_(std::move(member)) {
  if (member_.deflated) inflater_ = std::make_unique<Inflater>();
}

ZipReader::ZipReader(ZipReader&&) noexcept = default;
ZipReader::~ZipReader() = default;

Error ZipReader::Damaged(std::string_view what) const {
  return Corrupt(*file_, fmt::format("member '{}': {}", member_.name, what));
}

Status ZipReader::Read(std::span<std::byte> out) {
  ALPA_CHECK(static_cast<int64_t>(out.size()) <= remaining(), member_.name);
  ALPA_RETURN_IF_ERROR(member_.deflated ? Inflate(out) : ReadPacked(out));
  crc_ = Crc32({reinterpret_cast<const char*>(out.data()), out.size()}, crc_);
  done_ += static_cast<int64_t>(out.size());
  return Ok();
}

Status ZipReader::ReadPacked(std::span<std::byte> out) {
  ALPA_RETURN_IF_ERROR(file_->ReadAt(member_.data_offset + packed_done_, out));
  packed_done_ += static_cast<int64_t>(out.size());
  return Ok();
}

Status ZipReader::Refill() {
  z_stream& z = inflater_->stream;
  if (z.avail_in > 0) return Ok();
  const int64_t n = std::min<int64_t>(member_.packed_size - packed_done_, std::ssize(inflater_->input));
  ALPA_RETURN_IF_ERROR(ReadPacked(std::span(inflater_->input).first(static_cast<size_t>(n))));
  z.next_in = reinterpret_cast<Bytef*>(inflater_->input.data());
  z.avail_in = static_cast<uInt>(n);
  return Ok();
}

Status ZipReader::Inflate(std::span<std::byte> out) {
  z_stream& z = inflater_->stream;
  while (!out.empty()) {
    if (inflater_->ended) return Damaged("the packed data ends too early");
    ALPA_RETURN_IF_ERROR(Refill());
    const size_t room = std::min<size_t>(out.size(), size_t{1} << 30);
    z.next_out = reinterpret_cast<Bytef*>(out.data());
    z.avail_out = static_cast<uInt>(room);
    const int state = inflate(&z, Z_NO_FLUSH);
    if (state != Z_OK && state != Z_STREAM_END) return Damaged("the packed data is damaged");
    inflater_->ended = state == Z_STREAM_END;
    out = out.subspan(room - z.avail_out);
  }
  return Ok();
}

Status ZipReader::Finish() {
  if (remaining() != 0) return Damaged(fmt::format("{} bytes are left over", remaining()));
  if (member_.deflated) {
    z_stream& z = inflater_->stream;
    if (!inflater_->ended) {  // the end mark may be unread; nothing but it may follow
      ALPA_RETURN_IF_ERROR(Refill());
      std::byte extra{};
      z.next_out = reinterpret_cast<Bytef*>(&extra);
      z.avail_out = 1;
      if (inflate(&z, Z_NO_FLUSH) != Z_STREAM_END || z.avail_out != 1) return Damaged("the packed data does not end");
    }
    if (z.avail_in > 0 || packed_done_ < member_.packed_size) return Damaged("packed data is left over");
  }
  if (crc_ != member_.crc) return Damaged("its checksum differs");
  return Ok();
}

}  // namespace alpa::runtime
