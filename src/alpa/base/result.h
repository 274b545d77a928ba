// Errors that a user or the environment can cause, as values.
//
// Three guilts (docs/design/03-errors.md): user input and environment travel as Result; our own bugs are ALPA_CHECKs
// that no input can reach. Exceptions of libraries end in the adapter that calls the library.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace alpa {

// What went wrong, as a closed list. Every code has a test that triggers it.
enum class Code {
  kInvalidInput,     // a model, plan or data file says something that cannot be (names the place)
  kUnsupported,      // valid input that alpa cannot handle (names the op and its source line)
  kAmbiguous,        // several readings are possible; the candidates are listed
  kInvalidArgument,  // a command-line value is out of range or contradicts another
  kNotFound,         // a file, tensor or plugin that is not there
  kMismatch,         // two inputs do not belong together (checkpoint of another model, data of another shape)
  kCorrupt,          // a file that is damaged (truncated, checksum differs)
  kIo,               // the file system refused (permission, disk full)
  kEnvironment,      // library, plugin, device or memory trouble
  kOutOfTolerance,   // a comparison of numbers failed; the only code that ends with exit status 1
  kInterrupted,      // a signal ended the work early, in good order; the only code that ends with exit status 3
};

std::string_view CodeName(Code code);

// One error: what happened and where (`message`), and what the user can do about it (`hint`, may be empty).
struct Error {
  Code code = Code::kInvalidInput;
  std::string message;
  std::string hint;

  bool operator==(const Error&) const = default;
};

// `message`, and `hint` on a line of its own.
std::string ToString(const Error& error);

// Exit status of the program for an error: 1 for kOutOfTolerance, 3 for kInterrupted, else 2.
int ExitStatus(const Error& error);

// A value or an Error. Check with `ok()` before `value()`.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Result(Error error) : state_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return std::holds_alternative<T>(state_); }
  const T& value() const& { return std::get<T>(state_); }
  T& value() & { return std::get<T>(state_); }
  T&& value() && { return std::get<T>(std::move(state_)); }
  const T& operator*() const& { return value(); }
  T& operator*() & { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  const T* operator->() const { return &value(); }
  T* operator->() { return &value(); }
  const Error& error() const { return std::get<Error>(state_); }

 private:
  std::variant<T, Error> state_;
};

// Success or an Error.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return !error_.has_value(); }
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

inline Status Ok() { return {}; }

namespace internal {
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition, const std::string& message);
inline const Error& ErrorOf(const Status& s) { return s.error(); }
template <typename T>
const Error& ErrorOf(const Result<T>& r) {
  return r.error();
}
}  // namespace internal

// Ends the program when one of our own invariants does not hold. Never for user input.
#define ALPA_CHECK(condition, ...)                                                               \
  do {                                                                                           \
    if (!(condition)) [[unlikely]] {                                                             \
      ::alpa::internal::CheckFailed(__FILE__, __LINE__, #condition, ::std::string(__VA_ARGS__)); \
    }                                                                                            \
  } while (false)

#define ALPA_CONCAT_INNER(a, b) a##b
#define ALPA_CONCAT(a, b) ALPA_CONCAT_INNER(a, b)

// ALPA_TRY(auto x, Expr()): x is the value of a Result, or the enclosing function returns its error.
#define ALPA_TRY(declaration, expression) ALPA_TRY_IMPL(ALPA_CONCAT(alpa_result_, __LINE__), declaration, expression)
#define ALPA_TRY_IMPL(result, declaration, expression) \
  auto result = (expression);                          \
  if (!result.ok()) return result.error();             \
  declaration = std::move(result).value()

// Returns the error of a Status (or Result) expression from the enclosing function.
#define ALPA_RETURN_IF_ERROR(expression)                      \
  do {                                                        \
    if (auto alpa_status = (expression); !alpa_status.ok()) { \
      return ::alpa::internal::ErrorOf(alpa_status);          \
    }                                                         \
  } while (false)

}  // namespace alpa
