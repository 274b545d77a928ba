#include "alpa/xla/microbatched.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "alpa/xla/array.h"
#include "alpa/xla/split_time.h"
#include "alpa/xla/status.h"

namespace alpa::xla {
namespace {

using Buffer = std::unique_ptr<::xla::PjRtBuffer>;
using Kind = StageValue::Kind;

struct Loaded {
  std::unique_ptr<::xla::PjRtLoadedExecutable> executable;
  std::vector<StageValue> inputs;
};

struct LoadedRound {
  std::vector<int> accumulators;
  Loaded begin, microbatch;
};

// All that is compiled of a step.
struct Programs {
  std::vector<LoadedRound> rounds;
  Loaded update;
};

class MicrobatchedExecutable : public Executable {
 public:
  MicrobatchedExecutable(std::shared_ptr<::xla::PjRtClient> client, Programs programs, const TimeSplit& split,
                         std::vector<ir::Shape> output_shapes, std::vector<Buffer> numbers, ExecutableStats stats)
      : client_(std::move(client)),
        programs_(std::move(programs)),
        outputs_(split.outputs),
        output_shapes_(std::move(output_shapes)),
        numbers_(std::move(numbers)),
        stats_(std::move(stats)),
        accumulators_(split.accumulators.size()) {}

  Result<std::vector<std::unique_ptr<Array>>> Run(const std::vector<Array*>& arguments) override {
    arguments_.clear();
    for (const Array* a : arguments) arguments_.push_back(static_cast<const PjrtArray*>(a)->buffer(0));
    for (const LoadedRound& round : programs_.rounds) {
      ALPA_RETURN_IF_ERROR(Accumulate(round, round.begin, nullptr));
      for (const Buffer& number : numbers_) ALPA_RETURN_IF_ERROR(Accumulate(round, round.microbatch, number.get()));
    }
    ALPA_TRY(std::vector<Buffer> updated, Execute(programs_.update, nullptr));
    std::vector<std::unique_ptr<Array>> out;
    for (size_t o = 0; o < outputs_.size(); ++o) {
      auto& from = outputs_[o].updated ? updated : accumulators_;
      PjrtArray::Buffers buffers;
      buffers.push_back(std::move(from[static_cast<size_t>(outputs_[o].index)]));
      out.push_back(std::make_unique<PjrtArray>(client_, output_shapes_[o], sharding::Spec{}, cluster::MakeMesh({1}),
                                                std::move(buffers)));
    }
    for (Buffer& accumulator : accumulators_) accumulator.reset();
    return out;
  }

  const ExecutableStats& stats() const override { return stats_; }

  Result<std::string> HloText() const override {
    std::string out;
    for (const LoadedRound& round : programs_.rounds) {
      ALPA_RETURN_IF_ERROR(AddText("run first", round.begin, out));
      ALPA_RETURN_IF_ERROR(AddText(fmt::format("run {} times", numbers_.size()), round.microbatch, out));
    }
    ALPA_RETURN_IF_ERROR(AddText("run once", programs_.update, out));
    return out;
  }

 private:
  Result<std::vector<Buffer>> Execute(const Loaded& program, ::xla::PjRtBuffer* number) const {
    std::vector<std::vector<::xla::PjRtBuffer*>> inputs(1);
    for (const StageValue& input : program.inputs) {
      const auto index = static_cast<size_t>(input.index);
      inputs[0].push_back(input.kind == Kind::kInput    ? arguments_[index]
                          : input.kind == Kind::kNumber ? number
                                                        : accumulators_[index].get());
    }
    const ::xla::ExecuteOptions options;
    auto results = program.executable->Execute(absl::MakeSpan(inputs), options);
    if (!results.ok()) return FromStatus(results.status(), Code::kEnvironment, "the step failed");
    return std::move((*results)[0]);
  }

  // Runs a program of `round` for its accumulators. Waits for them: launched ahead, microbatches would all hold their
  // temporary memory at once.
  Status Accumulate(const LoadedRound& round, const Loaded& program, ::xla::PjRtBuffer* number) {
    ALPA_TRY(std::vector<Buffer> next, Execute(program, number));
    for (size_t k = 0; k < next.size(); ++k) {
      if (const absl::Status s = next[k]->GetReadyFuture().Await(); !s.ok()) {
        return FromStatus(s, Code::kEnvironment, "the step failed");
      }
      accumulators_[static_cast<size_t>(round.accumulators[k])] = std::move(next[k]);
    }
    return Ok();
  }

  static Status AddText(const std::string& when, const Loaded& program, std::string& out) {
    auto modules = program.executable->GetHloModules();
    if (!modules.ok()) return FromStatus(modules.status(), Code::kEnvironment, "optimized HLO");
    out += fmt::format("// {}\n{}\n", when, (*modules)[0]->ToString());
    return Ok();
  }

