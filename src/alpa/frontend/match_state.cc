#include "alpa/frontend/match_state.h"

#include <algorithm>
#include <map>
#include <queue>
#include <string>
#include <utility>

#include "alpa/frontend/input_names.h"

namespace alpa::frontend {
namespace {

constexpr double kRunBonus = 0.25;  // for each pair that continues a run
constexpr double kAccept = 0.45;    // a run below this has nothing that speaks for it

double NameScore(std::string_view name) {
  switch (HintOf(name)) {
    case NameHint::kState:
      return 0.5;
    case NameHint::kBatch:
      return -2;
    default:
      return 0;
  }
}

// A run of pairs (input + k, output + k), k < length.
struct Run {
  int input = 0, output = 0, length = 0;
  double score = 0;
};
bool operator<(const Run& a, const Run& b) {
  if (a.score != b.score) return a.score < b.score;
  return std::pair(a.input, a.output) > std::pair(b.input, b.output);  // of equals the first in order
}

// The matching under construction.
class Matcher {
 public:
  explicit Matcher(Evidence& evidence)
      : evidence_(evidence),
        output_of_(static_cast<size_t>(evidence.inputs()), -1),
        taken_(static_cast<size_t>(evidence.outputs()), false) {}

  // One round; returns whether it has matched anything.
  bool Match() {
    bool any = false;
    std::priority_queue<Run> queue;
    for (int offset = 1 - evidence_.outputs(); offset < evidence_.inputs(); ++offset) Push(queue, BestRun(offset));
    while (!queue.empty()) {
      const Run run = queue.top();
      queue.pop();
      if (IsFree(run)) {
        for (int k = 0; k < run.length; ++k) {
          const int input = run.input + k;
          const int output = run.output + k;
          output_of_[static_cast<size_t>(input)] = output;
          taken_[static_cast<size_t>(output)] = true;
          evidence_.Settle(input);
        }
        any = true;
      }
      Push(queue, BestRun(run.input - run.output));
    }
    return any;
  }

  const std::vector<int>& output_of() const { return output_of_; }

 private:
  static void Push(std::priority_queue<Run>& queue, const Run& run) {
    if (run.score >= kAccept) queue.push(run);
  }
  bool Free(int input, int output) const {
    return output_of_[static_cast<size_t>(input)] < 0 && !taken_[static_cast<size_t>(output)];
  }
  bool IsFree(const Run& run) const {
    for (int k = 0; k < run.length; ++k) {
      if (!Free(run.input + k, run.output + k)) return false;
    }
    return true;
  }

  // The run of highest score among the free pairs (i, i - offset).
  Run BestRun(int offset) const {
    Run best;
    Run current;
    const int begin = std::max(0, offset);
    const int end = std::min(evidence_.inputs(), evidence_.outputs() + offset);
    for (int i = begin; i < end; ++i) {
      const int o = i - offset;
      if (!evidence_.Possible(i, o) || !Free(i, o)) {
        current = Run{};
        continue;
      }
      if (current.length == 0 || current.score + kRunBonus <= 0) {
        current = Run{i, o, 0, 0};
      } else {
        current.score += kRunBonus;
      }
      current.score += evidence_.Score(i, o);
      ++current.length;
      if (current.score > best.score) best = current;
    }
    return best;
  }

