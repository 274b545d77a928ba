#include "alpa/runtime/npz.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "alpa/runtime/zip_writer.h"

namespace alpa::runtime {
namespace {

constexpr std::string_view kSuffix = ".npy";

std::string Where(const ZipFile& zip, std::string_view name) {
  return fmt::format("{}: member '{}'", zip.path(), name);
}

}  // namespace

Result<NpzFile> NpzFile::Open(const std::filesystem::path& path) {
  NpzFile npz;
  ALPA_TRY(npz.zip_, ZipFile::Open(path));
  for (const ZipMember& member : npz.zip_.members()) {
    if (!member.name.ends_with(kSuffix)) continue;
    npz.names_.push_back(member.name.substr(0, member.name.size() - kSuffix.size()));
  }
  return npz;
}

bool NpzFile::Has(std::string_view name) const { return zip_.Find(std::string(name).append(kSuffix)) != nullptr; }

Result<const ZipMember*> NpzFile::Member(std::string_view name) const {
  const ZipMember* member = zip_.Find(std::string(name).append(kSuffix));
  if (member != nullptr) return member;
  return Error{Code::kNotFound, fmt::format("{}: there is no member '{}'", path(), name), ""};
}

Result<NpyHeader> NpzFile::Header(std::string_view name) const {
  ALPA_TRY(const ZipMember* member, Member(name));
  ZipReader reader = zip_.Read(*member);
  return ReadNpyHeader([&](std::span<std::byte> out) { return reader.Read(out); }, member->size, Where(zip_, name));
}

Result<ir::HostTensor> NpzFile::Read(std::string_view name) const {
  ALPA_TRY(const ZipMember* member, Member(name));
  ZipReader reader = zip_.Read(*member);
  ALPA_TRY(ir::HostTensor tensor,
           ReadNpy([&](std::span<std::byte> out) { return reader.Read(out); }, member->size, Where(zip_, name)));
  ALPA_RETURN_IF_ERROR(reader.Finish());
  return tensor;
}

Result<std::optional<int64_t>> NpzFile::ElementsOffset(std::string_view name) const {
  ALPA_TRY(const ZipMember* member, Member(name));
  ALPA_TRY(const NpyHeader header, Header(name));
  const bool row_major = !header.fortran_order || header.shape.rank() <= 1;
  if (member->deflated || !row_major) return std::optional<int64_t>();
  return std::optional(member->data_offset + header.bytes);
}

Result<uint32_t> NpzFile::Crc(std::string_view name) const {
  ALPA_TRY(const ZipMember* member, Member(name));
  return member->crc;
}

Status WriteNpz(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors) {
  ALPA_TRY(ZipWriter zip, ZipWriter::Create(path));
  for (const NamedTensor& t : tensors) {
    ALPA_TRY(const std::string header, MakeNpyHeader(t.tensor.shape()));
    ALPA_RETURN_IF_ERROR(zip.Add(t.name + std::string(kSuffix), std::array{std::string_view(header), t.tensor.view()}));
  }
  return zip.Close();
}

}  // namespace alpa::runtime
