#include "alpa/runtime/initial_values.h"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <utility>

#include "alpa/base/file.h"
#include "alpa/runtime/guess_init.h"
#include "alpa/runtime/init_rule.h"
#include "alpa/runtime/input_names.h"
#include "alpa/runtime/npz.h"
#include "alpa/runtime/safetensors.h"

namespace alpa::runtime {
namespace {

const ir::Shape& InputShape(const ir::Module& module, size_t input) { return module.shape(module.inputs[input]); }

std::string InputText(const ir::Module& module, size_t input) {
  const std::string name = module.input_names.empty() ? "" : module.input_names[input];
  return name.empty() ? fmt::format("input {}", input) : fmt::format("input {} '{}'", input, name);
}

Error WrongShape(const std::string& source, const ir::Module& module, size_t input, const ir::Shape& got) {
  return {Code::kMismatch,
          fmt::format("{}: {} of the model is {}, the file has {}", source, InputText(module, input),
                      ir::ToString(InputShape(module, input)), ir::ToString(got)),
          "give the file that belongs to this model"};
}

// The elements as `type`, rounded to nearest even. Real element types.
ir::HostTensor ConvertTo(const ir::HostTensor& tensor, ir::DType type) {
  ir::HostTensor out(ir::Shape{type, tensor.shape().dims});
  const int64_t count = tensor.shape().elements();
  for (int64_t e = 0; e < count; ++e) ir::SetElement(out, e, ir::ElementAsDouble(tensor, e));
  return out;
}

// ---- .npz

class NpzValues : public InitialValues {
 public:
  static Result<std::unique_ptr<InitialValues>> Open(const std::string& source, const ir::Module& module) {
    ALPA_TRY(NpzFile npz, NpzFile::Open(source));
    size_t count = 0;
    for (const std::string& name : npz.names()) count += name.starts_with("in/") && !name.ends_with(".stats") ? 1 : 0;
    if (count != module.inputs.size()) {
      return Error{Code::kMismatch,
                   fmt::format("{}: holds {} inputs (in/0000, ...), the model '{}' has {}", source, count, module.name,
                               module.inputs.size()),
                   "give the file that belongs to this model"};
    }
    for (size_t i = 0; i < module.inputs.size(); ++i) ALPA_RETURN_IF_ERROR(Check(npz, module, i));
    return std::unique_ptr<InitialValues>(new NpzValues(std::move(npz), module));
  }

  Result<ir::HostTensor> Value(int32_t input) const override {
    const auto i = static_cast<size_t>(input);
    ALPA_TRY(ir::HostTensor tensor, npz_.Read(Member(i)));
    if (tensor.shape().dtype == InputShape(module_, i).dtype) return tensor;
    return ConvertTo(tensor, ir::DType::kBF16);
  }

  std::string Describe() const override { return npz_.path() + " (values)"; }

 private:
  NpzValues(NpzFile npz, const ir::Module& module) : npz_(std::move(npz)), module_(module) {}

  static std::string Member(size_t input) { return fmt::format("in/{:04}", input); }

  static Status Check(const NpzFile& npz, const ir::Module& module, size_t input) {
    ALPA_TRY(const NpyHeader header, npz.Header(Member(input)));
    const ir::Shape& expected = InputShape(module, input);
    if (header.shape.elements() != expected.elements() && npz.Has(Member(input) + ".stats")) {
      return Error{Code::kMismatch,
                   fmt::format("{}: holds {} samples of {} only, not its {} elements", npz.path(),
                               header.shape.elements(), InputText(module, input), expected.elements()),
                   "give the .json beside it instead: its init rules say all values"};
    }
    const bool widened = expected.dtype == ir::DType::kBF16 && header.shape.dtype == ir::DType::kF32;
    if (header.shape.dims == expected.dims && (header.shape.dtype == expected.dtype || widened)) return Ok();
    return WrongShape(npz.path(), module, input, header.shape);
  }

  NpzFile npz_;
  const ir::Module& module_;
};

// ---- .json

class SidecarValues : public InitialValues {
 public:
  static Result<std::unique_ptr<InitialValues>> Open(const std::string& source, const ir::Module& module) {
    ALPA_TRY(const std::string text, ReadFile(source));
    ALPA_TRY(std::vector<SidecarInput> inputs, ParseSidecar(text, source));
    if (inputs.size() != module.inputs.size()) {
      return Error{Code::kMismatch,
                   fmt::format("{}: describes {} inputs, the model '{}' has {}", source, inputs.size(), module.name,
                               module.inputs.size()),
                   "give the file that belongs to this model"};
    }
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i].shape != InputShape(module, i)) return WrongShape(source, module, i, inputs[i].shape);
    }
    return std::unique_ptr<InitialValues>(new SidecarValues(source, std::move(inputs)));
  }

  Result<ir::HostTensor> Value(int32_t input) const override {
    const SidecarInput& i = inputs_[static_cast<size_t>(input)];
    return Materialise(i.shape, i.rule);
  }

  std::string Describe() const override { return source_ + " (init rules)"; }

  std::vector<std::string> names() const override {
    std::vector<std::string> out;
    for (const SidecarInput& input : inputs_) out.push_back(input.name);
    return out;
  }

 private:
  SidecarValues(std::string source, std::vector<SidecarInput> inputs)
      : source_(std::move(source)), inputs_(std::move(inputs)) {}

  std::string source_;
  std::vector<SidecarInput> inputs_;
};

