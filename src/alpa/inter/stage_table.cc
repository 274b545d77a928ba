#include "alpa/inter/stage_table.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "alpa/inter/evaluate.h"

namespace alpa::inter {
namespace {

// Most microbatches in flight with which the variant fits; 0: it never does.
int64_t MostInFlight(const StageVariant& variant, double memory, int64_t microbatches) {
  if (variant.memory(microbatches) <= memory) return microbatches;
  if (variant.memory(1) > memory) return 0;
  int64_t fits = 1, too_many = microbatches;
  while (fits + 1 < too_many) {
    const int64_t middle = fits + (too_many - fits) / 2;
    (variant.memory(middle) <= memory ? fits : too_many) = middle;
  }
  return fits;
}

struct Candidate {
  int klass = 0, begin = 0;
  StageChoice choice;
};

// Sorts the candidates of one end, leaves those that no other beats and appends them.
void Append(std::vector<Candidate>* candidates, StageTable* table, std::vector<ClassAt>* classes) {
  std::sort(candidates->begin(), candidates->end(), [](const Candidate& a, const Candidate& b) {
    if (a.klass != b.klass) return a.klass < b.klass;
    if (a.begin != b.begin) return a.begin < b.begin;
    if (a.choice.latency != b.choice.latency) return a.choice.latency < b.choice.latency;
    if (a.choice.seconds != b.choice.seconds) return a.choice.seconds < b.choice.seconds;
    if (a.choice.in_flight != b.choice.in_flight) return a.choice.in_flight > b.choice.in_flight;
    return a.choice.variant < b.choice.variant;
  });
  for (const Candidate& candidate : *candidates) {
    const bool new_class = classes->empty() || classes->back().klass != candidate.klass;
    if (new_class) {
      const auto at = static_cast<int32_t>(table->starts.size());
      classes->push_back({candidate.klass, candidate.choice.latency, at, at});
    }
    ClassAt& of_class = classes->back();
    if (new_class || table->starts.back().begin != candidate.begin) {
      const auto at = static_cast<int32_t>(table->choices.size());
      table->starts.push_back({candidate.begin, at, at});
      ++of_class.to;
    }
    ChoicesAt& start = table->starts.back();
    const bool beaten = std::any_of(
        table->choices.begin() + start.from, table->choices.begin() + start.to, [&](const StageChoice& other) {
          return other.in_flight >= candidate.choice.in_flight && other.seconds <= candidate.choice.seconds;
        });
    if (beaten) continue;
    of_class.least = std::min(of_class.least, candidate.choice.latency);
    table->choices.push_back(candidate.choice);
    ++start.to;
  }
}

}  // namespace

StageTables MakeStageTables(const SearchProblem& problem, const FlatGraph& graph, const std::vector<Submesh>& submeshes,
                            int64_t microbatches, bool with_delayed) {
  StageTables tables;
  tables.microbatches = microbatches;
  tables.submeshes = static_cast<int>(submeshes.size());
  tables.plain.microbatches = tables.delayed.microbatches = microbatches;
  std::vector<Candidate> plain, delayed;
  for (const FlatChain& chain : graph.chains) {
    tables.plain.ends.emplace_back(chain.size() + 1);
    tables.delayed.ends.emplace_back(chain.size() + 1);
    for (int end = 1; end <= chain.size(); ++end) {
      plain.clear();
      delayed.clear();
      const bool delays = !IsSink(chain, end);
      for (int begin = 0; begin < chain.positions(); ++begin) {
        if (!chain.MayBegin(begin, end)) continue;
        for (int s = 0; s < tables.submeshes; ++s) {
          const std::vector<StageVariant> variants =
              problem.costs->Variants(chain.FirstLayer(begin), chain.items[end - 1].last, submeshes[s], microbatches);
          const double memory = problem.memory[submeshes[s].type];
          for (size_t v = 0; v < variants.size(); ++v) {
            const int64_t in_flight = MostInFlight(variants[v], memory, microbatches);
            if (in_flight == 0) continue;
            const auto known = std::find(tables.layouts.begin(), tables.layouts.end(), variants[v].layout);
            const auto layout = static_cast<int>(known - tables.layouts.begin());
            if (known == tables.layouts.end()) tables.layouts.push_back(variants[v].layout);
            Candidate candidate{layout * tables.submeshes + s, begin, {}};
            candidate.choice.in_flight = static_cast<int32_t>(in_flight);
            candidate.choice.variant = static_cast<int32_t>(v);
            candidate.choice.seconds = StageSeconds(variants[v], microbatches, false);
            candidate.choice.latency = candidate.choice.seconds;
            plain.push_back(candidate);
            if (!with_delayed) continue;
            candidate.choice.latency = StageSeconds(variants[v], microbatches, delays);
            delayed.push_back(candidate);
          }
        }
      }
      Append(&plain, &tables.plain, &tables.plain.ends.back()[end]);
      Append(&delayed, &tables.delayed, &tables.delayed.ends.back()[end]);
    }
  }
  return tables;
}

TransferTable::Row* TransferTable::At(int last, int next_first, int to, bool same_host) {
  const std::pair<int64_t, int64_t> key{int64_t{last} << 32 | next_first, int64_t{to} * 2 + (same_host ? 1 : 0)};
  std::unique_ptr<Row>& row = rows_[key];
  if (row == nullptr) {
    row = std::make_unique<Row>();
    row->last = last;
    row->next_first = next_first;
    row->to = to;
    row->same_host = same_host;
    row->seconds.assign(tables_.classes(), std::numeric_limits<double>::quiet_NaN());
  }
  return row.get();
}

double TransferTable::Ask(Row* row, int from) {
  const ClassOf a = tables_.At(from), b = tables_.At(row->to);
  row->seconds[from] = TransferSeconds(
      problem_.costs->TransferTime(row->last, row->next_first, {submeshes_[a.submesh], a.layout},
                                   {submeshes_[b.submesh], b.layout}, row->same_host, tables_.microbatches));
  return row->seconds[from];
}

}  // namespace alpa::inter
