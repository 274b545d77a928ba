// The devices of a plan of several stages, and the pipeline on them.
#pragma once

#include <memory>

#include "alpa/base/result.h"
#include "alpa/driver/load_step.h"
#include "alpa/plan/pipeline_plan.h"
#include "alpa/process/group.h"
#include "alpa/process/watch.h"
#include "alpa/runtime/pipeline_client.h"
#include "alpa/xla/engine.h"

namespace alpa::driver {

// Cuts the stages of `plan`, which is for this step, and makes a client with virtual CPU devices for each mesh that
// this process has a part in. `world`: a process for each host, or null; kMismatch when there are more or fewer.
Result<std::unique_ptr<runtime::PipelineClient>> MakePipelineClient(xla::Engine& engine, const LoadedStep& loaded,
                                                                    const plan::PipelinePlan& plan,
                                                                    process::Group* world = nullptr,
                                                                    process::Watch* watch = nullptr);

}  // namespace alpa::driver
