#include "alpa/runtime/binary_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace alpa::runtime {
namespace {

// The kernel moves at most 2 GiB per call.
constexpr int64_t kMaxTransfer = int64_t{1} << 30;

Error IoError(const std::filesystem::path& path, std::string_view what, int err) {
  return {Code::kIo, fmt::format("{}: cannot {}: {}", path.string(), what, std::strerror(err)), ""};
}

}  // namespace

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = other.Release();
  }
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

int FileDescriptor::Release() { return std::exchange(fd_, -1); }

Result<InputFile> InputFile::Open(const std::filesystem::path& path) {
  InputFile file;
  file.path_ = path.string();
  file.fd_ = FileDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd_.get() < 0) {
    if (errno == ENOENT) return Error{Code::kNotFound, fmt::format("{}: no such file", file.path_), ""};
    return IoError(path, "open", errno);
  }
  struct stat st {};
  if (::fstat(file.fd_.get(), &st) != 0) return IoError(path, "open", errno);
  if (!S_ISREG(st.st_mode)) {
    return Error{Code::kIo,
                 fmt::format("{}: is {}, not a file", file.path_, S_ISDIR(st.st_mode) ? "a folder" : "a device"), ""};
  }
  file.size_ = st.st_size;
  return file;
}

Status InputFile::ReadAt(int64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const auto want = static_cast<size_t>(std::min<int64_t>(static_cast<int64_t>(out.size()), kMaxTransfer));
    const ssize_t n = ::pread(fd_.get(), out.data(), want, offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return IoError(path_, "read", errno);
    if (n == 0) {
      return Error{Code::kCorrupt,
                   fmt::format("{}: the file ends at byte {}, where {} more bytes are needed (truncated)", path_,
                               offset, out.size()),
                   ""};
    }
    out = out.subspan(static_cast<size_t>(n));
    offset += n;
  }
  return Ok();
}

Result<std::string> InputFile::ReadString(int64_t offset, int64_t bytes) const {
  std::string out(static_cast<size_t>(bytes), '\0');
  ALPA_RETURN_IF_ERROR(ReadAt(offset, std::as_writable_bytes(std::span(out.data(), out.size()))));
  return out;
}

Result<OutputFile> OutputFile::Create(const std::filesystem::path& path) {
  OutputFile file;
  file.path_ = path;
  file.temporary_ = path.string() + fmt::format(".tmp{}", ::getpid());
  file.fd_ = FileDescriptor(::open(file.temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (file.fd_.get() < 0) return IoError(path, "write", errno);
  return file;
}

OutputFile::~OutputFile() {
  if (fd_.get() >= 0) ::unlink(temporary_.c_str());
}

Status OutputFile::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto want = static_cast<size_t>(std::min<int64_t>(static_cast<int64_t>(bytes.size()), kMaxTransfer));
    const ssize_t n = ::write(fd_.get(), bytes.data(), want);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return IoError(path_, "write", errno);
    bytes.remove_prefix(static_cast<size_t>(n));
    size_ += n;
  }
  return Ok();
}

Status OutputFile::Close() {
  if (::fsync(fd_.get()) != 0) return IoError(path_, "write", errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return IoError(path_, "write", errno);
  const int fd = fd_.Release();
  if (::close(fd) != 0) return IoError(path_, "write", errno);
  return Ok();
}

Status SyncFolder(const std::filesystem::path& folder) {
  const FileDescriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) return IoError(folder, "open", errno);
  // Some file systems cannot flush folders (EINVAL); there is nothing more to be done on them.
  if (::fsync(fd.get()) != 0 && errno != EINVAL) return IoError(folder, "flush", errno);
  return Ok();
}

}  // namespace alpa::runtime
