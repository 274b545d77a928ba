#include "alpa/inter/chain_search.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "alpa/base/result.h"
#include "alpa/inter/evaluate.h"
#include "alpa/inter/labels.h"
#include "alpa/inter/submeshes.h"

namespace alpa::inter {
namespace {

constexpr size_t kCompactAt = 1 << 16;  // candidates of a position that are reduced to the best when they double

// How a label came about: a stage in front of `next`, or (choice < 0) all that is in `next` and in `other`.
struct Step {
  int32_t next = -1, other = -1;
  int32_t chain = 0, begin = 0, end = 0;
  int32_t klass = 0, choice = -1;
  Place place;
};

// Stages to the end beyond which no choice depends on their number.
int DepthThatMatters(const StageTable& table, Schedule schedule) {
  if (schedule == Schedule::kGpipe) return 0;
  int64_t last_change = 0;
  for (const StageChoice& choice : table.choices) {
    if (choice.in_flight < table.microbatches) last_change = std::max<int64_t>(last_change, choice.in_flight);
  }
  return static_cast<int>(last_change) + 1;
}

class ChainSearch {
 public:
  ChainSearch(const StageSpace& space, const Cell& cell, const CellCosts& costs, const LatencyBounds& bounds,
              const LatencyQuery& query, const std::function<bool()>& stopped, int64_t* states)
      : space_(space),
        cell_(cell),
        costs_(costs),
        bounds_(bounds),
        query_(query),
        stopped_(stopped),
        states_(states),
        places_(space.orders[cell.order]),
        depth_that_matters_(DepthThatMatters(costs.table, cell.schedule)),
        fronts_(costs.tables.classes(), static_cast<int>(places_.order.size() + places_.strips.size())) {}

  std::optional<FoundLatency> Run();

 private:
  // One chain while it is searched. `devices` is the most that Label::used may become in it, `below` the latency.
  struct Chain {
    int number = 0;
    int devices = 0;
    double below = 0;
    std::vector<std::vector<Label>> open;  // candidates by position
    std::vector<size_t> compact_at;
  };
  // A label with a transfer to a stage of the class at hand in front of it and a place for that stage. `free`: of the
  // devices used, those that stages in front may still have.
  struct Joined {
    double transfer = 0, latency = 0;  // the latter with the transfer
    int32_t used = 0, free = 0, depth = 0, stages = 0, host = 0, step = 0;
  };
  // Labels of one front, with the rows of transfers to its heads: not on one host, on one.
  struct Group {
    size_t begin = 0, end = 0;
    std::vector<Head> heads;
    std::vector<TransferTable::Row*> apart, together;
  };

  std::vector<Label> Search(int number, int size, std::vector<Label> behind, int devices, double below);
  void Close(Chain* chain, int position, std::vector<Label>* labels);
  void Extend(Chain* chain, int end, const std::vector<Label>& labels);
  void Join(const Chain& chain, const ClassAt& of_class, const std::vector<Group>& groups,
            const std::vector<Label>& labels);
  void KeepBestJoined();
  void Split(Chain* chain, int end, int last_end, const std::vector<Label>& labels);
  std::vector<Label> SearchBranches(const Chain& chain, int end, int last_end, const std::vector<Label>& labels,
                                    size_t from, size_t to);
  void Offer(Chain* chain, int position, const Label& label);
  bool Promising(const Chain& chain, int position, int used, double latency) const {
    const int left = chain.devices - used;
    return left >= bounds_.devices[chain.number][position] &&
           latency + bounds_.latency[chain.number][position][left] < chain.below;
  }
  int32_t CapDepth(int depth) const { return std::min(depth, depth_that_matters_); }
  int32_t CapStages(int stages) const {
    return cell_.most_stages == std::numeric_limits<int>::max() ? std::min(stages, cell_.least_stages) : stages;
  }
  // Heads as branches in front of them see them.
  int64_t WithoutStrips(int64_t front);
  FoundPlan MakePlan(const Label& label) const;

