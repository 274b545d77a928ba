// What lies beside the tensors of a checkpoint and says what they are.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/ir/shape.h"
#include "alpa/ir/step.h"

namespace alpa::runtime {

inline constexpr int kCheckpointVersion = 1;

// Where a run stands.
struct CheckpointInfo {
  int64_t step = 0;            // steps done
  int64_t data_position = 0;   // DataSource::position() for the next step
  std::string data;            // DataSource::Describe()
  uint64_t seed = 0;           // DataOptions::seed
  std::vector<double> losses;  // of the last steps, oldest first; may be empty
  std::string alpa_version;

  bool operator==(const CheckpointInfo&) const = default;
};

// One state tensor.
struct ManifestTensor {
  std::string name;    // in the safetensors file
  int32_t input = -1;  // index among the module's inputs
  ir::InputRole role = ir::InputRole::kState;
  ir::Shape shape;
  uint32_t crc = 0;  // CRC-32 of its bytes

  bool operator==(const ManifestTensor&) const = default;
};

struct Manifest {
  int version = kCheckpointVersion;
  CheckpointInfo info;
  std::string model;               // name of the module, for messages
  uint64_t model_fingerprint = 0;  // ir::Fingerprint
  int64_t state_bytes = 0;         // size of the safetensors file
  uint32_t header_crc = 0;         // CRC-32 of its header
  std::vector<ManifestTensor> tensors;

  bool operator==(const Manifest&) const = default;
};

// JSON with a checksum over everything it says.
std::string ToJson(const Manifest& manifest);

// The inverse. `source` begins the messages. kCorrupt when it is no JSON, a key is missing or malformed, or the
// checksum differs; kMismatch when it is JSON of something else; kUnsupported for another version.
Result<Manifest> ManifestFromJson(std::string_view text, const std::string& source);

}  // namespace alpa::runtime
