#include "alpa/cluster/toml_section.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

namespace alpa::cluster {
namespace {

uint32_t LineOf(const toml::node& node) {
  const uint32_t line = node.source().begin.line;
  return line == 0 ? 1 : line;  // the root of an empty file has none
}

std::string_view KindOf(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
    case toml::node_type::floating_point:
      return "a plain number";
    case toml::node_type::boolean:
      return "true or false";
    default:
      return "a date";
  }
}

// Insertions, deletions, replacements that lead from a to b.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replace = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replace}));
    }
  }
  return row.back();
}

}  // namespace

std::string_view Closest(std::string_view word, std::span<const std::string_view> candidates) {
  std::string_view best;
  size_t least = std::max<size_t>(1, word.size() / 3) + 1;  // beyond a third of the letters it is another word
  for (const std::string_view candidate : candidates) {
    const size_t distance = Distance(word, candidate);
    if (distance < least) least = distance, best = candidate;
  }
  return best;
}

std::string SuggestKnown(std::string_view word, std::span<const std::string_view> known) {
  const std::string_view closest = Closest(word, known);
  const std::string all = fmt::format("known: {}", fmt::join(known, ", "));
  return closest.empty() ? all : fmt::format("did you mean {}? {}", closest, all);
}

TomlSection::TomlSection(const toml::table& table, std::string_view file, std::string path)
    : table_(&table), file_(file), path_(std::move(path)) {}

const toml::node* TomlSection::Find(std::string_view key) const { return table_->get(key); }

bool TomlSection::Has(std::string_view key) const { return Find(key) != nullptr; }

Error TomlSection::Here(const std::string& what, std::string hint) const {
  const std::string place = path_.empty() ? "" : path_ + ": ";
  return {Code::kInvalidInput, fmt::format("{}:{}: {}{}", file_, LineOf(*table_), place, what), std::move(hint)};
}

Error TomlSection::At(std::string_view key, const std::string& what, std::string hint) const {
  const toml::node* const node = Find(key);
  const std::string path = path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
  return {Code::kInvalidInput,
          fmt::format("{}:{}: {}: {}", file_, LineOf(node != nullptr ? *node : *table_), path, what), std::move(hint)};
}

Error TomlSection::Missing(std::string_view key, std::string_view example) const {
  return At(key, "is missing", fmt::format("add {} = {}", key, example));
}

Status TomlSection::OnlyKeys(std::initializer_list<std::string_view> known) const {
  for (const auto& [key, node] : *table_) {
    if (std::find(known.begin(), known.end(), key.str()) != known.end()) continue;
    Error error = At(key.str(), "unknown key", SuggestKnown(key.str(), std::span(known.begin(), known.size())));
    const std::string path = path_.empty() ? std::string(key.str()) : fmt::format("{}.{}", path_, key.str());
    error.message = fmt::format("{}:{}: {}: unknown key", file_, std::max(1U, key.source().begin.line), path);
    return error;
  }
  return Ok();
}

Result<double> TomlSection::Quantity(std::string_view key, Dimension dimension, Zero zero,
                                     std::string_view example) const {
  const toml::node* const node = Find(key);
  if (node == nullptr) return Missing(key, example);
  const auto text = node->value_exact<std::string_view>();
  if (!text) {
    return At(key, fmt::format("must be a string with a unit, is {}", KindOf(*node)),
              fmt::format("write {} = {}", key, example));
  }
  const Result<double> value = ParseQuantity(*text, dimension);
  if (!value.ok()) return At(key, value.error().message, value.error().hint);
  if (*value < 0) return At(key, fmt::format("\"{}\" is negative", *text));
  if (*value == 0 && zero == Zero::kRefused) return At(key, fmt::format("\"{}\" must be above 0", *text));
  return *value;
}

Result<double> TomlSection::Share(std::string_view key, double fallback) const {
  const toml::node* const node = Find(key);
  if (node == nullptr) return fallback;
  const auto value = node->value<double>();
  if (!node->is_number() || !value) {
    return At(key, fmt::format("must be a number above 0 and at most 1, is {}", KindOf(*node)));
  }
  if (!std::isfinite(*value) || *value <= 0 || *value > 1) {
    return At(key, fmt::format("{} is not above 0 and at most 1", *value));
  }
  return *value;
}

Result<int64_t> TomlSection::Count(std::string_view key, int64_t fallback, int64_t most) const {
  const toml::node* const node = Find(key);
  if (node == nullptr) return fallback;
  const auto value = node->value_exact<int64_t>();
  if (!value) return At(key, fmt::format("must be a whole number, is {}", KindOf(*node)));
  if (*value < 1 || *value > most) return At(key, fmt::format("{} is not from 1 to {}", *value, most));
  return *value;
}

Result<std::string> TomlSection::Text(std::string_view key, std::string_view fallback) const {
  const toml::node* const node = Find(key);
  if (node == nullptr) return std::string(fallback);
  const auto value = node->value_exact<std::string_view>();
  if (!value) return At(key, fmt::format("must be a string, is {}", KindOf(*node)));
  if (value->empty()) return At(key, "is empty");
  return std::string(*value);
}

Result<bool> TomlSection::Flag(std::string_view key, bool fallback) const {
  const toml::node* const node = Find(key);
  if (node == nullptr) return fallback;
  const auto value = node->value_exact<bool>();
  if (!value) return At(key, fmt::format("must be true or false, is {}", KindOf(*node)));
  return *value;
}

Result<TomlSection> TomlSection::Table(std::string_view key, std::string_view example) const {
  const toml::node* const node = Find(key);
  if (node == nullptr) return Missing(key, example);
  if (!node->is_table()) {
    return At(key, fmt::format("must be a table, is {}", KindOf(*node)), fmt::format("write {} = {}", key, example));
  }
  return TomlSection(*node->as_table(), file_, path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key));
}

}  // namespace alpa::cluster
