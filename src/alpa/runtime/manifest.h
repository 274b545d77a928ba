// What lies beside the tensors of a checkpoint and says what they are.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/ir/shape.h"
#include "alpa/ir/step.h"
#include "alpa/sharding/block.h"

namespace alpa::runtime {

using sharding::Block;
using sharding::WholeBlock;

// 1: one file, state.safetensors. 2: one file per writer, tensors in blocks.
inline constexpr int kCheckpointVersion = 2;

// Where a run stands.
struct CheckpointInfo {
  int64_t step = 0;            // steps done
  int64_t data_position = 0;   // DataSource::position() for the next step
  std::string data;            // DataSource::Describe()
  uint64_t seed = 0;           // DataOptions::seed
  std::vector<double> losses;  // of the last steps, oldest first; may be empty
  std::string alpa_version;
  int64_t batches_per_epoch = 0;  // DataSource::batches_per_epoch(); 0: not known, alpa did not write it at first

  bool operator==(const CheckpointInfo&) const = default;
};

// One file of tensors.
struct ManifestShard {
  std::string file;         // name in the checkpoint's folder
  int64_t bytes = 0;        // its size
  uint32_t header_crc = 0;  // CRC-32 of its header

  bool operator==(const ManifestShard&) const = default;
};

// A part of a state tensor, and where it is: in its shard it is called BlockName().
struct ManifestBlock {
  int32_t shard = 0;  // of Manifest::shards
  Block block;
  uint32_t crc = 0;  // CRC-32 of its bytes

  bool operator==(const ManifestBlock&) const = default;
};

// One state tensor.
struct ManifestTensor {
  std::string name;
  int32_t input = -1;  // index among the module's inputs
  ir::InputRole role = ir::InputRole::kState;
  ir::Shape shape;
  std::vector<ManifestBlock> blocks;

  bool operator==(const ManifestTensor&) const = default;
};

struct Manifest {
  CheckpointInfo info;
  std::string model;               // name of the module, for messages
  uint64_t model_fingerprint = 0;  // ir::Fingerprint
  std::vector<ManifestShard> shards;
  std::vector<ManifestTensor> tensors;

  bool operator==(const Manifest&) const = default;
};

// Fingerprints of models that have the state of the one at hand, at other shapes of the batch: their checkpoints are as
// good as its own.
using Siblings = std::vector<uint64_t>;

// What a block of a tensor is called in a file: "w" for all of it, else "w[0:4,8:16]".
std::string BlockName(const ManifestTensor& tensor, const Block& block);

// That each tensor's blocks are in shards that there are, and hold each of its elements once. kInvalidInput names the
// tensor.
Status CheckBlocks(const Manifest& manifest);

// JSON with a checksum over everything it says, of the version above.
std::string ToJson(const Manifest& manifest);

// The inverse; also reads version 1, whose one file comes out as one shard. `source` begins the messages. kCorrupt when
// it is no JSON, a key is missing or malformed, or the checksum differs; kMismatch when it is JSON of something else;
// kUnsupported for another version.
Result<Manifest> ManifestFromJson(std::string_view text, const std::string& source);

}  // namespace alpa::runtime
