#include "alpa/frontend/input_names.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace alpa::frontend {
namespace {

constexpr std::array<std::string_view, 21> kStateWords = {
    "param",     "params",   "parameters", "weights", "variables", "vars",    "opt",
    "optimizer", "state",    "states",     "model",   "ema",       "mu",      "nu",
    "mom",       "momentum", "step",       "count",   "moments",   "buffers", "trainable"};
constexpr std::array<std::string_view, 21> kBatchWords = {
    "batch",  "x",    "xs",   "y",      "ys", "ids",    "labels", "label",    "inputs",   "input",   "targets",
    "target", "data", "mask", "tokens", "lr", "images", "image",  "examples", "features", "learning"};
constexpr std::array<std::string_view, 5> kKeyWords = {"key", "keys", "rng", "rngs", "seed"};

template <size_t N>
bool Among(const std::array<std::string_view, N>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

std::string_view ArgumentOf(std::string_view name) { return name.substr(0, name.find_first_of("[.")); }

NameHint HintOf(std::string_view name) {
  const std::string_view argument = ArgumentOf(name);
  NameHint hint = NameHint::kNone;
  // Words are separated by underscores and digits; the last that says something decides: "batch_stats" is neither, but
  // "model_state", "train_batch", "opt_state" are what their last word says.
  for (size_t begin = 0; begin < argument.size();) {
    size_t end = begin;
    std::string word;
    while (end < argument.size() && std::isalpha(static_cast<unsigned char>(argument[end])) != 0) {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(argument[end++])));
    }
    if (word == "stats") return NameHint::kState;
    if (Among(kStateWords, word)) hint = NameHint::kState;
    if (Among(kBatchWords, word)) hint = NameHint::kBatch;
    if (Among(kKeyWords, word)) hint = NameHint::kKey;
    begin = end + 1;
  }
  return hint;
}

bool LooksLikeKey(const ir::Shape& shape, std::string_view name) {
  const bool bits = shape.dtype == ir::DType::kU32 && shape.rank() == 1 && (shape.dims[0] == 2 || shape.dims[0] == 4);
  return bits || HintOf(name) == NameHint::kKey;
}

}  // namespace alpa::frontend
