#include "alpa/xla/import_child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>

namespace alpa::xla {
namespace {

// Precedes the payload (value, or message and hint) in the file the child leaves; written last, so that a file with a
// header is complete.
struct Header {
  uint64_t magic = 0;
  uint64_t ok = 0;
  uint64_t code = 0;
  uint64_t first = 0;   // bytes of the value or message
  uint64_t second = 0;  // bytes of the hint
};
constexpr uint64_t kMagic = 0x616c7061'696d7074;

// An anonymous file in memory, shared with the child.
class MemoryFile {
 public:
  explicit MemoryFile(const char* name) : fd_(::memfd_create(name, MFD_CLOEXEC)) {}
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }

  bool Write(std::string_view bytes, size_t offset) const {
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
      offset += static_cast<size_t>(n);
    }
    return true;
  }

  // Fewer bytes where the file ends.
  std::string Read(size_t size, size_t offset) const {
    std::string bytes(size, '\0');
    size_t done = 0;
    while (done < size) {
      const ssize_t n = ::pread(fd_, bytes.data() + done, size - done, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;
      done += static_cast<size_t>(n);
    }
    bytes.resize(done);
    return bytes;
  }

 private:
  int fd_;
};

// Exceptions end here as crashes: nothing may unwind into the copy of the caller.
[[noreturn]] void Child(const std::function<Result<std::string>()>& work, const MemoryFile& out, const MemoryFile& log,
                        pid_t parent) noexcept {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  const rlimit no_core = {0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::dup2(log.fd(), STDERR_FILENO);
  // Where memory runs out, this process is the one to go.
  if (const int fd = ::open("/proc/self/oom_score_adj", O_WRONLY); fd >= 0) {
    [[maybe_unused]] const ssize_t n = ::write(fd, "1000", 4);
    ::close(fd);
  }
  const Result<std::string> result = work();
  Header header{kMagic, result.ok()};
  bool written = true;
  if (result.ok()) {
    header.first = result->size();
    written = out.Write(*result, sizeof(header));
  } else {
    const Error& error = result.error();
    header.code = static_cast<uint64_t>(error.code);
    header.first = error.message.size();
    header.second = error.hint.size();
    written = out.Write(error.message + error.hint, sizeof(header));
  }
  if (written) out.Write({reinterpret_cast<const char*>(&header), sizeof(header)}, 0);
  ::_exit(0);
}

// What the child's log says about its end: the assertion that failed, if it was one.
std::string LastWords(const MemoryFile& log) {
  constexpr size_t kEnough = 1 << 20;
  const std::string text = log.Read(kEnough, 0);
  size_t at = std::string::npos;
  for (const char* mark : {"Check failed: ", "what():", "LLVM ERROR: ", "Assertion "}) {
    if (at == std::string::npos) at = text.rfind(mark);
  }
  if (at == std::string::npos) return "";
  constexpr size_t kLongest = 300;
  return " (" + text.substr(at, std::min(text.find('\n', at) - at, kLongest)) + ")";
}

Error Crashed(const std::string& source, int status, const MemoryFile& log) {
  const bool signal = WIFSIGNALED(status);
  if (signal && WTERMSIG(status) == SIGKILL) {
    return {Code::kEnvironment, fmt::format("{}: the process that reads it was killed", source),
            "it may have needed more memory than there is"};
  }
  if (signal && WTERMSIG(status) == SIGXCPU) {
    return {Code::kInvalidInput, fmt::format("{}: XLA's reader does not come to an end on it", source),
            "the file is damaged"};
  }
  const std::string how = signal ? fmt::format("signal {}, {}", WTERMSIG(status), ::strsignal(WTERMSIG(status)))
                                 : fmt::format("exit status {}", WEXITSTATUS(status));
  return {Code::kInvalidInput, fmt::format("{}: XLA's reader crashed on it: {}{}", source, how, LastWords(log)),
          "the file is damaged, or one of its functions calls itself"};
}

Error SystemError(const std::string& source, const char* what) {
  return {Code::kEnvironment,
          fmt::format("{}: cannot start the process that reads it: {}: {}", source, what, std::strerror(errno)), ""};
}

}  // namespace

Result<std::string> RunInChild(const std::string& source, const std::function<Result<std::string>()>& work) {
  const MemoryFile out("alpa-import");
  const MemoryFile log("alpa-import-log");
  if (out.fd() < 0 || log.fd() < 0) return SystemError(source, "memfd_create");
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return SystemError(source, "fork");
  if (pid == 0) Child(work, out, log, parent);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  Header header;
  const std::string bytes = out.Read(sizeof(header), 0);
  if (bytes.size() == sizeof(header)) std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.magic != kMagic) return Crashed(source, status, log);
  std::string first = out.Read(header.first, sizeof(header));
  if (header.ok != 0) return first;
  return Error{static_cast<Code>(header.code), std::move(first),
               out.Read(header.second, sizeof(header) + header.first)};
}

void LimitTime(int64_t seconds) {
  rlimit limit{};
  ::getrlimit(RLIMIT_CPU, &limit);
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  limit.rlim_cur = limit.rlim_max;
  if (seconds > 0) limit.rlim_cur = std::min(limit.rlim_max, static_cast<rlim_t>(used.ru_utime.tv_sec + seconds));
  ::setrlimit(RLIMIT_CPU, &limit);
}

}  // namespace alpa::xla
