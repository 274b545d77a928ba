// The group of all processes that mpirun or srun has started.
#pragma once

#include <memory>

#include "alpa/base/result.h"
#include "alpa/process/group.h"

namespace alpa::process {

// Whether the environment says that this process is one of several of an MPI program.
bool StartedAsGroup();

// All processes of the run, connected over MPI; null when this process was started alone, which costs nothing. To be
// called once; destroying the last group waits for the other processes to do the same. kEnvironment when MPI or alpa's
// part for it (libalpa_mpi.so, or the file that ALPA_MPI_LIBRARY names) is missing or does not start.
Result<std::unique_ptr<Group>> OpenWorld();

}  // namespace alpa::process
