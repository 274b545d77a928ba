#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <mutex>

#include "alpa/xla/engine.h"

namespace alpa::xla {
namespace {

constexpr const char* kLibrary = "libalpa_xla.so";
constexpr const char* kFactory = "alpa_xla_engine";  // extern "C" Engine* alpa_xla_engine()

// Beside the program, or in the places of an installed tree; ALPA_XLA_LIBRARY overrides.
std::filesystem::path FindLibrary() {
  if (const char* given = std::getenv("ALPA_XLA_LIBRARY"); given != nullptr && *given != '\0') return given;
  std::error_code ec;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", ec);
  for (const char* relative : {".", "..", "../lib", "../lib/alpa"}) {
    const auto candidate = program.parent_path() / relative / kLibrary;
    if (std::filesystem::exists(candidate, ec)) return candidate;
  }
  return program.parent_path() / kLibrary;
}

// Settings that XLA reads when it loads; what the user has set stays.
void SetEnvironment() {
  // Its start-up chatter.
  ::setenv("TF_CPP_MIN_LOG_LEVEL", "3", /*overwrite=*/0);
  ::setenv("TF_ENABLE_ONEDNN_OPTS", "0", /*overwrite=*/0);
}

Result<Engine*> Open() {
  const std::filesystem::path library = FindLibrary();
  std::error_code ec;
  if (!std::filesystem::exists(library, ec)) {
    return Error{Code::kEnvironment, fmt::format("the XLA engine {} is missing", library.string()),
                 "build it with ./dev build, or set ALPA_XLA_LIBRARY"};
  }
  SetEnvironment();
  void* handle = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    return Error{Code::kEnvironment, fmt::format("the XLA engine does not load: {}", ::dlerror()),
                 "run ./dev build again; it fetches the XLA library where it is missing"};
  }
  auto* factory = reinterpret_cast<Engine* (*)()>(::dlsym(handle, kFactory));
  if (factory == nullptr) {
    return Error{Code::kEnvironment, fmt::format("{} is not alpa's engine: it has no {}", library.string(), kFactory),
                 ""};
  }
  return factory();
}

}  // namespace

Result<Engine*> LoadEngine() {
  static std::mutex mutex;
  static Engine* engine = nullptr;
  const std::lock_guard lock(mutex);
  if (engine == nullptr) {
    ALPA_TRY(engine, Open());
  }
  return engine;
}

}  // namespace alpa::xla
