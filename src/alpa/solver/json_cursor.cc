#include "alpa/solver/json_cursor.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <utility>

namespace alpa::solver {

Error JsonCursor::Broken(std::string_view expected) const {
  if (at_ >= end_) {
    return {Code::kCorrupt,
            fmt::format("not valid JSON: it ends at byte {} where {} is expected", end_ - begin_, expected),
            "the file may be truncated"};
  }
  const auto c = static_cast<unsigned char>(*at_);
  const std::string found = c >= 0x20 && c < 0x7f ? fmt::format("'{}'", *at_) : fmt::format("byte 0x{:02x}", c);
  return {Code::kCorrupt,
          fmt::format("not valid JSON at byte {}: {} where {} is expected", at_ - begin_, found, expected), ""};
}

Error JsonCursor::Expected(std::string_view what, std::string_view type) const {
  if (at_ >= end_ || static_cast<unsigned char>(*at_) < 0x20 || static_cast<unsigned char>(*at_) >= 0x7f) {
    return Broken(type);
  }
  return {Code::kInvalidInput, fmt::format("{} must be {} (byte {} is '{}')", what, type, at_ - begin_, *at_), ""};
}

Status JsonCursor::Enter(char bracket, std::string_view what) {
  Space();
  if (at_ >= end_ || *at_ != bracket) return Expected(what, bracket == '[' ? "a list" : "an object");
  ++at_;
  return Ok();
}

bool JsonCursor::TryLeave(char bracket) {
  Space();
  if (at_ >= end_ || *at_ != bracket) return false;
  ++at_;
  return true;
}

Status JsonCursor::Separator(bool first) {
  Space();
  if (first) return at_ < end_ ? Ok() : Status(Broken("a value"));
  if (at_ >= end_ || *at_ != ',') return Broken("a comma or a closing bracket");
  ++at_;
  return Ok();
}

Result<std::string> JsonCursor::Key() {
  ALPA_TRY(std::string key, String("a member"));
  Space();
  if (at_ >= end_ || *at_ != ':') return Broken("a colon");
  ++at_;
  return key;
}

Result<std::string> JsonCursor::String(std::string_view what) {
  Space();
  if (at_ >= end_ || *at_ != '"') return Expected(what, "a text in quotes");
  ++at_;
  std::string out;
  while (at_ < end_ && *at_ != '"') {
    if (static_cast<unsigned char>(*at_) < 0x20) return Broken("a closing quote");
    if (*at_ == '\\') {
      // No member we know has escapes; they are kept as written.
      out += *at_++;
      if (at_ >= end_) break;
    }
    out += *at_++;
  }
  if (at_ >= end_) return Broken("a closing quote");
  ++at_;
  return out;
}

bool JsonCursor::ReadNumber(double* out) {
  const char* p = at_;
  uint64_t whole = 0;
  int digits = 0;
  while (p < end_ && *p >= '0' && *p <= '9') {
    whole = whole * 10 + static_cast<uint64_t>(*p - '0');
    ++p, ++digits;
  }
  const bool plain = p >= end_ || (*p != '.' && *p != 'e' && *p != 'E');
  const bool leading_zero = digits > 1 && *at_ == '0';
  if (digits > 0 && digits <= 19 && plain && !leading_zero) {
    *out = static_cast<double>(whole);
    at_ = p;
    return true;
  }
  // from_chars also takes "inf", "nan" and leading zeros, which JSON does not.
  const char* first = at_ < end_ && *at_ == '-' ? at_ + 1 : at_;
  if (first >= end_ || *first < '0' || *first > '9') return false;
  if (*first == '0' && first + 1 < end_ && first[1] >= '0' && first[1] <= '9') return false;
  const auto [after, error] = std::from_chars(at_, end_, *out);
  if (error != std::errc() && error != std::errc::result_out_of_range) return false;
  if (error == std::errc::result_out_of_range) {
    const bool tiny = std::string_view(at_, static_cast<size_t>(after - at_)).find("e-") != std::string_view::npos;
    *out = tiny ? 0 : *at_ == '-' ? -1e300 : 1e300;
  }
  at_ = after;
  return true;
}

Result<double> JsonCursor::Number(std::string_view what) {
  Space();
  double number = 0;
  if (!ReadNumber(&number)) return Expected(what, "a number");
  return number;
}

bool JsonCursor::TryNull() {
  Space();
  if (std::string_view(at_, static_cast<size_t>(end_ - at_)).substr(0, 4) != "null") return false;
  at_ += 4;
  return true;
}

bool JsonCursor::Numbers(std::vector<double>* out) {
  Space();
  if (at_ >= end_ || *at_ != '[') return false;
  ++at_;
  Space();
  if (at_ < end_ && *at_ == ']') {
    ++at_;
    return true;
  }
  for (;;) {
    Space();
    double number = 0;
    if (!ReadNumber(&number)) return false;
    out->push_back(number);
    Space();
    if (at_ >= end_) return false;
    const char c = *at_;
    if (c != ',' && c != ']') return false;
    ++at_;
    if (c == ']') return true;
  }
}

Status JsonCursor::SkipWord(std::string_view word) {
  if (std::string_view(at_, static_cast<size_t>(end_ - at_)).substr(0, word.size()) != word) return Broken("a value");
  at_ += word.size();
  return Ok();
}

Status JsonCursor::Skip() {
  // Open brackets are kept here instead of on the call stack: a file may nest as deeply as it likes.
  std::string open;
  for (bool value_next = true;;) {
    Space();
    if (at_ >= end_) return Broken("a value");
    if (value_next) {
      const char c = *at_;
      if (c == '[' || c == '{') {
        ++at_;
        open += c;
        if (TryLeave(c == '[' ? ']' : '}')) {
          open.pop_back();
          value_next = false;
        } else if (c == '{') {
          ALPA_TRY(const std::string key, Key());
        }
      } else if (c == '"') {
        ALPA_TRY(const std::string text, String("a value"));
        value_next = false;
      } else if (c == 't' || c == 'f' || c == 'n') {
        ALPA_RETURN_IF_ERROR(SkipWord(c == 't' ? "true" : c == 'f' ? "false" : "null"));
        value_next = false;
      } else {
        double number = 0;
        if (!ReadNumber(&number)) return Broken("a value");
        value_next = false;
      }
    } else if (!open.empty()) {
      if (TryLeave(open.back() == '[' ? ']' : '}')) {
        open.pop_back();
      } else {
        ALPA_RETURN_IF_ERROR(Separator(false));
        if (open.back() == '{') {
          ALPA_TRY(const std::string key, Key());
        }
        value_next = true;
      }
    }
    if (!value_next && open.empty()) return Ok();
  }
}

Status JsonCursor::AtEnd() {
  Space();
  if (at_ < end_) return Broken("the end of the file");
  return Ok();
}

}  // namespace alpa::solver
