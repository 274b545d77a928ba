#include "alpa/runtime/memory_meter.h"

#include <gtest/gtest.h>

namespace alpa::runtime {
namespace {

std::unique_ptr<xla::Array> SomeArray() { return HostArray(ir::HostTensor(ir::Shape{ir::DType::kF32, {2}})); }

TEST(MemoryMeter, CountsWhatIsHeld) {
  const auto meter = MemoryMeter::Make();
  ArrayPtr a = meter->Own(SomeArray(), Bytes(10));
  ArrayPtr again = a;
  ArrayPtr b = meter->Own(SomeArray(), Bytes(5));
  EXPECT_EQ(meter->live(), Bytes(15));
  a.reset();
  EXPECT_EQ(meter->live(), Bytes(15));  // somebody still has it
  again.reset();
  EXPECT_EQ(meter->live(), Bytes(5));
  EXPECT_EQ(meter->TakePeak(), Bytes(15));
  EXPECT_EQ(meter->TakePeak(), Bytes(5));  // since then nothing came
}

TEST(MemoryMeter, CountsRunningProgramsAndMemoryThatGoesOver) {
  const auto meter = MemoryMeter::Make();
  ArrayPtr state = meter->Own(SomeArray(), Bytes(100));
  meter->Run(Bytes(30));
  meter->Release(state.get());  // donated: the new state has its memory
  ArrayPtr updated = meter->Own(SomeArray(), Bytes(100));
  state.reset();
  EXPECT_EQ(meter->live(), Bytes(100));
  EXPECT_EQ(meter->TakePeak(), Bytes(130));
}

TEST(MemoryMeter, LastsAsLongAsItsArrays) {
  ArrayPtr array;
  {
    const auto meter = MemoryMeter::Make();
    array = meter->Own(SomeArray(), Bytes(1));
  }
  array.reset();
}

}  // namespace
}  // namespace alpa::runtime
