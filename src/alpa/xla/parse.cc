#include "alpa/xla/parse.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <regex>

#include "alpa/base/file.h"
#include "alpa/xla/xla_pch.h"
#include "xla/service/hlo_verifier.h"

namespace xla {
// Declared here because its header needs generated MLIR headers that the wheel does not ship.
absl::Status ParseMlirModuleStringAndConvertToXlaComputation(absl::string_view module, XlaComputation& computation,
                                                             bool use_tuple_args, bool return_tuple);
}  // namespace xla

namespace alpa::xla {
namespace {

enum class Form { kMlirText, kMlirBytecode, kHloText, kHloProto };

constexpr const char* kConcreteShapes = "export the step with concrete shapes (no symbolic dimensions)";

constexpr std::string_view kBytecodeMagic = "ML\xefR";

bool LooksLikeText(std::string_view bytes) {
  const std::string_view head = bytes.substr(0, 4096);
  return std::none_of(head.begin(), head.end(), [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return u < 9 || (u > 13 && u < 32);
  });
}

Form FormOf(std::string_view bytes) {
  if (bytes.substr(0, kBytecodeMagic.size()) == kBytecodeMagic) return Form::kMlirBytecode;
  if (!LooksLikeText(bytes)) return Form::kHloProto;
  // HLO text starts with "HloModule", perhaps behind comments.
  size_t at = 0;
  while (at < bytes.size()) {
    at = bytes.find_first_not_of(" \t\r\n", at);
    if (at == std::string_view::npos || bytes.substr(at, 2) != "//") break;
    at = bytes.find('\n', at);
  }
  const bool hlo = at < bytes.size() && bytes.substr(at, 10) == "HloModule ";
  return hlo ? Form::kHloText : Form::kMlirText;
}

// Line `number` (from 1) of `text`, without indentation, shortened to fit a terminal.
std::string LineOf(std::string_view text, long number) {
  for (; number > 1; --number) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return "";
    text.remove_prefix(end + 1);
  }
  std::string_view line = text.substr(0, text.find('\n'));
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  constexpr size_t kWidth = 100;
  return line.size() > kWidth ? std::string(line.substr(0, kWidth)) + " ..." : std::string(line);
}

// What XLA says, on one line and without its own places; donations in words.
std::string Plain(std::string_view text) {
  std::string message(text.substr(0, text.find('\n')));
  if (message.ends_with(':')) {  // what it is about is on the next line that is not empty
    const size_t next = text.find_first_not_of(" \n", message.size());
    if (next != std::string_view::npos) message += " " + std::string(text.substr(next, text.find('\n', next) - next));
  }
  static const std::regex kNoOutput(R"(Trying to set up alias at \{(\d+)\} which is an invalid index for shape (.*))");
  static const std::regex kTwice(
      R"(Trying to set up output alias for param (\d+) at .* output index \{(\d*)\} is already aliased with param (\d+).*)");
  std::smatch match;
  if (std::regex_search(message, match, kNoOutput)) {
    return fmt::format("an input is donated to output {}, which does not exist: the outputs are {}", match[1].str(),
                       match[2].str());
  }
  if (std::regex_search(message, match, kTwice)) {
    const std::string output = match[2].length() == 0 ? "0" : match[2].str();
    return fmt::format("inputs {} and {} are both donated to output {}", match[3].str(), match[1].str(), output);
  }
  static const std::regex kCheck(R"((INTERNAL: )?RET_CHECK failure \([^ ]*\) |during context \[[^\]]*\]: )");
  return std::regex_replace(message, kCheck, "");
}

// What the MLIR parser says, without its noise, with the place in the text and the line there.
std::string Diagnostic(const absl::Status& status, std::string_view bytes, Form form) {
  // The first line says it; behind it come notes and a dump of the op.
  std::string message = Plain(status.message());
  static const std::regex kPlace(R"(^[^ :]*:(\d+):(\d+): (?:error: )?)");
  std::smatch place;
  std::string excerpt;
  if (std::regex_search(message, place, kPlace)) {
    const bool text = form == Form::kMlirText;
    if (text) excerpt = LineOf(bytes, std::stol(place[1]));
    message = std::regex_replace(message, kPlace, text ? "line $1, column $2: " : "");
  }
  message = message.substr(0, message.find(" If this is intended"));
  constexpr size_t kLongest = 600;
  if (message.size() > kLongest) message = message.substr(0, kLongest) + " ...";
  return excerpt.empty() ? message : message + "\n    " + excerpt;
}

// A clear word on the frequent causes, by what the parser's diagnostic says.
Error MlirError(const absl::Status& status, std::string_view bytes, const std::string& source, Form form) {
  const std::string text = Diagnostic(status, bytes, form);
  auto has = [&](const char* needle) { return text.find(needle) != std::string::npos; };
  auto mentions = [&](const char* needle) { return bytes.find(needle) != std::string_view::npos; };
  const char* const hint = "expected StableHLO text or bytecode (jax.export), or HLO text or proto";
  if (form == Form::kMlirText && !mentions("module") && !mentions("func")) {
    return {Code::kInvalidInput, fmt::format("{}: this is not StableHLO", source), hint};
  }
  // Shapes with symbolic dimensions come as ops that compute them.
  if (has("can't be translated") && (has("dynamic_") || has("get_dimension_size") || has("shape_assertion"))) {
    return {Code::kInvalidInput, fmt::format("{}: has a dynamic shape: {}", source, text), kConcreteShapes};
  }
  if (has("can't be translated")) {
    return {Code::kUnsupported, fmt::format("{}: has an op that XLA does not take: {}", source, text), ""};
  }
  if (has("unregistered") || has("dialect") || has("is unknown") || has("legaliz") || has("unsupported op")) {
    return {Code::kUnsupported, fmt::format("{}: has an op that is not StableHLO: {}", source, text),
            "export the step with jax.export or lowered.as_text(), without ops of other dialects"};
  }
  if (has("`main`") || has("'main'")) {
    return {Code::kInvalidInput, fmt::format("{}: has no function main", source),
            "the step must be the public function @main"};
  }
  if (form == Form::kMlirBytecode) {
    return {Code::kInvalidInput, fmt::format("{}: damaged or truncated StableHLO bytecode: {}", source, text), ""};
  }
  return {Code::kInvalidInput, fmt::format("{}: not valid StableHLO: {}", source, text), hint};
}

Result<::xla::HloModuleProto> ParseMlir(std::string_view bytes, const std::string& source, Form form) {
  ::xla::XlaComputation computation;
  const absl::Status status = ::xla::ParseMlirModuleStringAndConvertToXlaComputation(
      absl::string_view(bytes.data(), bytes.size()), computation, /*use_tuple_args=*/false, /*return_tuple=*/false);
  if (!status.ok()) return MlirError(status, bytes, source, form);
  return std::move(*computation.mutable_proto());
}

// The parser of HLO text says "was parsing LINE:COLUMN: error: WHAT" and prints the line.
Error HloTextError(const absl::Status& status, std::string_view bytes, const std::string& source) {
  const std::string text(status.message());
  static const std::regex kPlace(R"(was parsing (\d+):(\d+): error: ([^\n]*))");
  std::smatch match;
  if (!std::regex_search(text, match, kPlace)) {
    return {Code::kInvalidInput, fmt::format("{}: not valid HLO text: {}", source, Plain(text)), ""};
  }
  const std::string line = LineOf(bytes, std::stol(match[1]));
  return {Code::kInvalidInput,
          fmt::format("{}: not valid HLO text: line {}, column {}: {}{}{}", source, match[1].str(), match[2].str(),
                      Plain(match[3].str()), line.empty() ? "" : "\n    ", line),
          ""};
}

Result<::xla::HloModuleProto> ParseHloProto(std::string_view bytes, const std::string& source) {
  ::xla::HloProto wrapped;
  if (wrapped.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) &&
      wrapped.hlo_module().computations_size() > 0) {
    return wrapped.hlo_module();
  }
  ::xla::HloModuleProto module;
  if (module.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) && module.computations_size() > 0)
    return module;
  return Error{Code::kInvalidInput, fmt::format("{}: neither StableHLO nor HLO", source),
               "expected StableHLO text or bytecode (jax.export), or HLO text or proto"};
}

