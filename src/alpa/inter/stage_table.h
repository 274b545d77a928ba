// What stages cost, for one number of microbatches: the variants of every range of items on every submesh, reduced to
// what the search can use.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "alpa/inter/graph.h"
#include "alpa/inter/problem.h"

namespace alpa::inter {

// A variant that no other of its class beats.
struct StageChoice {
  double seconds = 0;     // e of the design page: what counts for the bottleneck
  double latency = 0;     // what counts for the longest path: zb-h1 leaves the weight part out; at most `seconds`
  int32_t in_flight = 0;  // fits with so many microbatches in flight; capped at those of a step
  int32_t variant = 0;    // index in what StageCosts::Variants returns
};

// Submesh and layout of a stage in one number: all that its neighbours see of it.
struct ClassOf {
  int submesh = 0, layout = 0;  // index in the choices; StageCosts' number
};

// Stages of one class that begin at position `begin` (FlatChain::positions): ascending in latency.
struct ChoicesAt {
  int begin = 0;
  int32_t from = 0, to = 0;  // into StageTable::choices
};

// Stages of one class that end in front of one item of a chain.
struct ClassAt {
  int klass = 0;
  double least = 0;          // latency of the fastest
  int32_t from = 0, to = 0;  // into StageTable::starts, ascending in `begin`
};

struct StageTable {
  int64_t microbatches = 1;
  std::vector<StageChoice> choices;
  std::vector<ChoicesAt> starts;
  std::vector<std::vector<std::vector<ClassAt>>> ends;  // by chain, by end (one behind the last item)
};

struct StageTables {
  int64_t microbatches = 1;
  int submeshes = 0;
  std::vector<int> layouts;  // StageCosts' numbers, in the order in which they were met
  StageTable plain;
  StageTable delayed;  // for zb-h1; empty unless wanted

  int classes() const { return submeshes * static_cast<int>(layouts.size()); }
  ClassOf At(int klass) const { return {klass % submeshes, layouts[klass / submeshes]}; }
};

// Asks for every range and submesh once.
StageTables MakeStageTables(const SearchProblem& problem, const FlatGraph& graph, const std::vector<Submesh>& submeshes,
                            int64_t microbatches, bool with_delayed);

// The choice of least latency that fits with `in_flight` microbatches and takes, with the transfer, at most `most`
// seconds; nullptr when there is none.
inline const StageChoice* FastestThatFits(const StageTable& table, const ChoicesAt& start, int64_t in_flight,
                                          double transfer, double most) {
  for (int32_t c = start.from; c < start.to; ++c) {
    const StageChoice& choice = table.choices[c];
    if (choice.in_flight >= in_flight && choice.seconds + transfer <= most) return &choice;
  }
  return nullptr;
}

// Transfers between stages, asked for when they are needed and kept.
class TransferTable {
 public:
  TransferTable(const SearchProblem& problem, const std::vector<Submesh>& submeshes, const StageTables& tables)
      : problem_(problem), submeshes_(submeshes), tables_(tables) {}

  // A row holds the seconds there and back from each class to class `to` of a stage that begins with `next_first`.
  struct Row {
    int last = 0, next_first = 0, to = 0;
    bool same_host = false;
    std::vector<double> seconds;  // by class of the stage in front; NaN: not asked yet
  };
  Row* At(int last, int next_first, int to, bool same_host);
  double Seconds(Row* row, int from) {
    const double known = row->seconds[from];
    return known == known ? known : Ask(row, from);
  }

 private:
  double Ask(Row* row, int from);

  const SearchProblem& problem_;
  const std::vector<Submesh>& submeshes_;
  const StageTables& tables_;
  std::map<std::pair<int64_t, int64_t>, std::unique_ptr<Row>> rows_;
};

}  // namespace alpa::inter
