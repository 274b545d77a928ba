// Golden files: what a step gave when another program (JAX) ran it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/ir/host_tensor.h"
#include "alpa/runtime/npz.h"

namespace alpa::runtime {

// What a tensor should be: all of it, or samples and statistics.
struct ExpectedTensor {
  ir::HostTensor values;  // the whole tensor; when sampled [k], elements 0, s, 2s, .. (k-1)s of the n, s = n / k
  bool sampled = false;
  double sum = 0, sum_of_squares = 0, largest = 0;  // of the whole tensor, largest in magnitude; only when sampled
};

// A .npz file with in/0000, ... (see OpenInitialValues), out<K>/0000, ... after step K by output index, each with a
// member .stats = [sum, sum of squares, largest magnitude] when it is sampled, and `losses` of steps 1, 2, ...
class GoldenFile {
 public:
  // kNotFound, kIo, kCorrupt; kInvalidInput when it has neither outputs nor losses, or outputs are missing in between.
  static Result<GoldenFile> Open(const std::filesystem::path& path);

  // The same of another run of ours: outputs by step, losses of steps 1, 2, ...
  static GoldenFile FromRun(std::string name, std::map<int64_t, std::vector<ir::HostTensor>> outputs,
                            std::vector<double> losses);

  // The file, or the name of the run.
  const std::string& path() const { return npz_ ? npz_->path() : name_; }
  // The steps whose outputs are there, with the number of these.
  const std::map<int64_t, int32_t>& outputs() const { return outputs_; }
  // Losses of steps 1, 2, ...
  const std::vector<double>& losses() const { return losses_; }
  // Whether any tensor is sampled; the inputs are then no initial values.
  bool sampled() const { return sampled_; }
  // Output `output` after step `step`. kNotFound, kCorrupt, kInvalidInput when its statistics are malformed.
  Result<ExpectedTensor> Output(int64_t step, int32_t output) const;

 private:
  std::optional<NpzFile> npz_;
  std::string name_;                                         // of a run
  std::map<int64_t, std::vector<ir::HostTensor>> computed_;  // by a run
  std::map<int64_t, int32_t> outputs_;
  std::vector<double> losses_;
  bool sampled_ = false;
};

}  // namespace alpa::runtime