  Evidence& evidence_;
  std::vector<int> output_of_;
  std::vector<bool> taken_;
};

// The score of a pair together with the matched pairs that it would lie next to.
double ScoreInPlace(const Evidence& evidence, const std::vector<int>& matched, int input, int output) {
  double score = evidence.Score(input, output);
  if (input > 0 && output > 0 && matched[static_cast<size_t>(input) - 1] == output - 1) score += kRunBonus;
  if (input + 1 < evidence.inputs() && matched[static_cast<size_t>(input) + 1] == output + 1) score += kRunBonus;
  return score;
}

}  // namespace

Evidence::Evidence(const ir::Module& module, std::vector<bool> may_be_state)
    : module_(module), may_be_state_(std::move(may_be_state)), reach_(module), settled_(module.inputs.size(), false) {
  std::map<std::string, int> numbers;
  auto number = [&](ir::ValueId v) {
    return numbers.emplace(ir::ToString(module.shape(v)), static_cast<int>(numbers.size())).first->second;
  };
  for (const ir::ValueId v : module.inputs) input_shape_.push_back(number(v));
  for (const ir::ValueId v : module.outputs) output_shape_.push_back(number(v));
  for (const std::string& name : module.input_names) name_score_.push_back(NameScore(name));
  alias_.assign(module.outputs.size(), -1);
  for (const ir::Alias& alias : module.aliases) alias_[static_cast<size_t>(alias.output)] = alias.input;

  for (const ir::ValueId v : module.outputs) {
    bool constant = true;
    for (int i = 0; i < inputs() && constant; ++i) constant = !reach_.Contains(v, i);
    is_fixed_.push_back(constant || module.producer(v).kind == ir::OpKind::kParameter);
  }
  std::vector<bool> has_update(module.inputs.size(), false);
  for (size_t o = 0; o < module.outputs.size(); ++o) {
    std::vector<Carry> carries = CarriesOf(module, module.outputs[o]);
    std::erase_if(carries, [&](const Carry& c) { return !Possible(c.input, static_cast<int>(o)); });
    if (!carries.empty() && carries[0].distance > 0) has_update[static_cast<size_t>(carries[0].input)] = true;
    carries_.push_back(std::move(carries));
  }
  // "Previous weights": an output that is an input unchanged may be the next value of another one that has no update.
  auto waits_for = [&](int o, int input) {
    for (int i = 0; i < inputs(); ++i) {
      if (i != input && Possible(i, o) && !has_update[static_cast<size_t>(i)]) return true;
    }
    return false;
  };
  for (size_t o = 0; o < carries_.size(); ++o) {
    std::erase_if(carries_[o], [&](const Carry& c) {
      return c.distance == 0 && has_update[static_cast<size_t>(c.input)] && waits_for(static_cast<int>(o), c.input);
    });
  }
}

double Evidence::Score(int input, int output) const {
  int nearest = -1;
  int own = -1;
  for (const Carry& carry : carries_[static_cast<size_t>(output)]) {
    if (settled_[static_cast<size_t>(carry.input)]) continue;
    if (nearest < 0) nearest = carry.distance;
    if (carry.input == input) own = carry.distance;
  }
  double score = 0;
  if (own >= 0) {
    score = own == nearest ? 3 : 1;
  } else if (nearest >= 0) {
    score = -1;
  } else {
    score = DependsOn(output, input) ? 0.5 : is_fixed_[static_cast<size_t>(output)] ? 0.1 : -0.3;
  }
  if (alias_[static_cast<size_t>(output)] == input) score += 1;
  return score + name_score_[static_cast<size_t>(input)];
}

std::vector<int> MatchState(Evidence evidence) {
  Matcher matcher(evidence);
  // What one round settles is no rival in the next: weights returned from their f32 master are matched then.
  while (matcher.Match()) {
  }
  return matcher.output_of();
}

std::vector<Rivals> FindRivals(const Evidence& evidence, const std::vector<int>& matched) {
  std::vector<bool> taken(static_cast<size_t>(evidence.outputs()), false);
  for (const int o : matched) {
    if (o >= 0) taken[static_cast<size_t>(o)] = true;
  }
  std::vector<Rivals> out;
  for (int i = 0; i < evidence.inputs(); ++i) {
    const int o = matched[static_cast<size_t>(i)];
    if (o < 0) continue;
    Rivals rivals{i, o, {}, {}};
    const double score = ScoreInPlace(evidence, matched, i, o);
    for (int other = 0; other < evidence.inputs(); ++other) {
      const bool free = matched[static_cast<size_t>(other)] < 0 && evidence.Possible(other, o);
      if (free && ScoreInPlace(evidence, matched, other, o) >= score) rivals.other_inputs.push_back(other);
    }
    for (int other = 0; other < evidence.outputs(); ++other) {
      const bool free = !taken[static_cast<size_t>(other)] && evidence.Possible(i, other);
      if (free && ScoreInPlace(evidence, matched, i, other) >= score) rivals.other_outputs.push_back(other);
    }
    if (!rivals.other_inputs.empty() || !rivals.other_outputs.empty()) out.push_back(std::move(rivals));
  }
  return out;
}

}  // namespace alpa::frontend
