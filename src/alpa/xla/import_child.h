// A child process for work on bytes that nobody vouches for.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "alpa/base/result.h"

namespace alpa::xla {

// Runs `work` in a forked child and returns what it returned there. XLA and MLIR check damaged input with assertions
// and recurse as deep as it says, so on some files they abort or overflow their stack; then only the child dies, and
// the result is kInvalidInput, naming `source` and the assertion; likewise when it uses more processor time than
// LimitTime allows. What the child writes to stderr (XLA logs stack traces with its errors) is dropped. Nothing that
// `work` changes is seen here.
//
// Takes its copy of the process while other threads may run; `work` must not need them.
Result<std::string> RunInChild(const std::string& source, const std::function<Result<std::string>()>& work);

// Called in the child: from here on it may use `seconds` of processor time; 0 lifts the limit.
void LimitTime(int64_t seconds);

}  // namespace alpa::xla
