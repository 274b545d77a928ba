// Pipelines for tests: chains, graphs drawn at random.
#pragma once

#include <cstdint>
#include <random>

#include "alpa/schedule/pipeline.h"

namespace alpa::schedule {

// Stage 0 -> 1 -> ... on `meshes` meshes with `chunks` stages each, no bytes on the edges.
inline Pipeline ChainPipeline(Kind kind, int32_t meshes, int32_t microbatches, int32_t chunks = 1) {
  Pipeline pipeline;
  pipeline.kind = kind;
  pipeline.microbatches = microbatches;
  pipeline.meshes = meshes;
  pipeline.update_rounds = HasBackward(kind) ? 1 : 0;
  for (int32_t s = 0; s < meshes * chunks; ++s) {
    pipeline.stages.push_back({s % meshes, s / meshes, false});
    if (s > 0) pipeline.edges.push_back({s - 1, s, 0, 0, true});
  }
  return pipeline;
}

inline int32_t Draw(std::mt19937& random, int32_t low, int32_t high) {
  return std::uniform_int_distribution<int32_t>(low, high)(random);
}

// Up to six stages with edges between any of them, some without cotangents, with values that pass once per step. For
// kInterleaved a chain with edges that skip stages.
inline Pipeline RandomPipeline(Kind kind, std::mt19937& random) {
  const bool interleaved = kind == Kind::kInterleaved;
  const int32_t chunks = interleaved ? Draw(random, 1, 3) : 1;
  const int32_t meshes = Draw(random, 1, interleaved ? 3 : 6);
  Pipeline pipeline = ChainPipeline(kind, meshes, Draw(random, 1, 4) * (interleaved ? meshes : 1), chunks);
  if (!interleaved) pipeline.edges.clear();
  const int32_t stages = meshes * chunks;
  for (int32_t to = 0; to < stages; ++to) {
    for (int32_t from = 0; from < to; ++from) {
      if (interleaved && from + 1 == to) continue;  // is there already
      if (Draw(random, 0, 2) != 0) continue;
      pipeline.edges.push_back({from, to, Draw(random, 0, 9), Draw(random, 0, 9), Draw(random, 0, 3) > 0});
    }
  }
  if (!HasBackward(kind) || stages == 1) return pipeline;
  pipeline.update_rounds = Draw(random, 1, 3);
  for (int32_t x = Draw(random, 0, 4); x > 0; --x) {
    const int32_t from = Draw(random, 0, stages - 1);
    const int32_t to = (from + Draw(random, 1, stages - 1)) % stages;
    pipeline.step_edges.push_back({from, to, Draw(random, 0, pipeline.update_rounds), Draw(random, 0, 9)});
  }
  return pipeline;
}

}  // namespace alpa::schedule