bool IsDynamic(const ::xla::ShapeProto& shape) {
  return std::any_of(shape.is_dynamic_dimension().begin(), shape.is_dynamic_dimension().end(),
                     [](bool d) { return d; }) ||
         std::any_of(shape.dimensions().begin(), shape.dimensions().end(), [](int64_t d) { return d < 0; }) ||
         std::any_of(shape.tuple_shapes().begin(), shape.tuple_shapes().end(), IsDynamic);
}

bool HasDynamicShape(const ::xla::HloModuleProto& proto, std::string* where) {
  for (const auto& computation : proto.computations()) {
    for (const auto& instruction : computation.instructions()) {
      if (!IsDynamic(instruction.shape())) continue;
      *where = fmt::format("{} '{}'", instruction.opcode(), instruction.name());
      return true;
    }
  }
  return false;
}

Error InvalidHlo(const absl::Status& status, const std::string& source) {
  return {Code::kInvalidInput, fmt::format("{}: not a valid program: {}", source, Plain(status.message())), ""};
}

Result<std::unique_ptr<::xla::HloModule>> FromProto(const ::xla::HloModuleProto& proto, const std::string& source) {
  std::string where;
  if (HasDynamicShape(proto, &where)) {
    return Error{Code::kInvalidInput, fmt::format("{}: {} has a dynamic shape", source, where), kConcreteShapes};
  }
  auto config = ::xla::HloModule::CreateModuleConfigFromProto(proto, ::xla::DebugOptions());
  if (!config.ok()) return InvalidHlo(config.status(), source);
  auto module = ::xla::HloModule::CreateFromProto(proto, *config);
  if (!module.ok()) return InvalidHlo(module.status(), source);
  return std::move(*module);
}

