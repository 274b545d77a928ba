// One table of a TOML file while it is read: typed keys with their unit, and errors that name file, line and key.
#pragma once

#include <toml++/toml.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "alpa/base/result.h"
#include "alpa/cluster/quantity.h"

namespace alpa::cluster {

// Whether a quantity may be zero; none may be negative.
enum class Zero { kRefused, kAllowed };

// Valid as long as the parsed file is. All errors are kInvalidInput: "FILE:LINE: PATH.KEY: what is wrong"; for a
// missing key, the line where the table begins.
class TomlSection {
 public:
  // `path`: how to reach the table, "device.V100"; empty for the whole file.
  TomlSection(const toml::table& table, std::string_view file, std::string path);

  bool Has(std::string_view key) const;
  // Refuses keys other than these, with a suggestion.
  Status OnlyKeys(std::initializer_list<std::string_view> known) const;

  // A required quantity, a string such as "16 GiB". `example` goes into the hint when the key is missing.
  Result<double> Quantity(std::string_view key, Dimension dimension, Zero zero, std::string_view example) const;
  // A plain number in (0, 1]; `fallback` when the key is missing.
  Result<double> Share(std::string_view key, double fallback) const;
  // A whole number in [1, most]; `fallback` when the key is missing.
  Result<int64_t> Count(std::string_view key, int64_t fallback, int64_t most) const;
  Result<std::string> Text(std::string_view key, std::string_view fallback) const;
  Result<bool> Flag(std::string_view key, bool fallback) const;
  // A table. `example` as above.
  Result<TomlSection> Table(std::string_view key, std::string_view example) const;

  // The table itself.
  const toml::table& table() const { return *table_; }
  std::string_view file() const { return file_; }

  // An error at this table, or at one of its keys; where the key is missing, at the table.
  Error Here(const std::string& what, std::string hint = "") const;
  Error At(std::string_view key, const std::string& what, std::string hint = "") const;

 private:
  const toml::node* Find(std::string_view key) const;
  Error Missing(std::string_view key, std::string_view example) const;

  const toml::table* table_;
  std::string_view file_;
  std::string path_;
};

// The candidate that `word` was probably meant to be, or empty when none is near.
std::string_view Closest(std::string_view word, std::span<const std::string_view> candidates);

// "did you mean X? known: X, Y, Z", without the question when none is near.
std::string SuggestKnown(std::string_view word, std::span<const std::string_view> known);

}  // namespace alpa::cluster
