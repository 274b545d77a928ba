#include "alpa/runtime/step_timeline.h"

#include <algorithm>

namespace alpa::runtime {

double StepTimeline::overhead() const {
  double most = 0;
  for (size_t m = 0; m < meshes.size(); ++m) {
    if (!times[m].here || meshes[m].empty() || wall <= 0) continue;
    // From the first instruction to the last one of the mesh.
    const double busy = meshes[m].back().end - meshes[m].front().start;
    most = std::max(most, (busy - times[m].computing - times[m].waiting) / wall);
  }
  return most;
}

double StepTimeline::bubble() const {
  double idle = 0, here = 0;
  for (const MeshTimes& mesh : times) {
    if (!mesh.here || wall <= 0) continue;
    idle += 1 - mesh.computing / wall;
    ++here;
  }
  return here > 0 ? idle / here : 0;
}

}  // namespace alpa::runtime
