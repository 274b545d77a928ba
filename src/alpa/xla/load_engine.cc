#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <mutex>

#include "alpa/base/library.h"
#include "alpa/xla/engine.h"

namespace alpa::xla {
namespace {

constexpr const char* kLibrary = "libalpa_xla.so";
constexpr const char* kFactory = "alpa_xla_engine";  // extern "C" Engine* alpa_xla_engine()

// Settings that XLA reads when it loads; what the user has set stays.
void SetEnvironment() {
  // Its start-up chatter.
  ::setenv("TF_CPP_MIN_LOG_LEVEL", "3", /*overwrite=*/0);
  ::setenv("TF_ENABLE_ONEDNN_OPTS", "0", /*overwrite=*/0);
}

Result<Engine*> Open() {
  const std::filesystem::path library = FindLibrary(kLibrary, "ALPA_XLA_LIBRARY");
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
