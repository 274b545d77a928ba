#include "alpa/runtime/text_data.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>

#include "alpa/base/file.h"
#include "alpa/runtime/corpus.h"
#include "alpa/runtime/index_bound.h"
#include "alpa/runtime/input_names.h"
#include "alpa/runtime/permutation.h"

namespace alpa::runtime {
namespace {

template <typename T>
void CopyBytes(std::string_view from, T* to) {
  std::transform(from.begin(), from.end(), to, [](char c) { return static_cast<T>(static_cast<unsigned char>(c)); });
}

// Writes the bytes of `text` as elements of `tensor` from element `at` on.
void WriteElements(std::string_view text, ir::HostTensor& tensor, size_t at) {
  switch (ir::Bits(tensor.shape().dtype)) {
    case 8:
      return CopyBytes(text, tensor.as<uint8_t>().data() + at);
    case 16:
      return CopyBytes(text, tensor.as<uint16_t>().data() + at);
    case 32:
      return CopyBytes(text, tensor.as<uint32_t>().data() + at);
    default:
      return CopyBytes(text, tensor.as<uint64_t>().data() + at);
  }
}

class TextData : public DataSource {
 public:
  TextData(Corpus corpus, ir::Shape shape, bool labels_first, std::string description, uint64_t seed)
      : corpus_(std::move(corpus)),
        shape_(std::move(shape)),
        labels_first_(labels_first),
        description_(std::move(description)),
        seed_(seed) {}

  int64_t windows() const { return (std::ssize(corpus_.bytes) - 1) / shape_.dims[1]; }
  std::string Describe() const override { return description_; }
  int64_t batches_per_epoch() const override { return windows() / shape_.dims[0]; }

 protected:
  Result<std::vector<ir::HostTensor>> Batch(int64_t position) override {
    const int64_t batch = shape_.dims[0];
    const auto seq = static_cast<size_t>(shape_.dims[1]);
    const int64_t epoch = position / batches_per_epoch();
    const Permutation order(windows(), seed_ * 0x9e3779b97f4a7c15ULL + static_cast<uint64_t>(epoch));
    ir::HostTensor ids(shape_);
    ir::HostTensor labels(shape_);
    for (int64_t i = 0; i < batch; ++i) {
      const auto start = static_cast<size_t>(order(position % batches_per_epoch() * batch + i)) * seq;
      const std::string_view text = corpus_.bytes;
      WriteElements(text.substr(start, seq), ids, static_cast<size_t>(i) * seq);
      WriteElements(text.substr(start + 1, seq), labels, static_cast<size_t>(i) * seq);
    }
    std::vector<ir::HostTensor> out;
    out.push_back(std::move(ids));
    out.push_back(std::move(labels));
    if (labels_first_) std::swap(out[0], out[1]);
    return out;
  }

 private:
  Corpus corpus_;
  ir::Shape shape_;
  bool labels_first_;
  std::string description_;
  uint64_t seed_;
};

// That the model has the two inputs that text can fill.
Status CheckInputs(const std::vector<BatchInput>& inputs) {
  const bool fits = inputs.size() == 2 && inputs[0].shape == inputs[1].shape && inputs[0].shape.rank() == 2 &&
                    ir::IsInteger(inputs[0].shape.dtype) && inputs[0].shape.elements() > 0 &&
                    inputs[0].batch_dim == 0 && inputs[1].batch_dim == 0;
  if (fits) return Ok();
  std::vector<std::string> texts;
  texts.reserve(inputs.size());
  for (const BatchInput& input : inputs) texts.push_back(fmt::format("{} {}", ir::ToString(input.shape), input.name));
  return Error{Code::kMismatch,
               fmt::format("text data needs a model with two integer batch inputs [batch, sequence]; this one has {}",
                           fmt::join(texts, ", ")),
               "give its data as .npz"};
}

// The last part of a path: "text" for "data/text/".
std::string ShortName(const std::string& path) {
  const std::filesystem::path normal = std::filesystem::path(path).lexically_normal();
  return (normal.has_filename() ? normal : normal.parent_path()).filename().string();
}

bool IsLabelName(const std::string& name) {
  constexpr std::array<std::string_view, 5> kNames = {"label", "labels", "target", "targets", "y"};
  return std::find(kNames.begin(), kNames.end(), LastComponent(name)) != kNames.end();
}

// That every byte of the text is a value the model distinguishes.
Status CheckVocabulary(const Corpus& corpus, const std::vector<BatchInput>& inputs, const ir::Module& module,
                       const std::string& paths) {
  int largest = 0;
  for (const char c : corpus.bytes) largest = std::max<int>(largest, static_cast<unsigned char>(c));
  for (const BatchInput& input : inputs) {
    int64_t bound = IndexBound(module, input.input).value_or(256);
    if (input.shape.dtype == ir::DType::kS8) bound = std::min<int64_t>(bound, 128);
    if (largest < bound) continue;
    return Error{
        Code::kMismatch,
        fmt::format("{}: the text has bytes up to {}, but {} of the model takes values below {}", paths, largest,
                    input.name.empty() ? fmt::format("input {}", input.input) : "'" + input.name + "'", bound),
        "byte-level text needs a vocabulary of 256"};
  }
  return Ok();
}

}  // namespace

Result<std::unique_ptr<DataSource>> OpenTextData(const std::vector<std::string>& paths,
                                                 const std::vector<BatchInput>& inputs, const ir::Module& module,
                                                 const DataOptions& options) {
  ALPA_RETURN_IF_ERROR(CheckInputs(inputs));
  ALPA_TRY(Corpus corpus, ReadCorpus(paths));
  std::vector<std::string> short_names;
  short_names.reserve(paths.size());
  for (const std::string& path : paths) short_names.push_back(ShortName(path));
  const std::string names = fmt::format("{}", fmt::join(short_names, ", "));
  ALPA_RETURN_IF_ERROR(CheckVocabulary(corpus, inputs, module, names));
  const ir::Shape& shape = inputs[0].shape;
  std::string description = fmt::format("text of {} bytes in {} files of {} (checksum {:08x})", corpus.bytes.size(),
                                        corpus.files, names, Crc32(corpus.bytes));
  const bool labels_first = IsLabelName(inputs[0].name) && !IsLabelName(inputs[1].name);
  auto data = std::make_unique<TextData>(std::move(corpus), shape, labels_first, std::move(description), options.seed);
  if (data->batches_per_epoch() > 0) return std::unique_ptr<DataSource>(std::move(data));
  return Error{Code::kMismatch,
               fmt::format("{} makes {} windows of {}, fewer than one batch of {}", data->Describe(), data->windows(),
                           shape.dims[1], shape.dims[0]),
               "give more text"};
}

}  // namespace alpa::runtime
