#include "alpa/runtime/pipeline_client.h"

#include <algorithm>
#include <map>

namespace alpa::runtime {
namespace {

// An array of which each part along the first dimension is an array of its own.
class Stacked : public xla::Array {
 public:
  explicit Stacked(std::vector<std::unique_ptr<xla::Array>> parts) : parts_(std::move(parts)) {
    shape_ = parts_.front()->shape();
    shape_.dims[0] = static_cast<int64_t>(parts_.size());
  }
  const ir::Shape& shape() const override { return shape_; }
  Status Wait() const override {
    for (const auto& part : parts_) ALPA_RETURN_IF_ERROR(part->Wait());
    return Ok();
  }
  Result<ir::HostTensor> ToHost() const override {
    ir::HostTensor out(shape_);
    std::vector<int64_t> start(shape_.dims.size(), 0);
    for (size_t k = 0; k < parts_.size(); ++k) {
      ALPA_TRY(const ir::HostTensor part, parts_[k]->ToHost());
      start[0] = static_cast<int64_t>(k);
      ir::PasteBlock(out, part, start);
    }
    return out;
  }
  Result<std::vector<ir::HostTensor>> ShardsToHost() const override {
    ALPA_TRY(ir::HostTensor whole, ToHost());
    return std::vector<ir::HostTensor>{std::move(whole)};
  }
  Result<std::vector<xla::ArrayBlock>> OwnBlocksToHost(size_t number) const override {
    std::vector<xla::ArrayBlock> out;
    for (size_t k = 0; k < parts_.size(); ++k) {
      ALPA_TRY(std::vector<xla::ArrayBlock> blocks, parts_[k]->OwnBlocksToHost(number));
      for (xla::ArrayBlock& block : blocks) {
        block.block.start[0] = static_cast<int64_t>(k);  // a part has extent 1 there
        out.push_back(std::move(block));
      }
    }
    return out;
  }
  xla::Array* part(int k) const { return parts_[static_cast<size_t>(k)].get(); }

 private:
  std::vector<std::unique_ptr<xla::Array>> parts_;
  ir::Shape shape_;
};

// Takes stacked arguments apart, and stacks results.
class StackingExecutable : public xla::Executable {
 public:
  StackingExecutable(std::unique_ptr<xla::Executable> inner, const PartsOfStep& parts)
      : inner_(std::move(inner)), parts_(parts) {}

  Result<std::vector<std::unique_ptr<xla::Array>>> Run(const std::vector<xla::Array*>& arguments) override {
    std::vector<std::unique_ptr<xla::Array>> made;
    std::vector<xla::Array*> inner;
    for (const PartOf& p : parts_.inputs) {
      xla::Array* whole = arguments[static_cast<size_t>(p.whole)];
      const auto* stacked = dynamic_cast<const Stacked*>(whole);
      if (p.part < 0 || dynamic_cast<const Elsewhere*>(whole) != nullptr) {  // of what is elsewhere nobody reads parts
        inner.push_back(whole);
      } else if (stacked != nullptr) {
        inner.push_back(stacked->part(p.part));
      } else {
        ALPA_TRY(const ir::HostTensor tensor, whole->ToHost());
        std::vector<int64_t> start(tensor.shape().dims.size(), 0), extent = tensor.shape().dims;
        start[0] = p.part;
        extent[0] = 1;
        made.push_back(HostArray(ir::SliceBlock(tensor, start, extent)));
        inner.push_back(made.back().get());
      }
    }
    ALPA_TRY(auto results, inner_->Run(inner));
    std::map<int, std::vector<std::unique_ptr<xla::Array>>> stacks;
    std::vector<std::unique_ptr<xla::Array>> out;
    for (size_t o = 0; o < results.size(); ++o) {
      const PartOf& p = parts_.outputs[o];
      out.resize(std::max(out.size(), static_cast<size_t>(p.whole) + 1));
      if (p.part < 0) {
        out[static_cast<size_t>(p.whole)] = std::move(results[o]);
      } else {
        stacks[p.whole].push_back(std::move(results[o]));  // parts come in order
      }
    }
    for (auto& [whole, parts] : stacks) {
      out[static_cast<size_t>(whole)] = std::make_unique<Stacked>(std::move(parts));
    }
    return out;
  }
  const xla::ExecutableStats& stats() const override { return inner_->stats(); }
  Result<std::string> HloText() const override { return inner_->HloText(); }

 private:
  std::unique_ptr<xla::Executable> inner_;
  const PartsOfStep& parts_;
};

}  // namespace

int64_t PipelineClient::device_count() const {
  int64_t count = 0;
  for (const PipelineStage& stage : setup_.stages) count += stage.layout.mesh.size();
  return count;
}

bool PipelineClient::Reads(int32_t input) const {
  for (size_t s = 0; s < setup_.stages.size(); ++s) {
    if (clients_[static_cast<size_t>(setup_.pipeline.stages[s].mesh)] == nullptr) continue;
    for (const StageInput& i : setup_.stages[s].inputs) {
      if (i.step_input < 0) continue;
      const int whole = parts_.inputs.empty() ? i.step_input : parts_.inputs[static_cast<size_t>(i.step_input)].whole;
      if (whole == input) return true;
    }
  }
  return false;
}

Result<std::unique_ptr<xla::Executable>> PipelineClient::Compile(const xla::ImportedStep&, const plan::Plan&,
                                                                 const xla::CompileOptions&) {
  std::vector<xla::Client*> clients;
  for (const auto& client : clients_) clients.push_back(client.get());
  ALPA_TRY(std::unique_ptr<xla::Executable> executable,
           MakePipelineExecutable(clients, setup_, {&timeline_, &collectives_, group_, watch_}));
  if (parts_.inputs.empty()) return executable;
  return std::unique_ptr<xla::Executable>(std::make_unique<StackingExecutable>(std::move(executable), parts_));
}

Result<std::unique_ptr<xla::Executable>> PipelineClient::CompileMicrobatched(const xla::ImportedStep&,
                                                                             const xla::MicrobatchSplit&,
                                                                             const xla::CompileOptions&) {
  return Error{Code::kUnsupported, "the number of microbatches is part of the plan", "leave --microbatches out"};
}

Result<std::unique_ptr<xla::Array>> PipelineClient::Put(const ir::HostTensor& tensor, const sharding::Spec&,
                                                        const cluster::Mesh&) {
  return HostArray(tensor, Answers());
}

Result<std::unique_ptr<xla::Array>> PipelineClient::PutParts(std::vector<ir::HostTensor> parts, const ir::Shape&,
                                                             const sharding::Spec&, const cluster::Mesh&) {
  ALPA_CHECK(parts.size() == 1, "arrays outside of stages are whole");
  return HostArray(std::move(parts.front()), Answers());
}

}  // namespace alpa::runtime
