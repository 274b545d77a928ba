// A program for the tests of the watch: mpirun -n 3 alpa_watched FOLDER [HANG_LIMIT]. Each process writes its number
// into FOLDER/pid-RANK and counts steps for a minute, waiting for all others in each; tests/processes/kill_test.py
// stops or kills one. With FOLDER/heed it takes SIGTERM for a wish, and then ends by itself, with exit status 3.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "alpa/process/agree.h"
#include "alpa/process/open_world.h"
#include "alpa/process/watch.h"

int main(int argc, char** argv) {
  if (argc < 2) return 64;
  auto world = alpa::process::OpenWorld();
  if (!world.ok() || *world == nullptr) return 77;
  alpa::process::Group& group = **world;
  const std::filesystem::path folder = argv[1];
  const std::string rank = std::to_string(group.rank());
  alpa::process::WatchOptions options;
  if (argc > 2) options.hang_limit = alpa::Seconds(std::atof(argv[2]));
  options.before_ending = [&] { std::filesystem::remove(folder / ("half-written-" + rank)); };
  std::ofstream(folder / ("half-written-" + rank)) << "half";
  const auto watch = alpa::process::StartWatch(group, options);
  alpa::process::Activity& activity = watch->AddActivity();
  std::atomic<bool> wished = false;
  if (std::filesystem::exists(folder / "heed")) watch->OnSigterm([&] { wished = true; });
  std::ofstream(folder / ("pid-" + rank)) << ::getpid() << std::endl;
  for (int step = 1; step <= 600; ++step) {
    activity.Set("step " + std::to_string(step) + ", working");
    while (std::filesystem::exists(folder / ("hang-" + rank))) std::this_thread::sleep_for(std::chrono::seconds(1));
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    activity.Set("step " + std::to_string(step) + ", waiting", true);
    const auto wishes = alpa::process::GatherTexts(group, wished ? "end" : "");
    if (!wishes.ok()) {
      // Another process has left. The watch ends this one, as soon as it has noticed.
      std::this_thread::sleep_for(std::chrono::seconds(30));
      return 4;
    }
    if (std::count(wishes->begin(), wishes->end(), "end") > 0) {
      std::ofstream(folder / ("heeded-" + rank)) << step;
      return 3;
    }
    if (std::filesystem::exists(folder / ("fail-" + rank))) {
      watch->Fail({alpa::Code::kIo, "the disk is full", "make room"});
    }
    if (std::filesystem::exists(folder / "finish")) break;
  }
  std::filesystem::remove(folder / ("half-written-" + rank));
  return 0;
}
