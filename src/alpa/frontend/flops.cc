#include "alpa/frontend/flops.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>

#include "alpa/frontend/loops.h"

namespace alpa::frontend {
namespace {

using ir::OpKind;

double Elements(const ir::Shape& shape) { return static_cast<double>(shape.elements()); }

bool IsTranscendental(OpKind kind) {
  switch (kind) {
    case OpKind::kAcos:
    case OpKind::kAcosh:
    case OpKind::kAsin:
    case OpKind::kAsinh:
    case OpKind::kAtan2:
    case OpKind::kAtanh:
    case OpKind::kCbrt:
    case OpKind::kCos:
    case OpKind::kCosh:
    case OpKind::kErf:
    case OpKind::kExp:
    case OpKind::kExpm1:
    case OpKind::kLog:
    case OpKind::kLog1p:
    case OpKind::kLogistic:
    case OpKind::kPower:
    case OpKind::kRsqrt:
    case OpKind::kSin:
    case OpKind::kSinh:
    case OpKind::kSqrt:
    case OpKind::kTan:
    case OpKind::kTanh:
      return true;
    default:
      return false;
  }
}

FlopCount Other(double count) { return {Flops(0), Flops(count), Flops(0)}; }

// Ops of the region that computes one element (1 for a plain sum).
double RegionOps(const ir::Op& op) {
  if (op.regions.empty()) return 1;
  const ir::Module& region = op.regions.back();
  return static_cast<double>(std::max<size_t>(1, region.ops.size() - region.inputs.size()));
}

double DotFlops(const ir::Module& module, const ir::Op& op) {
  const auto& attr = std::get<ir::DotAttr>(op.attributes);
  double contracted = 1;
  for (const int64_t d : attr.lhs_contracting) {
    contracted *= static_cast<double>(module.shape(op.operands[0]).dims[static_cast<size_t>(d)]);
  }
  return 2 * Elements(module.shape(op.results[0])) * contracted;
}

double ConvolutionFlops(const ir::Module& module, const ir::Op& op) {
  const auto& attr = std::get<ir::ConvolutionAttr>(op.attributes);
  const ir::Shape& kernel = module.shape(op.operands[1]);
  const double inputs =
      Elements(kernel) / static_cast<double>(kernel.dims[static_cast<size_t>(attr.rhs_output_feature)]);
  double dilation = 1;  // of `base_dilation` elements of a dilated lhs all but one are zero
  for (const ir::WindowDim& w : attr.window) dilation *= static_cast<double>(w.base_dilation);
  return 2 * Elements(module.shape(op.results[0])) * inputs / dilation;
}

// The window ends or begins at the element it is for and spans the whole axis.
bool IsCumulative(const ir::WindowDim& w, int64_t extent) {
  const bool one_sided = (w.pad_low == extent - 1 && w.pad_high == 0) || (w.pad_low == 0 && w.pad_high == extent - 1);
  return w.size == extent && extent > 1 && w.stride == 1 && w.window_dilation == 1 && w.base_dilation == 1 && one_sided;
}

double ReduceWindowFlops(const ir::Module& module, const ir::Op& op) {
  const auto& window = std::get<ir::WindowAttr>(op.attributes).window;
  const ir::Shape& in = module.shape(op.operands[0]);
  double per_element = 1;
  for (size_t d = 0; d < window.size(); ++d) {
    per_element *= IsCumulative(window[d], in.dims[d]) ? 2.0 : static_cast<double>(window[d].size);
  }
  return Elements(module.shape(op.results[0])) * per_element * RegionOps(op);
}

double SelectAndScatterFlops(const ir::Module& module, const ir::Op& op) {
  double window = 1;
  for (const ir::WindowDim& w : std::get<ir::WindowAttr>(op.attributes).window) window *= static_cast<double>(w.size);
  return Elements(module.shape(op.operands[1])) * (window + 1);
}

double SortFlops(const ir::Shape& shape, int64_t dim) {
  const double length = static_cast<double>(shape.dims[static_cast<size_t>(dim)]);
  return Elements(shape) * std::max(1.0, std::log2(length));
}

// 5 n log2 n for each transform of n points; the points are in "fft_length={8,16}".
double FftFlops(const ir::Module& module, const ir::Op& op) {
  double points = 1;
  if (const auto* attr = std::get_if<ir::TextAttr>(&op.attributes)) {
    const size_t open = attr->text.find("fft_length={");
    if (open != std::string::npos) {
      const char* at = attr->text.c_str() + open + sizeof("fft_length={") - 1;
      for (char* end = nullptr; *at >= '0' && *at <= '9'; at = *end == ',' ? end + 1 : end) {
        points *= static_cast<double>(std::strtoll(at, &end, 10));
      }
    }
  }
  const double elements = std::max(Elements(module.shape(op.operands[0])), Elements(module.shape(op.results[0])));
  return 5 * elements * std::log2(std::max(2.0, points));
}

FlopCount Sum(const std::vector<FlopCount>& counts) {
  FlopCount sum;
  for (const FlopCount& c : counts) sum += c;
  return sum;
}

FlopCount Scaled(FlopCount count, double times) {
  return {count.dot_conv * times, count.other * times, count.transcendental * times};
}

FlopCount LoopFlops(const ir::Module& module, const ir::Op& op) {
  const LoopRegions regions = RegionsOf(module, op);
  FlopCount once = Sum(CountFlops(*regions.body));
  once += Sum(CountFlops(*regions.condition));
  return Scaled(once, static_cast<double>(TripCount(module, op).value_or(1)));
}

FlopCount MostExpensiveRegion(const ir::Op& op) {
  FlopCount most;
  for (const ir::Module& branch : op.regions) {
    const FlopCount cost = Sum(CountFlops(branch));
    if (cost.total() > most.total()) most = cost;
  }
  return most;
}

FlopCount LinearAlgebraFlops(const ir::Module& module, const ir::Op& op) {
  const ir::Shape& matrix = module.shape(op.operands[0]);
  const double n = static_cast<double>(matrix.dims.back());
  if (op.kind == OpKind::kCholesky) return Other(Elements(matrix) * n / 3);
  return Other(Elements(module.shape(op.results[0])) * n);  // triangular solve: n multiply-adds, half of them with zero
}

}  // namespace

FlopCount& FlopCount::operator+=(const FlopCount& o) {
  dot_conv += o.dot_conv;
  other += o.other;
  transcendental += o.transcendental;
  return *this;
}

FlopCount FlopsOf(const ir::Module& module, const ir::Op& op) {
  if (op.results.empty()) return {};
  const ir::Shape& result = module.shape(op.results[0]);
  if (ir::IsElementwise(op.kind)) {
    if (op.kind == OpKind::kCopy || op.kind == OpKind::kBitcastConvert) return {};
    FlopCount count = Other(Elements(result) * RegionOps(op));
    if (IsTranscendental(op.kind)) count.transcendental = count.other;
    return count;
  }
  switch (op.kind) {
    case OpKind::kDot:
      return {Flops(DotFlops(module, op)), Flops(0), Flops(0)};
    case OpKind::kConvolution:
      return {Flops(ConvolutionFlops(module, op)), Flops(0), Flops(0)};
    case OpKind::kReduce:
      return Other(Elements(module.shape(op.operands[0])) * RegionOps(op));
    case OpKind::kReduceWindow:
      return Other(ReduceWindowFlops(module, op));
    case OpKind::kSelectAndScatter:
      return Other(SelectAndScatterFlops(module, op));
    case OpKind::kScatter:
      return Other(Elements(module.shape(op.operands.back())) * RegionOps(op));
    case OpKind::kSort:
      return Other(SortFlops(result, std::get<ir::DimsAttr>(op.attributes).dims[0]));
    case OpKind::kTopK:
      return Other(SortFlops(module.shape(op.operands[0]), module.shape(op.operands[0]).rank() - 1));
    case OpKind::kFft:
      return Other(FftFlops(module, op));
    case OpKind::kCholesky:
    case OpKind::kTriangularSolve:
      return LinearAlgebraFlops(module, op);
    case OpKind::kRng:
    case OpKind::kRngBitGenerator:
      return Other(Elements(module.shape(op.results.back())));
    case OpKind::kBatchNormInference:
    case OpKind::kBatchNormTraining:
    case OpKind::kBatchNormGrad:
      return Other(8 * Elements(module.shape(op.operands[0])));
    case OpKind::kWhile:
      return LoopFlops(module, op);
    case OpKind::kConditional:
    case OpKind::kCall:
      return MostExpensiveRegion(op);
    default:
      return {};
  }
}

std::vector<FlopCount> CountFlops(const ir::Module& module) {
  std::vector<FlopCount> out;
  out.reserve(module.ops.size());
  for (const ir::Op& op : module.ops) out.push_back(FlopsOf(module, op));
  return out;
}

}  // namespace alpa::frontend
