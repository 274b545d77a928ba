// A step, its plan and the devices: what every command that executes something sets up first.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/driver/load_step.h"
#include "alpa/plan/pipeline_plan.h"
#include "alpa/plan/plan.h"
#include "alpa/process/group.h"
#include "alpa/process/watch.h"
#include "alpa/runtime/data_source.h"
#include "alpa/runtime/initial_values.h"
#include "alpa/runtime/trainer.h"
#include "alpa/xla/engine.h"

namespace alpa::driver {

struct SessionOptions {
  LoadOptions load;
  int64_t devices = 0;                  // 0: as many as the plan file says, or 1
  std::string plan = "data-parallel";   // or a plan file
  std::filesystem::path backend;        // PJRT plugin; empty: virtual CPU devices
  int64_t microbatches = 1;             // more than one on several devices: as a plan of one stage
  bool per_microbatch = false;          // also where the step is not separable (MakeMicrobatchSplit)
  process::Group* processes = nullptr;  // that the mesh spans, equally many devices in each; null: this one alone
  process::Watch* watch = nullptr;      // over them
};

// The phases import to plan, and the client that has the devices. After a phase at which the gate stops, what follows
// is left empty.
struct Session {
  LoadedStep loaded;
  plan::Plan plan;
  std::optional<plan::PipelinePlan> pipeline;  // then `plan` says nothing
  std::vector<uint64_t> family;  // fingerprints of all models that the plan file is for, when it is one for a family
  xla::MicrobatchSplit microbatches;
  std::unique_ptr<xla::Client> client;

  const ir::Module& module() const { return loaded.step.module; }
  const ir::StepSignature& signature() const { return loaded.analysis.signature; }
};
// Besides errors of its parts: kInvalidArgument for microbatches that the step or the devices do not allow.
Result<Session> OpenSession(xla::Engine& engine, const SessionOptions& options, const Gate& gate);

// The compile phase, with the state where `initial` says.
Result<std::unique_ptr<runtime::Trainer>> CompileSession(const Session& session, const runtime::InputProvider& initial,
                                                         const Gate& gate);

// Has compiled programs kept in $XDG_CACHE_HOME/alpa/compiled, or where ALPA_COMPILED says; with `use` false nowhere.
// For the whole process, before other threads start.
void KeepCompiled(bool use);

// Units of work in one step, for throughput: ("tokens", batch x length) when a batch input is integer and of rank 2,
// else
// ("examples", batch size).
struct Throughput {
  std::string unit;
  int64_t per_step = 0;
};
Throughput ThroughputOf(const Session& session);

}  // namespace alpa::driver
