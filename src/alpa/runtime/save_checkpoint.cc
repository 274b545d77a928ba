#include "alpa/runtime/save_checkpoint.h"

#include <fmt/format.h>

#include <exception>
#include <functional>
#include <map>
#include <string>
#include <system_error>
#include <utility>

#include "alpa/base/file.h"
#include "alpa/runtime/binary_file.h"
#include "alpa/runtime/checkpoint_files.h"
#include "alpa/runtime/checkpoint_folder.h"

namespace alpa::runtime {
namespace {

namespace fs = std::filesystem;

Error IoError(const fs::path& path, std::string_view what, const std::string& reason) {
  return {Code::kIo, fmt::format("{}: cannot {}: {}", path.string(), what, reason), ""};
}

// Whether `folder` is free or holds a checkpoint of this model or the remains of one, which may be replaced.
Status CheckReplaceable(const fs::path& folder, const ir::Module& module, const Siblings& siblings) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(folder, error))) return Ok();
  const auto manifest = ReadManifest(folder);
  if (manifest.ok()) return CheckModel(folder, *manifest, module, siblings);
  if (manifest.error().code == Code::kCorrupt && HoldsOnlyCheckpointFiles(folder)) return Ok();
  return Error{Code::kMismatch,
               fmt::format("{} exists and is not a checkpoint of this model, so it is not replaced ({})",
                           folder.string(), manifest.error().message),
               "remove it, or save to another folder"};
}

// What is known of a checkpoint before its tensors are written.
Manifest EmptyManifest(const CheckpointInfo& info, const ir::Module& module, const ir::StepSignature& signature) {
  return {info, module.name, ir::Fingerprint(module), {}, StateTensors(module, signature)};
}

// Makes the folder in which all write.
Status Begin(const fs::path& dir, const fs::path& target, const fs::path& temporary, const ir::Module& module,
             const Siblings& siblings) {
  std::error_code error;
  fs::create_directories(dir, error);
  if (error) return IoError(dir, "create", error.message());
  ALPA_RETURN_IF_ERROR(CheckReplaceable(target, module, siblings));
  RemoveStale(dir);
  fs::create_directory(temporary, error);
  return error ? Status(IoError(temporary, "create", error.message())) : Ok();
}

// Writes this process's shard into `folder`, flushed, and returns `manifest` with its blocks alone in it.
Result<Manifest> WriteShard(const fs::path& folder, Manifest manifest, const std::vector<StateBlock>& blocks,
                            const TensorProvider& values, const Peers& peers) {
  std::vector<TensorInfo> infos;
  for (const StateBlock& b : blocks) {
    ALPA_CHECK(b.tensor < manifest.tensors.size());
    const ManifestTensor& tensor = manifest.tensors[b.tensor];
    ALPA_CHECK(LiesIn(b.block, tensor.shape), tensor.name);
    infos.push_back({BlockName(tensor, b.block), {tensor.shape.dtype, b.block.extent}});
  }
  const std::string file = ShardFile(peers.rank, peers.count);
  const std::map<std::string, std::string> metadata = {{"format", "alpa"},
                                                       {"step", std::to_string(manifest.info.step)},
                                                       {"shard", fmt::format("{} of {}", peers.rank, peers.count)}};
  ALPA_TRY(const SafetensorsSummary summary, WriteSafetensors(folder / file, infos, metadata, values));
  manifest.shards = {{file, summary.file_bytes, summary.header_crc}};
  for (size_t i = 0; i < blocks.size(); ++i) {
    manifest.tensors[blocks[i].tensor].blocks.push_back({0, blocks[i].block, summary.tensor_crcs[i]});
  }
  if (peers.rank != 0) {
    ALPA_RETURN_IF_ERROR(WriteFileAtomic(folder / ShardManifestFile(peers.rank, peers.count), ToJson(manifest)));
  }
  return manifest;
}

// Adds to `manifest`, that of the first writer, what the others wrote.
Status JoinShards(const fs::path& folder, int writers, Manifest& manifest) {
  for (int w = 1; w < writers; ++w) {
    const fs::path path = folder / ShardManifestFile(w, writers);
    const auto text = ReadFile(path);
    if (!text.ok()) {
      return Error{text.error().code, text.error().message, "all processes must see the folder of the checkpoints"};
    }
    ALPA_TRY(Manifest part, ManifestFromJson(*text, path.string()));
    if (part.info.step != manifest.info.step || part.model_fingerprint != manifest.model_fingerprint ||
        part.shards.size() != 1 || part.tensors.size() != manifest.tensors.size()) {
      return Error{Code::kMismatch, fmt::format("{}: of another step or model", path.string()), ""};
    }
    manifest.shards.push_back(part.shards[0]);
    for (size_t t = 0; t < part.tensors.size(); ++t) {
      for (ManifestBlock& block : part.tensors[t].blocks) {
        block.shard = w;
        manifest.tensors[t].blocks.push_back(std::move(block));
      }
    }
    std::error_code ignored;
    fs::remove(path, ignored);
  }
  const Status covers = CheckBlocks(manifest);
  if (covers.ok()) return CheckSizes(folder, manifest);
  return Error{covers.error().code,
               fmt::format("{}: the blocks of {} writers do not make up the state: {}", folder.string(), writers,
                           covers.error().message),
               ""};
}