Result<std::unique_ptr<::xla::HloModule>> Verified(const ::xla::HloModuleProto& proto, const std::string& source) {
  ALPA_TRY(auto module, FromProto(proto, source));
  ::xla::HloVerifier verifier(/*layout_sensitive=*/false, /*allow_mixed_precision=*/true);
  if (const auto status = verifier.Run(module.get()).status(); !status.ok()) return InvalidHlo(status, source);
  return module;
}

}  // namespace

Result<std::unique_ptr<::xla::HloModule>> ParseModule(std::string_view bytes, const std::string& source) {
  std::string inflated;
  if (IsGzip(bytes)) {
    auto result = Gunzip(bytes);
    if (!result.ok()) return Error{Code::kInvalidInput, fmt::format("{}: {}", source, result.error().message), ""};
    inflated = std::move(result).value();
    bytes = inflated;
  }
  if (bytes.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    return Error{Code::kInvalidInput, fmt::format("{}: the file is empty", source), ""};
  }
  constexpr size_t kLargest = size_t{2} << 30;  // limit of protobuf
  if (bytes.size() >= kLargest) return Error{Code::kInvalidInput, fmt::format("{}: larger than 2 GiB", source), ""};
  switch (const Form form = FormOf(bytes)) {
    case Form::kMlirText:
    case Form::kMlirBytecode: {
      ALPA_TRY(const ::xla::HloModuleProto proto, ParseMlir(bytes, source, form));
      return Verified(proto, source);
    }
    case Form::kHloText: {
      auto module = ::xla::ParseAndReturnUnverifiedModule(absl::string_view(bytes.data(), bytes.size()));
      if (!module.ok()) return HloTextError(module.status(), bytes, source);
      return Verified((*module)->ToProto(), source);
    }
    case Form::kHloProto: {
      ALPA_TRY(const ::xla::HloModuleProto proto, ParseHloProto(bytes, source));
      return Verified(proto, source);
    }
  }
  ALPA_CHECK(false);
}

Result<std::unique_ptr<::xla::HloModule>> ReadBack(const std::string& hlo, const std::string& source) {
  ::xla::HloModuleProto proto;
  if (!proto.ParseFromString(hlo)) {
    return Error{Code::kInvalidInput, fmt::format("{}: has names that are not UTF-8 text", source),
                 "the file is damaged"};
  }
  return FromProto(proto, source);
}

}  // namespace alpa::xla
