// The graph of a training step: values only, no behaviour.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/ir/op.h"
#include "alpa/ir/shape.h"

namespace alpa::ir {

// One array flowing between ops: result number `index` of op `producer`.
struct Value {
  Shape shape;
  OpId producer = -1;
  int32_t index = 0;
};

// Which input an output may be written into (donation: tf.aliasing_output, HLO input-output aliasing).
struct Alias {
  int32_t output = 0;
  int32_t input = 0;
  bool operator==(const Alias&) const = default;
};

// A function of arrays to arrays, in SSA form. `ops` lies in an order in which operands come before their users.
// Inputs are results of ops of kind kParameter, in order (in a region, a loop's state is one such op); their names as
// in the user's pytree ("params['wte']") when known.
struct Module {
  std::string name;
  std::vector<Op> ops;
  std::vector<Value> values;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  std::vector<std::string> input_names;  // empty string: unknown
  std::vector<Alias> aliases;
  std::vector<int32_t> donated_inputs;  // donated without saying into which output (jax.buffer_donor)
  std::vector<Location> locations;

  const Value& value(ValueId id) const { return values[static_cast<size_t>(id)]; }
  const Shape& shape(ValueId id) const { return value(id).shape; }
  const Op& op(OpId id) const { return ops[static_cast<size_t>(id)]; }
  const Op& producer(ValueId id) const { return op(value(id).producer); }
};

// The ops that read each value (each op once per value), by ValueId.
std::vector<std::vector<OpId>> Users(const Module& module);

// Checks the invariants stated above (ids in range, order, shapes known, names unique). Our own passes run behind it.
Status Verify(const Module& module);

// A hash of the structure alone: kinds, attributes, shapes, connections, outputs and aliases; not of names, order of
// independent ops, or locations. Equal for the pretty, generic and bytecode form of one model.
uint64_t Fingerprint(const Module& module);

// A hash of what one op does: kind, attributes and regions, not its operands.
uint64_t Fingerprint(const Op& op);

// What the combiner of a reduce, scatter, reduce-window, ... computes: the kind of its single binary op (kAdd,
// kMaximum, kAnd, ...) over its two inputs, or kCustomCall when it is anything else. Requires a region.
OpKind CombinerOf(const Op& op);

// The location of `op`, or an empty one.
Location LocationOf(const Module& module, const Op& op);

// "dot 'dot.12' at models.py:97 (dense)": how messages name an op.
std::string Describe(const Module& module, const Op& op);

// One line per op, for dumps and tests.
std::string ToString(const Module& module);

}  // namespace alpa::ir