  std::shared_ptr<::xla::PjRtClient> client_;
  Programs programs_;
  std::vector<TimeOutput> outputs_;
  std::vector<ir::Shape> output_shapes_;
  std::vector<Buffer> numbers_;  // of the microbatches, on the device
  ExecutableStats stats_;
  // While the step runs.
  std::vector<::xla::PjRtBuffer*> arguments_;
  std::vector<Buffer> accumulators_;
};

Result<Loaded> Load(const TimeProgram& program, const std::vector<ir::Alias>& donate, const CompileProgram& compile) {
  Loaded out;
  ALPA_TRY(out.executable, compile(*program.module, donate));
  out.inputs = program.inputs;
  return out;
}

// The step's donations that the update program can make: it reads the input and computes the output.
std::vector<ir::Alias> DonationsOfUpdate(const TimeSplit& split, const std::vector<ir::Alias>& donate) {
  std::vector<ir::Alias> out;
  const auto& inputs = split.update.inputs;
  for (const ir::Alias& alias : donate) {
    const TimeOutput& output = split.outputs[static_cast<size_t>(alias.output)];
    const auto input = std::find(inputs.begin(), inputs.end(), StageValue{Kind::kInput, alias.input});
    if (!output.updated || input == inputs.end()) continue;
    out.push_back({output.index, static_cast<int32_t>(input - inputs.begin())});
  }
  return out;
}

Result<Programs> LoadAll(const TimeSplit& split, const CompileOptions& options, const CompileProgram& compile) {
  Programs out;
  for (const Round& round : split.rounds) {
    std::vector<ir::Alias> in_place;  // accumulators are overwritten
    for (size_t k = 0; k < round.accumulators.size(); ++k) {
      in_place.push_back({static_cast<int32_t>(k), static_cast<int32_t>(k)});
    }
    LoadedRound& loaded = out.rounds.emplace_back();
    loaded.accumulators = round.accumulators;
    ALPA_TRY(loaded.begin, Load(round.begin, {}, compile));
    ALPA_TRY(loaded.microbatch, Load(round.microbatch, in_place, compile));
  }
  ALPA_TRY(out.update, Load(split.update, DonationsOfUpdate(split, options.donate), compile));
  return out;
}

Bytes Temporaries(const Programs& programs) {
  Bytes most;
  auto look = [&](const Loaded& program) {
    if (auto memory = program.executable->GetCompiledMemoryStats(); memory.ok()) {
      most = std::max(most, Bytes(memory->temp_size_in_bytes));
    }
  };
  for (const LoadedRound& round : programs.rounds) look(round.microbatch);
  look(programs.update);
  return most;
}

Bytes Total(const std::vector<ir::Shape>& shapes) {
  Bytes out;
  for (const ir::Shape& shape : shapes) out += Bytes(shape.bytes());
  return out;
}

std::vector<ir::Shape> Shapes(const ir::Module& module, const std::vector<ir::ValueId>& values) {
  std::vector<ir::Shape> out;
  for (const ir::ValueId v : values) out.push_back(module.shape(v));
  return out;
}

Result<std::vector<Buffer>> PutNumbers(::xla::PjRtClient& client, int64_t count) {
  auto memory = client.addressable_devices()[0]->default_memory_space();
  if (!memory.ok()) return FromStatus(memory.status(), Code::kEnvironment, "device 0");
  std::vector<Buffer> out;
  for (int64_t m = 0; m < count; ++m) {
    const auto number = static_cast<uint32_t>(m);
    auto buffer = client.BufferFromHostBuffer(&number, ::xla::U32, {}, std::nullopt,
                                              ::xla::PjRtClient::HostBufferSemantics::kImmutableOnlyDuringCall, nullptr,
                                              *memory, nullptr);
    if (!buffer.ok()) return FromStatus(buffer.status(), Code::kEnvironment, "copying to device 0");
    out.push_back(std::move(*buffer));
  }
  return out;
}

}  // namespace

Result<std::unique_ptr<Executable>> MakeMicrobatched(std::shared_ptr<::xla::PjRtClient> client,
                                                     const ImportedStep& step, const MicrobatchSplit& split,
                                                     const CompileOptions& options, const CompileProgram& compile) {
  const auto start = std::chrono::steady_clock::now();
  ALPA_TRY(const TimeSplit time, SplitOverTime(step, split));
  ALPA_TRY(Programs programs, LoadAll(time, options, compile));
  ALPA_TRY(std::vector<Buffer> numbers, PutNumbers(*client, time.count));
  std::vector<ir::Shape> outputs = Shapes(step.module, step.module.outputs);
  ExecutableStats stats;
  stats.compile_time = Seconds(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  stats.argument_bytes = Total(Shapes(step.module, step.module.inputs));
  stats.output_bytes = Total(outputs);
  stats.temporary_bytes = Temporaries(programs);
  for (const ::xla::Shape& accumulator : time.accumulators) {
    stats.temporary_bytes += Bytes(::xla::ShapeUtil::ByteSizeOf(accumulator));
  }
  return std::unique_ptr<Executable>(std::make_unique<MicrobatchedExecutable>(
      std::move(client), std::move(programs), time, std::move(outputs), std::move(numbers), stats));
}

}  // namespace alpa::xla
