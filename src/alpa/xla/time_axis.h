// The step partitioned over time: microbatches as the devices of a mesh axis.
#pragma once

#include <memory>
#include <string>

#include "alpa/base/result.h"
#include "alpa/xla/engine.h"

namespace xla {
class HloInstruction;
class HloModule;
}  // namespace xla

namespace alpa::xla {

// The program of one microbatch, as XLA's partitioner would write it for one of `split.count` devices: values of the
// batch are blocks, `partition-id` is the number of the microbatch, and each sum over the batch is an all-reduce, to be
// read as an accumulation. Nothing else passes between microbatches: kUnsupported otherwise, naming the op. A sum of
// two accumulated values is accumulated as one. kInvalidArgument when `split` does not fit the step.
Result<std::unique_ptr<::xla::HloModule>> PartitionOverTime(const ImportedStep& step, const MicrobatchSplit& split);

// "'jit(step)/loss/reduce_sum' at model.py:12": an instruction as the user may know it.
std::string Describe(const ::xla::HloInstruction& instruction);

}  // namespace alpa::xla
