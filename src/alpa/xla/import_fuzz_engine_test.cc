// Damaged model files, made at random: each import ends with a sound step or with an error that names the file.
// ALPA_FUZZ=N tries N mutations (default 200), ALPA_FUZZ_SEED=S others than usual; kinds of crashes of XLA's reader are
// printed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>

#include "alpa/base/file.h"
#include "alpa/xla/engine_test_support.h"

namespace alpa::xla {
namespace {

const std::filesystem::path kModels = std::filesystem::path(ALPA_SOURCE_DIR) / "tests/models";

struct Sample {
  std::string name;
  std::string bytes;
};

constexpr const char* kHloText = R"(HloModule step, input_output_alias={ {0}: (0, {}, may-alias) }
sum { a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT c = f32[] add(a, b) }
body { p = (s32[], f32[4,8]) parameter(0)
  i = s32[] get-tuple-element(p), index=0
  w = f32[4,8] get-tuple-element(p), index=1
  one = s32[] constant(1)
  j = s32[] add(i, one)
  v = f32[4,8] multiply(w, w)
  ROOT r = (s32[], f32[4,8]) tuple(j, v) }
condition { p = (s32[], f32[4,8]) parameter(0)
  i = s32[] get-tuple-element(p), index=0
  n = s32[] constant(3)
  ROOT less = pred[] compare(i, n), direction=LT }
ENTRY main { zero = f32[] constant(0)
  w = f32[4,8]{1,0} parameter(0)
  x = f32[16,4]{1,0} parameter(1)
  y = f32[16,8]{1,0} dot(x, w), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  t = f32[8,16]{1,0} transpose(y), dimensions={1,0}
  pad.1 = f32[3,5,2]{2,1,0} broadcast(zero), dimensions={}
  q = f32[3,2,2]{2,1,0} slice(pad.1), slice={[0:3], [1:3], [0:2]}
  s = f32[] reduce(y, zero), dimensions={0,1}, to_apply=sum
  i = s32[] constant(0)
  init = (s32[], f32[4,8]) tuple(i, w)
  loop = (s32[], f32[4,8]) while(init), condition=condition, body=body
  new = f32[4,8] get-tuple-element(loop), index=1
  ROOT out = (f32[4,8], f32[], f32[8,16], f32[3,2,2]) tuple(new, s, t, q) }
)";

std::vector<Sample> Samples() {
  std::vector<Sample> samples;
  for (const char* name : {"mlp_tiny_sgd.mlirbc", "rnn_scan.mlirbc", "while_dynamic.mlirbc", "topk_sort.mlirbc",
                           "gather_scatter.mlirbc", "mlp_tiny.mlir.gz", "mlp_tiny.generic.mlir.gz"}) {
    auto bytes = ReadFile(kModels / name);
    EXPECT_TRUE(bytes.ok()) << name;
    if (IsGzip(*bytes)) bytes = Gunzip(*bytes);
    EXPECT_TRUE(bytes.ok()) << name;
    samples.push_back({name, *bytes});
    if (samples.size() > 5) continue;
    auto step = TheEngine().Import(*bytes, {name});
    EXPECT_TRUE(step.ok()) << name;
    samples.push_back({std::string(name) + ".hlo.pb", step->hlo});
  }
  samples.push_back({"step.hlo", kHloText});
  const auto text = TheEngine().Import(kHloText, {"step.hlo"});
  EXPECT_TRUE(text.ok()) << (text.ok() ? "" : ToString(text.error()));
  return samples;
}

// One to four random changes: bits, bytes, digits, cuts, insertions, repetitions, exchanges.
std::string Mutate(std::string bytes, std::mt19937& random) {
  auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  for (size_t change = below(2) == 0 ? 1 : below(4) + 1; change > 0 && bytes.size() > 64; --change) {
    const size_t at = below(bytes.size() - 32);
    const size_t size = below(32) + 1;
    switch (below(12)) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
        break;
      case 1:
        bytes[at] = static_cast<char>(below(256));
        break;
      case 2: {  // a number in the text, or a small value
        const size_t digit = bytes.find_first_of("0123456789", at);
        bytes[digit == std::string::npos ? at : digit] = "0123456789-"[below(11)];
        break;
      }
      case 3:
        bytes.erase(at, size);
        break;
      case 4:
        for (size_t n = size; n > 0; --n)
          bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), static_cast<char>(below(256)));
        break;
      case 5:
        bytes.insert(at, bytes.substr(below(bytes.size() - 32), size));
        break;
      case 6:
        bytes.replace(at, size, bytes.substr(below(bytes.size() - 32), size));
        break;
      default:
        bytes[at] = static_cast<char>(bytes[at] + (below(2) == 0 ? 1 : -1));
    }
  }
  return bytes;
}

int64_t FromEnvironment(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoll(text, nullptr, 10) : otherwise;
}

TEST(ImportFuzz, DamagedFilesAreRefusedOrSound) {
  const std::vector<Sample> samples = Samples();
  const int64_t n = FromEnvironment("ALPA_FUZZ", 200);
  const int64_t first = FromEnvironment("ALPA_FUZZ_SEED", 0);
  const char* keep = std::getenv("ALPA_FUZZ_FILE");  // the mutation being tried, to look at one that kills the test
  std::map<std::string, std::pair<int, int64_t>> crashes;  // times, one of the mutations
  int refused = 0;
  for (int64_t k = first; k < first + n; ++k) {
    std::mt19937 random(static_cast<unsigned>(k));
    const Sample& sample = samples[static_cast<size_t>(k) % samples.size()];
    const std::string bytes = Mutate(sample.bytes, random);
    if (keep != nullptr) ASSERT_TRUE(WriteFileAtomic(keep, bytes).ok());
    const auto step = TheEngine().Import(bytes, {"damaged.file"});
    if (step.ok()) {
      const Status sound = ir::Verify(step->module);
      EXPECT_TRUE(sound.ok()) << sample.name << " " << k << ": " << ToString(sound.error());
      continue;
    }
    ++refused;
    const std::string& message = step.error().message;
    EXPECT_NE(message.find("damaged.file"), std::string::npos) << sample.name << " " << k << ": " << message;
    EXPECT_EQ(message.find("RET_CHECK"), std::string::npos) << sample.name << " " << k << ": " << message;
    if (message.find("XLA's reader") != std::string::npos) {
      auto& crash = crashes[sample.name + ": " + message];
      ++crash.first;
      crash.second = k;
    }
  }
  for (const auto& [what, times] : crashes) {
    std::printf("%d x %s (e.g. %ld)\n", times.first, what.c_str(), static_cast<long>(times.second));
  }
  std::printf("%ld of %ld refused\n", static_cast<long>(refused), static_cast<long>(n));
  EXPECT_GT(refused, n / 4);
}

}  // namespace
}  // namespace alpa::xla
