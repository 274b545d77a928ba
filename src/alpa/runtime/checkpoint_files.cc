#include "alpa/runtime/checkpoint_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "alpa/base/file.h"
#include "alpa/runtime/input_names.h"

namespace alpa::runtime {

namespace fs = std::filesystem;

std::string ShardFile(int writer, int writers) {
  return fmt::format("shard-{:05}-of-{:05}.safetensors", writer, writers);
}

std::string ShardManifestFile(int writer, int writers) {
  return fmt::format("shard-{:05}-of-{:05}.json", writer, writers);
}

Result<Manifest> ReadManifest(const fs::path& folder) {
  const fs::path path = folder / kManifestFile;
  const auto text = ReadFile(path);
  if (!text.ok() && text.error().code == Code::kNotFound) {
    return Error{Code::kCorrupt,
                 fmt::format("{}: {} is missing: not a complete checkpoint of alpa", folder.string(), kManifestFile),
                 ""};
  }
  if (!text.ok()) return text.error();
  return ManifestFromJson(*text, path.string());
}

std::vector<ManifestTensor> StateTensors(const ir::Module& module, const ir::StepSignature& signature) {
  const std::vector<std::string> names = UniqueInputNames(module);
  std::vector<ManifestTensor> out;
  for (size_t i = 0; i < signature.inputs.size(); ++i) {
    if (signature.inputs[i].role == ir::InputRole::kBatch) continue;
    out.push_back({names[i], static_cast<int32_t>(i), signature.inputs[i].role, module.shape(module.inputs[i]), {}});
  }
  return out;
}

Status CheckModel(const fs::path& folder, const Manifest& manifest, const ir::Module& module,
                  const Siblings& siblings) {
  const uint64_t fingerprint = manifest.model_fingerprint;
  if (fingerprint == ir::Fingerprint(module)) return Ok();
  if (std::find(siblings.begin(), siblings.end(), fingerprint) != siblings.end()) return Ok();
  return Error{
      Code::kMismatch,
      fmt::format("{}: a checkpoint of another model: '{}' ({:016x}), this one is '{}' ({:016x})", folder.string(),
                  manifest.model, manifest.model_fingerprint, module.name, ir::Fingerprint(module)),
      "give the folder of this model's checkpoints; one shape of a model goes on from another's with the --plan of "
      "both"};
}

Status CheckSizes(const fs::path& folder, const Manifest& manifest) {
  for (const ManifestShard& shard : manifest.shards) {
    std::error_code error;
    const auto bytes = fs::file_size(folder / shard.file, error);
    if (error) {
      return Error{Code::kCorrupt, fmt::format("{}: {} is missing", folder.string(), shard.file), ""};
    }
    if (bytes != static_cast<uintmax_t>(shard.bytes)) {
      return Error{Code::kCorrupt,
                   fmt::format("{}: {} bytes, the manifest says {} ({})", (folder / shard.file).string(), bytes,
                               shard.bytes, bytes < static_cast<uintmax_t>(shard.bytes) ? "truncated" : "damaged"),
                   ""};
    }
  }
  return Ok();
}

bool HoldsOnlyCheckpointFiles(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator it(folder, error); !error && it != fs::directory_iterator(); it.increment(error)) {
    const std::string name = it->path().filename().string();
    const bool shard = name.starts_with("shard-") && (name.ends_with(".safetensors") || name.ends_with(".json"));
    if (!shard && name != kManifestFile && name != "state.safetensors") return false;
  }
  return !error;
}

}  // namespace alpa::runtime
