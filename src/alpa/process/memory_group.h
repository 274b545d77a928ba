// Several "processes" that are threads of one process, for tests.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "alpa/process/group.h"

namespace alpa::process {

// Groups of `size` processes; the r-th is that of process r. Messages above 8 KiB are copied when they are received.
std::vector<std::unique_ptr<Group>> MakeMemoryGroups(int size);

// Runs `body` as `size` processes and returns when all have ended.
void RunInThreads(int size, const std::function<void(Group&)>& body);

}  // namespace alpa::process
