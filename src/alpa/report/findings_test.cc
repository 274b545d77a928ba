#include "alpa/report/findings.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace alpa::report {
namespace {

TEST(Findings, SayWhatToDo) {
  const std::vector<Finding> good = {{Verdict::kOk, "memory", "24 GiB", ""},
                                     {Verdict::kNote, "MPI", "no mpirun", "get it"}};
  EXPECT_EQ(FindingsText(good),
            "ok     memory     24 GiB\n"
            "note   MPI        no mpirun\n"
            "                  -> get it\n"
            "\nThis machine can plan and train.\n");
  std::vector<Finding> bad = good;
  bad.push_back({Verdict::kWrong, "XLA", "is missing", "./dev build"});
  EXPECT_NE(FindingsText(bad).find("\n1 thing to put right first.\n"), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(FindingsJson(bad))[2]["verdict"], "wrong");
}

}  // namespace
}  // namespace alpa::report
