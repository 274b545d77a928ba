#include "alpa/base/result.h"

#include <gtest/gtest.h>

#include <memory>

namespace alpa {
namespace {

const Error kError{Code::kNotFound, "x.json: no such file", "look elsewhere"};

TEST(Error, ShowsTheHintOnALineOfItsOwn) {
  EXPECT_EQ(ToString(kError), "x.json: no such file\n  look elsewhere");
  EXPECT_EQ(ToString(Error{Code::kIo, "disk full", ""}), "disk full");
}

TEST(Error, EndsWith1OnlyWhenNumbersAreOutOfTolerance) {
  EXPECT_EQ(ExitStatus({Code::kOutOfTolerance, "", ""}), 1);
  EXPECT_EQ(ExitStatus({Code::kInterrupted, "", ""}), 3);
  for (const Code code : {Code::kInvalidInput, Code::kUnsupported, Code::kAmbiguous, Code::kInvalidArgument,
                          Code::kNotFound, Code::kMismatch, Code::kCorrupt, Code::kIo, Code::kEnvironment}) {
    EXPECT_EQ(ExitStatus({code, "", ""}), 2) << CodeName(code);
  }
}

TEST(Error, NamesEachCode) {
  EXPECT_EQ(CodeName(Code::kInvalidInput), "invalid input");
  EXPECT_EQ(CodeName(Code::kUnsupported), "unsupported");
  EXPECT_EQ(CodeName(Code::kAmbiguous), "ambiguous");
  EXPECT_EQ(CodeName(Code::kInvalidArgument), "invalid argument");
  EXPECT_EQ(CodeName(Code::kNotFound), "not found");
  EXPECT_EQ(CodeName(Code::kMismatch), "mismatch");
  EXPECT_EQ(CodeName(Code::kCorrupt), "corrupt");
  EXPECT_EQ(CodeName(Code::kIo), "input/output");
  EXPECT_EQ(CodeName(Code::kEnvironment), "environment");
  EXPECT_EQ(CodeName(Code::kOutOfTolerance), "out of tolerance");
  EXPECT_EQ(CodeName(Code::kInterrupted), "interrupted");
}

TEST(Result, HoldsAValueOrAnError) {
  const Result<int> good = 7;
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(*good, 7);
  const Result<int> bad = kError;
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error(), kError);
}

TEST(Result, MovesOutWhatCannotBeCopied) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(7);
  const std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 7);
}

Result<int> Half(int x) {
  if (x % 2 != 0) return Error{Code::kInvalidArgument, std::to_string(x) + " is odd", ""};
  return x / 2;
}

Result<int> Quarter(int x) {
  ALPA_TRY(const int half, Half(x));
  ALPA_TRY(const int quarter, Half(half));
  return quarter;
}

Status CheckEven(int x) {
  ALPA_RETURN_IF_ERROR(Half(x));  // of a Result
  return Ok();
}

Status CheckBothEven(int x, int y) {
  ALPA_RETURN_IF_ERROR(CheckEven(x));  // of a Status
  ALPA_RETURN_IF_ERROR(CheckEven(y));
  return Ok();
}

TEST(Result, TryReturnsTheFirstError) {
  EXPECT_EQ(*Quarter(12), 3);
  EXPECT_EQ(Quarter(6).error().message, "3 is odd");
  EXPECT_EQ(Quarter(5).error().message, "5 is odd");
}

TEST(Status, ReturnIfErrorPassesErrorsOn) {
  EXPECT_TRUE(CheckBothEven(2, 4).ok());
  EXPECT_EQ(CheckBothEven(2, 5).error().message, "5 is odd");
  EXPECT_EQ(CheckBothEven(3, 5).error().message, "3 is odd");
}

TEST(CheckDeathTest, NamesPlaceConditionAndMessage) {
  EXPECT_DEATH(ALPA_CHECK(1 > 2, "one is small"), "internal error at .*result_test.cc:[0-9]+: 1 > 2: one is small");
  EXPECT_DEATH(ALPA_CHECK(1 > 2), "1 > 2\nThis is a bug in alpa, please report it");
  ALPA_CHECK(2 > 1, "not evaluated");
}

}  // namespace
}  // namespace alpa
