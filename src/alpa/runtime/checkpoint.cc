#include "alpa/runtime/checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <system_error>
#include <utility>

#include "alpa/base/file.h"
#include "alpa/runtime/binary_file.h"
#include "alpa/runtime/input_names.h"

namespace alpa::runtime {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStateFile = "state.safetensors";
constexpr const char* kManifestFile = "manifest.json";

Error IoError(const fs::path& path, std::string_view what, const std::string& reason) {
  return {Code::kIo, fmt::format("{}: cannot {}: {}", path.string(), what, reason), ""};
}

Result<Manifest> ReadManifest(const fs::path& folder) {
  const fs::path path = folder / kManifestFile;
  auto text = ReadFile(path);
  if (!text.ok() && text.error().code == Code::kNotFound) {
    return Error{Code::kCorrupt,
                 fmt::format("{}: {} is missing: not a complete checkpoint of alpa", folder.string(), kManifestFile),
                 ""};
  }
  if (!text.ok()) return text.error();
  return ManifestFromJson(*text, path.string());
}

Error OtherModel(const fs::path& folder, const Manifest& manifest, const ir::Module& module) {
  return {Code::kMismatch,
          fmt::format("{}: a checkpoint of another model: '{}' ({:016x}), this one is '{}' ({:016x})", folder.string(),
                      manifest.model, manifest.model_fingerprint, module.name, ir::Fingerprint(module)),
          "give the folder of this model's checkpoints"};
}

// Whether `folder` is free or holds a checkpoint of this model, which may be replaced.
Status CheckReplaceable(const fs::path& folder, const ir::Module& module) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(folder, error))) return Ok();
  const auto manifest = ReadManifest(folder);
  if (!manifest.ok()) {
    return Error{Code::kMismatch,
                 fmt::format("{} exists and is not a checkpoint of this model, so it is not replaced ({})",
                             folder.string(), manifest.error().message),
                 "remove it, or save to another folder"};
  }
  if (manifest->model_fingerprint != ir::Fingerprint(module)) return OtherModel(folder, *manifest, module);
  return Ok();
}

// The state inputs of the step, described for the files.
std::vector<ManifestTensor> StateTensors(const ir::Module& module, const ir::StepSignature& signature) {
  const std::vector<std::string> names = UniqueInputNames(module);
  std::vector<ManifestTensor> out;
  for (size_t i = 0; i < signature.inputs.size(); ++i) {
    if (signature.inputs[i].role == ir::InputRole::kBatch) continue;
    out.push_back({names[i], static_cast<int32_t>(i), signature.inputs[i].role, module.shape(module.inputs[i]), 0});
  }
  return out;
}

// Writes both files into `folder` and flushes them.
Status WriteFolder(const fs::path& folder, const CheckpointInfo& info, const ir::Module& module,
                   const ir::StepSignature& signature, const TensorProvider& state) {
  std::error_code error;
  fs::create_directory(folder, error);
  if (error) return IoError(folder, "create", error.message());
  Manifest manifest;
  manifest.info = info;
  manifest.model = module.name;
  manifest.model_fingerprint = ir::Fingerprint(module);
  manifest.tensors = StateTensors(module, signature);
  std::vector<TensorInfo> infos;
  for (const ManifestTensor& t : manifest.tensors) infos.push_back({t.name, t.shape});
  const std::map<std::string, std::string> metadata = {{"format", "alpa"}, {"step", std::to_string(info.step)}};
  ALPA_TRY(const SafetensorsSummary summary, WriteSafetensors(folder / kStateFile, infos, metadata, state));
  manifest.state_bytes = summary.file_bytes;
  manifest.header_crc = summary.header_crc;
  for (size_t i = 0; i < infos.size(); ++i) manifest.tensors[i].crc = summary.tensor_crcs[i];
  ALPA_RETURN_IF_ERROR(WriteFileAtomic(folder / kManifestFile, ToJson(manifest)));
  return SyncFolder(folder);
}

