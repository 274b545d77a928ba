#include "alpa/runtime/checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <system_error>
#include <utility>

#include "alpa/base/file.h"
#include "alpa/runtime/checkpoint_files.h"

namespace alpa::runtime {
namespace {

namespace fs = std::filesystem;

Result<std::vector<CheckpointEntry>> ListSome(const fs::path& dir) {
  ALPA_TRY(std::vector<CheckpointEntry> entries, ListCheckpoints(dir));
  if (!entries.empty()) return entries;
  return Error{Code::kNotFound, fmt::format("{}: there are no checkpoints (step-00000001, ...)", dir.string()), ""};
}

// The folder of the checkpoint that is asked for.
Result<fs::path> Choose(const fs::path& dir, std::optional<int64_t> step) {
  std::error_code error;
  if (fs::exists(dir / kManifestFile, error)) return dir;
  ALPA_TRY(const std::vector<CheckpointEntry> entries, ListSome(dir));
  if (!step) return entries.back().folder;
  std::vector<int64_t> steps;
  for (const CheckpointEntry& entry : entries) {
    if (entry.step == *step) return entry.folder;
    steps.push_back(entry.step);
  }
  return Error{Code::kNotFound, fmt::format("{}: there is no checkpoint of step {}", dir.string(), *step),
               fmt::format("there are checkpoints of steps {}", fmt::join(steps, ", "))};
}

// That the manifest describes exactly the state of this step, whose inputs its tensors then have. A sibling's are found
// by name: their numbers may be others.
Status MatchTensors(const fs::path& folder, const ir::Module& module, const ir::StepSignature& signature,
                    Manifest& manifest) {
  const bool own = manifest.model_fingerprint == ir::Fingerprint(module);
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
    ManifestTensor& t = manifest.tensors[k];
    const bool same = own ? t.input == expected[k].input : t.name == expected[k].name;
    if (!same || !(t.shape == expected[k].shape)) {
      return mismatch(fmt::format("tensor '{}' is {} for input {}, the model has {} for input {}", t.name,
                                  ir::ToString(t.shape), t.input, ir::ToString(expected[k].shape), expected[k].input));
    }
    t.input = expected[k].input;
  }
  return Ok();
}

// Opens a shard; `blocks` is how many the manifest has in it.
Result<SafetensorsFile> OpenShard(const fs::path& folder, const ManifestShard& shard, size_t blocks) {
  auto file = SafetensorsFile::Open(folder / shard.file);
  if (!file.ok()) {
    Error error = file.error();
    if (error.code == Code::kUnsupported) error.code = Code::kCorrupt;  // alpa wrote nothing it cannot read
    return error;
  }
  if (file->header_crc() == shard.header_crc && file->entries().size() == blocks) return file;
  return Error{Code::kCorrupt, fmt::format("{}: not the file that the manifest describes (damaged)", file->path()), ""};
}

}  // namespace

Result<Checkpoint> Checkpoint::Open(const fs::path& folder, const ir::Module& module,
                                    const ir::StepSignature& signature, const Siblings& siblings, int part, int of) {
  ALPA_TRY(Manifest manifest, ReadManifest(folder));
  ALPA_RETURN_IF_ERROR(CheckModel(folder, manifest, module, siblings));
  ALPA_RETURN_IF_ERROR(MatchTensors(folder, module, signature, manifest));
  if (const Status blocks = CheckBlocks(manifest); !blocks.ok()) {
    return Error{Code::kCorrupt, fmt::format("{}: {}", (folder / kManifestFile).string(), blocks.error().message), ""};
  }
  ALPA_RETURN_IF_ERROR(CheckSizes(folder, manifest));
  std::vector<size_t> blocks(manifest.shards.size(), 0);
  for (const ManifestTensor& t : manifest.tensors) {
    for (const ManifestBlock& b : t.blocks) ++blocks[static_cast<size_t>(b.shard)];
  }
  std::vector<SafetensorsFile> files;
  for (size_t s = 0; s < manifest.shards.size(); ++s) {
    ALPA_TRY(SafetensorsFile file, OpenShard(folder, manifest.shards[s], blocks[s]));
    files.push_back(std::move(file));
  }
  Checkpoint checkpoint(folder, std::move(manifest), std::move(files));
  for (size_t s = static_cast<size_t>(part); s < checkpoint.shards_.size(); s += static_cast<size_t>(of)) {
    ALPA_RETURN_IF_ERROR(checkpoint.CheckShard(s));
  }
  return checkpoint;
}

Status Checkpoint::CheckShard(size_t shard) const {
  for (const ManifestTensor& t : manifest_.tensors) {
    for (const ManifestBlock& b : t.blocks) {
      if (static_cast<size_t>(b.shard) == shard) ALPA_RETURN_IF_ERROR(ReadStored(t, b));
    }
  }
  return Ok();
}

