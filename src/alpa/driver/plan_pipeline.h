// alpa plan for a whole cluster: the inter-operator pass, and its page.
#pragma once

#include "alpa/base/result.h"
#include "alpa/cluster/cluster.h"
#include "alpa/driver/find_pipeline.h"
#include "alpa/driver/load_step.h"
#include "alpa/driver/plan.h"
#include "alpa/report/pipeline_table.h"
#include "alpa/report/progress.h"

namespace alpa::driver {

// What PlanOptions say about pipelines. kInvalidArgument names the option.
Result<FindPipelineOptions> ReadPipelineOptions(const PlanOptions& options);

// Searches, with progress on standard error; Ctrl-C ends the search with the best so far.
Result<FoundPipeline> FindWithProgress(const LoadedStep& loaded, const cluster::Cluster& cluster,
                                       FindPipelineOptions find, bool quiet);

// Prints the plan and writes it to options.out.
Status ShowPipeline(const LoadedStep& loaded, const cluster::Cluster& cluster, const FoundPipeline& found,
                    const PlanOptions& options);

}  // namespace alpa::driver
