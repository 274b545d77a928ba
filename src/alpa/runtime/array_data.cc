#include "alpa/runtime/array_data.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "alpa/base/file.h"
#include "alpa/runtime/input_names.h"
#include "alpa/runtime/permutation.h"
#include "alpa/runtime/stored_array.h"

namespace alpa::runtime {
namespace {

// The examples for one batch input, in one part per file.
struct Column {
  BatchInput input;
  std::vector<StoredArray> parts;
  std::vector<int64_t> ends;  // examples up to the end of each part
};

Error Mismatch(std::string message, std::string hint = "") {
  return {Code::kMismatch, std::move(message), std::move(hint)};
}

std::string InputText(const BatchInput& input) {
  return input.name.empty() ? fmt::format("input {}", input.input)
                            : fmt::format("input {} '{}'", input.input, input.name);
}

// Which array of the set is for each input.
Result<std::vector<size_t>> MatchNames(const ArraySet& set, const std::vector<BatchInput>& inputs) {
  std::vector<size_t> match;
  const bool named = std::all_of(inputs.begin(), inputs.end(), [](const BatchInput& i) { return !i.name.empty(); });
  if (!named) {
    if (set.names().size() != inputs.size()) {
      return Mismatch(fmt::format("{}: holds {} arrays ({}), the model has {} batch inputs, whose names are unknown",
                                  set.path(), set.names().size(), fmt::join(set.names(), ", "), inputs.size()),
                      "give one array per batch input, in order");
    }
    for (size_t i = 0; i < inputs.size(); ++i) match.push_back(i);
    return match;
  }
  for (const BatchInput& input : inputs) {
    const auto find = [&](auto same) {
      return static_cast<size_t>(std::find_if(set.names().begin(), set.names().end(), same) - set.names().begin());
    };
    size_t index = find([&](const std::string& name) { return name == input.name; });
    if (index == set.names().size()) {
      index = find([&](const std::string& name) { return name == LastComponent(input.name); });
    }
    if (index == set.names().size()) {
      return Mismatch(fmt::format("{}: no array is called '{}' or '{}' as {} is; there are: {}", set.path(), input.name,
                                  LastComponent(input.name), InputText(input), fmt::join(set.names(), ", ")));
    }
    match.push_back(index);
  }
  return match;
}

// Checks an array against the input it is for; returns the number of its examples.
Result<int64_t> CheckArray(const StoredArray& array, const BatchInput& input) {
  ir::Shape expected = input.shape;
  const auto dim = static_cast<size_t>(input.batch_dim);
  const bool counts = input.batch_dim >= 0;
  const int64_t examples = counts && array.shape().rank() == expected.rank() ? array.shape().dims[dim] : 1;
  if (counts) expected.dims[dim] = examples;
  if (array.shape() == expected) return examples;
  std::string text = ir::ToString(input.shape);
  if (counts) {
    std::vector<std::string> dims;
    for (const int64_t d : input.shape.dims) dims.push_back(fmt::to_string(d));
    dims[dim] = "examples";
    text = fmt::format("{}[{}]", ir::Name(input.shape.dtype), fmt::join(dims, ","));
  }
  return Mismatch(
      fmt::format("{}: is {}, {} needs {}", array.where(), ir::ToString(array.shape()), InputText(input), text));
}

class ArrayData : public DataSource {
 public:
  ArrayData(std::vector<Column> columns, int64_t examples, int64_t batch, std::string description, uint64_t seed)
      : columns_(std::move(columns)),
        examples_(examples),
        batch_(batch),
        description_(std::move(description)),
        seed_(seed) {}

  std::string Describe() const override { return description_; }
  int64_t batches_per_epoch() const override { return examples_ / batch_; }

 protected:
  Result<std::vector<ir::HostTensor>> Batch(int64_t position) override {
    const int64_t epoch = position / batches_per_epoch();
    const Permutation order(examples_, seed_ * 0x9e3779b97f4a7c15ULL + static_cast<uint64_t>(epoch));
    std::vector<int64_t> examples;
    for (int64_t i = 0; i < batch_; ++i) examples.push_back(order(position % batches_per_epoch() * batch_ + i));
    std::vector<ir::HostTensor> tensors;
    for (const Column& column : columns_) {
      ir::HostTensor tensor(column.input.shape);
      if (column.input.batch_dim < 0) {
        ALPA_RETURN_IF_ERROR(column.parts[0].Read(0, tensor.bytes()));
      } else {
        ALPA_RETURN_IF_ERROR(Collect(column, examples, tensor));
      }
      tensors.push_back(std::move(tensor));
    }
    return tensors;
  }

