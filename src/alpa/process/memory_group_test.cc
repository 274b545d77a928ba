#include "alpa/process/memory_group.h"

#include "alpa/process/group_conformance.h"

namespace alpa::process {
namespace {

TEST(MemoryGroup, KeepsOrderAndContent) { RunInThreads(3, KeepsOrderAndContent); }
TEST(MemoryGroup, ReceivesBeforeAndAfterTheMessage) { RunInThreads(2, ReceivesBeforeAndAfterTheMessage); }
TEST(MemoryGroup, GivesUpWaiting) { RunInThreads(2, GivesUpWaiting); }
TEST(MemoryGroup, RefusesAnotherSize) { RunInThreads(2, RefusesAnotherSize); }
TEST(MemoryGroup, KeepsGroupsApart) { RunInThreads(3, KeepsGroupsApart); }
TEST(MemoryGroup, Agrees) { RunInThreads(4, Agrees); }
TEST(MemoryGroup, ServesSeveralThreads) { RunInThreads(2, ServesSeveralThreads); }

}  // namespace
}  // namespace alpa::process