// Makes the checkpoint of what lies in `temporary`.
Status Commit(const fs::path& temporary, const fs::path& target, int writers, Manifest manifest) {
  ALPA_RETURN_IF_ERROR(JoinShards(temporary, writers, manifest));
  ALPA_RETURN_IF_ERROR(WriteFileAtomic(temporary / kManifestFile, ToJson(manifest)));
  ALPA_RETURN_IF_ERROR(SyncFolder(temporary));
  ALPA_RETURN_IF_ERROR(MoveIntoPlace(temporary, target));
  return SyncFolder(target.parent_path());
}

// What libraries throw (no memory) as an error: the others wait for this process's word.
Result<Manifest> NoThrow(const std::function<Result<Manifest>()>& work) {
  try {
    return work();
  } catch (const std::exception& error) {
    return Error{Code::kEnvironment, std::string("saving a checkpoint failed: ") + error.what(), ""};
  }
}

}  // namespace

void RemoveOldCheckpoints(const fs::path& dir, int64_t step, const ir::Module& module, const SaveOptions& options) {
  const auto entries = ListCheckpoints(dir);
  if (options.keep <= 0 || !entries.ok()) return;
  int kept = 0;
  for (auto it = entries->rbegin(); it != entries->rend(); ++it) {
    if (it->step > step) continue;
    const auto manifest = ReadManifest(it->folder);
    if (!manifest.ok() || !CheckModel(it->folder, *manifest, module, options.siblings).ok()) continue;
    if (kept >= options.keep) RemoveCheckpoint(*it);
    if (CheckSizes(it->folder, *manifest).ok()) ++kept;
  }
}

std::vector<StateBlock> WholeState(const ir::Module& module, const ir::StepSignature& signature) {
  std::vector<StateBlock> out;
  for (const ManifestTensor& t : StateTensors(module, signature)) out.push_back({out.size(), WholeBlock(t.shape)});
  return out;
}

Result<fs::path> SaveCheckpoint(const fs::path& dir, const CheckpointInfo& info, const ir::Module& module,
                                const ir::StepSignature& signature, const std::vector<StateBlock>& blocks,
                                const TensorProvider& values, const SaveOptions& options, const Peers& peers) {
  ALPA_CHECK(info.step >= 0 && info.data_position >= 0);
  const bool first = peers.rank == 0;
  const fs::path target = CheckpointPath(dir, info.step);
  const fs::path temporary = TemporaryCheckpointPath(dir, info.step, peers.count);
  const auto run = [&]() -> Status {
    const Status begun = first ? Begin(dir, target, temporary, module, options.siblings) : Ok();
    ALPA_RETURN_IF_ERROR(peers.agree(begun));
    Result<Manifest> written =
        NoThrow([&] { return WriteShard(temporary, EmptyManifest(info, module, signature), blocks, values, peers); });
    ALPA_RETURN_IF_ERROR(peers.agree(written.ok() ? Ok() : Status(written.error())));
    const Status done = first ? Commit(temporary, target, peers.count, *std::move(written)) : Ok();
    return peers.agree(done);
  };
  if (const Status status = run(); !status.ok()) {
    std::error_code ignored;
    if (first) fs::remove_all(temporary, ignored);
    return status.error();
  }
  if (first) RemoveOldCheckpoints(dir, info.step, module, options);
  return target;
}

Result<fs::path> SaveCheckpoint(const fs::path& dir, const CheckpointInfo& info, const ir::Module& module,
                                const ir::StepSignature& signature, const TensorProvider& state,
                                const SaveOptions& options) {
  return SaveCheckpoint(dir, info, module, signature, WholeState(module, signature), state, options);
}

Status CheckCheckpointFolder(const fs::path& dir, const ir::Module& module, const Siblings& siblings) {
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
    if (manifest.ok()) ALPA_RETURN_IF_ERROR(CheckModel(entry.folder, *manifest, module, siblings));
  }
  return Ok();
}

}  // namespace alpa::runtime