  const StageSpace& space_;
  const Cell& cell_;
  const CellCosts& costs_;
  const LatencyBounds& bounds_;
  const LatencyQuery& query_;
  const std::function<bool()>& stopped_;
  int64_t* states_;
  const Places& places_;
  int depth_that_matters_;
  Fronts fronts_;
  std::vector<Step> steps_;
  std::vector<Joined> joined_;
};

void ChainSearch::Offer(Chain* chain, int position, const Label& label) {
  std::vector<Label>& open = chain->open[position];
  open.push_back(label);
  if (open.size() >= chain->compact_at[position]) {
    KeepBestLabels(&open);
    chain->compact_at[position] = std::max(kCompactAt, 2 * open.size());
  }
}

// Moves the best candidates of a position to `labels` and notes how they came about.
void ChainSearch::Close(Chain* chain, int position, std::vector<Label>* labels) {
  *labels = std::move(chain->open[position]);
  KeepBestLabels(labels);
  *states_ += static_cast<int64_t>(labels->size());
  for (Label& label : *labels) {
    if (label.choice < 0) continue;  // has its step
    Step step;
    step.next = label.step;
    step.chain = chain->number;
    step.begin = position;
    step.end = label.end;
    const Head head = fronts_.Heads(label.front)[0];
    step.klass = head.klass;
    step.choice = label.choice;
    step.place = {label.used, head.host};
    label.step = static_cast<int32_t>(steps_.size());
    label.choice = -1;
    steps_.push_back(step);
  }
}

// The labels with a stage of this class in front, in joined_.
void ChainSearch::Join(const Chain& chain, const ClassAt& of_class, const std::vector<Group>& groups,
                       const std::vector<Label>& labels) {
  const int submesh = costs_.tables.At(of_class.klass).submesh;
  joined_.clear();
  for (const Group& group : groups) {
    for (size_t l = group.begin; l < group.end; ++l) {
      const Label& label = labels[l];
      const auto add = [&](const Place& place, bool beside) {
        if (place.used > chain.devices) return;
        double transfer = 0;
        for (size_t h = 0; h < group.heads.size(); ++h) {
          const int host = group.heads[h].host;
          const bool same_host = beside || (place.host >= 0 && place.host == host && places_.StripOf(host) == nullptr);
          transfer += costs_.transfers->Seconds(same_host ? group.together[h] : group.apart[h], of_class.klass);
        }
        if (of_class.least + transfer > query_.most || label.latency + transfer + of_class.least >= chain.below) return;
        joined_.push_back({transfer, label.latency + transfer, place.used, places_.Free(place.host), label.depth,
                           label.stages, place.host, label.step});
      };
      for (const Place& place : places_.At(label.used, submesh)) add(place, false);
      if (group.heads.size() != 1) continue;
      if (const auto place = places_.Beside({label.used, group.heads[0].host}, space_.submeshes[submesh]))
        add(*place, true);
    }
  }
  KeepBestJoined();
}

// Sorts by devices used and leaves what nothing else beats.
void ChainSearch::KeepBestJoined() {
  std::sort(joined_.begin(), joined_.end(), [](const Joined& a, const Joined& b) {
    return std::tuple(a.used, a.latency, a.transfer, a.depth, a.stages, a.host, a.step) <
           std::tuple(b.used, b.latency, b.transfer, b.depth, b.stages, b.host, b.step);
  });
  size_t kept = 0;
  for (size_t i = 0; i < joined_.size(); ++i) {
    const Joined& one = joined_[i];
    bool beaten = false;
    for (size_t k = 0; k < kept && !beaten; ++k) {
      const Joined& other = joined_[k];
      beaten = other.latency <= one.latency && other.transfer <= one.transfer && other.depth <= one.depth &&
               other.stages == one.stages && other.host == one.host;
    }
    if (!beaten) joined_[kept++] = one;
  }
  joined_.resize(kept);
}

// Puts stages that end at item `end` in front of the labels there.
void ChainSearch::Extend(Chain* chain, int end, const std::vector<Label>& labels) {
  const FlatChain& flat = space_.graph.chains[chain->number];
  const int last = flat.items[end - 1].last;
  std::vector<Group> groups;
  for (size_t l = 0; l < labels.size(); ++l) {
    if (l == 0 || labels[l].front != labels[l - 1].front) {
      Group group{l, l, fronts_.Heads(labels[l].front), {}, {}};
      for (const Head& head : group.heads) {
        group.apart.push_back(costs_.transfers->At(last, head.layer, head.klass, false));
        group.together.push_back(head.host < 0 ? nullptr : costs_.transfers->At(last, head.layer, head.klass, true));
      }
      groups.push_back(std::move(group));
    }
    groups.back().end = l + 1;
  }
  const StageTable& table = costs_.table;
  for (const ClassAt& of_class : table.ends[chain->number][end]) {
    if (of_class.least > query_.most) continue;
    Join(*chain, of_class, groups, labels);
    if (joined_.empty()) continue;
    for (int32_t s = of_class.from; s < of_class.to; ++s) {
      const ChoicesAt& start = table.starts[s];
      const double fastest = table.choices[start.from].latency;
      const int most_used = chain->devices - bounds_.devices[chain->number][start.begin];
      for (const Joined& joined : joined_) {
        const int used = joined.used - joined.free;
        if (used > most_used) {
          if (places_.strips.empty()) break;
          continue;
        }
        if (fastest + joined.transfer > query_.most) continue;
        if (!Promising(*chain, start.begin, used, joined.latency + fastest)) continue;
        if (joined.stages + 1 > cell_.most_stages) continue;
        const int64_t in_flight = InFlight(cell_.schedule, table.microbatches, joined.depth + 1, cell_.most_stages);
        const StageChoice* choice = FastestThatFits(table, start, in_flight, joined.transfer, query_.most);
        if (choice == nullptr) continue;
        Label label;
        label.latency = joined.latency + choice->latency;
        if (!Promising(*chain, start.begin, used, label.latency)) continue;
        label.front = fronts_.Of(Head{flat.FirstLayer(start.begin), of_class.klass, joined.host});
        label.used = joined.used;
        label.depth = CapDepth(joined.depth + 1);
        label.stages = CapStages(joined.stages + 1);
        label.step = joined.step;
        label.choice = static_cast<int32_t>(choice - table.choices.data());
        label.end = end;
        Offer(chain, start.begin, label);
      }
    }
  }
}

int64_t ChainSearch::WithoutStrips(int64_t front) {
  if (places_.strips.empty()) return front;
  std::vector<Head> heads = fronts_.Heads(front);
  for (Head& head : heads) head.host = places_.StripOf(head.host) == nullptr ? head.host : -1;
  return fronts_.Of(heads);
}

// The branches of the block in front of `end`, the last of them up to item `last_end`, with stages of their own, in
// front of labels that look the same to them (from .. to - 1). Latency and (by count) devices are those of the branches
// alone; `front` has all their heads.
std::vector<Label> ChainSearch::SearchBranches(const Chain& chain, int end, int last_end,
                                               const std::vector<Label>& labels, size_t from, size_t to) {
  const std::vector<int>& branches = space_.graph.chains[chain.number].items[end - 1].branches;
  int least_used = labels[from].used;
  double least_latency = labels[from].latency;
  for (size_t l = from; l < to; ++l) {
    least_used = std::min(least_used, labels[l].used);
    least_latency = std::min(least_latency, labels[l].latency);
  }
  const auto end_of = [&](int branch) {
    return branch == branches.back() ? last_end : space_.graph.chains[branch].size();
  };
  int64_t need = bounds_.devices[chain.number][end - 1];
  for (const int branch : branches) need += bounds_.devices[branch][end_of(branch)];
  if (least_used + need > chain.devices) return {};
  const int left = chain.devices - least_used - static_cast<int>(need - bounds_.devices[chain.number][end - 1]);
  const double below = chain.below - least_latency - bounds_.latency[chain.number][end - 1][left];

  Label start;
  start.front = fronts_.Of(std::vector<Head>{});
  start.used = places_.by_count ? 0 : least_used;
  std::vector<Label> all = {start};
  for (auto branch = branches.rbegin(); branch != branches.rend(); ++branch) {
    // What the others need at least is theirs.
    need -= bounds_.devices[*branch][end_of(*branch)];
    const int devices = chain.devices - static_cast<int>(need) - (places_.by_count ? least_used : 0);
    std::vector<Label> more, of_branch;
    int searched_from = -1;
    for (const Label& label : all) {
      const int used = places_.by_count ? 0 : label.used;
      if (searched_from != used) {
        Label behind;
        behind.front = WithoutStrips(labels[from].front);
        behind.used = used;
        behind.depth = labels[from].depth;
        // Where nothing is left of the last branch, what is in front of the block reads from the stage behind it.
        of_branch = end_of(*branch) == 0 ? std::vector<Label>{behind}
                                         : Search(*branch, end_of(*branch), {behind}, devices, below);
        searched_from = used;
      }
      for (const Label& one : of_branch) {
        Label both;
        both.latency = std::max(label.latency, one.latency);
        both.used = places_.by_count ? label.used + one.used : one.used;
        if (both.used > chain.devices) continue;
        both.depth = std::max(label.depth, one.depth);
        both.stages = CapStages(label.stages + one.stages);
        std::vector<Head> heads = fronts_.Heads(one.front);
        const std::vector<Head> others = fronts_.Heads(label.front);
        heads.insert(heads.end(), others.begin(), others.end());
        both.front = fronts_.Of(heads);
        both.step = static_cast<int32_t>(steps_.size());
        Step step;
        step.next = label.step;
        step.other = one.step;
        steps_.push_back(step);
        more.push_back(both);
      }
    }
    KeepBestLabels(&more);
    if (!places_.by_count) {
      std::stable_sort(more.begin(), more.end(), [](const Label& a, const Label& b) { return a.used < b.used; });
    }
    all = std::move(more);
    // What was needed for this branch is in Label::used now; in order, places count from the end of all devices.
    if (places_.by_count) need += bounds_.devices[*branch][end_of(*branch)];
  }
  return all;
}

// Puts the block in front of `end`, taken apart, in front of `labels`: those behind the block, or (last_end less than
// the size of the last branch) of stages that have the rest of the last branch too.
void ChainSearch::Split(Chain* chain, int end, int last_end, const std::vector<Label>& labels) {
  std::vector<Label> sorted = labels;
  const auto looks = [&](const Label& label) {
    return std::tuple(label.front, label.depth, places_.by_count ? 0 : label.used);
  };
  std::stable_sort(sorted.begin(), sorted.end(), [&](const Label& a, const Label& b) { return looks(a) < looks(b); });
  for (size_t from = 0, to = 0; from < sorted.size(); from = to) {
    while (to < sorted.size() && looks(sorted[to]) == looks(sorted[from])) ++to;
    const std::vector<Label> branches = SearchBranches(*chain, end, last_end, sorted, from, to);
    for (size_t l = from; l < to; ++l) {
      for (const Label& block : branches) {
        Label label = block;
        label.latency += sorted[l].latency;
        if (places_.by_count) label.used += sorted[l].used;
        label.stages = CapStages(block.stages + sorted[l].stages);
        if (label.used > chain->devices || label.stages > cell_.most_stages) continue;
        if (!Promising(*chain, end - 1, label.used, label.latency)) continue;
        Step step;
        step.next = sorted[l].step;
        step.other = block.step;
        label.step = static_cast<int32_t>(steps_.size());
        steps_.push_back(step);
        Offer(chain, end - 1, label);
      }
    }
  }
}

// Labels at the beginning of a chain, in front of those behind its first `size` items.
std::vector<Label> ChainSearch::Search(int number, int size, std::vector<Label> behind, int devices, double below) {
  const FlatChain& flat = space_.graph.chains[number];
  Chain chain;
  chain.number = number;
  chain.devices = devices;
  chain.below = below;
  chain.open.resize(static_cast<size_t>(flat.positions()));
  chain.compact_at.assign(chain.open.size(), kCompactAt);
  std::vector<Label> labels = std::move(behind);
  for (int end = size; end > 0; --end) {
    if (end < size) Close(&chain, end, &labels);
    if (stopped_()) return {};
    if (!labels.empty()) Extend(&chain, end, labels);
    const std::vector<int>& branches = flat.items[end - 1].branches;
    if (branches.empty()) continue;
    if (!labels.empty()) Split(&chain, end, space_.graph.chains[branches.back()].size(), labels);
    for (int at = flat.size() + 1; at < flat.positions(); ++at) {
      if (flat.CrossingAt(at)->item != end - 1) continue;
      Close(&chain, at, &labels);
      if (!labels.empty()) Split(&chain, end, flat.CrossingAt(at)->position, labels);
    }
  }
  Close(&chain, 0, &labels);
  return labels;
}

FoundPlan ChainSearch::MakePlan(const Label& label) const {
  struct Found {
    Stage stage;
    PlaceInChain at;
  };
  std::vector<Found> found;
  std::vector<int32_t> open = {label.step};
  while (!open.empty()) {
    const int32_t number = open.back();
    open.pop_back();
    if (number < 0) continue;
    const Step& step = steps_[number];
    open.push_back(step.next);
    open.push_back(step.other);
    if (step.choice < 0) continue;
    const FlatChain& chain = space_.graph.chains[step.chain];
    Found one;
    one.at = {step.place, step.chain};
    one.stage.first = chain.FirstLayer(step.begin);
    one.stage.last = chain.items[step.end - 1].last;
    one.stage.submesh = space_.submeshes[costs_.tables.At(step.klass).submesh];
    one.stage.variant =
        space_.problem.costs->Variants(one.stage.first, one.stage.last, one.stage.submesh,
                                       costs_.tables.microbatches)[costs_.table.choices[step.choice].variant];
    found.push_back(one);
  }
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) { return a.stage.first < b.stage.first; });
  FoundPlan plan;
  plan.microbatches = costs_.tables.microbatches;
  plan.schedule = cell_.schedule;
  std::vector<PlaceInChain> at;
  for (const Found& one : found) {
    plan.stages.push_back(one.stage);
    at.push_back(one.at);
  }
  PlaceStages(space_.problem.hosts, places_, at, &plan.stages);
  LinkStages(space_.graph, &plan.stages);
  plan.seconds = EvaluatePlan(space_.problem, &plan);
  return plan;
}

