// Prices of stages for the stage search, added up from prices of layers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/cluster/cluster.h"
#include "alpa/cost/model.h"
#include "alpa/driver/layer_prices.h"
#include "alpa/driver/load_step.h"
#include "alpa/driver/stage_program.h"
#include "alpa/driver/stage_variants.h"
#include "alpa/frontend/layers.h"
#include "alpa/inter/problem.h"
#include "alpa/intra/price_program.h"
#include "alpa/plan/pipeline_plan.h"

namespace alpa::driver {

struct StageCostOptions {
  bool per_microbatch = false;
  bool half_sums = false;    // as intra::OpWork
  bool recompute = true;     // also stages that compute their forward pass again
  bool local_gather = true;  // copies on a receiving mesh are made there rather than sent one by one (Alpa §6)
  intra::PriceOptions price;
  bool rectangles = false;                // as inter::SearchProblem
  std::vector<inter::Submesh> submeshes;  // those to price; empty: PricedSubmeshes
  std::shared_ptr<LayerPrices> known;     // of this step, on this cluster, by these options; null: nothing is known
  int threads = 0;                        // 0: one per core
  std::function<void(double)> progress;   // share done
  std::function<bool()> cancelled;
};

class StageCosts final : public inter::StageCosts {
 public:
  // Extracts and prices each class of equal layers on each submesh. All references must outlive the result.
  static Result<std::unique_ptr<StageCosts>> Make(const LoadedStep& loaded, const frontend::Layering& layering,
                                                  const cluster::Cluster& cluster, const StageCostOptions& options);

  std::vector<inter::StageVariant> Variants(int first, int last, const inter::Submesh& submesh,
                                            int64_t microbatches) const override;
  Transfer TransferTime(int last, int next_first, const inter::TransferEnd& from, const inter::TransferEnd& to,
                        bool same_host, int64_t microbatches) const override;

  // For each op of `stage`, which is cut out of layers first .. last: how it lies in the solutions of which the price
  // of this variant is made; then the same with more and more layers in solutions that need less memory.
  std::vector<std::vector<intra::LiesAs>> LayoutsOf(const frontend::Segment& stage, int first, int last,
                                                    const inter::Submesh& submesh, int variant_id,
                                                    int64_t microbatches) const;

  // Bytes of all values that one microbatch sends from layers up to `last` to layers from `next_first` on.
  Bytes ActivationBytes(int last, int next_first, int64_t microbatches) const;
  Bytes CotangentBytes(int last, int next_first, int64_t microbatches) const;
  // Seconds in which a mesh of `to` makes the copies of `bytes` that its devices want, once all of it has arrived.
  Seconds GatherTime(Bytes bytes, const inter::TransferEnd& to) const;
  // What passes between layers once per step; see plan::PipelineStepEdge, with layers for stages.
  const std::vector<plan::PipelineStepEdge>& step_edges() const { return step_edges_; }
  int update_rounds() const { return update_rounds_; }

 private:
  // Prices of all layers with one border layout and one price of memory, for a range of microbatch sizes.
  struct Row {
    int shape = 0;
    cost::AxisMask batch_axes = 0;
    int64_t batch_parts = 1;
    int weight_level = 0;
    int64_t least_examples = 1, most_examples = 1;
    std::vector<const LayerPrice*> layers;  // by layer
    std::vector<intra::ProgramPrice> sums;  // sums[i]: of layers 0 .. i - 1
  };
  // How the batch lies on borders: over which axes of which of the LogicalShapes.
  using Split = std::pair<int, cost::AxisMask>;
  struct Priced {
    std::vector<LayerPrices::Prices> by_class;
    std::vector<Row> rows;
  };

  // What transfers ask of a submesh, which they do millions of times.
  struct Side {
    const cluster::Host* host = nullptr;         // the first one that it can lie on
    std::vector<std::vector<double>> copies_of;  // by logical shape and split of the batch
    // That its devices hold of a value on a stage's border.
    double copies(int layout) const {
      const VariantChoice choice = ChoiceOf(layout);
      return copies_of[static_cast<size_t>(choice.shape)][choice.batch_axes];
    }
  };

  StageCosts(const LoadedStep& loaded, const frontend::Layering& layering, const cluster::Cluster& cluster,
             const StageCostOptions& options)
      : loaded_(loaded),
        layering_(layering),
        cluster_(cluster),
        options_(options),
        batch_(std::max<int64_t>(loaded.analysis.batch.batch_size, 1)),
        legal_(LegalMicrobatches(loaded, options.per_microbatch)) {}
  void FindClasses();
  void FindTransfers();
  void FindStepEdges();
  Status SizeSmall(const std::vector<int64_t>& sizes, StageProgram* program, std::optional<int64_t> far) const;
  // Whether prices of a class at all sizes of microbatches lie on the line through the two smallest.
  Result<bool> IsStraight(int type, int layer_class) const;
  Status PriceAll();
  Result<LayerPrices::Prices> PriceOn(size_t submesh, int layer_class) const;
  Status PriceSplit(const Split& split, const cost::Model& model, int type, int layer_class, StageProgram* program,
                    LayerPrices::Prices* prices) const;
  void AddUp(Priced* priced) const;
  void AddRows(const Split& split, int64_t least, int64_t most, Priced* priced) const;
  static std::vector<double> MemoryWeights(const Priced& priced, const Split& split, int64_t least, int64_t most);
  std::vector<intra::LiesAs> Mixed(const frontend::Segment& stage, int first, int last,
                                   const std::vector<const LayerPrice*>& layers) const;
  void FindSides();
  const Side& SideOf(const inter::Submesh& submesh) const;
  int IndexOf(const inter::Submesh& submesh) const;

  const LoadedStep& loaded_;
  const frontend::Layering& layering_;
  const cluster::Cluster& cluster_;
  StageCostOptions options_;
  int64_t batch_;               // examples, at least 1
  std::vector<int64_t> legal_;  // numbers of microbatches
  std::vector<int> class_of_layer_;
  std::vector<frontend::Segment> programs_;     // by class
  std::vector<std::vector<ir::OpId>> origins_;  // by layer: the ops of the step that the ops of its class' program are
  std::vector<uint64_t> hashes_;                // by class
  mutable std::mutex straight_mutex_;
  mutable std::map<std::pair<int, int>, bool> straight_;  // what IsStraight has found
  std::vector<inter::Submesh> submeshes_;
  std::vector<Side> sides_;     // by submesh
  std::vector<Priced> priced_;  // by submesh
  // [last][next_first]: bytes of the whole batch.
  std::vector<std::vector<double>> activations_, cotangents_;
  std::vector<plan::PipelineStepEdge> step_edges_;
  int update_rounds_ = 1;
  bool by_count_ = true;  // the search does not know where stages lie
};

}  // namespace alpa::driver