Result<const SafetensorsFile::Entry*> Checkpoint::Find(const ManifestTensor& tensor,
                                                       const ManifestBlock& stored) const {
  const SafetensorsFile& file = shards_[static_cast<size_t>(stored.shard)];
  const std::string name = BlockName(tensor, stored.block);
  const ir::Shape shape{tensor.shape.dtype, stored.block.extent};
  const SafetensorsFile::Entry* const entry = file.Find(name);
  if (entry != nullptr && entry->shape == shape) return entry;
  return Error{
      Code::kCorrupt,
      fmt::format("{}: tensor '{}' of the manifest is not there as {}", file.path(), name, ir::ToString(shape)), ""};
}

// The whole of a stored block, its checksum verified.
Result<ir::HostTensor> Checkpoint::ReadStored(const ManifestTensor& tensor, const ManifestBlock& stored) const {
  const SafetensorsFile& file = shards_[static_cast<size_t>(stored.shard)];
  ALPA_TRY(const SafetensorsFile::Entry* const entry, Find(tensor, stored));
  ALPA_TRY(ir::HostTensor value, file.Read(*entry));
  if (Crc32(value.view()) == stored.crc) return value;
  return Error{Code::kCorrupt, fmt::format("{}: tensor '{}': its checksum differs (damaged)", file.path(), entry->name),
               ""};
}

Result<ir::HostTensor> Checkpoint::ReadBlock(size_t tensor, const Block& block) const {
  ALPA_CHECK(tensor < manifest_.tensors.size());
  const ManifestTensor& t = manifest_.tensors[tensor];
  ALPA_CHECK(LiesIn(block, t.shape), t.name);
  ir::HostTensor out(ir::Shape{t.shape.dtype, block.extent});
  for (const ManifestBlock& stored : t.blocks) {
    if (stored.block == block) return ReadStored(t, stored);
    const auto common = Intersect(stored.block, block);
    if (!common || out.bytes().empty()) continue;
    std::vector<int64_t> from, to;  // where the common part begins in what is read, and in what is wanted
    for (size_t d = 0; d < block.start.size(); ++d) {
      from.push_back(common->start[d] - stored.block.start[d]);
      to.push_back(common->start[d] - block.start[d]);
    }
    ir::HostTensor rows;
    if (*common == stored.block) {
      ALPA_TRY(rows, ReadStored(t, stored));
    } else {  // only the rows; Open has verified the checksum of the whole
      ALPA_TRY(const SafetensorsFile::Entry* const entry, Find(t, stored));
      ALPA_TRY(rows, shards_[static_cast<size_t>(stored.shard)].ReadRows(*entry, from[0], common->extent[0]));
      from[0] = 0;
    }
    ir::PasteBlock(out, ir::SliceBlock(rows, from, common->extent), to);
  }
  return out;
}

Result<ir::HostTensor> Checkpoint::Value(int32_t input) const {
  for (size_t t = 0; t < manifest_.tensors.size(); ++t) {
    if (manifest_.tensors[t].input == input) return ReadBlock(t, WholeBlock(manifest_.tensors[t].shape));
  }
  return Error{Code::kNotFound, fmt::format("{}: no value for input {}", folder_.string(), input), ""};
}

Result<Checkpoint> LoadCheckpoint(const fs::path& dir, std::optional<int64_t> step, const ir::Module& module,
                                  const ir::StepSignature& signature, const Siblings& siblings) {
  ALPA_TRY(const fs::path folder, Choose(dir, step));
  auto checkpoint = Checkpoint::Open(folder, module, signature, siblings);
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

Result<NewestSound> LoadNewestSound(const fs::path& dir, const ir::Module& module, const ir::StepSignature& signature,
                                    const Siblings& siblings, const Peers& peers) {
  // `dir` may be a checkpoint itself. The first agreement is on what there is, so that none waits for one that left.
  std::error_code error;
  const bool direct = fs::exists(dir / kManifestFile, error);
  const auto entries = direct ? std::vector<CheckpointEntry>{{0, dir}} : ListSome(dir);
  if (const Status all = peers.agree(entries.ok() ? Ok() : Status(entries.error())); !all.ok()) return all.error();
  std::vector<Error> damaged;
  for (auto entry = entries->rbegin(); entry != entries->rend(); ++entry) {
    auto checkpoint = Checkpoint::Open(entry->folder, module, signature, siblings, peers.rank, peers.count);
    const Status sound = peers.agree(checkpoint.ok() ? Ok() : Status(checkpoint.error()));
    if (sound.ok()) return NewestSound{*std::move(checkpoint), std::move(damaged)};
    if (sound.error().code != Code::kCorrupt) return sound.error();
    damaged.push_back(sound.error());
  }
  Error newest = damaged.front();
  if (damaged.size() > 1) newest.hint = fmt::format("none of the {} checkpoints there is sound", damaged.size());
  return newest;
}

}  // namespace alpa::runtime
