#include "alpa/base/result.h"

namespace alpa {

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kInvalidInput:
      return "invalid input";
    case Code::kUnsupported:
      return "unsupported";
    case Code::kAmbiguous:
      return "ambiguous";
    case Code::kInvalidArgument:
      return "invalid argument";
    case Code::kNotFound:
      return "not found";
    case Code::kMismatch:
      return "mismatch";
    case Code::kCorrupt:
      return "corrupt";
    case Code::kIo:
      return "input/output";
    case Code::kEnvironment:
      return "environment";
    case Code::kOutOfTolerance:
      return "out of tolerance";
    case Code::kInterrupted:
      return "interrupted";
  }
  return "unknown";
}

std::string ToString(const Error& error) {
  return error.hint.empty() ? error.message : error.message + "\n  " + error.hint;
}

int ExitStatus(const Error& error) {
  if (error.code == Code::kInterrupted) return 3;
  return error.code == Code::kOutOfTolerance ? 1 : 2;
}

namespace internal {
void CheckFailed(const char* file, int line, const char* condition, const std::string& message) {
  std::fprintf(stderr, "alpa: internal error at %s:%d: %s%s%s\nThis is a bug in alpa, please report it.\n", file, line,
               condition, message.empty() ? "" : ": ", message.c_str());
  std::abort();
}
}  // namespace internal

}  // namespace alpa
