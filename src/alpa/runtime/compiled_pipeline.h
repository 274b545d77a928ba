// All programs of a pipeline, compiled, and the ways that values take between its stages.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/process/group.h"
#include "alpa/runtime/exchange.h"
#include "alpa/runtime/pipeline.h"
#include "alpa/schedule/program.h"
#include "alpa/xla/engine.h"

namespace alpa::runtime {

struct CompiledProgram {
  const xla::StageProgram* program = nullptr;  // null: nothing to do
  std::unique_ptr<xla::Executable> executable;
  std::vector<ir::Alias> donated;  // outputs that take over an input's memory
  std::vector<Bytes> outputs;      // of each output, per device
  Bytes beside;                    // what it takes beside its inputs while it runs, per device
};

struct CompiledStage {
  CompiledProgram begin, prologue, forward, backward, weight;
  std::vector<CompiledProgram> once;
  std::set<xla::StageValue> read_in_backward, read_in_weight;  // of each microbatch
  std::vector<plan::CollectiveTotal> collectives;              // of all its programs in one step
};

class CompiledPipeline {
 public:
  // clients[m] has the devices of mesh m; null: they are in other processes of `group`. Both and `setup` outlive this.
  CompiledPipeline(std::vector<xla::Client*> clients, const PipelineSetup& setup, process::Group* group)
      : clients_(std::move(clients)), setup_(setup), exchange_(setup, group), stages_(setup.stages.size()) {}

  // Compiles stages side by side. Errors of Client::Compile, which then name the stage.
  Status Compile();

  const PipelineSetup& setup() const { return setup_; }
  Exchange& exchange() { return exchange_; }
  const CompiledStage& stage(size_t s) const { return stages_[s]; }
  bool IsHere(size_t s) const { return exchange_.IsHere(setup_.pipeline.stages[s].mesh); }
  xla::Client& ClientOf(size_t s) const { return *clients_[static_cast<size_t>(setup_.pipeline.stages[s].mesh)]; }

  // The values that an instruction sends, receives or frees the inputs of.
  const std::vector<Route>& RoutesOf(const schedule::Instruction& instruction) const;
  // Where an output of a stage goes.
  const std::vector<const Route*>& RoutesFrom(size_t stage, int output) const {
    return from_[stage][static_cast<size_t>(output)];
  }

  const xla::ExecutableStats& stats() const { return stats_; }
  Result<std::string> HloText() const;

 private:
  Status CompileStage(size_t s);
  // Accumulators of which devices hold parts, with the axes over which these are to be summed up.
  using PartsOfSums = std::map<xla::StageValue, std::vector<int>>;
  // A program that runs with each microbatch: adds to `parts` which of its sums are left as parts.
  Result<CompiledProgram> CompileRun(size_t s, const xla::StageProgram& program, PartsOfSums* parts);
  Result<CompiledProgram> CompileProgram(size_t s, const xla::StageProgram& program, xla::CompileOptions options);
  ir::Shape ShapeOfInput(size_t s, int input) const;
  std::vector<Route> MakeRoutes(int from_stage, int to_stage, const std::vector<PassedValue>& values);
  void MakeAllRoutes();

  std::vector<xla::Client*> clients_;
  const PipelineSetup& setup_;
  Exchange exchange_;
  std::vector<CompiledStage> stages_;
  std::vector<std::vector<Route>> forward_, backward_, step_;  // by edge, edge, step edge
  std::vector<std::vector<std::vector<const Route*>>> from_;   // by stage and output
  xla::ExecutableStats stats_;
  std::mutex stats_mutex_;
};

}  // namespace alpa::runtime
