// Layers: consecutive parts of the model, forward and backward ops together. Pipeline stages are made of them (Alpa
// §5.2).
#pragma once

#include <cstdint>
#include <vector>

#include "alpa/base/result.h"
#include "alpa/base/units.h"
#include "alpa/frontend/analyze_step.h"
#include "alpa/ir/module.h"

namespace alpa::frontend {

// The layers of a model as a series-parallel graph: a chain of items, each a layer or a block of branches that start
// from the same point and end in the same one. Layers are numbered such that every chain is a range of numbers.
struct LayerChain {
  struct Item {
    int layer = -1;                    // a layer, or
    std::vector<LayerChain> branches;  // ... two or more chains, none empty
    bool operator==(const Item&) const = default;
  };
  std::vector<Item> items;
  bool operator==(const LayerChain&) const = default;
};

// What one layer is made of.
struct LayerContent {
  Flops forward, backward;  // of the whole batch; recomputation in the export counts as backward
  Bytes parameters;         // that the layer owns, without optimizer state
  std::vector<int> from;    // layers whose forward values it reads (through skip connections also far ones)
};

struct Layering {
  int count = 0;
  LayerChain graph;
  // By OpId: the layer an op belongs to. -1: belongs to none since it costs nothing, every layer that reads it has its
  // own copy: what depends on neither batch nor state (constants, iotas, and what is computed from those alone), and
  // broadcasts that other layers read (which then read what is spread).
  // Parameters of the module (ops of kind kParameter): state belongs to the layer that owns it (its update is there),
  // a batch input to the first layer that reads it.
  std::vector<int> layer_of_op;
  // By OpId: a backward op of which no cotangent that leaves its layer depends: the weight-gradient part of the
  // backward pass, which zero-bubble schedules delay.
  std::vector<char> weight_gradient;
  std::vector<LayerContent> layers;
};

struct LayerOptions {
  // 0: found out: one per transformer block or residual block, embedding and head with the first and last; for a plain
  // chain of products one per product; up to 8 where no place lets little flow (skip connections from end to end).
  // Never more than `max_count`.
  int count = 0;
  int max_count = 64;
  double imbalance = 0.5;  // a layer has at most (1 + imbalance) times the average forward arithmetic, where possible
  bool branches = true;    // false: one chain, branches one after the other
};

// Forward ops: among cuts that keep layers balanced those that least bytes flow through (Alpa §5.2), between whole
// blocks where these allow the balance. What has no dot or convolution in front of it (embeddings, masks, converted
// weights) is where it is read first. Branches (series-parallel parts of the forward pass) where each has work for half
// an average layer at least and values keep to the graph, else one chain. Backward ops: the latest layer not behind any
// cotangent they consume that computes or reads, in its forward pass, all they read of it; recomputed ops in the layer
// they recompute. Update ops: where the parameter lives that they update; a parameter that several layers read lives in
// the first of them, moments with their parameter. What several layers' updates share (the global norm of the
// gradients, step counters) is in the last layer; its parts are where their arrays are. Time: near-linear in the size
// of the module (30 ms for 25k ops). kInvalidArgument: more layers wanted than the model can be cut into (says how many
// it can).
Result<Layering> FindLayers(const ir::Module& module, const StepAnalysis& analysis, const LayerOptions& options);

// Checks that every op has its layer, and that forward values flow only along the graph and backward values only
// against it.
Status Verify(const Layering& layering, const ir::Module& module, const StepAnalysis& analysis);

}  // namespace alpa::frontend
