// Finds out which output is the next value of which input.
#pragma once

#include <cstdint>
#include <vector>

#include "alpa/frontend/reach.h"
#include "alpa/ir/module.h"

namespace alpa::frontend {

// What speaks for output o being the next value of input i. Only pairs of equal shape and type are ever considered.
//   carried from i, nearest of all inputs    +3     ("p - lr * g" for p)
//   carried from i, others are nearer        +1     (the same for the moments)
//   depends on i, carried from nothing       +0.5   (a new random key; bf16 weights copied from their f32 master)
//   is another input, or a constant          +0.1   (a history: "previous weights"; a placeholder)
//   does not depend on i                     -0.3   (replaced outright: possible in the midst of a run)
//   carried, but not from i                  -1
//   o takes over i's memory (alias)          +1     JAX pairs donated inputs with outputs by shape alone, first come
//   first
//                                                   served, so an alias is evidence and no proof
//   i is state (batch) by its name           +0.5 (-2)
// An output that *is* an input counts as carried from it unless that input has a proper update of its own and another
// input of its shape has none.
class Evidence {
 public:
  // `may_be_state` per input: whether it may be paired at all.
  Evidence(const ir::Module& module, std::vector<bool> may_be_state);

  bool Possible(int input, int output) const {
    return may_be_state_[static_cast<size_t>(input)] &&
           input_shape_[static_cast<size_t>(input)] == output_shape_[static_cast<size_t>(output)];
  }
  double Score(int input, int output) const;
  // From now on nothing is carried from `input`: its next value is known.
  void Settle(int input) { settled_[static_cast<size_t>(input)] = true; }
  bool DependsOn(int output, int input) const {
    return reach_.Contains(module_.outputs[static_cast<size_t>(output)], input);
  }
  int inputs() const { return static_cast<int>(input_shape_.size()); }
  int outputs() const { return static_cast<int>(output_shape_.size()); }

 private:
  const ir::Module& module_;
  std::vector<bool> may_be_state_;
  InputSets reach_;
  std::vector<bool> settled_;                    // per input
  std::vector<int> input_shape_, output_shape_;  // equal numbers: equal shapes
  std::vector<std::vector<Carry>> carries_;      // per output, of inputs of its shape, nearest first
  std::vector<bool> is_fixed_;                   // per output: it is an input, unchanged, or depends on none
  std::vector<int> alias_;                       // per output: the input whose memory it takes over, or -1
  std::vector<double> name_score_;               // per input
};

// For each input the output that is its next value, or -1; each output at most once. JAX lays out pytrees in one order
// on both sides, so pairs come in runs (input i+1 with output o+1); a run is judged as a whole, the best first.
std::vector<int> MatchState(Evidence evidence);

// A pair that could as well be another one: other inputs for its output, other outputs for its input.
struct Rivals {
  int input = -1, output = -1;
  std::vector<int> other_inputs, other_outputs;
};
// Pairs of `matched` for which an unmatched input or output would do equally well.
std::vector<Rivals> FindRivals(const Evidence& evidence, const std::vector<int>& matched);

}  // namespace alpa::frontend
