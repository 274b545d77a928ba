// A PJRT plugin without devices: its client puts its name into the key-value store that it is given, waits for those of
// all others, and fails with what it heard. So a machine without GPUs can show that clients of several processes meet.
#include <cstring>
#include <string>
#include <string_view>

#include "xla/pjrt/c/pjrt_c_api.h"

struct PJRT_Error {
  std::string message;
  PJRT_Error_Code code = PJRT_Error_Code_NOT_FOUND;
};

namespace {

constexpr int kTimeoutMs = 20'000;

// Errors of the callbacks are made by whoever calls us.
PJRT_Error* MakeError(PJRT_Error_Code code, const char* message, size_t size) {
  return new PJRT_Error{std::string(message, size), code};
}

void DestroyError(PJRT_Error_Destroy_Args* args) { delete args->error; }

void MessageOf(PJRT_Error_Message_Args* args) {
  args->message = args->error->message.data();
  args->message_size = args->error->message.size();
}

PJRT_Error* CodeOf(PJRT_Error_GetCode_Args* args) {
  args->code = args->error->code;
  return nullptr;
}

PJRT_Error* Initialize(PJRT_Plugin_Initialize_Args* /*args*/) { return nullptr; }

int64_t OptionOf(const PJRT_Client_Create_Args& args, std::string_view name) {
  for (size_t i = 0; i < args.num_options; ++i) {
    const PJRT_NamedValue& option = args.create_options[i];
    if (std::string_view(option.name, option.name_size) == name && option.type == PJRT_NamedValue_kInt64)
      return option.int64_value;
  }
  return -1;
}

PJRT_Error* Put(const PJRT_Client_Create_Args& args, PJRT_CallbackError* fail, const std::string& key,
                const std::string& value) {
  PJRT_KeyValuePutCallback_Args put{};
  put.struct_size = PJRT_KeyValuePutCallback_Args_STRUCT_SIZE;
  put.key = key.data();
  put.key_size = key.size();
  put.value = value.data();
  put.value_size = value.size();
  put.callback_error = fail;
  put.user_arg = args.kv_put_user_arg;
  return args.kv_put_callback(&put);
}

PJRT_Error* Get(const PJRT_Client_Create_Args& args, PJRT_CallbackError* fail, const std::string& key,
                std::string* value) {
  PJRT_KeyValueGetCallback_Args get{};
  get.struct_size = PJRT_KeyValueGetCallback_Args_STRUCT_SIZE;
  get.key = key.data();
  get.key_size = key.size();
  get.timeout_in_ms = kTimeoutMs;
  get.callback_error = fail;
  get.user_arg = args.kv_get_user_arg;
  if (PJRT_Error* const error = args.kv_get_callback(&get); error != nullptr) return error;
  value->assign(get.value, get.value_size);
  get.value_deleter_callback(get.value);
  return nullptr;
}

PJRT_Error* CreateClient(PJRT_Client_Create_Args* args) {
  const int64_t node = OptionOf(*args, "node_id"), nodes = OptionOf(*args, "num_nodes");
  if (node < 0 || nodes < 1 || args->kv_get_callback == nullptr || args->kv_put_callback == nullptr)
    return new PJRT_Error{"alone, without a key-value store"};
  PJRT_CallbackError fail = MakeError;
  const std::string name = "name " + std::to_string(node) + std::string(20'000, '.');  // with a value of some size
  if (PJRT_Error* const error = Put(*args, &fail, "node:" + std::to_string(node), name); error != nullptr) return error;
  std::string heard;
  for (int64_t other = 0; other < nodes; ++other) {
    std::string value;
    if (PJRT_Error* const error = Get(*args, &fail, "node:" + std::to_string(other), &value); error != nullptr)
      return error;
    heard += (other > 0 ? ", " : "") + value.substr(0, value.find('.'));
  }
  return new PJRT_Error{"node of " + std::to_string(nodes) + " heard " + heard};
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const PJRT_Api* GetPjrtApi() {
  static const PJRT_Api kApi = [] {
    PJRT_Api api{};
    api.struct_size = PJRT_Api_STRUCT_SIZE;
    api.pjrt_api_version.struct_size = PJRT_Api_Version_STRUCT_SIZE;
    api.pjrt_api_version.major_version = PJRT_API_MAJOR;
    api.pjrt_api_version.minor_version = PJRT_API_MINOR;
    api.PJRT_Error_Destroy = DestroyError;
    api.PJRT_Error_Message = MessageOf;
    api.PJRT_Error_GetCode = CodeOf;
    api.PJRT_Plugin_Initialize = Initialize;
    api.PJRT_Client_Create = CreateClient;
    return api;
  }();
  return &kApi;
}
