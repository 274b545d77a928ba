#include "alpa/runtime/stored_array.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "alpa/base/file.h"

namespace alpa::runtime {

Status StoredArray::Read(int64_t from, std::span<std::byte> out) const {
  if (!tensor_) return file_->file().ReadAt(offset_ + from, out);
  const auto part = tensor_->bytes().subspan(static_cast<size_t>(from), out.size());
  std::copy(part.begin(), part.end(), out.begin());
  return Ok();
}

Result<std::vector<ArraySet>> ArraySet::Open(const std::vector<std::string>& paths) {
  std::vector<ArraySet> sets;
  ArraySet npy;
  for (const std::string& path : paths) {
    if (std::filesystem::path(path).extension() == ".npy") {
      npy.path_ += (npy.path_.empty() ? "" : ", ") + path;
      npy.names_.push_back(std::filesystem::path(path).stem().string());
      npy.npy_paths_.push_back(path);
      continue;
    }
    ALPA_TRY(NpzFile file, NpzFile::Open(path));
    ArraySet set;
    set.path_ = path;
    set.names_ = file.names();
    set.npz_ = std::make_shared<const NpzFile>(std::move(file));
    sets.push_back(std::move(set));
  }
  if (npy.names_.empty()) return sets;
  if (!sets.empty()) {
    return Error{Code::kInvalidArgument, ".npz and .npy files are given together as data", "give one kind"};
  }
  sets.push_back(std::move(npy));
  return sets;
}

Result<StoredArray> ArraySet::Get(size_t index, Bytes max_in_memory) const {
  StoredArray array;
  if (!npz_) {
    array.where_ = npy_paths_[index];
    ALPA_TRY(array.tensor_, ReadNpyFile(array.where_));
    array.shape_ = array.tensor_->shape();
    array.crc_ = Crc32(array.tensor_->view());
    return array;
  }
  const std::string& name = names_[index];
  array.where_ = fmt::format("{}: member '{}'", npz_->path(), name);
  ALPA_TRY(const NpyHeader header, npz_->Header(name));
  ALPA_TRY(array.crc_, npz_->Crc(name));
  array.shape_ = header.shape;
  std::optional<int64_t> offset;
  if (header.shape.bytes() > max_in_memory) {
    ALPA_TRY(offset, npz_->ElementsOffset(name));
  }
  if (offset) {
    array.file_ = npz_;
    array.offset_ = *offset;
  } else {
    ALPA_TRY(array.tensor_, npz_->Read(name));
  }
  return array;
}

}  // namespace alpa::runtime
