// What lies in the folder of one checkpoint: shard-00000-of-00004.safetensors, ..., manifest.json.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/ir/module.h"
#include "alpa/ir/step.h"
#include "alpa/runtime/manifest.h"

namespace alpa::runtime {

inline constexpr const char* kManifestFile = "manifest.json";

// "shard-00001-of-00004.safetensors": what writer `writer` of `writers` writes.
std::string ShardFile(int writer, int writers);
// "shard-00001-of-00004.json": the manifest of that file alone, until all are joined into one.
std::string ShardManifestFile(int writer, int writers);

// The manifest of the checkpoint in `folder`. kCorrupt when there is none; else as ReadFile, ManifestFromJson.
Result<Manifest> ReadManifest(const std::filesystem::path& folder);

// The state inputs of the step, in the order of their numbers, without blocks.
std::vector<ManifestTensor> StateTensors(const ir::Module& module, const ir::StepSignature& signature);

// That the checkpoint in `folder` is one of this model or of a sibling: kMismatch.
Status CheckModel(const std::filesystem::path& folder, const Manifest& manifest, const ir::Module& module,
                  const Siblings& siblings);

// That the files are there in their sizes, without looking into them: kCorrupt names the file.
Status CheckSizes(const std::filesystem::path& folder, const Manifest& manifest);

// Whether `folder` has nothing but files that checkpoints consist of.
bool HoldsOnlyCheckpointFiles(const std::filesystem::path& folder);

}  // namespace alpa::runtime
