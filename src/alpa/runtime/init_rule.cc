#include "alpa/runtime/init_rule.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <nlohmann/json.hpp>
#include <system_error>
#include <thread>

namespace alpa::runtime {
namespace {

using nlohmann::json;

constexpr int64_t kElementsPerThread = 1 << 20;

// Calls fill(begin, end) for parts of [0, count), at the same time when there are many.
template <typename F>
void InParallel(int64_t count, F fill) {
  const int64_t threads = std::clamp<int64_t>(count / kElementsPerThread, 1, std::thread::hardware_concurrency());
  std::vector<std::thread> running;
  for (int64_t t = 1; t < threads; ++t) {
    const auto part = [=] { fill(count * t / threads, count * (t + 1) / threads); };
    try {
      running.emplace_back(part);
    } catch (const std::system_error&) {
      part();  // no more threads to be had
    }
  }
  fill(0, count / threads);
  for (std::thread& thread : running) thread.join();
}

uint32_t Hash(int64_t element, uint32_t mixed_seed) {
  return Mix32(Mix32(static_cast<uint32_t>(element)) + mixed_seed);
}

float Uniform(int64_t element, uint32_t mixed_seed, float width) {
  // The signed conversion has a vector instruction, the unsigned one has not; 24 bits fit both.
  const auto top = static_cast<int32_t>(Hash(element, mixed_seed) >> 8);
  return (static_cast<float>(top) * 0x1p-24F - 0.5F) * width;
}

// FloatToBFloat16 for finite values, inline so that loops over it become vector code.
uint16_t FiniteToBFloat16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

void FillConst(ir::HostTensor& tensor, double value) {
  if (tensor.bytes().empty()) return;
  ir::SetElement(tensor, 0, value);
  const size_t width = static_cast<size_t>(ir::Bits(tensor.shape().dtype)) / 8;
  std::byte* const data = tensor.bytes().data();
  if (std::all_of(data, data + width, [](std::byte b) { return b == std::byte{0}; }))
    return;  // a tensor begins as zeros
  for (size_t done = width; done < tensor.bytes().size();) {
    const size_t n = std::min(done, tensor.bytes().size() - done);
    std::memcpy(data + done, data, n);
    done += n;
  }
}

void FillUniform(ir::HostTensor& tensor, float width, uint32_t mixed_seed) {
  const int64_t count = tensor.shape().elements();
  switch (tensor.shape().dtype) {
    case ir::DType::kF32:
      return InParallel(count, [=, out = tensor.as<float>().data()](int64_t begin, int64_t end) {
        for (int64_t e = begin; e < end; ++e) out[e] = Uniform(e, mixed_seed, width);
      });
    case ir::DType::kBF16:
      return InParallel(count, [=, out = tensor.as<uint16_t>().data()](int64_t begin, int64_t end) {
        for (int64_t e = begin; e < end; ++e) out[e] = FiniteToBFloat16(Uniform(e, mixed_seed, width));
      });
    default:
      for (int64_t e = 0; e < count; ++e) ir::SetElement(tensor, e, Uniform(e, mixed_seed, width));
  }
}

void FillInt(ir::HostTensor& tensor, uint32_t modulus, uint32_t mixed_seed) {
  const int64_t count = tensor.shape().elements();
  if (tensor.shape().dtype == ir::DType::kS32) {
    return InParallel(count, [=, out = tensor.as<uint32_t>().data()](int64_t begin, int64_t end) {
      for (int64_t e = begin; e < end; ++e) out[e] = Hash(e, mixed_seed) % modulus;
    });
  }
  for (int64_t e = 0; e < count; ++e) ir::SetElement(tensor, e, Hash(e, mixed_seed) % modulus);
}

// "bfloat16" -> kBF16: the sidecar has NumPy's names.
std::optional<ir::DType> DTypeFromNumPy(std::string_view name) {
  if (name == "bool") return ir::DType::kPred;
  if (name == "bfloat16") return ir::DType::kBF16;
  for (const auto& [prefix, letter] :
       {std::pair<std::string_view, char>{"uint", 'u'}, {"int", 's'}, {"float", 'f'}, {"complex", 'c'}}) {
    if (name.starts_with(prefix)) return ir::DTypeFromName(fmt::format("{}{}", letter, name.substr(prefix.size())));
  }
  return std::nullopt;
}

// The rule in `init`, or what is wrong with it.
std::optional<InitRule> ParseRule(const json& init, std::string& what) {
  if (!init.is_object() || !init.contains("kind") || !init.contains("value")) {
    what = "'init' with 'kind' and 'value' is missing";
    return std::nullopt;
  }
  InitRule rule;
  const json& kind = init["kind"];
  if (kind == "const") {
    rule.kind = InitRule::Kind::kConst;
  } else if (kind == "int") {
    rule.kind = InitRule::Kind::kInt;
  } else if (kind == "uniform") {
    rule.kind = InitRule::Kind::kUniform;
  } else {
    what = fmt::format("'init.kind' is {}, not const, int or uniform", kind.dump());
    return std::nullopt;
  }
  const json& value = init["value"];
  if (!value.is_number()) {
    what = "'init.value' is not a number";
    return std::nullopt;
  }
  rule.value = value.get<double>();
  const double largest = std::numeric_limits<uint32_t>::max();
  if (rule.kind == InitRule::Kind::kInt && !(rule.value >= 1 && rule.value <= largest)) {
    what = fmt::format("'init.value' of kind int is {}, not an integer from 1", rule.value);
    return std::nullopt;
  }
  if (rule.kind == InitRule::Kind::kConst) return rule;
  if (!init.contains("seed") || !init["seed"].is_number_unsigned() ||
      init["seed"].get<uint64_t>() > std::numeric_limits<uint32_t>::max()) {
    what = "'init.seed', an integer from 0, is missing";
    return std::nullopt;
  }
  rule.seed = init["seed"].get<uint32_t>();
  return rule;
}

std::optional<SidecarInput> ParseInput(const json& arg, std::string& what) {
  SidecarInput input;
  if (!arg.is_object() || !arg.contains("shape") || !arg["shape"].is_array() || !arg.contains("dtype") ||
      !arg["dtype"].is_string()) {
    what = "'shape' or 'dtype' is missing";
    return std::nullopt;
  }
  if (arg.contains("name") && arg["name"].is_string()) input.name = arg["name"].get<std::string>();
  const auto type = DTypeFromNumPy(arg["dtype"].get<std::string>());
  if (!type) {
    what = fmt::format("unknown 'dtype' {}", arg["dtype"].dump());
    return std::nullopt;
  }
  input.shape.dtype = *type;
  for (const json& dim : arg["shape"]) {
    if (!dim.is_number_unsigned()) {
      what = "'shape' is not a list of extents";
      return std::nullopt;
    }
    input.shape.dims.push_back(dim.get<int64_t>());
  }
  const auto rule = ParseRule(arg.contains("init") ? arg["init"] : json(), what);
  if (!rule) return std::nullopt;
  input.rule = *rule;
  return input;
}

}  // namespace

ir::HostTensor Materialise(const ir::Shape& shape, const InitRule& rule) {
  ir::HostTensor tensor(shape);
  const uint32_t mixed_seed = Mix32(rule.seed + 1);
  switch (rule.kind) {
    case InitRule::Kind::kConst:
      FillConst(tensor, rule.value);
      break;
    case InitRule::Kind::kUniform:
      FillUniform(tensor, static_cast<float>(2 * rule.value), mixed_seed);
      break;
    case InitRule::Kind::kInt:
      ALPA_CHECK(rule.value >= 1);
      FillInt(tensor, static_cast<uint32_t>(rule.value), mixed_seed);
      break;
  }
  return tensor;
}

Result<std::vector<SidecarInput>> ParseSidecar(std::string_view text, const std::string& source) {
  const json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return Error{Code::kInvalidInput, source + ": not valid JSON (damaged or truncated)", ""};
  if (!value.is_object() || !value.contains("args") || !value["args"].is_array()) {
    return Error{Code::kInvalidInput, source + ": key 'args', the list of the step's inputs, is missing",
                 "give the .json that examples/models/export.py writes beside a model"};
  }
  std::vector<SidecarInput> inputs;
  for (const json& arg : value["args"]) {
    std::string what;
    auto input = ParseInput(arg, what);
    if (!input) return Error{Code::kInvalidInput, fmt::format("{}: args[{}]: {}", source, inputs.size(), what), ""};
    inputs.push_back(*std::move(input));
  }
  return inputs;
}

}  // namespace alpa::runtime
