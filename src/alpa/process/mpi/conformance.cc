// The tests of a group over MPI; each process runs them: mpirun -n 2 alpa_mpi_conformance. Exit status 77: not started
// by mpirun.
#include <cstdio>

#include "alpa/process/group_conformance.h"
#include "alpa/process/open_world.h"

namespace alpa::process {
namespace {

Group* world = nullptr;

TEST(MpiGroup, KeepsOrderAndContent) { KeepsOrderAndContent(*world); }
TEST(MpiGroup, ReceivesBeforeAndAfterTheMessage) { ReceivesBeforeAndAfterTheMessage(*world); }
TEST(MpiGroup, GivesUpWaiting) { GivesUpWaiting(*world); }
TEST(MpiGroup, RefusesAnotherSize) { RefusesAnotherSize(*world); }
TEST(MpiGroup, KeepsGroupsApart) { KeepsGroupsApart(*world); }
TEST(MpiGroup, Agrees) { Agrees(*world); }
TEST(MpiGroup, ServesSeveralThreads) { ServesSeveralThreads(*world); }

}  // namespace
}  // namespace alpa::process

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  auto opened = alpa::process::OpenWorld();
  if (!opened.ok()) {
    std::fprintf(stderr, "%s\n", alpa::ToString(opened.error()).c_str());
    return 2;
  }
  if (*opened == nullptr) return 77;
  alpa::process::world = opened->get();
  return RUN_ALL_TESTS();
}
