// Members of JSON objects, with the first thing that is wrong; of this folder only.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "alpa/base/result.h"
#include "alpa/base/units.h"

namespace alpa::plan::internal {

inline Error Bad(const std::string& what) { return {Code::kInvalidInput, "plan: " + what, ""}; }

// Reads members of an object, and remembers the first thing that is wrong.
class Reader {
 public:
  Reader(const nlohmann::json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) Fail(fmt::format("'{}' should be an object, is {}", where_, object.type_name()));
  }

  void Get(const char* key, double* out) {
    if (const nlohmann::json* value = Find(key, &nlohmann::json::is_number, "a number")) {
      *out = value->get<double>();
      if (!std::isfinite(*out) || *out < 0) Fail(fmt::format("key '{}{}' should be 0 or above", where_, key));
    }
  }
  void Get(const char* key, Seconds* out) { Get(key, &out->value); }
  void Get(const char* key, Flops* out) { Get(key, &out->value); }
  void Get(const char* key, int64_t* out) {
    if (const nlohmann::json* value = Find(key, &nlohmann::json::is_number_integer, "an integer")) {
      *out = value->get<int64_t>();
      if (*out < 0) Fail(fmt::format("key '{}{}' should be 0 or above, is {}", where_, key, *out));
    }
  }
  void Get(const char* key, Bytes* out) { Get(key, &out->value); }
  void Get(const char* key, int* out) {
    int64_t value = 0;
    Get(key, &value);
    if (value > 1'000'000'000) return Fail(fmt::format("key '{}{}' is too large", where_, key));
    *out = static_cast<int>(value);
  }
  void Get(const char* key, bool* out) {
    if (const nlohmann::json* value = Find(key, &nlohmann::json::is_boolean, "true or false"))
      *out = value->get<bool>();
  }
  void Get(const char* key, std::string* out) {
    if (const nlohmann::json* value = Find(key, &nlohmann::json::is_string, "a string"))
      *out = value->get<std::string>();
  }
  // Calls `visit` with each entry of a list and its name.
  template <typename Visit>
  void Each(const char* key, const Visit& visit) {
    const nlohmann::json* list = Find(key, &nlohmann::json::is_array, "a list");
    if (list == nullptr) return;
    for (size_t i = 0; i < list->size() && ok(); ++i) {
      if (Status status = visit((*list)[i], fmt::format("{}{}[{}]", where_, key, i)); !status.ok())
        error_ = status.error();
    }
  }
  const nlohmann::json* Member(const char* key) { return Find(key, &nlohmann::json::is_object, "an object"); }

  // Whether the member is there; it may be left out.
  bool Has(const char* key) const { return object_.is_object() && object_.contains(key); }

  bool ok() const { return !error_.has_value(); }
  Status status() const { return ok() ? Ok() : Status(*error_); }
  void Fail(const std::string& what) {
    if (ok()) error_ = Bad(what);
  }

 private:
  const nlohmann::json* Find(const char* key, bool (nlohmann::json::*check)() const noexcept, const char* kind) {
    if (!ok()) return nullptr;
    const auto at = object_.find(key);
    if (at == object_.end()) {
      Fail(fmt::format("key '{}{}' is missing", where_, key));
      return nullptr;
    }
    if (!((*at).*check)()) {
      Fail(fmt::format("key '{}{}' should be {}, is {}", where_, key, kind, at->type_name()));
      return nullptr;
    }
    return &*at;
  }

  const nlohmann::json& object_;
  std::string where_;
  std::optional<Error> error_;
};

}  // namespace alpa::plan::internal