// Removes the oldest checkpoints of this model up to `step`, so that `keep` stay.
void RemoveOld(const fs::path& dir, int64_t step, int keep, const ir::Module& module) {
  const auto entries = ListCheckpoints(dir);
  if (keep <= 0 || !entries.ok()) return;
  int kept = 0;
  for (auto it = entries->rbegin(); it != entries->rend(); ++it) {
    if (it->step > step) continue;
    const auto manifest = ReadManifest(it->folder);
    if (!manifest.ok() || manifest->model_fingerprint != ir::Fingerprint(module)) continue;
    if (++kept <= keep) continue;
    RemoveCheckpoint(*it);
  }
}

// The folder of the checkpoint that is asked for.
Result<fs::path> Choose(const fs::path& dir, std::optional<int64_t> step) {
  std::error_code error;
  if (fs::exists(dir / kManifestFile, error)) return dir;
  ALPA_TRY(const std::vector<CheckpointEntry> entries, ListCheckpoints(dir));
  if (entries.empty()) {
    return Error{Code::kNotFound, fmt::format("{}: there are no checkpoints (step-00000001, ...)", dir.string()), ""};
  }
  if (!step) return entries.back().folder;
  std::vector<int64_t> steps;
  for (const CheckpointEntry& entry : entries) {
    if (entry.step == *step) return entry.folder;
    steps.push_back(entry.step);
  }
  return Error{Code::kNotFound, fmt::format("{}: there is no checkpoint of step {}", dir.string(), *step),
               fmt::format("there are checkpoints of steps {}", fmt::join(steps, ", "))};
}

// That the manifest describes exactly the state of this step.
Status CheckTensors(const fs::path& folder, const Manifest& manifest, const ir::Module& module,
                    const ir::StepSignature& signature) {
  const std::vector<ManifestTensor> expected = StateTensors(module, signature);
  const auto mismatch = [&](const std::string& what) {
    return Error{Code::kMismatch, fmt::format("{}: {}", folder.string(), what),
                 "give the folder of this model's checkpoints"};
  };
  if (expected.size() != manifest.tensors.size()) {
    return mismatch(
        fmt::format("holds {} tensors, the state of the model has {}", manifest.tensors.size(), expected.size()));
  }
  for (size_t k = 0; k < expected.size(); ++k) {
    const ManifestTensor& t = manifest.tensors[k];
    if (t.input == expected[k].input && t.shape == expected[k].shape) continue;
    return mismatch(fmt::format("tensor '{}' is {} for input {}, the model has {} for input {}", t.name,
                                ir::ToString(t.shape), t.input, ir::ToString(expected[k].shape), expected[k].input));
  }
  return Ok();
}

}  // namespace

Result<fs::path> SaveCheckpoint(const fs::path& dir, const CheckpointInfo& info, const ir::Module& module,
                                const ir::StepSignature& signature, const TensorProvider& state,
                                const SaveOptions& options) {
  ALPA_CHECK(info.step >= 0 && info.data_position >= 0);
  std::error_code error;
  fs::create_directories(dir, error);
  if (error) return IoError(dir, "create", error.message());
  const fs::path target = CheckpointPath(dir, info.step);
  ALPA_RETURN_IF_ERROR(CheckReplaceable(target, module));
  RemoveStale(dir);
  const fs::path temporary = TemporaryCheckpointPath(dir, info.step);
  Status status = WriteFolder(temporary, info, module, signature, state);
  if (status.ok()) status = MoveIntoPlace(temporary, target);
  if (!status.ok()) {
    fs::remove_all(temporary, error);
    return status.error();
  }
  ALPA_RETURN_IF_ERROR(SyncFolder(dir));
  RemoveOld(dir, info.step, options.keep, module);
  return target;
}

Result<ir::HostTensor> Checkpoint::Read(const ManifestTensor& tensor) const {
  const auto* entry = file_.Find(tensor.name);
  if (entry == nullptr || entry->shape != tensor.shape) {
    return Error{Code::kCorrupt,
                 fmt::format("{}: tensor '{}' of the manifest is not there as {}", file_.path(), tensor.name,
                             ir::ToString(tensor.shape)),
                 ""};
  }
  ALPA_TRY(ir::HostTensor value, file_.Read(*entry));
  if (Crc32(value.view()) == tensor.crc) return value;
  return Error{Code::kCorrupt,
               fmt::format("{}: tensor '{}': its checksum differs (damaged)", file_.path(), tensor.name), ""};
}

