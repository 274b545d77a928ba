#include "alpa/process/open_world.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "alpa/base/library.h"
#include "alpa/process/transport.h"

namespace alpa::process {
namespace {

constexpr const char* kLibrary = "libalpa_mpi.so";
constexpr const char* kFactory = "alpa_mpi_transport";
using Factory = bool (*)(std::shared_ptr<Transport>*, Error*);

int64_t Number(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? 0 : std::strtoll(value, nullptr, 10);
}

}  // namespace

bool StartedAsGroup() {
  if (std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr) return Number("OMPI_COMM_WORLD_SIZE") > 1;
  if (std::getenv("PMI_SIZE") != nullptr) return Number("PMI_SIZE") > 1;
  // Of srun. SLURM_NTASKS and SLURM_PROCID are also set in a batch script, which is one process.
  if (std::getenv("SLURM_PROCID") != nullptr) return Number("SLURM_STEP_NUM_TASKS") > 1;
  return std::getenv("PMIX_RANK") != nullptr;
}

Result<std::unique_ptr<Group>> OpenWorld() {
  if (!StartedAsGroup()) return std::unique_ptr<Group>();
  const std::filesystem::path library = FindLibrary(kLibrary, "ALPA_MPI_LIBRARY");
  std::error_code ec;
  if (!std::filesystem::exists(library, ec)) {
    return Error{
        Code::kEnvironment, fmt::format("started as one of several processes, but {} is missing", library.string()),
        "install libopenmpi-dev and build again with ./dev build, or start one process without mpirun or srun"};
  }
  void* handle = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return Error{Code::kEnvironment, fmt::format("MPI does not load: {}", ::dlerror()), ""};
  const auto factory = reinterpret_cast<Factory>(::dlsym(handle, kFactory));
  if (factory == nullptr) {
    return Error{Code::kEnvironment, fmt::format("{} is not alpa's: it has no {}", library.string(), kFactory), ""};
  }
  std::shared_ptr<Transport> transport;
  Error error;
  if (!factory(&transport, &error)) return error;
  return MakeWorld(std::move(transport));
}

}  // namespace alpa::process
