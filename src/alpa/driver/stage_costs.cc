#include "alpa/driver/stage_costs.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "alpa/inter/submeshes.h"
#include "alpa/ir/module.h"

namespace alpa::driver {
namespace {

constexpr double kSamePrice = 1.1;
constexpr size_t kMostWeights = 8;
// Prices are straight lines through two sizes of microbatches if they are off by less than this at the largest; else
// there are lines for ranges of sizes, each up to so many times the smallest of it.
constexpr double kFarError = 0.05;
constexpr int64_t kRange = 8;
constexpr int kMixes = 4;  // steps in which the layers of a stage go over to a solution of less memory

// Sizes of microbatches that `parts` divides, ascending.
std::vector<int64_t> SizesFor(const std::vector<int64_t>& legal, int64_t batch, int64_t parts) {
  std::vector<int64_t> sizes;
  for (const int64_t m : legal) {
    if (batch / m % parts == 0) sizes.push_back(batch / m);
  }
  std::sort(sizes.begin(), sizes.end());
  return sizes;
}

// Ranges of sizes, in each of which prices are taken for straight.
std::vector<std::pair<int64_t, int64_t>> RangesOf(const std::vector<int64_t>& sizes) {
  std::vector<std::pair<int64_t, int64_t>> ranges;
  for (const int64_t size : sizes) {
    if (ranges.empty() || size > kRange * ranges.back().first) ranges.emplace_back(size, size);
    ranges.back().second = size;
  }
  return ranges;
}

// Also over those of other layouts on further logical shapes: what these gain has to be in the stage, not in transfers,
// or every submesh of several hosts would make the search longer.
bool Dominates(const inter::StageVariant& a, const inter::StageVariant& b) {
  const bool further = ChoiceOf(a.layout).shape == 0 && ChoiceOf(b.layout).shape > 0;
  return (a.layout == b.layout || further) && a.forward <= b.forward && a.backward <= b.backward &&
         a.per_step <= b.per_step && a.weight >= b.weight && a.state <= b.state && a.activation <= b.activation &&
         a.workspace <= b.workspace;
}

}  // namespace

Result<std::unique_ptr<StageCosts>> StageCosts::Make(const LoadedStep& loaded, const frontend::Layering& layering,
                                                     const cluster::Cluster& cluster, const StageCostOptions& options) {
  std::unique_ptr<StageCosts> costs(new StageCosts(loaded, layering, cluster, options));
  costs->FindClasses();
  costs->FindTransfers();
  costs->FindStepEdges();
  costs->submeshes_ = options.submeshes.empty() ? PricedSubmeshes(cluster, options.rectangles) : options.submeshes;
  costs->FindSides();
  costs->by_count_ = inter::PlacedByCount(HostsOf(cluster));
  ALPA_RETURN_IF_ERROR(costs->PriceAll());
  return costs;
}

void StageCosts::FindClasses() {
  std::map<uint64_t, int> ids;
  for (int layer = 0; layer < layering_.count; ++layer) {
    frontend::Segment segment =
        frontend::ExtractSegment(loaded_.step.module, loaded_.analysis, layering_, layer, layer, false);
    const uint64_t hash = frontend::StructuralHash(segment, loaded_.analysis.batch);
    const auto [it, inserted] = ids.emplace(hash, static_cast<int>(programs_.size()));
    class_of_layer_.push_back(it->second);
    const bool same = inserted || frontend::SameOps(programs_[static_cast<size_t>(it->second)], segment);
    origins_.push_back(same ? segment.op_origin : std::vector<ir::OpId>());
    if (inserted) {
      programs_.push_back(std::move(segment));
      hashes_.push_back(hash);
    }
  }
}

void StageCosts::FindTransfers() {
  const ir::Module& module = loaded_.step.module;
  const frontend::StepAnalysis& analysis = loaded_.analysis;
  const auto n = static_cast<size_t>(layering_.count);
  activations_.assign(n, std::vector<double>(n, 0));
  cotangents_.assign(n, std::vector<double>(n, 0));
  const std::vector<std::vector<ir::OpId>> users = ir::Users(module);
  for (size_t v = 0; v < module.values.size(); ++v) {
    if (analysis.batch.values[v].kind != frontend::BatchKind::kBatched) continue;
    const ir::OpId producer = module.values[v].producer;
    if (module.op(producer).kind == ir::OpKind::kParameter) continue;  // each stage gets its part of the batch itself
    const int from = layering_.layer_of_op[static_cast<size_t>(producer)];
    if (from < 0) continue;
    const bool forward = analysis.phases[static_cast<size_t>(producer)] == frontend::OpPhase::kForward;
    int furthest = from;
    for (const ir::OpId user : users[v]) {
      const int to = layering_.layer_of_op[static_cast<size_t>(user)];
      if (to >= 0) furthest = forward ? std::max(furthest, to) : std::min(furthest, to);
    }
    const auto bytes = static_cast<double>(module.values[v].shape.bytes().value);
    const auto low = static_cast<size_t>(std::min(from, furthest)),
               high = static_cast<size_t>(std::max(from, furthest));
    for (size_t last = low; last < high; ++last) {
      for (size_t next = last + 1; next <= high; ++next) (forward ? activations_ : cotangents_)[last][next] += bytes;
    }
  }
}

void StageCosts::FindStepEdges() {
  const ir::Module& module = loaded_.step.module;
  const frontend::StepAnalysis& analysis = loaded_.analysis;
  const auto phase = [&](ir::OpId op) { return analysis.phases[static_cast<size_t>(op)]; };
  const auto layer = [&](ir::OpId op) { return layering_.layer_of_op[static_cast<size_t>(op)]; };
  std::set<ir::ValueId> state;
  for (size_t i = 0; i < module.inputs.size(); ++i) {
    if (analysis.signature.inputs[i].role != ir::InputRole::kBatch) state.insert(module.inputs[i]);
  }
  const std::vector<std::vector<ir::OpId>> users = ir::Users(module);
  std::map<std::tuple<int, int, int>, int64_t> bytes;  // from, to, round; round 3: behind the last
  for (size_t v = 0; v < module.values.size(); ++v) {
    const ir::OpId producer = module.values[v].producer;
    const int from = layer(producer);
    if (from < 0) continue;
    std::set<std::pair<int, int>> readers;  // layer, round
    for (const ir::OpId user : users[v]) {
      const int to = layer(user);
      if (to < 0 || to == from) continue;
      if (state.count(static_cast<ir::ValueId>(v)) != 0) {
        readers.emplace(to, 3);
      } else if (phase(user) == frontend::OpPhase::kUpdate) {
        // What goes to the last layer is on its way to be summed up, what comes from there is the sum.
        const bool update = phase(producer) == frontend::OpPhase::kUpdate;
        readers.emplace(to, !update ? 0 : from == layering_.count - 1 ? 2 : 1);
      }
    }
    for (const auto& [to, round] : readers) bytes[{from, to, round}] += module.values[v].shape.bytes().value;
  }
  for (const auto& [key, total] : bytes) {
    if (const int round = std::get<2>(key); round == 1 || round == 2) update_rounds_ = 3;
  }
  for (const auto& [key, total] : bytes) {
    const auto [from, to, round] = key;
    step_edges_.push_back({from, to, round == 3 ? update_rounds_ : round, Bytes(total)});
  }
}

Seconds StageCosts::GatherTime(Bytes bytes, const inter::TransferEnd& to) const {
  const Side& side = SideOf(to.submesh);
  const double copies = side.copies(to.layout);
  if (!options_.local_gather || copies <= 1 || bytes.value <= 0) return Seconds(0);
  const cluster::Host& host = *side.host;
  const double part = static_cast<double>(bytes.value) * copies / static_cast<double>(to.submesh.size());
  return Seconds(host.intra.alpha.value * (copies - 1) + part * (copies - 1) / copies * host.intra.beta);
}

Status StageCosts::PriceAll() {
  priced_.resize(submeshes_.size());
  for (Priced& priced : priced_) priced.by_class.resize(programs_.size());
  // Large ones first, so that no thread is left with one at the end.
  std::vector<std::pair<size_t, int>> tasks;
  for (size_t s = submeshes_.size(); s-- > 0;) {
    for (size_t c = 0; c < programs_.size(); ++c) tasks.emplace_back(s, static_cast<int>(c));
  }
  LayerPrices nothing;
  LayerPrices& known = options_.known == nullptr ? nothing : *options_.known;
  std::atomic<size_t> next = 0, done = 0;
  std::mutex mutex;
  std::optional<Error> error;
  const auto work = [&] {
    for (size_t t = next++; t < tasks.size(); t = next++) {
      if (options_.cancelled && options_.cancelled()) return;
      const size_t submesh = tasks[t].first;
      const int layer_class = tasks[t].second;
      const auto c = static_cast<size_t>(layer_class);
      Result<LayerPrices::Prices> prices =
          known.Get(programs_[c], hashes_[c], submeshes_[submesh], [&] { return PriceOn(submesh, layer_class); });
      const std::lock_guard lock(mutex);
      if (prices.ok()) {
        priced_[submesh].by_class[c] = *std::move(prices);
      } else if (!error) {
        error = prices.error();
      }
      ++done;
      if (options_.progress) options_.progress(static_cast<double>(done) / static_cast<double>(tasks.size()));
    }
  };
  const int count = options_.threads > 0 ? options_.threads : static_cast<int>(std::thread::hardware_concurrency());
  std::vector<std::thread> threads;
  for (int i = 1; i < count; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  if (error) return *error;
  for (Priced& priced : priced_) AddUp(&priced);
  return Ok();
}

// For the two smallest sizes.
Status StageCosts::SizeSmall(const std::vector<int64_t>& sizes, StageProgram* program,
                             std::optional<int64_t> far) const {
  const int64_t small = sizes.front();
  const auto large = std::lower_bound(sizes.begin(), sizes.end(), 2 * small);
  return SizeProgram(loaded_, batch_ / (large == sizes.end() ? small : *large), batch_ / small, options_.half_sums,
                     program, far);
}

// One device shows it: where an op is split, what it moves and what it computes shrink alike, and a part of a batch is
// a smaller batch.
Result<bool> StageCosts::IsStraight(int type, int layer_class) const {
  {
    const std::lock_guard lock(straight_mutex_);
    if (const auto at = straight_.find({type, layer_class}); at != straight_.end()) return at->second;
  }
  inter::Submesh one;
  one.type = type;
  ALPA_TRY(const cost::Model model, cost::MakeModel(cluster_, LogicalMesh(one, 0), FirstBlock(cluster_, one)));
  StageProgram program;
  program.segment = programs_[static_cast<size_t>(layer_class)];
  ALPA_RETURN_IF_ERROR(SizeSmall(SizesFor(legal_, batch_, 1), &program, legal_.front()));
  const std::vector<intra::ProgramPrice> prices = intra::PriceProgram(program.program, model, options_.price);
  const bool straight =
      std::all_of(prices.begin(), prices.end(), [](const auto& price) { return price.far_error <= kFarError; });
  const std::lock_guard lock(straight_mutex_);
  straight_[{type, layer_class}] = straight;
  return straight;
}

Result<LayerPrices::Prices> StageCosts::PriceOn(size_t submesh, int layer_class) const {
  LayerPrices::Prices prices;
  StageProgram program;
  program.segment = programs_[static_cast<size_t>(layer_class)];
  const std::vector<LogicalShape> shapes = LogicalShapes(submeshes_[submesh]);
  for (size_t s = 0; s < shapes.size(); ++s) {
    ALPA_TRY(const cost::Model model,
             cost::MakeModel(cluster_, shapes[s].mesh, FirstBlock(cluster_, submeshes_[submesh])));
    for (const cost::AxisMask mask : shapes[s].batch_axes) {
      ALPA_RETURN_IF_ERROR(
          PriceSplit({static_cast<int>(s), mask}, model, submeshes_[submesh].type, layer_class, &program, &prices));
    }
  }
  return prices;
}

// Each split of the batch on borders is for microbatches of its own size: the fewer parts, the smaller.
Status StageCosts::PriceSplit(const Split& split, const cost::Model& model, int type, int layer_class,
                              StageProgram* program, LayerPrices::Prices* prices) const {
  const std::vector<int64_t> sizes = SizesFor(legal_, batch_, PartsOf(model.mesh, split.second));
  if (sizes.empty()) return Ok();
  intra::PriceOptions options = options_.price;
  options.batch_axes = split.second;
  ALPA_TRY(const bool straight, IsStraight(type, layer_class));
  if (straight) {
    ALPA_RETURN_IF_ERROR(SizeSmall(sizes, program, std::nullopt));
    for (const intra::ProgramPrice& one : intra::PriceProgram(program->program, model, options))
      prices->push_back({one, split.first});
    return Ok();
  }
  for (const auto& [least, most] : RangesOf(sizes)) {
    ALPA_RETURN_IF_ERROR(SizeProgram(loaded_, batch_ / most, batch_ / least, options_.half_sums, program));
    for (intra::ProgramPrice& one : intra::PriceProgram(program->program, model, options)) {
      one.least_examples = least;
      one.most_examples = most;
      prices->push_back({one, split.first});
    }
  }
  return Ok();
}

void StageCosts::AddUp(Priced* priced) const {
  // By split of the batch the ranges of microbatch sizes; where some layers' prices are for all, those of the others.
  std::map<Split, std::set<std::pair<int64_t, int64_t>>> splits;
  const intra::ProgramPrice all;
  for (const auto& prices : priced->by_class) {
    for (const LayerPrice& price : prices) {
      auto& ranges = splits[{price.shape, price.batch_axes}];
      if (!price.covers(all.least_examples, all.most_examples))
        ranges.emplace(price.least_examples, price.most_examples);
    }
  }
  for (auto& [split, ranges] : splits) {
    if (ranges.empty()) ranges.emplace(all.least_examples, all.most_examples);
    for (const auto& [least, most] : ranges) AddRows(split, least, most, priced);
  }
}

void StageCosts::AddRows(const Split& split, int64_t least, int64_t most, Priced* priced) const {
  const std::vector<double> weights = MemoryWeights(*priced, split, least, most);
  for (size_t level = 0; level < weights.size(); ++level) {
    Row row;
    row.shape = split.first;
    row.batch_axes = split.second;
    row.weight_level = static_cast<int>(level);
    row.least_examples = least;
    row.most_examples = most;
    row.sums.emplace_back();
    for (const int layer_class : class_of_layer_) {
      const LayerPrice* best = nullptr;
      const auto weighed = [&](const intra::ProgramPrice& p) { return p.step_seconds + weights[level] * p.bytes; };
      for (const LayerPrice& price : priced->by_class[static_cast<size_t>(layer_class)]) {
        if (Split(price.shape, price.batch_axes) == split && price.covers(least, most) &&
            (best == nullptr || weighed(price) < weighed(*best)))
          best = &price;
      }
      if (best == nullptr) break;
      row.batch_parts = best->batch_parts;
      row.layers.push_back(best);
      intra::ProgramPrice sum = row.sums.back();
      sum.forward += best->forward;
      sum.backward += best->backward;
      sum.weight += best->weight;
      sum.per_step += best->per_step;
      sum.state += best->state;
      sum.joined += best->joined;
      sum.activation += best->activation;
      sum.border += best->border;
      row.sums.push_back(sum);
    }
    if (row.layers.size() == class_of_layer_.size()) priced->rows.push_back(std::move(row));
  }
}

// Prices of memory, ascending: 0, and one inside each range in which all layers keep their choice. At most
// kMostWeights.
std::vector<double> StageCosts::MemoryWeights(const Priced& priced, const Split& split, int64_t least, int64_t most) {
  std::vector<double> changes;  // where some class changes its choice
  for (const auto& prices : priced.by_class) {
    const LayerPrice* last = nullptr;
    for (const LayerPrice& price : prices) {  // of a hull, fastest first
      if (Split(price.shape, price.batch_axes) != split || !price.covers(least, most)) continue;
      if (last != nullptr) changes.push_back((price.step_seconds - last->step_seconds) / (last->bytes - price.bytes));
      last = &price;
    }
  }
  std::sort(changes.begin(), changes.end());
  std::vector<double> weights = {0};
  for (size_t i = 0; i < changes.size(); ++i) {
    // Changes that are nearly at the same price are one.
    const bool last = i + 1 == changes.size();
    if (!last && changes[i + 1] < changes[i] * kSamePrice) continue;
    weights.push_back(last ? changes[i] * 2 : std::sqrt(changes[i] * changes[i + 1]));
  }
  while (weights.size() > kMostWeights) {
    // Leave out the one nearest to its neighbour.
    size_t nearest = 2;
    for (size_t i = 3; i < weights.size(); ++i) {
      if (weights[i] / weights[i - 1] < weights[nearest] / weights[nearest - 1]) nearest = i;
    }
    weights.erase(weights.begin() + static_cast<std::ptrdiff_t>(nearest) - 1);
  }
  return weights;
}

void StageCosts::FindSides() {
  for (const inter::Submesh& submesh : submeshes_) {
    Side side;
    side.host = &cluster_.hosts[static_cast<size_t>(FirstBlock(cluster_, submesh).first_host)];
    for (const LogicalShape& shape : LogicalShapes(submesh)) {
      side.copies_of.emplace_back();
      for (cost::AxisMask mask = 0; mask < 1U << shape.mesh.shape.size(); ++mask)
        side.copies_of.back().push_back(static_cast<double>(shape.mesh.size()) /
                                        static_cast<double>(PartsOf(shape.mesh, mask)));
    }
    sides_.push_back(std::move(side));
  }
}

const StageCosts::Side& StageCosts::SideOf(const inter::Submesh& submesh) const {
  const int index = IndexOf(submesh);
  ALPA_CHECK(index >= 0, "stages lie on submeshes that are priced");
  return sides_[static_cast<size_t>(index)];
}

int StageCosts::IndexOf(const inter::Submesh& submesh) const {
  const auto it = std::find(submeshes_.begin(), submeshes_.end(), submesh);
  return it == submeshes_.end() ? -1 : static_cast<int>(it - submeshes_.begin());
}

std::vector<inter::StageVariant> StageCosts::Variants(int first, int last, const inter::Submesh& submesh,
                                                      int64_t microbatches) const {
  std::vector<inter::StageVariant> variants;
  const int index = IndexOf(submesh);
  if (index < 0 || batch_ % microbatches != 0) return variants;
  const int64_t examples = batch_ / microbatches;
  const auto b = static_cast<double>(examples);
  const auto i = static_cast<size_t>(first), j = static_cast<size_t>(last);
  for (const Row& row : priced_[static_cast<size_t>(index)].rows) {
    if (examples % row.batch_parts != 0 || examples < row.least_examples || examples > row.most_examples) continue;
    const auto sum = [&](auto member) { return (row.sums[j + 1].*member).at(b) - (row.sums[i].*member).at(b); };
    inter::StageVariant v;
    v.forward = sum(&intra::ProgramPrice::forward);
    v.backward = sum(&intra::ProgramPrice::backward);
    v.weight = std::min(sum(&intra::ProgramPrice::weight), v.backward);
    v.per_step = row.sums[j + 1].per_step - row.sums[i].per_step;
    v.state = row.sums[j + 1].state - row.sums[i].state;
    v.activation = sum(&intra::ProgramPrice::activation);
    double again = 0;  // the most that one layer computes again and keeps meanwhile
    for (size_t layer = i; layer <= j; ++layer) {
      const double workspace = row.layers[layer]->workspace.at(b);
      v.workspace = std::max(v.workspace, workspace);
      again = std::max(again, workspace + row.layers[layer]->activation.at(b));
    }
    // In front of the update no microbatch is in flight; its memory counts as free workspace then.
    const double joined = row.sums[j + 1].joined - row.sums[i].joined;
    v.workspace = std::max(v.workspace, joined - v.activation);
    v.layout = LayoutId({row.batch_axes, 0, false, row.shape});
    v.id = VariantId({row.batch_axes, row.weight_level, false, row.shape});
    variants.push_back(v);
    const double border = sum(&intra::ProgramPrice::border);
    if (!options_.recompute || border >= 0.8 * v.activation) continue;
    v.backward += v.forward;
    v.activation = border;
    v.workspace = std::max(again, joined - v.activation);
    v.id = VariantId({row.batch_axes, row.weight_level, true, row.shape});
    variants.push_back(v);
  }
  std::vector<inter::StageVariant> kept;
  for (size_t a = 0; a < variants.size(); ++a) {
    bool beaten = false;
    for (size_t o = 0; o < variants.size() && !beaten; ++o) {
      if (o == a || !Dominates(variants[o], variants[a])) continue;
      beaten = !Dominates(variants[a], variants[o]) || o < a;
    }
    if (!beaten) kept.push_back(variants[a]);
  }
  return kept;
}

std::vector<std::vector<intra::LiesAs>> StageCosts::LayoutsOf(const frontend::Segment& stage, int first, int last,
                                                              const inter::Submesh& submesh, int variant_id,
                                                              int64_t microbatches) const {
  const VariantChoice choice = ChoiceOf(variant_id);
  const int64_t examples = batch_ / microbatches;
  const int index = IndexOf(submesh);
  ALPA_CHECK(index >= 0, "variants are of submeshes that are priced");
  std::vector<std::vector<intra::LiesAs>> out;
  std::vector<const LayerPrice*> layers;
  for (const Row& row : priced_[static_cast<size_t>(index)].rows) {
    const bool wanted = row.shape == choice.shape && row.batch_axes == choice.batch_axes &&
                        row.least_examples <= examples && examples <= row.most_examples;
    if (!wanted || row.weight_level < choice.weight_level) continue;
    if (layers.empty()) {
      layers = row.layers;
      out.push_back(Mixed(stage, first, last, layers));
      continue;
    }
    int done = first;
    for (int part = 1; part <= kMixes; ++part) {
      const int until = first + (last + 1 - first) * part / kMixes;
      if (until == done) continue;
      for (; done < until; ++done) layers[static_cast<size_t>(done)] = row.layers[static_cast<size_t>(done)];
      out.push_back(Mixed(stage, first, last, layers));
    }
  }
  return out;
}

// How the ops of `stage` lie where its layers have these prices.
std::vector<intra::LiesAs> StageCosts::Mixed(const frontend::Segment& stage, int first, int last,
                                             const std::vector<const LayerPrice*>& layers) const {
  std::vector<intra::LiesAs> out(stage.module.ops.size());
  const ir::Module& step = loaded_.step.module;
  std::vector<intra::LiesAs> of_step(step.ops.size());
  for (int layer = last; layer >= first; --layer) {  // what several read lies as the first wants it
    const auto l = static_cast<size_t>(layer);
    const ir::Module& own = programs_[static_cast<size_t>(class_of_layer_[l])].module;
    for (size_t i = 0; i < origins_[l].size(); ++i) {
      const auto origin = static_cast<size_t>(origins_[l][i]);
      const bool of_border = own.ops[i].kind == ir::OpKind::kParameter && step.ops[origin].kind != own.ops[i].kind;
      if (!of_border) of_step[origin] = {layers[l]->layouts.get(), static_cast<ir::OpId>(i)};
    }
  }
  for (size_t i = 0; i < out.size(); ++i) {
    const auto origin = static_cast<size_t>(stage.op_origin[i]);
    if (stage.module.ops[i].kind == step.ops[origin].kind) out[i] = of_step[origin];
  }
  return out;
}

Bytes StageCosts::ActivationBytes(int last, int next_first, int64_t microbatches) const {
  return Bytes(static_cast<int64_t>(activations_[static_cast<size_t>(last)][static_cast<size_t>(next_first)] /
                                    static_cast<double>(microbatches)));
}

Bytes StageCosts::CotangentBytes(int last, int next_first, int64_t microbatches) const {
  return Bytes(static_cast<int64_t>(cotangents_[static_cast<size_t>(last)][static_cast<size_t>(next_first)] /
                                    static_cast<double>(microbatches)));
}

inter::StageCosts::Transfer StageCosts::TransferTime(int last, int next_first, const inter::TransferEnd& from,
                                                     const inter::TransferEnd& to, bool same_host,
                                                     int64_t microbatches) const {
  const Side &source = SideOf(from.submesh), &target = SideOf(to.submesh);
  const auto seconds = [&](double bytes, const inter::TransferEnd& sender, const inter::TransferEnd& receiver,
                           const Side& sending_side, const Side& receiving_side) {
    if (bytes <= 0) return 0.0;
    const cluster::Host &sending = *sending_side.host, &receiving = *receiving_side.host;
    const auto senders = static_cast<double>(sender.submesh.size()),
               receivers = static_cast<double>(receiver.submesh.size());
    const double sent = options_.local_gather ? bytes : bytes * receiving_side.copies(receiver.layout);
    const double local = sending.intra.alpha.value + sent / std::min(senders, receivers) * sending.intra.beta;
    double time = local;
    if (!same_host) {
      // In a chain of stages each host has one border outwards and one inwards, however many stages lie on it, so a
      // stage has all the cards of its hosts.
      const auto beta = [](const cluster::Host& host, const inter::Submesh& submesh) {
        return std::max(host.network.beta / submesh.hosts,
                        host.device_network_beta / static_cast<double>(submesh.size()));
      };
      const double across = std::max(sending.network.alpha.value, receiving.network.alpha.value) +
                            sent * std::max(beta(sending, sender.submesh), beta(receiving, receiver.submesh));
      time = across;
      if (by_count_ && sender.submesh.hosts == 1 && receiver.submesh.hosts == 1) {
        // The search does not know where stages lie. Of the borders between stages of n devices packed on hosts of G,
        // one in G / n crosses hosts, and what a pipeline waits for in a round trip is the mean over its borders.
        const double crossing = std::min(1.0, (senders + receivers) / 2 / static_cast<double>(sending.devices));
        time = crossing * across + (1 - crossing) * local;
      }
    }
    return time + GatherTime(Bytes(static_cast<int64_t>(bytes)), receiver).value;
  };
  Transfer transfer;
  transfer.forward =
      seconds(static_cast<double>(ActivationBytes(last, next_first, microbatches).value), from, to, source, target);
  transfer.backward =
      seconds(static_cast<double>(CotangentBytes(last, next_first, microbatches).value), to, from, target, source);
  return transfer;
}

}  // namespace alpa::driver
