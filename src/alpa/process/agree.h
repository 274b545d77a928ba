// What all processes of a group do together: wait for each other, exchange short texts, agree.
//
// Every process of the group calls the same functions in the same order, from one thread at a time.
#pragma once

#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/process/group.h"

namespace alpa::process {

// The texts of all processes by rank, at every process.
Result<std::vector<std::string>> GatherTexts(Group& group, const std::string& text);
// The text of process `root`.
Result<std::string> Broadcast(Group& group, int root, const std::string& text);
// Returns when all have called it.
Status Barrier(Group& group);

// The same outcome everywhere: ok when `mine` is at every process; else the error of the first process that has one,
// its message beginning with "process 1: " unless every process has that very error.
Status AgreeOn(Group& group, const Status& mine);
// kMismatch, saying who differs from process 0, unless `value` (of the thing `what`, "plan") is the same everywhere.
Status AgreeOnValue(Group& group, const std::string& what, const std::string& value);

}  // namespace alpa::process
