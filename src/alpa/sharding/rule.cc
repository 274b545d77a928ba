#include "alpa/sharding/rule.h"

#include <fmt/format.h>

#include <array>

#include "alpa/base/file.h"
#include "alpa/sharding/rule_families.h"

namespace alpa::sharding {
namespace internal {

Rule WholeRule(const ir::Module& module, const ir::Op& op) {
  Rule rule;
  rule.operands.reserve(op.operands.size());
  rule.results.reserve(op.results.size());
  for (const ir::ValueId v : op.operands) rule.operands.emplace_back(Dims(module, v).size());
  for (const ir::ValueId v : op.results) rule.results.emplace_back(Dims(module, v).size());
  return rule;
}

namespace {
int Add(Rule& rule, const Factor& factor) {
  rule.factors.push_back(factor);
  return static_cast<int>(rule.factors.size()) - 1;
}
}  // namespace

int AddFree(Rule& rule, int64_t size) { return Add(rule, {.size = size}); }

int AddContracted(Rule& rule, int64_t size, Combiner combiner) {
  return Add(rule, {.size = size, .kind = FactorKind::kContracted, .combiner = combiner});
}

int AddWindow(Rule& rule, int64_t size, int64_t halo_low, int64_t halo_high) {
  return Add(rule, {.size = size, .kind = FactorKind::kWindow, .halo_low = halo_low, .halo_high = halo_high});
}

void PutFactor(Rule& rule, std::vector<int>& dim, int f, int64_t extent) {
  dim = {f};
  const int64_t size = rule.factors[static_cast<size_t>(f)].size;
  ALPA_CHECK(size == extent || (size > 0 && extent % size == 0));
  if (size != extent) dim.push_back(Add(rule, {.size = extent / size, .kind = FactorKind::kWhole}));
}

Combiner CombinerOf(const ir::Module& module, const ir::Op& op) {
  if (op.results.size() != 1) return Combiner::kOther;
  const bool pred = module.shape(op.results[0]).dtype == ir::DType::kPred;
  switch (ir::CombinerOf(op)) {
    case ir::OpKind::kAdd:
      return pred ? Combiner::kOr : Combiner::kSum;
    case ir::OpKind::kMultiply:
      return pred ? Combiner::kAnd : Combiner::kProduct;
    case ir::OpKind::kMaximum:
      return pred ? Combiner::kOr : Combiner::kMax;
    case ir::OpKind::kMinimum:
      return pred ? Combiner::kAnd : Combiner::kMin;
    case ir::OpKind::kAnd:  // of bits in integers: no collective does that
      return pred ? Combiner::kAnd : Combiner::kOther;
    case ir::OpKind::kOr:
      return pred ? Combiner::kOr : Combiner::kOther;
    default:
      return Combiner::kOther;
  }
}

bool MayRepeat(const ir::Module& module, ir::ValueId start, Combiner combiner) {
  if (combiner != Combiner::kSum && combiner != Combiner::kProduct) return combiner != Combiner::kOther;
  const ir::Op* op = &module.producer(start);
  while (op->kind == ir::OpKind::kConvert || op->kind == ir::OpKind::kBroadcast || op->kind == ir::OpKind::kReshape ||
         op->kind == ir::OpKind::kCopy) {
    op = &module.producer(op->operands[0]);
  }
  const auto* constant = std::get_if<ir::ConstantAttr>(&op->attributes);
  if (constant == nullptr) return false;
  if (constant->splat) return constant->value == (combiner == Combiner::kSum ? 0 : 1);
  // Complex numbers are known by their hash alone.
  const ir::Shape& shape = module.shape(op->results[0]);
  return combiner == Combiner::kSum && shape.dims.empty() && ir::IsComplex(shape.dtype) &&
         constant->hash == Fnv1a(std::string(static_cast<size_t>(shape.bytes().value), '\0'));
}

namespace {

using ir::OpKind;
using RuleFunction = Rule (*)(const ir::Module&, const ir::Op&);

struct Row {
  OpKind kind;
  RuleFunction rule;
};

// By family, as in ir/op.h. Elementwise kinds are filled in below; kinds that are missing stay whole: while,
// conditional and call (their regions are not looked into), random numbers (a split must not change them), ragged and
// scaled dots, whatever already is a collective, and what XLA's partitioner gathers in any case (rule_other.cc).
constexpr Row kRows[] = {
    // L
    {OpKind::kParameter, LeafRule},
    {OpKind::kConstant, LeafRule},
    {OpKind::kIota, LeafRule},
    // D
    {OpKind::kBroadcast, BroadcastRule},
    {OpKind::kConcatenate, ConcatenateRule},
    {OpKind::kDynamicSlice, DynamicSliceRule},
    {OpKind::kDynamicUpdateSlice, DynamicUpdateSliceRule},
    {OpKind::kGather, GatherRule},
    {OpKind::kPad, PadRule},
    {OpKind::kReshape, ReshapeRule},
    {OpKind::kReverse, ReverseRule},
    {OpKind::kScatter, ScatterRule},
    {OpKind::kSlice, SliceRule},
    {OpKind::kTranspose, TransposeRule},
    // C
    {OpKind::kConvolution, ConvolutionRule},
    {OpKind::kDot, DotRule},
    // R
    {OpKind::kReduce, ReduceRule},
    {OpKind::kReduceWindow, ReduceWindowRule},
    {OpKind::kSelectAndScatter, SelectAndScatterRule},
    // X
    {OpKind::kCustomCall, CustomCallRule},
    {OpKind::kOptimizationBarrier, BarrierRule},
    // O
    {OpKind::kCholesky, CholeskyRule},
    {OpKind::kSort, SortRule},
    {OpKind::kTriangularSolve, TriangularSolveRule},
};

std::array<RuleFunction, 256> MakeTable() {
  std::array<RuleFunction, 256> table{};
  for (size_t k = 0; k < table.size(); ++k) table[k] = WholeRule;
  for (int k = 0; k <= static_cast<int>(OpKind::kReplicaId); ++k) {
    if (ir::IsElementwise(static_cast<OpKind>(k))) table[static_cast<size_t>(k)] = ElementwiseRule;
  }
  for (const Row& row : kRows) table[static_cast<size_t>(row.kind)] = row.rule;
  return table;
}

}  // namespace
}  // namespace internal

Rule RuleOf(const ir::Module& module, const ir::Op& op) {
  static const auto kTable = internal::MakeTable();
  return kTable[static_cast<size_t>(op.kind)](module, op);
}

// ---------------------------------------------------------------- text

std::string FactorName(int f) {
  if (f < 26) return std::string(1, static_cast<char>('a' + f));
  if (f < 52) return std::string(1, static_cast<char>('A' + f - 26));
  return fmt::format("f{}", f);
}

namespace {

std::string ToString(const Projection& array, const Rule& rule) {
  if (array.empty()) return "()";
  std::string out;
  for (const auto& dim : array) {
    if (!out.empty()) out += " ";
    if (dim.empty()) {
      out += ".";
      continue;
    }
    std::string inside;
    for (const int f : dim) {
      const Factor& factor = rule.factors[static_cast<size_t>(f)];
      if (!inside.empty()) inside += " ";
      inside += factor.kind == FactorKind::kWhole ? std::to_string(factor.size) : FactorName(f);
    }
    out += dim.size() == 1 ? inside : "(" + inside + ")";
  }
  return out;
}

std::string ToString(const std::vector<Projection>& arrays, const Rule& rule) {
  std::string out;
  for (const Projection& array : arrays) {
    if (!out.empty()) out += ", ";
    out += ToString(array, rule);
  }
  return out;
}

}  // namespace

std::string ToString(const Rule& rule) {
  std::string out = ToString(rule.operands, rule);
  out += (out.empty() ? "-> " : " -> ") + ToString(rule.results, rule);
  const char* separator = "; ";
  for (size_t f = 0; f < rule.factors.size(); ++f) {
    const Factor& factor = rule.factors[f];
    if (factor.kind != FactorKind::kContracted && factor.kind != FactorKind::kWindow) continue;
    out += separator + FactorName(static_cast<int>(f));
    separator = ", ";
    if (factor.kind == FactorKind::kContracted) out += fmt::format(" {}", Name(factor.combiner));
    if (factor.halo_low + factor.halo_high > 0) out += fmt::format(" halo {}+{}", factor.halo_low, factor.halo_high);
    if (factor.whole_mesh) out += " whole mesh";
  }
  for (const auto& [f, g] : rule.apart) {
    out += fmt::format("{}{} or {}", separator, FactorName(f), FactorName(g));
    separator = ", ";
  }
  return out;
}

// ---------------------------------------------------------------- Verify

namespace {

// Marks the factors of `array` as seen; returns what is wrong with it, or nothing.
std::string Check(const Rule& rule, const Projection& array, const ir::Shape& shape, std::vector<bool>& seen) {
  if (array.size() != shape.dims.size()) return fmt::format("{} dimensions for {}", array.size(), ir::ToString(shape));
  std::vector<bool> here(rule.factors.size(), false);
  for (size_t d = 0; d < array.size(); ++d) {
    int64_t product = 1;
    for (const int f : array[d]) {
      if (f < 0 || f >= static_cast<int>(rule.factors.size())) return fmt::format("there is no factor {}", f);
      const auto at = static_cast<size_t>(f);
      if (here[at]) return fmt::format("factor {} occurs twice in one array", FactorName(f));
      here[at] = seen[at] = true;
      product *= rule.factors[at].size;
    }
    if (!array[d].empty() && product != shape.dims[d]) {
      return fmt::format("factors of dimension {} of {} multiply to {}", d, ir::ToString(shape), product);
    }
  }
  return "";
}

std::string CheckKinds(const Rule& rule, const std::vector<bool>& read, const std::vector<bool>& written) {
  Combiner combiner = Combiner::kSum;
  bool contracts = false;
  for (size_t f = 0; f < rule.factors.size(); ++f) {
    const Factor& factor = rule.factors[f];
    const std::string name = FactorName(static_cast<int>(f));
    if (factor.halo_low < 0 || factor.halo_high < 0) return "the halo of factor " + name + " is negative";
    const bool halo = factor.halo_low + factor.halo_high > 0;
    switch (factor.kind) {
      case FactorKind::kFree:
        if (!written[f] || halo) return "free factor " + name + " is in no result, or has a halo";
        break;
      case FactorKind::kWindow:
        if (!written[f] || !read[f] || !halo) return "window factor " + name + " is not read, written, with a halo";
        break;
      case FactorKind::kContracted:
        if (written[f] || !read[f]) return "contracted factor " + name + " is in a result, or in no operand";
        if (contracts && factor.combiner != combiner) return "two combiners";
        contracts = true;
        combiner = factor.combiner;
        break;
      case FactorKind::kWhole:
        if (!written[f] && !read[f]) return "factor " + name + " is nowhere";
        break;
    }
  }
  return "";
}

}  // namespace

Status Verify(const Rule& rule, const ir::Module& module, const ir::Op& op) {
  auto bad = [&](const std::string& what) {
    return Error{Code::kInvalidInput,
                 fmt::format("sharding rule of {} ({}): {}", ir::Describe(module, op), ToString(rule), what), ""};
  };
  if (rule.operands.size() != op.operands.size() || rule.results.size() != op.results.size()) {
    return Error{Code::kInvalidInput,
                 fmt::format("sharding rule of {}: {} operands and {} results", ir::Describe(module, op),
                             rule.operands.size(), rule.results.size()),
                 ""};
  }
  std::vector<bool> read(rule.factors.size(), false);
  std::vector<bool> written(rule.factors.size(), false);
  for (size_t k = 0; k < op.operands.size(); ++k) {
    if (auto what = Check(rule, rule.operands[k], module.shape(op.operands[k]), read); !what.empty()) return bad(what);
  }
  for (size_t r = 0; r < op.results.size(); ++r) {
    if (auto what = Check(rule, rule.results[r], module.shape(op.results[r]), written); !what.empty()) return bad(what);
  }
  if (auto what = CheckKinds(rule, read, written); !what.empty()) return bad(what);
  const auto factors = static_cast<int>(rule.factors.size());
  for (const auto& [f, g] : rule.apart) {
    if (f < 0 || g < 0 || f >= factors || g >= factors) return bad("a pair of factors that do not exist");
  }
  return Ok();
}

}  // namespace alpa::sharding
