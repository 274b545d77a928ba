#include "alpa/driver/serve_wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>

namespace alpa::driver {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

// Two ends of a socket, one of them spoken to in bytes.
class WireTest : public ::testing::Test {
 protected:
  WireTest() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends_.data()), 0); }
  ~WireTest() override {
    ::close(ends_[0]);
    CloseOther();
  }
  WireTest(const WireTest&) = delete;
  WireTest& operator=(const WireTest&) = delete;

  Wire wire() const { return Wire(ends_[0]); }
  Wire other() const { return Wire(ends_[1]); }
  void CloseOther() {
    if (ends_[1] >= 0) ::close(ends_[1]);
    ends_[1] = -1;
  }
  // A message as the other side writes it.
  void Write(uint64_t json_size, uint64_t arrays_size, const std::string& rest) const {
    const std::array<uint64_t, 2> sizes{json_size, arrays_size};
    EXPECT_EQ(::write(ends_[1], sizes.data(), sizeof sizes), static_cast<ssize_t>(sizeof sizes));
    EXPECT_EQ(::write(ends_[1], rest.data(), rest.size()), static_cast<ssize_t>(rest.size()));
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

TEST_F(WireTest, CarriesJsonAndArrays) {
  ir::HostTensor tensor(ir::Shape{ir::DType::kF32, {2, 3}});
  for (size_t i = 0; i < 6; ++i) tensor.as<float>()[i] = static_cast<float>(i);
  ir::HostTensor flag(ir::Shape{ir::DType::kPred, {}});
  flag.as<bool>()[0] = true;
  const std::array tensors{tensor, flag};
  ASSERT_TRUE(other().Send({{"op", "step"}}, tensors).ok());
  Wire here = wire();
  const auto message = here.Receive();
  ASSERT_TRUE(message.ok() && message->has_value());
  EXPECT_EQ(**message, json({{"op", "step"}}));
  EXPECT_EQ(here.left(), 25U);
  const auto first = here.ReceiveTensor(tensor.shape());
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(*first, tensor);
  const auto second = here.ReceiveTensor(flag.shape());
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(*second, flag);
  EXPECT_EQ(here.left(), 0U);
}

TEST_F(WireTest, SkipsArraysThatNobodyReads) {
  ASSERT_TRUE(other().Send({{"op", "a"}}, std::array{ir::HostTensor(ir::Shape{ir::DType::kF32, {1000}})}).ok());
  ASSERT_TRUE(other().Send({{"op", "b"}}).ok());
  Wire here = wire();
  ASSERT_TRUE(here.Receive().ok());
  ASSERT_TRUE(here.SkipRest().ok());
  EXPECT_EQ((**here.Receive())["op"], "b");
}

TEST_F(WireTest, EndsBetweenMessagesAndNowhereElse) {
  Wire here = wire();
  Write(2, 8, "{}xxxx");
  CloseOther();
  ASSERT_TRUE(here.Receive().ok());
  EXPECT_THAT(here.ReceiveTensor(ir::Shape{ir::DType::kF32, {2}}).error().message, HasSubstr("ends in the middle"));
  Wire again = wire();
  const auto end = again.Receive();
  ASSERT_TRUE(end.ok());
  EXPECT_FALSE(end->has_value());
}

TEST_F(WireTest, SaysWhatIsNoMessage) {
  const auto refused = [&](uint64_t json_size, uint64_t arrays_size, const std::string& rest) {
    Write(json_size, arrays_size, rest);
    const auto got = wire().Receive();
    return got.ok() ? std::string("taken") : got.error().message;
  };
  EXPECT_THAT(refused(3, 0, "[1]"), HasSubstr("no JSON object"));
  EXPECT_THAT(refused(3, 0, "{]}"), HasSubstr("no JSON object"));
  EXPECT_THAT(refused(uint64_t{1} << 40, 0, ""), HasSubstr("bytes of JSON"));
  Write(2, 4, "{}1234");
  Wire here = wire();
  ASSERT_TRUE(here.Receive().ok());
  EXPECT_EQ(here.ReceiveTensor(ir::Shape{ir::DType::kF32, {2}}).error().code, Code::kInvalidInput);
}

TEST_F(WireTest, WritingToNobodyIsAnError) {
  CloseOther();
  EXPECT_EQ(wire().Send({{"ok", true}}).error().code, Code::kIo);
}

}  // namespace
}  // namespace alpa::driver