 private:
  // Copies these examples into `tensor`: with [outer, batch, inner] the extents before, at and behind the batch
  // dimension, `outer` runs of `inner` elements each.
  static Status Collect(const Column& column, const std::vector<int64_t>& examples, ir::HostTensor& tensor) {
    const auto dim = static_cast<size_t>(column.input.batch_dim);
    const std::vector<int64_t>& dims = column.input.shape.dims;
    int64_t outer = 1;
    for (size_t d = 0; d < dim; ++d) outer *= dims[d];
    const auto run = static_cast<size_t>(std::ssize(tensor.bytes()) / std::max<int64_t>(outer * dims[dim], 1));
    for (size_t i = 0; i < examples.size(); ++i) {
      const auto part = static_cast<size_t>(std::upper_bound(column.ends.begin(), column.ends.end(), examples[i]) -
                                            column.ends.begin());
      const int64_t local = examples[i] - (part == 0 ? 0 : column.ends[part - 1]);
      const StoredArray& array = column.parts[part];
      for (int64_t o = 0; o < outer; ++o) {
        const int64_t from = (o * array.shape().dims[dim] + local) * static_cast<int64_t>(run);
        const size_t to = (static_cast<size_t>(o) * examples.size() + i) * run;
        ALPA_RETURN_IF_ERROR(array.Read(from, tensor.bytes().subspan(to, run)));
      }
    }
    return Ok();
  }

  std::vector<Column> columns_;
  int64_t examples_;
  int64_t batch_;
  std::string description_;
  uint64_t seed_;
};

// The batch size that all inputs with a batch dimension share.
Result<int64_t> CommonBatch(const std::vector<BatchInput>& inputs) {
  int64_t batch = -1;
  for (const BatchInput& input : inputs) {
    if (input.batch_dim < 0) continue;
    const int64_t own = input.shape.dims[static_cast<size_t>(input.batch_dim)];
    if (batch < 0) batch = own;
    if (own == batch && batch > 0) continue;
    return Error{Code::kUnsupported,
                 fmt::format("{} has a batch of {}, another input one of {}", InputText(input), own, batch), ""};
  }
  if (batch > 0) return batch;
  return Error{Code::kUnsupported, "no batch input has a batch dimension along which data could be cut", ""};
}

// Adds the arrays of `set` to the columns; returns the number of its examples.
Result<int64_t> AddSet(const ArraySet& set, std::vector<Column>& columns) {
  std::vector<BatchInput> inputs;
  inputs.reserve(columns.size());
  for (const Column& column : columns) inputs.push_back(column.input);
  ALPA_TRY(const std::vector<size_t> match, MatchNames(set, inputs));
  int64_t examples = -1;
  for (size_t i = 0; i < columns.size(); ++i) {
    ALPA_TRY(StoredArray array, set.Get(match[i]));
    ALPA_TRY(const int64_t count, CheckArray(array, inputs[i]));
    if (inputs[i].batch_dim >= 0) {
      if (examples < 0) examples = count;
      if (count != examples) {
        return Mismatch(
            fmt::format("{}: holds {} examples, another array of the same data {}", array.where(), count, examples));
      }
      columns[i].ends.push_back((columns[i].ends.empty() ? 0 : columns[i].ends.back()) + count);
    }
    columns[i].parts.push_back(std::move(array));
  }
  return examples;
}

std::string DescribeArrays(const std::vector<std::string>& paths, const std::vector<Column>& columns,
                           int64_t examples) {
  std::vector<std::string> names;
  names.reserve(paths.size());
  for (const std::string& path : paths) names.push_back(std::filesystem::path(path).filename().string());
  uint32_t crc = 0;
  for (const Column& column : columns) {
    for (const StoredArray& part : column.parts) crc = Crc32(fmt::to_string(part.crc()), crc);
  }
  return fmt::format("{} examples in {} (checksum {:08x})", examples, fmt::join(names, ", "), crc);
}

}  // namespace

Result<std::unique_ptr<DataSource>> OpenArrayData(const std::vector<std::string>& paths, std::vector<BatchInput> inputs,
                                                  const DataOptions& options) {
  ALPA_TRY(const int64_t batch, CommonBatch(inputs));
  ALPA_TRY(const std::vector<ArraySet> sets, ArraySet::Open(paths));
  std::vector<Column> columns;
  columns.reserve(inputs.size());
  for (BatchInput& input : inputs) columns.push_back({std::move(input), {}, {}});
  int64_t examples = 0;
  for (const ArraySet& set : sets) {
    ALPA_TRY(const int64_t in_set, AddSet(set, columns));
    examples += in_set;
  }
  if (examples < batch) {
    return Mismatch(
        fmt::format("{}: holds {} examples, fewer than one batch of {}", fmt::join(paths, ", "), examples, batch),
        "give more data, or export the step with a smaller batch");
  }
  std::string description = DescribeArrays(paths, columns, examples);
  return std::unique_ptr<DataSource>(
      std::make_unique<ArrayData>(std::move(columns), examples, batch, std::move(description), options.seed));
}

}  // namespace alpa::runtime
