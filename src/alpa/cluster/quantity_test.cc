#include "alpa/cluster/quantity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace alpa::cluster {
namespace {

using testing::HasSubstr;

double Value(std::string_view text, Dimension dimension) {
  const Result<double> value = ParseQuantity(text, dimension);
  EXPECT_TRUE(value.ok()) << value.error().message;
  return value.ok() ? *value : -1;
}

std::string Message(std::string_view text, Dimension dimension) {
  const Result<double> value = ParseQuantity(text, dimension);
  EXPECT_FALSE(value.ok()) << text;
  return value.ok() ? "" : ToString(value.error());
}

TEST(Quantity, ReadsUnits) {
  EXPECT_EQ(Value("16 GiB", Dimension::kBytes), 16.0 * (1 << 30));
  EXPECT_EQ(Value("16GB", Dimension::kBytes), 16e9);
  EXPECT_EQ(Value("3 B", Dimension::kBytes), 3);
  EXPECT_EQ(Value("900 GB/s", Dimension::kBytesPerSecond), 900e9);
  EXPECT_EQ(Value("1.5 TiB/s", Dimension::kBytesPerSecond), 1.5 * 1024 * 1024 * 1024 * 1024);
  EXPECT_EQ(Value("25 Gbit/s", Dimension::kBytesPerSecond), 25e9 / 8);
  EXPECT_EQ(Value("125 TFLOP/s", Dimension::kFlopsPerSecond), 125e12);
  EXPECT_EQ(Value("5 us", Dimension::kSeconds), 5e-6);
  EXPECT_EQ(Value("1e3  ns", Dimension::kSeconds), 1e-6);
  EXPECT_EQ(Value("-2 s", Dimension::kSeconds), -2);
}

TEST(Quantity, RefusesWhatIsNoNumberWithAUnit) {
  EXPECT_THAT(Message("16", Dimension::kBytes), HasSubstr("\"16\" has no unit"));
  EXPECT_THAT(Message("16", Dimension::kBytes), HasSubstr("\"16 GiB\""));
  EXPECT_THAT(Message("", Dimension::kBytes), HasSubstr("does not begin with a number"));
  EXPECT_THAT(Message("GiB", Dimension::kBytes), HasSubstr("does not begin with a number"));
  EXPECT_THAT(Message("nan GiB", Dimension::kBytes), HasSubstr("does not begin with a number"));
  EXPECT_THAT(Message("inf GB/s", Dimension::kBytesPerSecond), HasSubstr("does not begin with a number"));
  EXPECT_THAT(Message("1e999 B", Dimension::kBytes), HasSubstr("too large"));
}

TEST(Quantity, RefusesUnitsOfAnotherDimension) {
  EXPECT_THAT(Message("25 Gbps", Dimension::kBytesPerSecond), HasSubstr("\"Gbps\""));
  EXPECT_THAT(Message("25 Gbps", Dimension::kBytesPerSecond), HasSubstr("Gbit/s"));
  EXPECT_THAT(Message("16 GB/s", Dimension::kBytes), HasSubstr("\"GB/s\""));
  EXPECT_THAT(Message("16 GiBs", Dimension::kBytes), HasSubstr("\"GiBs\""));
  EXPECT_THAT(Message("16 gB", Dimension::kBytes), HasSubstr("\"gB\""));
  EXPECT_THAT(Message("16 Gibit/s", Dimension::kBytesPerSecond), HasSubstr("\"Gibit/s\""));
  EXPECT_THAT(Message("125 TFLOPS", Dimension::kFlopsPerSecond), HasSubstr("\"125 TFLOP/s\""));
  EXPECT_THAT(Message("5 min", Dimension::kSeconds), HasSubstr("\"min\""));
}

TEST(Quantity, Prints) {
  EXPECT_EQ(ToString(900e9, Dimension::kBytesPerSecond), "900.00 GB/s");
  EXPECT_EQ(ToString(125e12, Dimension::kFlopsPerSecond), "125.00 TFLOP/s");
  EXPECT_EQ(ToString(5e-6, Dimension::kSeconds), "5.00 us");
  EXPECT_EQ(ToString(16.0 * (1 << 30), Dimension::kBytes), "16.00 GiB");
  EXPECT_EQ(ToString(0, Dimension::kFlopsPerSecond), "0.00 FLOP/s");
}

}  // namespace
}  // namespace alpa::cluster
