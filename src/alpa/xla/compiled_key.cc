#include "alpa/xla/compiled_key.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <system_error>

#include "alpa/xla/xla_pch.h"
#include "xla/shape_util.h"
#include "xla/tsl/lib/strings/proto_serialization.h"

namespace alpa::xla {
namespace {

// The library that has the compiler, by its file: its version does not tell builds apart.
std::string Library() {
  Dl_info info{};
  std::string (*const inside)(const ::xla::Shape&) = &::xla::ShapeUtil::HumanString;
  if (dladdr(reinterpret_cast<const void*>(inside), &info) == 0) return "";
  std::error_code error;
  const std::filesystem::path path = info.dli_fname;
  const auto size = std::filesystem::file_size(path, error);
  const auto time = std::filesystem::last_write_time(path, error);
  return fmt::format("{} {} {}", path.string(), size, time.time_since_epoch().count());
}

// Name and features of the first processor, for which code is made.
std::string Processor() {
  std::ifstream file("/proc/cpuinfo");
  std::string out, line;
  while (std::getline(file, line) && !line.empty()) {
    if (line.rfind("model name", 0) == 0 || line.rfind("flags", 0) == 0 || line.rfind("Features", 0) == 0)
      out += line + "\n";
  }
  return out;
}

std::string Text(const google::protobuf::MessageLite& message) {
  std::string text;
  // Maps have no order of their own.
  return tsl::SerializeToStringDeterministic(message, &text) ? text : message.SerializeAsString();
}

}  // namespace

std::filesystem::path CompiledFolder() {
  const char* folder = std::getenv("ALPA_COMPILED");
  return folder == nullptr ? std::filesystem::path() : std::filesystem::path(folder);
}

std::string CompiledKey(const ::xla::HloModuleProto& module, const ::xla::CompileOptions& options) {
  static const std::string machine = Library() + "\n" + Processor();
  const char* flags = std::getenv("XLA_FLAGS");
  ::xla::HloModuleProto numbered = module;
  numbered.clear_id();  // counts the modules of the process
  const auto proto = options.ToProto();
  return fmt::format("{}\n{}\n", machine, flags == nullptr ? "" : flags) +
         (proto.ok() ? Text(*proto) : proto.status().ToString()) + Text(numbered);
}

}  // namespace alpa::xla
