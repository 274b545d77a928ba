// What every kind of group must do, for tests: each process of the group calls these.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "alpa/process/agree.h"
#include "alpa/process/group.h"

namespace alpa::process {

inline std::vector<std::byte> Pattern(size_t size, int seed) {
  std::vector<std::byte> out(size);
  for (size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>(i * 7 + i / 251 + static_cast<size_t>(seed));
  return out;
}

// Each process sends messages around the ring, small and large, on two channels, the receiver asking for the second
// channel first.
inline void KeepsOrderAndContent(Group& group) {
  const int to = (group.rank() + 1) % group.size();
  const int from = (group.rank() + group.size() - 1) % group.size();
  const std::vector<size_t> sizes = {0, 1, 8192, 8193, 3'000'000, 5};
  std::vector<std::vector<std::byte>> sent;
  std::vector<Transfer> sends;
  sent.reserve(sizes.size());
  for (const size_t size : sizes) sent.push_back(Pattern(size, group.rank()));
  for (const uint64_t channel : {uint64_t{3}, (uint64_t{1} << 40) + 3}) {
    for (const auto& bytes : sent) sends.push_back(group.Send(to, channel, bytes));
  }
  for (const uint64_t channel : {(uint64_t{1} << 40) + 3, uint64_t{3}}) {
    for (const size_t size : sizes) {
      std::vector<std::byte> got(size);
      const Status status = group.Receive(from, channel, got).Wait(Seconds(20));
      ASSERT_TRUE(status.ok()) << status.error().message;
      EXPECT_TRUE(got == Pattern(size, from)) << "of " << size << " bytes on channel " << channel;
    }
  }
  for (Transfer& send : sends) EXPECT_TRUE(send.Wait(Seconds(20)).ok());
}

inline void ReceivesBeforeAndAfterTheMessage(Group& group) {
  const int peer = group.size() - 1 - group.rank();
  std::vector<std::byte> early(100'000);
  Transfer receive = group.Receive(peer, 1, early);
  ASSERT_TRUE(Barrier(group).ok());
  const auto bytes = Pattern(100'000, group.rank());
  Transfer send = group.Send(peer, 1, bytes);
  EXPECT_TRUE(receive.Wait(Seconds(20)).ok());
  EXPECT_TRUE(early == Pattern(100'000, peer));
  EXPECT_TRUE(send.Wait(Seconds(20)).ok());
  group.SendText(peer, 2, "late");
  ASSERT_TRUE(Barrier(group).ok());
  Transfer text = group.ReceiveText(peer, 2);
  ASSERT_TRUE(text.Wait(Seconds(20)).ok());
  EXPECT_EQ(text.TakeText(), "late");
}

inline void GivesUpWaiting(Group& group) {
  const int peer = group.size() - 1 - group.rank();
  std::vector<std::byte> buffer(4);
  Transfer receive = group.Receive(peer, 77, buffer);
  const Status late = receive.Wait(Seconds(0.01));
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, Code::kEnvironment);
  EXPECT_NE(late.error().message.find("process " + std::to_string(peer)), std::string::npos) << late.error().message;
  receive.Cancel();
  EXPECT_TRUE(receive.done());
  EXPECT_FALSE(receive.Wait().ok());
  // What comes then goes to the next receive.
  ASSERT_TRUE(Barrier(group).ok());
  group.SendText(peer, 77, "next");
  Transfer next = group.ReceiveText(peer, 77);
  ASSERT_TRUE(next.Wait(Seconds(20)).ok());
  EXPECT_EQ(next.TakeText(), "next");
}

inline void RefusesAnotherSize(Group& group) {
  const int peer = group.size() - 1 - group.rank();
  for (const size_t size : {size_t{3}, size_t{20'000}}) {
    const auto bytes = Pattern(size, 0);
    std::vector<std::byte> buffer(size + 1);
    Transfer send = group.Send(peer, 8, bytes);
    const Status status = group.Receive(peer, 8, buffer).Wait(Seconds(20));
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, Code::kMismatch);
    EXPECT_TRUE(send.Wait(Seconds(20)).ok());
  }
}

inline void KeepsGroupsApart(Group& group) {
  const auto twin = Duplicate(group, "twin");
  std::vector<int> reversed;
  for (int r = group.size() - 1; r >= 0; --r) reversed.push_back(r);
  const auto other = group.Split(reversed, "reversed");
  EXPECT_EQ(other->rank(), group.size() - 1 - group.rank());
  const auto alone = group.Split({group.rank()}, "alone");
  EXPECT_EQ(alone->size(), 1);
  const int to = (group.rank() + 1) % group.size();
  const int from = (group.rank() + group.size() - 1) % group.size();
  group.SendText(to, 5, "world");
  twin->SendText(to, 5, "twin");
  other->SendText((other->rank() + 1) % group.size(), 5, "reversed");
  alone->SendText(0, 5, "alone");
  Transfer d = alone->ReceiveText(0, 5);
  Transfer c = other->ReceiveText((other->rank() + group.size() - 1) % group.size(), 5);
  Transfer b = twin->ReceiveText(from, 5);
  Transfer a = group.ReceiveText(from, 5);
  for (Transfer* t : {&a, &b, &c, &d}) ASSERT_TRUE(t->Wait(Seconds(20)).ok());
  EXPECT_EQ(a.TakeText() + b.TakeText() + c.TakeText() + d.TakeText(), "worldtwinreversedalone");
}

inline void Agrees(Group& group) {
  const auto all = GatherTexts(group, std::to_string(group.rank()));
  ASSERT_TRUE(all.ok());
  for (int r = 0; r < group.size(); ++r) EXPECT_EQ((*all)[static_cast<size_t>(r)], std::to_string(r));
  const int last = group.size() - 1;
  const auto text = Broadcast(group, last, group.rank() == last ? "of the last" : "of another");
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(*text, "of the last");
  EXPECT_TRUE(AgreeOn(group, Ok()).ok());
  const Error error{Code::kNotFound, "no file a b", "look again"};
  const Status one = AgreeOn(group, group.rank() == 1 ? Status(error) : Ok());
  ASSERT_FALSE(one.ok());
  EXPECT_EQ(one.error(), (Error{Code::kNotFound, "process 1: no file a b", "look again"}));
  const Status same = AgreeOn(group, error);
  ASSERT_FALSE(same.ok());
  EXPECT_EQ(same.error(), error);
  EXPECT_TRUE(AgreeOnValue(group, "plan", "abc").ok());
  const Status differs = AgreeOnValue(group, "plan", group.rank() == 1 ? "abd" : "abc");
  ASSERT_FALSE(differs.ok());
  EXPECT_EQ(differs.error().code, Code::kMismatch);
  EXPECT_EQ(differs.error().message, "process 1 has another plan than process 0");
}

// Two threads of each process, each with a channel of its own, 200 messages there and back.
inline void ServesSeveralThreads(Group& group) {
  const int peer = group.size() - 1 - group.rank();
  const auto talk = [&](uint64_t channel) {
    for (int i = 0; i < 200; ++i) {
      const std::string text = std::to_string(channel) + "/" + std::to_string(i);
      group.SendText(peer, channel, text);
      Transfer receive = group.ReceiveText(peer, channel);
      ASSERT_TRUE(receive.Wait(Seconds(20)).ok());
      ASSERT_EQ(receive.TakeText(), text);
    }
  };
  std::thread other([&] { talk(100); });
  talk(101);
  other.join();
}

}  // namespace alpa::process
