#include "alpa/xla/plugin.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include "alpa/xla/key_value_store.h"
#include "alpa/xla/status.h"
#include "alpa/xla/xla_pch.h"
#include "xla/pjrt/c/pjrt_c_api.h"
#include "xla/pjrt/c_api_client/pjrt_c_api_client.h"

namespace alpa::xla {
namespace {

// The message of a C API error, which is freed.
std::string TakeMessage(const PJRT_Api* api, PJRT_Error* error) {
  PJRT_Error_Message_Args message{};
  message.struct_size = PJRT_Error_Message_Args_STRUCT_SIZE;
  message.error = error;
  api->PJRT_Error_Message(&message);
  std::string text(message.message, message.message_size);
  PJRT_Error_Destroy_Args destroy{};
  destroy.struct_size = PJRT_Error_Destroy_Args_STRUCT_SIZE;
  destroy.error = error;
  api->PJRT_Error_Destroy(&destroy);
  return text;
}

}  // namespace

Result<std::shared_ptr<::xla::PjRtClient>> OpenPlugin(const std::filesystem::path& library,
                                                      const std::shared_ptr<process::Group>& group) {
  auto fail = [&](const std::string& what) {
    return Error{Code::kEnvironment, fmt::format("plugin {}: {}", library.string(), what),
                 "expected a PJRT plugin, e.g. the xla_cuda_plugin.so of jax-cuda13-pjrt"};
  };
  std::error_code ec;
  if (!std::filesystem::exists(library, ec)) return fail("no such file");
  void* handle = ::dlopen(std::filesystem::absolute(library).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return fail(fmt::format("does not load: {}", ::dlerror()));
  auto* get = reinterpret_cast<const PJRT_Api* (*)()>(::dlsym(handle, "GetPjrtApi"));
  if (get == nullptr) return fail("is a shared library without GetPjrtApi");
  const PJRT_Api* api = get();
  if (api == nullptr) return fail("gives no PJRT API");
  if (api->pjrt_api_version.major_version != PJRT_API_MAJOR) {
    return fail(fmt::format("speaks PJRT C API {}.{}, alpa {}.{}", api->pjrt_api_version.major_version,
                            api->pjrt_api_version.minor_version, PJRT_API_MAJOR, PJRT_API_MINOR));
  }
  PJRT_Plugin_Initialize_Args initialize{};
  initialize.struct_size = PJRT_Plugin_Initialize_Args_STRUCT_SIZE;
  if (PJRT_Error* error = api->PJRT_Plugin_Initialize(&initialize); error != nullptr) {
    return fail("does not initialize: " + TakeMessage(api, error));
  }
  absl::flat_hash_map<std::string, ::xla::PjRtValueType> options;
  std::shared_ptr<::xla::KeyValueStoreInterface> store;
  if (group != nullptr) {
    options["node_id"] = static_cast<int64_t>(group->rank());
    options["num_nodes"] = static_cast<int64_t>(group->size());
    store = MakeKeyValueStore(group);
  }
  auto client = ::xla::WrapClientAroundCApi(api, options, store);
  if (!client.ok()) return fail("finds no devices: " + std::string(client.status().message()));
  return std::shared_ptr<::xla::PjRtClient>(std::move(*client));
}

}  // namespace alpa::xla
