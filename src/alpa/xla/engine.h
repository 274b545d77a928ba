// The narrow waist between alpa and XLA: everything above it is written against these classes and includes no XLA
// header.
//
// The implementation lies in a shared library of its own that is opened when first needed, since merely linking XLA
// costs every start of a program 0.3 s and 280 MB.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/base/units.h"
#include "alpa/ir/host_tensor.h"
#include "alpa/ir/module.h"
#include "alpa/plan/plan.h"
#include "alpa/process/group.h"
#include "alpa/sharding/block.h"
#include "alpa/sharding/spec.h"
#include "alpa/xla/imported_step.h"
#include "alpa/xla/stage.h"

namespace alpa::xla {

// A block of an array, on the host.
struct ArrayBlock {
  sharding::Block block;
  ir::HostTensor value;
};

// An array that lies on the devices of a client, as a sharding spec over a mesh says.
class Array {
 public:
  virtual ~Array() = default;
  virtual const ir::Shape& shape() const = 0;  // of the whole array
  // Waits until this process's parts are computed. kEnvironment when the computation failed.
  virtual Status Wait() const = 0;
  // Copies it to the host, from one copy of each part. Of a client that spans processes: every process calls it, for
  // the same arrays in the same order, and gets the whole; without messages where each process has all parts.
  virtual Result<ir::HostTensor> ToHost() const = 0;
  // Copies the part of every device of this process to the host, in the order of the mesh's devices.
  virtual Result<std::vector<ir::HostTensor>> ShardsToHost() const = 0;
  // Copies the blocks to the host that this process answers for: of all processes together each element once, without
  // messages. Among several holders of a block `number`, that of the array among others, chooses (OwnedBlocks).
  virtual Result<std::vector<ArrayBlock>> OwnBlocksToHost(size_t number) const = 0;
};

struct ExecutableStats {
  Seconds compile_time;
  Bytes argument_bytes;   // per device
  Bytes output_bytes;     // per device
  Bytes temporary_bytes;  // per device; of microbatches: the most that one program needs, and all accumulators
  // What one device's program communicates in a step, behind partitioning, by kind and axes (axes empty: groups of
  // devices that run along no mesh axes).
  std::vector<plan::CollectiveTotal> collectives;
  // The same of the program that runs, which XLA has optimized since: it may have joined several collectives into one.
  std::vector<plan::CollectiveTotal> executed;
  // By entry of CompileOptions::accumulate: the mesh axes over which the output's parts are still to be summed up.
  std::vector<std::vector<int>> parts;
};

// A compiled step on one mesh.
class Executable {
 public:
  virtual ~Executable() = default;
  // Runs once. `arguments` in the order of the module's inputs; those that are donated (see CompileOptions) must not be
  // used afterwards. Returns the outputs, which may still be in the making: the call does not wait for them.
  virtual Result<std::vector<std::unique_ptr<Array>>> Run(const std::vector<Array*>& arguments) = 0;
  virtual const ExecutableStats& stats() const = 0;
  // The optimized HLO as text, for dumps.
  virtual Result<std::string> HloText() const = 0;
};

struct CompileOptions {
  // Inputs whose memory the outputs may take over, with the output that does: state and its update.
  std::vector<ir::Alias> donate;
  // Outputs that are an input and what this run adds to it: what the devices would have to sum up for that is left to
  // them as parts where it can be, see ExecutableStats::parts.
  std::vector<ir::Alias> accumulate = {};
  // Inputs that hold such parts: these are summed up over `axes` before anything reads them.
  struct Parts {
    int32_t input = 0;
    std::vector<int> axes;
  };
  std::vector<Parts> parts = {};
};

// The devices of one host, as one process drives them; or those of several processes, as one mesh. In the latter case
// the mesh of each plan has all device_count() devices, and all processes make the same calls in the same order (but
// for Put and ShardsToHost, which are a process's own).
class Client {
 public:
  virtual ~Client() = default;
  virtual std::string platform() const = 0;
  virtual int64_t device_count() const = 0;  // of all processes
  // Devices first_local_device() .. first_local_device() + local_device_count() - 1 of a mesh are of this process.
  virtual int64_t first_local_device() const { return 0; }
  virtual int64_t local_device_count() const { return device_count(); }
  // Compiles the step for the mesh and layouts of `plan` on devices 0 .. mesh.size()-1.
  virtual Result<std::unique_ptr<Executable>> Compile(const ImportedStep& step, const plan::Plan& plan,
                                                      const CompileOptions& options) = 0;
  // Compiles the step to run as microbatches on device 0: the same inputs, outputs and numbers (but for the order of
  // sums) as the whole step, in less memory. kUnsupported, naming the op, when the step does not fall apart into blocks
  // and sums; kInvalidArgument when `split` does not fit the step.
  virtual Result<std::unique_ptr<Executable>> CompileMicrobatched(const ImportedStep& step,
                                                                  const MicrobatchSplit& split,
                                                                  const CompileOptions& options) = 0;
  // Copies the parts that `spec` says to the devices of this process; `tensor` is the whole (what lies on others'
  // devices is not read). Safe to call from any thread.
  virtual Result<std::unique_ptr<Array>> Put(const ir::HostTensor& tensor, const sharding::Spec& spec,
                                             const cluster::Mesh& mesh) = 0;
  // The same of parts that are there already: one for each device of `mesh` that this process has, in order, of the
  // shape that `spec` gives it. The array may keep the memory of `parts` instead of copying it. Safe to call from any
  // thread.
  virtual Result<std::unique_ptr<Array>> PutParts(std::vector<ir::HostTensor> parts, const ir::Shape& shape,
                                                  const sharding::Spec& spec, const cluster::Mesh& mesh) = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;
  // Reads StableHLO as pretty text, generic text or portable bytecode, or HLO as text or proto; each also gzipped.
  // Errors (all naming the source): kInvalidInput empty, truncated, or none of these forms, no `main`, dynamic shapes;
  // kUnsupported for an op that cannot be executed, with its source line.
  virtual Result<ImportedStep> Import(std::string_view bytes, const ImportOptions& options) = 0;
  // What `step` communicates when it is executed as `plan` says, without compiling it; of any number of devices. As
  // ExecutableStats::collectives. Errors as of Client::Compile.
  virtual Result<std::vector<plan::CollectiveTotal>> CountCollectives(const ImportedStep& step,
                                                                      const plan::Plan& plan) = 0;
  // Cuts one stage of a pipeline out of `step` and takes it apart into the programs that its microbatches run.
  // kUnsupported, naming the op, when the step does not fall apart into blocks and sums, or examples need a sum over
  // the whole batch that other stages have a part in.
  virtual Result<StagePrograms> CutStage(const ImportedStep& step, const StageCut& cut) = 0;
  // `devices` virtual CPU devices in this process, 1 .. cluster::kMaxDevices.
  virtual Result<std::unique_ptr<Client>> CreateCpuClient(int64_t devices) = 0;
  // A mesh that spans the processes of `group`, with `devices` virtual CPU devices in each: device d of the mesh is
  // number d % devices of process d / devices. The client alone uses `group` (process::Duplicate makes one for it). Its
  // steps run asynchronously, so that meshes which share processes do not wait for each other's launches; a step waits
  // for ever when another process does not run it.
  virtual Result<std::unique_ptr<Client>> CreateCpuClient(int64_t devices, std::unique_ptr<process::Group> group) = 0;
  // The devices behind a PJRT plugin (a shared library that exports GetPjrtApi). With `group` one mesh over those of
  // all its processes, as above; the plugin's clients find each other by a key-value store over it.
  virtual Result<std::unique_ptr<Client>> CreatePluginClient(const std::filesystem::path& plugin,
                                                             std::unique_ptr<process::Group> group = nullptr) = 0;
};

// Opens the engine's shared library (once) and returns the engine, which lives as long as the process. kEnvironment
// when the library is not found or does not load.
Result<Engine*> LoadEngine();

}  // namespace alpa::xla
