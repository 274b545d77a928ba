// alpa plan with several models: one model at several (batch, sequence) sizes, whose plans share the state.
#pragma once

#include <optional>

#include "alpa/base/result.h"
#include "alpa/cluster/cluster.h"
#include "alpa/driver/find_pipeline.h"
#include "alpa/driver/plan.h"
#include "alpa/plan/notes.h"
#include "alpa/plan/plan_family.h"
#include "alpa/report/family_table.h"

namespace alpa::driver {

struct FoundFamily {
  plan::PlanFamily family;
  std::vector<plan::Notes> notes;       // of its members
  std::vector<report::FamilyWay> ways;  // that were looked at; the last is padding to the longest shape
  size_t chosen = 0;                    // of `ways`
};

// Ways that are compared: each shape's own plan with switching between the layouts of the state, and for each shape its
// own plan with all others planned around its layout of the state (and its stages, on a cluster). `loaded` holds the
// models of options.models; with `mesh` plans are of this mesh. kMismatch when their states differ; else the error of a
// shape that has no plan of its own.
Result<FoundFamily> FindFamily(const std::vector<LoadedStep>& loaded, const cluster::Cluster& cluster,
                               const std::optional<cluster::Mesh>& mesh, const FindPipelineOptions& find,
                               const PlanOptions& options);

// Reads options.models, finds, prints, and writes options.out.
Status PlanShapes(const PlanOptions& options, const cluster::Cluster& cluster, const std::optional<cluster::Mesh>& mesh,
                  const FindPipelineOptions& find);

}  // namespace alpa::driver
