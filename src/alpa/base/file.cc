#include "alpa/base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <limits>

namespace alpa {
namespace {

Error IoError(const std::filesystem::path& path, std::string_view what, int err) {
  return {Code::kIo, fmt::format("{}: cannot {}: {}", path.string(), what, std::strerror(err)), ""};
}

// Writes all of `bytes`; 0, or the errno.
int WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return 0;
}

std::filesystem::path FolderOf(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

// What a symbolic link points at in the end, whether or not that exists; other paths as they are.
std::filesystem::path FollowLinks(std::filesystem::path path) {
  constexpr int kMaxLinks = 40;  // as Linux counts
  std::error_code ec;
  for (int i = 0; i < kMaxLinks && std::filesystem::is_symlink(path, ec); ++i) {
    path = FolderOf(path) / std::filesystem::read_symlink(path, ec);  // an absolute one replaces the folder
    if (ec) break;
  }
  return path;
}

// By the effective user, as open() asks.
bool MayWrite(const std::filesystem::path& path) { return ::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) == 0; }

// Makes a rename in `folder` survive a power cut. Best effort: some file systems refuse it.
void SyncFolder(const std::filesystem::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

}  // namespace

Result<std::string> ReadFile(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT) return Error{Code::kNotFound, fmt::format("{}: no such file", path.string()), ""};
    return IoError(path, "open", errno);
  }
  struct stat st {};
  if (::fstat(fd, &st) != 0 || S_ISDIR(st.st_mode)) {
    ::close(fd);
    return Error{Code::kIo, fmt::format("{}: is a folder, not a file", path.string()), ""};
  }
  std::string out;
  out.resize(static_cast<size_t>(std::max<off_t>(st.st_size, 0)) + 1);  // the byte more shows the end of the file
  size_t have = 0;
  for (;;) {
    if (have == out.size()) out.resize(out.size() + (1 << 16));  // pipes and files that grow
    const ssize_t n = ::read(fd, out.data() + have, out.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int err = errno;
      ::close(fd);
      return IoError(path, "read", err);
    }
    if (n == 0) break;
    have += static_cast<size_t>(n);
  }
  ::close(fd);
  out.resize(have);
  return out;
}

Status WriteFileAtomic(const std::filesystem::path& path, std::string_view bytes) {
  struct stat old {};
  const bool exists = ::stat(path.c_str(), &old) == 0;
  if (exists && S_ISDIR(old.st_mode)) return IoError(path, "write", EISDIR);
  if (exists && !S_ISREG(old.st_mode)) {  // a rename would put a plain file in the place of the device
    const int device = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (device < 0) return IoError(path, "write", errno);
    const int err = WriteAll(device, bytes);
    ::close(device);
    return err == 0 ? Ok() : IoError(path, "write", err);
  }
  const std::filesystem::path target = FollowLinks(path);

  static std::atomic<int> counter = 0;  // two threads may write the same path
  const std::filesystem::path temporary = target.string() + fmt::format(".tmp{}.{}", ::getpid(), counter++);
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return IoError(path, "write", errno);
  auto fail = [&](int err) {
    ::close(fd);
    ::unlink(temporary.c_str());
    return IoError(path, "write", err);
  };
  if (const int err = WriteAll(fd, bytes); err != 0) return fail(err);
  if (exists && ::fchmod(fd, old.st_mode & 07777) != 0) return fail(errno);
  if (::fsync(fd) != 0) return fail(errno);
  ::close(fd);
  if (::rename(temporary.c_str(), target.c_str()) != 0) {
    const int err = errno;
    ::unlink(temporary.c_str());
    return IoError(path, "write", err);
  }
  SyncFolder(FolderOf(target));
  return Ok();
}

Status CheckWritable(const std::filesystem::path& path) {
  if (path.empty()) return IoError(path, "write", ENOENT);
  struct stat st {};
  if (::stat(path.c_str(), &st) == 0) {
    if (S_ISDIR(st.st_mode)) return IoError(path, "write", EISDIR);
    if (!S_ISREG(st.st_mode)) {  // devices and pipes are written in place
      return MayWrite(path) ? Ok() : IoError(path, "write", errno);
    }
  }
  const auto folder = FolderOf(FollowLinks(path));
  if (::stat(folder.c_str(), &st) != 0) return IoError(path, "write", errno);
  if (!S_ISDIR(st.st_mode)) return IoError(path, "write", ENOTDIR);
  if (!MayWrite(folder)) return IoError(path, "write", errno);
  return Ok();
}

bool IsGzip(std::string_view bytes) { return bytes.size() >= 2 && bytes[0] == '\x1f' && bytes[1] == '\x8b'; }

Result<std::string> Gunzip(std::string_view bytes, int64_t max_bytes) {
  z_stream z{};
  ALPA_CHECK(inflateInit2(&z, 15 + 16) == Z_OK);
  std::string out;
  const Error damaged{Code::kCorrupt, "gzip data is truncated or damaged", ""};
  size_t fed = 0;
  std::string chunk(1 << 18, '\0');
  int state = Z_OK;
  while (state != Z_STREAM_END || z.avail_in > 0 || fed < bytes.size()) {
    if (z.avail_in == 0 && fed < bytes.size()) {
      const size_t n = std::min<size_t>(bytes.size() - fed, std::numeric_limits<uInt>::max() / 2);
      z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data() + fed));
      z.avail_in = static_cast<uInt>(n);
      fed += n;
    }
    if (state == Z_STREAM_END) inflateReset(&z);  // next member
    z.next_out = reinterpret_cast<Bytef*>(chunk.data());
    z.avail_out = static_cast<uInt>(chunk.size());
    state = inflate(&z, Z_NO_FLUSH);
    const size_t produced = chunk.size() - z.avail_out;
    out.append(chunk, 0, produced);
    const bool stuck = state == Z_BUF_ERROR && z.avail_in == 0 && fed == bytes.size();
    if ((state != Z_OK && state != Z_STREAM_END && state != Z_BUF_ERROR) || stuck) {
      inflateEnd(&z);
      return damaged;
    }
    if (state == Z_OK && produced == 0 && z.avail_in == 0 && fed == bytes.size()) {
      inflateEnd(&z);
      return damaged;
    }
    if (static_cast<int64_t>(out.size()) > max_bytes) {
      inflateEnd(&z);
      return Error{Code::kCorrupt, fmt::format("gzip data inflates to more than {} bytes", max_bytes), ""};
    }
  }
  inflateEnd(&z);
  return out;
}

uint32_t Crc32(std::string_view bytes, uint32_t seed) {
  uLong crc = seed;
  while (!bytes.empty()) {
    const size_t n = std::min<size_t>(bytes.size(), 1U << 30);
    crc = crc32(crc, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(n));
    bytes.remove_prefix(n);
  }
  return static_cast<uint32_t>(crc);
}

uint64_t Fnv1a(std::string_view bytes, uint64_t seed) {
  uint64_t h = seed;
  for (const char c : bytes) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return h;
}

Error InFile(const std::filesystem::path& path, const Error& error) {
  return {error.code, path.string() + ": " + error.message, error.hint};
}

}  // namespace alpa
