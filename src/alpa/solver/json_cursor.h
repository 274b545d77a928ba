// A cursor over JSON text. nlohmann's parser builds a tree or calls a handler per value; both take several seconds for
// the hundred megabytes of numbers of an IOPDDL file, which counts against its time limit.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "alpa/base/result.h"

namespace alpa::solver {

// Reads values from left to right. Errors are kCorrupt (no JSON) or kInvalidInput (another type), with the byte.
class JsonCursor {
 public:
  explicit JsonCursor(std::string_view text) : begin_(text.data()), at_(begin_), end_(begin_ + text.size()) {}

  // Takes the '[' or '{' of a value called `what`.
  Status Enter(char bracket, std::string_view what);
  // Takes the closing bracket if it is next.
  bool TryLeave(char bracket);
  // Takes the comma between two elements; `first`: there is none.
  Status Separator(bool first);
  // The name of a member with its colon.
  Result<std::string> Key();
  Result<std::string> String(std::string_view what);
  Result<double> Number(std::string_view what);
  bool TryNull();
  // Appends a whole list of numbers; false (at the place of the trouble) when it is something else.
  bool Numbers(std::vector<double>* out);
  // Passes over any value.
  Status Skip();
  Status AtEnd();

  // The error that `what` should be `type` and is not.
  Error Expected(std::string_view what, std::string_view type) const;

 private:
  void Space() {
    while (at_ < end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
  }
  bool ReadNumber(double* out);
  Error Broken(std::string_view expected) const;
  Status SkipWord(std::string_view word);

  const char* begin_;
  const char* at_;
  const char* end_;
};

}  // namespace alpa::solver
