// Large files: read at any position, written from front to back, without holding them whole in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "alpa/base/result.h"

namespace alpa::runtime {

// An open file descriptor, closed at the end of its life.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.Release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();

  int get() const { return fd_; }
  int Release();

 private:
  int fd_;
};

// A file opened for reading. Reads do not move a position, so several threads may share one.
class InputFile {
 public:
  // kNotFound when there is no such file; kIo when it is a folder or cannot be opened.
  static Result<InputFile> Open(const std::filesystem::path& path);

  // The path as given, for messages.
  const std::string& path() const { return path_; }
  // Bytes at the time of opening.
  int64_t size() const { return size_; }
  // Fills `out` from byte `offset` on. kCorrupt when the file ends before, kIo when the system refuses.
  Status ReadAt(int64_t offset, std::span<std::byte> out) const;
  // The same as a string of `bytes` bytes.
  Result<std::string> ReadString(int64_t offset, int64_t bytes) const;

 private:
  std::string path_;
  int64_t size_ = 0;
  FileDescriptor fd_;
};

// A file written from front to back under a temporary name beside `path`; it gets its name when it is complete. Without
// Close() the temporary file disappears and what lay at `path` before is untouched.
class OutputFile {
 public:
  // kIo when the folder does not exist or cannot be written.
  static Result<OutputFile> Create(const std::filesystem::path& path);
  OutputFile(OutputFile&&) noexcept = default;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  // Appends. kIo with the reason (disk full, ...).
  Status Write(std::string_view bytes);
  // Bytes written so far.
  int64_t size() const { return size_; }
  // Flushes to the disk and gives the file its name. kIo with the reason.
  Status Close();

 private:
  OutputFile() = default;

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int64_t size_ = 0;
  FileDescriptor fd_;
};

// Flushes a folder's entries (new and renamed files) to the disk. kIo with the reason.
Status SyncFolder(const std::filesystem::path& folder);

}  // namespace alpa::runtime