// ---- .safetensors

class SafetensorsValues : public InitialValues {
 public:
  static Result<std::unique_ptr<InitialValues>> Open(const std::string& source, const ir::Module& module,
                                                     const ir::StepSignature& signature) {
    ALPA_TRY(SafetensorsFile file, SafetensorsFile::Open(source));
    std::unique_ptr<SafetensorsValues> out(new SafetensorsValues(std::move(file), module, signature));
    for (size_t i = 0; i < module.inputs.size(); ++i) {
      const auto* entry = out->file_.Find(out->names_[i]);
      if (entry != nullptr && entry->shape != InputShape(module, i)) return WrongShape(source, module, i, entry->shape);
      if (entry != nullptr) ++out->found_;
      if (entry != nullptr || signature.inputs[i].role != ir::InputRole::kParameter) continue;
      return Error{Code::kMismatch, fmt::format("{}: there is no tensor '{}', a parameter", source, out->names_[i]),
                   "the tensors are looked up by the names of the model's inputs"};
    }
    return std::unique_ptr<InitialValues>(std::move(out));
  }

  Result<ir::HostTensor> Value(int32_t input) const override {
    const auto i = static_cast<size_t>(input);
    if (const auto* entry = file_.Find(names_[i]); entry != nullptr) return file_.Read(*entry);
    if (signature_.inputs[i].role == ir::InputRole::kBatch) {
      return Error{Code::kNotFound, fmt::format("{}: there is no tensor '{}', a batch input", file_.path(), names_[i]),
                   "give the data to train on"};
    }
    if (masters_[i] < 0) return ir::HostTensor(InputShape(module_, i));
    ALPA_TRY(const ir::HostTensor parameter, Value(masters_[i]));
    return ConvertTo(parameter, InputShape(module_, i).dtype);
  }

  std::string Describe() const override {
    return fmt::format("{} ({} of {} tensors; other state begins at zero)", file_.path(), found_, names_.size());
  }

 private:
  SafetensorsValues(SafetensorsFile file, const ir::Module& module, const ir::StepSignature& signature)
      : file_(std::move(file)),
        module_(module),
        signature_(signature),
        names_(UniqueInputNames(module)),
        masters_(MasterCopies(module, signature)) {}

  SafetensorsFile file_;
  const ir::Module& module_;
  const ir::StepSignature& signature_;
  std::vector<std::string> names_;
  std::vector<int32_t> masters_;
  size_t found_ = 0;
};

// ---- random:SEED

class RandomValues : public InitialValues {
 public:
  RandomValues(const ir::Module& module, const ir::StepSignature& signature, uint64_t seed)
      : module_(module), signature_(signature), seed_(seed), rules_(GuessInitRules(module, signature, seed)) {}

  Result<ir::HostTensor> Value(int32_t input) const override {
    const auto i = static_cast<size_t>(input);
    if (IsRandomKey(module_, signature_, input)) return RandomKey(InputShape(module_, i), seed_);
    return Materialise(InputShape(module_, i), rules_[i]);
  }

  std::string Describe() const override { return fmt::format("random values of seed {}", seed_); }

 private:
  const ir::Module& module_;
  const ir::StepSignature& signature_;
  uint64_t seed_;
  std::vector<InitRule> rules_;
};

}  // namespace

Result<std::unique_ptr<InitialValues>> OpenInitialValues(const std::string& source, const ir::Module& module,
                                                         const ir::StepSignature& signature) {
  constexpr std::string_view kRandom = "random:";
  if (source.starts_with(kRandom)) {
    uint64_t seed = 0;
    const char* const end = source.data() + source.size();
    const auto [stop, error] = std::from_chars(source.data() + kRandom.size(), end, seed);
    if (error != std::errc() || stop != end) {
      return Error{Code::kInvalidArgument, fmt::format("initial values '{}': the seed is not an integer", source),
                   "for example random:0"};
    }
    return std::unique_ptr<InitialValues>(std::make_unique<RandomValues>(module, signature, seed));
  }
  const std::string extension = std::filesystem::path(source).extension().string();
  if (extension == ".npz") return NpzValues::Open(source, module);
  if (extension == ".json") return SidecarValues::Open(source, module);
  if (extension == ".safetensors") return SafetensorsValues::Open(source, module, signature);
  return Error{Code::kInvalidArgument, fmt::format("initial values '{}': not a known kind of file", source),
               "give a .npz, .json or .safetensors file, or random:SEED"};
}

Result<std::vector<ir::HostTensor>> InitialBatch(const InitialValues& values, const ir::StepSignature& signature) {
  std::vector<ir::HostTensor> batch;
  for (size_t i = 0; i < signature.inputs.size(); ++i) {
    if (signature.inputs[i].role != ir::InputRole::kBatch) continue;
    ALPA_TRY(ir::HostTensor tensor, values.Value(static_cast<int32_t>(i)));
    batch.push_back(std::move(tensor));
  }
  return batch;
}

}  // namespace alpa::runtime
