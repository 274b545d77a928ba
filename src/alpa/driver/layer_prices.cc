#include "alpa/driver/layer_prices.h"

#include <algorithm>
#include <utility>

namespace alpa::driver {

LayerPrices::Prices* LayerPrices::Find(const frontend::Segment& layer, uint64_t hash, const inter::Submesh& submesh) {
  for (Known& known : known_[hash]) {
    if (!frontend::SameOps(known.layer, layer)) continue;
    const auto at = std::find_if(known.on.begin(), known.on.end(), [&](const auto& on) { return on.first == submesh; });
    return at == known.on.end() ? nullptr : &at->second;
  }
  return nullptr;
}

Result<LayerPrices::Prices> LayerPrices::Get(const frontend::Segment& layer, uint64_t hash,
                                             const inter::Submesh& submesh,
                                             const std::function<Result<Prices>()>& make) {
  {
    const std::lock_guard lock(mutex_);
    if (const Prices* const prices = Find(layer, hash, submesh)) return *prices;
  }
  ALPA_TRY(Prices prices, make());
  const std::lock_guard lock(mutex_);
  std::vector<Known>& same_hash = known_[hash];
  auto at = std::find_if(same_hash.begin(), same_hash.end(),
                         [&](const Known& known) { return frontend::SameOps(known.layer, layer); });
  if (at == same_hash.end()) at = same_hash.insert(same_hash.end(), {layer, {}});
  at->on.emplace_back(submesh, prices);
  return prices;
}

}  // namespace alpa::driver