Result<ir::HostTensor> Checkpoint::Value(int32_t input) const {
  for (const ManifestTensor& tensor : manifest_.tensors) {
    if (tensor.input == input) return Read(tensor);
  }
  return Error{Code::kNotFound, fmt::format("{}: no value for input {}", folder_.string(), input), ""};
}

Result<Checkpoint> LoadCheckpoint(const fs::path& dir, std::optional<int64_t> step, const ir::Module& module,
                                  const ir::StepSignature& signature) {
  ALPA_TRY(const fs::path folder, Choose(dir, step));
  auto checkpoint = Checkpoint::Open(folder, module, signature);
  if (checkpoint.ok() || checkpoint.error().code != Code::kCorrupt) return checkpoint;
  Error error = checkpoint.error();
  const auto entries = ListCheckpoints(dir);
  std::vector<int64_t> others;
  for (const CheckpointEntry& entry : entries.ok() ? *entries : std::vector<CheckpointEntry>()) {
    if (entry.folder != folder) others.push_back(entry.step);
  }
  if (!others.empty()) error.hint = fmt::format("there are other checkpoints, of steps {}", fmt::join(others, ", "));
  return error;
}

Result<Checkpoint> Checkpoint::Open(const fs::path& folder, const ir::Module& module,
                                    const ir::StepSignature& signature) {
  ALPA_TRY(Manifest manifest, ReadManifest(folder));
  if (manifest.model_fingerprint != ir::Fingerprint(module)) return OtherModel(folder, manifest, module);
  ALPA_RETURN_IF_ERROR(CheckTensors(folder, manifest, module, signature));
  auto file = SafetensorsFile::Open(folder / kStateFile);
  if (!file.ok() && file.error().code == Code::kNotFound) {
    return Error{Code::kCorrupt, fmt::format("{}: {} is missing", folder.string(), kStateFile), ""};
  }
  if (!file.ok()) {
    Error error = file.error();
    if (error.code == Code::kUnsupported) error.code = Code::kCorrupt;  // alpa wrote nothing it cannot read
    return error;
  }
  if (file->file_bytes() != manifest.state_bytes || file->header_crc() != manifest.header_crc ||
      file->entries().size() != manifest.tensors.size()) {
    return Error{Code::kCorrupt, fmt::format("{}: not the file that the manifest describes (damaged)", file->path()),
                 ""};
  }
  Checkpoint checkpoint(folder, std::move(manifest), *std::move(file));
  for (const ManifestTensor& tensor : checkpoint.manifest_.tensors) ALPA_RETURN_IF_ERROR(checkpoint.Read(tensor));
  return checkpoint;
}

Status CheckCheckpointFolder(const fs::path& dir, const ir::Module& module) {
  // Whether a file could be made in `folder`; an error speaks of the folder the user gave.
  auto writable = [&](const fs::path& folder) -> Status {
    const Status status = CheckWritable(folder / ".writable");
    if (status.ok()) return status;
    const std::string& reason = status.error().message;
    return Error{
        status.error().code,
        fmt::format("{}: no checkpoint can be written there: {}", dir.string(), reason.substr(reason.rfind(": ") + 2)),
        ""};
  };
  std::error_code error;
  if (!fs::exists(dir, error)) {
    fs::path parent = fs::absolute(dir, error).parent_path();
    while (!parent.empty() && parent != parent.root_path() && !fs::exists(parent, error)) parent = parent.parent_path();
    return writable(parent);
  }
  ALPA_RETURN_IF_ERROR(writable(dir));
  ALPA_TRY(const std::vector<CheckpointEntry> entries, ListCheckpoints(dir));
  for (const CheckpointEntry& entry : entries) {
    const auto manifest = ReadManifest(entry.folder);
    if (manifest.ok() && manifest->model_fingerprint != ir::Fingerprint(module)) {
      return OtherModel(entry.folder, *manifest, module);
    }
  }
  return Ok();
}

}  // namespace alpa::runtime