std::optional<FoundLatency> ChainSearch::Run() {
  Label end;
  end.front = fronts_.Of(std::vector<Head>{});
  const std::vector<Label> labels = Search(0, space_.graph.chains[0].size(), {end}, places_.devices, query_.below);
  const Label* best = nullptr;
  for (const Label& label : labels) {
    if (label.stages < cell_.least_stages || label.stages > cell_.most_stages) continue;
    if (best == nullptr || label.latency < best->latency) best = &label;
  }
  if (best == nullptr || stopped_()) return std::nullopt;
  FoundLatency found{MakePlan(*best), best->latency, 0};
  found.bottleneck = Bottleneck(space_.problem, found.plan);
  return found;
}

}  // namespace

StageSpace MakeStageSpace(const SearchProblem& problem) {
  StageSpace space{
      problem, Flatten(problem.graph, problem.layers), SubmeshChoices(problem.hosts, problem.rectangles), {}};
  for (const std::vector<int>& order : HostOrders(problem.hosts)) {
    space.orders.push_back(MakePlaces(problem.hosts, order, space.submeshes));
  }
  return space;
}

std::vector<NamedCell> ListCells(const StageSpace& space, int stages) {
  constexpr int kAny = std::numeric_limits<int>::max();
  std::vector<NamedCell> cells;
  int64_t devices = 0;
  for (const Host& host : ListHosts(space.problem.hosts)) devices += host.devices;
  const auto most_stages = static_cast<int>(std::min<int64_t>(space.problem.layers, devices));
  for (int order = 0; order < static_cast<int>(space.orders.size()); ++order) {
    const auto add = [&](Schedule schedule, Schedule name, int least, int most) {
      if (stages > 0) {
        if (stages < least || stages > most) return;
        least = most = stages;
      }
      if (least <= space.problem.layers) cells.push_back({{schedule, order, least, most}, name});
    };
    bool has_1f1b = false;
    for (const Schedule schedule : space.problem.schedules) {
      has_1f1b = has_1f1b || schedule == Schedule::k1F1B;
      if (schedule == Schedule::k1F1B) add(schedule, schedule, 1, kAny);
      if (schedule == Schedule::kGpipe) add(schedule, schedule, 2, kAny);
      // What a stage has in memory depends on the number of all of them.
      for (int n = 2; schedule == Schedule::kZbH1 && n <= most_stages; ++n) add(schedule, schedule, n, n);
    }
    if (!has_1f1b) add(Schedule::k1F1B, space.problem.schedules[0], 1, 1);
  }
  return cells;
}

CellCosts MakeCellCosts(const StageSpace& space, const StageTables& tables, Schedule schedule,
                        TransferTable* transfers) {
  const StageTable& table = schedule == Schedule::kZbH1 ? tables.delayed : tables.plain;
  return {tables, table, Relax(space.graph, space.submeshes, tables, table, schedule), transfers};
}

std::optional<FoundLatency> FindLeastLatency(const StageSpace& space, const Cell& cell, const CellCosts& costs,
                                             const LatencyBounds& bounds, const LatencyQuery& query,
                                             const std::function<bool()>& stopped, int64_t* states) {
  return ChainSearch(space, cell, costs, bounds, query, stopped, states).Run();
}

}  // namespace alpa::inter
