// Prices of layers that are known already, for whoever prices layers of the same step again.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/frontend/segment.h"
#include "alpa/inter/problem.h"
#include "alpa/intra/price_program.h"

namespace alpa::driver {

// A price on one of the LogicalShapes of a submesh.
struct LayerPrice : intra::ProgramPrice {
  int shape = 0;
};

// What layers of one step cost on submeshes of one cluster, by one set of StageCostOptions. Layerings of a step (with
// and without branches, with the layers of another shape's plan) have most of their layers in common. For any thread.
class LayerPrices {
 public:
  using Prices = std::vector<LayerPrice>;

  // The prices of `layer`, whose StructuralHash is `hash`, on `submesh`: what `make` returned when these very ops were
  // asked for first. Errors of `make`, which are not kept. Two threads that ask for the same at once may both make it.
  Result<Prices> Get(const frontend::Segment& layer, uint64_t hash, const inter::Submesh& submesh,
                     const std::function<Result<Prices>()>& make);

 private:
  struct Known {
    frontend::Segment layer;
    std::vector<std::pair<inter::Submesh, Prices>> on;
  };
  Prices* Find(const frontend::Segment& layer, uint64_t hash, const inter::Submesh& submesh);

  std::mutex mutex_;
  std::map<uint64_t, std::vector<Known>> known_;  // by hash; ops in another order are solved anew, so that what is
                                                  // known never changes what is found
};

}  // namespace alpa::driver
