#include "alpa/process/watch.h"

#include <fmt/format.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): sigaction is POSIX
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace alpa::process {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kBeat(100);
constexpr uint64_t kChannel = 0;
// mpirun sends SIGTERM a second after a process has died, and SIGKILL half a second later. So by then the dead one has
// been silent for longer than any other; if nobody has, it is somebody's wish that all end.
constexpr Seconds kSilence{0.45};
constexpr Seconds kListen{0.2};
constexpr Seconds kTogether{0.25};     // silent from the same moment on, as far as one can tell
constexpr Seconds kLater{0.5};         // by so much the others end after the one that prints
constexpr Seconds kMessageOut{0.2};    // for the last message to leave the process
constexpr Seconds kWaitForPrinter{2};  // the process that prints is to end first, since mpirun then ends the others

constexpr int kTermStatus = 128 + SIGTERM;

std::atomic<bool> terminated = false;
static_assert(std::atomic<bool>::is_always_lock_free);  // it is set by a signal handler

Seconds Since(Clock::time_point t) { return Seconds(std::chrono::duration<double>(Clock::now() - t).count()); }
void Sleep(Seconds s) { std::this_thread::sleep_for(std::chrono::duration<double>(s.value)); }

std::string HostName() {
  char name[256] = {};  // NOLINT(modernize-avoid-c-arrays)
  return ::gethostname(name, sizeof(name) - 1) == 0 ? name : "unknown";
}

// What a process says of itself, ten times a second.
struct Beat {
  enum Kind : char { kAlive = 'a', kDone = 'd', kEnding = 'e' };  // kEnding: it has printed why all end
  Kind kind = kAlive;
  uint64_t changes = 0;
  bool waiting = false;
  std::string host, text;
};

std::string Pack(const Beat& b) {
  return fmt::format("{}{} {} {}\n{}", static_cast<char>(b.kind), b.changes, b.waiting ? 1 : 0, b.host, b.text);
}

Beat Unpack(const std::string& text) {
  Beat b;
  b.kind = static_cast<Beat::Kind>(text[0]);
  const size_t first = text.find(' ');
  const size_t line = text.find('\n');
  b.changes = std::stoull(text.substr(1, first - 1));
  b.waiting = text[first + 1] == '1';
  b.host = text.substr(first + 3, line - first - 3);
  b.text = text.substr(line + 1);
  return b;
}

// What is known of another process.
struct Peer {
  Transfer next;  // its next beat
  Beat last;
  Clock::time_point heard = Clock::now();
  Clock::time_point moved = Clock::now();  // its activities have changed

  bool done() const { return last.kind == Beat::kDone; }
};

void Print(const std::string& message) {
  std::fflush(stdout);
  std::fprintf(stderr, "alpa: %s\n", message.c_str());
  std::fflush(stderr);
}

class WatchImpl : public Watch {
 public:
  WatchImpl(Group& group, WatchOptions options)
      : options_(std::move(options)), group_(Duplicate(group, "watch")), host_(HostName()) {
    if (options_.print == nullptr) options_.print = Print;
    if (options_.end == nullptr) options_.end = ::_exit;
    peers_.resize(static_cast<size_t>(group_->size()));
    for (int r = 0; r < group_->size(); ++r) {
      if (r != group_->rank()) Of(r).next = group_->ReceiveText(r, kChannel);
    }
    if (options_.catch_sigterm) {
      terminated = false;
      struct sigaction action {};
      action.sa_handler = [](int) { terminated = true; };
      sigaction(SIGTERM, &action, &before_);
    }
    thread_ = std::thread([this] { Work(); });
  }

  ~WatchImpl() override {
    stop_ = true;
    thread_.join();
    if (!ended_) Send(Beat::kDone);
    for (Peer& peer : peers_) peer.next.Cancel();
    if (options_.catch_sigterm) sigaction(SIGTERM, &before_, nullptr);
  }

  Activity& AddActivity() override {
    const std::lock_guard lock(mutex_);
    return activities_.emplace_back();
  }

  void OnSigterm(std::function<void()> wish) override {
    const std::lock_guard lock(mutex_);
    wish_ = std::move(wish);
  }

  void Fail(const Error& error) override {
    std::unique_lock lock(mutex_);
    failure_ = error;
    failed_.wait(lock, [this] { return ended_.load(); });
  }

 private:
  Peer& Of(int rank) { return peers_[static_cast<size_t>(rank)]; }

  void Work() {
    Clock::time_point last = Clock::now();
    Clock::time_point signal{};  // when SIGTERM was noticed
    while (!stop_ && !ended_) {
      // Stopped ourselves (Ctrl-Z, a debugger): what others said meanwhile is still to be read.
      if (Since(last) > Seconds(2)) Forgive();
      last = Clock::now();
      Send(Beat::kAlive);
      Listen();
      CheckFailure();
      if (ended_) return;
      if (options_.catch_sigterm && terminated && signal == Clock::time_point{}) signal = Clock::now();
      if (signal == Clock::time_point{}) {
        CheckDead(options_.dead_after);
        CheckHang();
      } else {
        CheckDead(kSilence);
        if (!ended_ && Since(signal) > kListen) {
          if (Heed()) {
            terminated = false;
            signal = {};
          } else {
            End(kTermStatus, "ended by SIGTERM", group_->rank() == FirstAlive(kSilence));
          }
        }
      }
      std::this_thread::sleep_for(signal == Clock::time_point{} ? kBeat : kBeat / 4);
    }
  }

  // Tells the wish that SIGTERM came, if there is one that does not know.
  bool Heed() {
    const std::lock_guard lock(mutex_);
    if (wish_ == nullptr) return false;
    std::exchange(wish_, nullptr)();
    return true;
  }

  Beat Mine(Beat::Kind kind) {
    Beat b;
    b.kind = kind;
    b.host = host_;
    b.waiting = true;
    const std::lock_guard lock(mutex_);
    for (const Activity& activity : activities_) {
      const Activity::Snapshot s = activity.Read();
      b.changes += s.changes;
      b.waiting = b.waiting && (s.waiting || s.text.empty());
      if (s.text.empty()) continue;
      if (!b.text.empty()) b.text += "; ";
      b.text += s.text;
    }
    return b;
  }

  void Send(Beat::Kind kind) {
    const Beat mine = Mine(kind);
    Peer& self = Of(group_->rank());
    if (mine.changes != self.last.changes) self.moved = Clock::now();
    self.last = mine;
    self.heard = Clock::now();
    for (int r = 0; r < group_->size(); ++r) {
      if (r != group_->rank() && !Of(r).done()) group_->SendText(r, kChannel, Pack(mine));
    }
  }

  void Listen() {
    for (int r = 0; r < group_->size(); ++r) {
      Peer& peer = Of(r);
      while (r != group_->rank() && peer.next.done() && !peer.done()) {
        const Beat beat = Unpack(peer.next.TakeText());
        if (beat.changes != peer.last.changes) peer.moved = Clock::now();
        peer.last = beat;
        peer.heard = Clock::now();
        if (beat.kind == Beat::kEnding) return End(ExitStatus({Code::kEnvironment, "", ""}), "", false);
        if (!peer.done()) peer.next = group_->ReceiveText(r, kChannel);
      }
    }
  }

  void Forgive() {
    for (Peer& peer : peers_) peer.heard = peer.moved = Clock::now();
  }

  // The lowest rank that still runs.
  int FirstAlive(Seconds silence) {
    for (int r = 0; r < group_->size(); ++r) {
      if (!Of(r).done() && Since(Of(r).heard) < silence) return r;
    }
    return group_->rank();
  }

  std::string Name(int rank) { return fmt::format("process {} ({})", rank, Of(rank).last.host); }
  std::string Where(int rank) {
    const std::string& text = Of(rank).last.text;
    return text.empty() ? "before its first step" : "at: " + text;
  }

  // Of several silent processes the one that was so first is the cause.
  void CheckDead(Seconds after) {
    std::optional<Clock::time_point> first;
    for (int r = 0; r < group_->size(); ++r) {
      if (Of(r).done() || Since(Of(r).heard) <= after) continue;
      first = first.has_value() ? std::min(*first, Of(r).heard) : Of(r).heard;
    }
    if (!first.has_value()) return;
    std::vector<std::string> silent;
    for (int r = 0; r < group_->size(); ++r) {
      const bool together = Seconds(std::chrono::duration<double>(Of(r).heard - *first).count()) < kTogether;
      if (!Of(r).done() && together) silent.push_back(fmt::format("{}, {}", Name(r), Where(r)));
    }
    End(ExitStatus({Code::kEnvironment, "", ""}),
        fmt::format("last heard of {} ago, dead or without connection: {}\n"
                    "  all processes end; with a checkpoint the run can go on (--resume)",
                    ToString(Since(*first)), fmt::join(silent, "; ")),
        group_->rank() == FirstAlive(after));
  }

  void CheckFailure() {
    std::optional<Error> failure;
    {
      const std::lock_guard lock(mutex_);
      failure = failure_;
    }
    if (!failure.has_value()) return;
    End(ExitStatus(*failure), fmt::format("{}: {}", Name(group_->rank()), ToString(*failure)), true);
  }

  void CheckHang() {
    if (options_.hang_limit.value <= 0) return;
    std::string guilty, all;
    for (int r = 0; r < group_->size(); ++r) {
      if (Since(Of(r).moved) <= options_.hang_limit || Of(r).last.changes == 0) return;
      const std::string line = fmt::format("\n  {}, {}", Name(r), Where(r));
      all += line;
      if (!Of(r).last.waiting) guilty += line;
    }
    End(ExitStatus({Code::kEnvironment, "", ""}),
        fmt::format(
            "nothing has moved for {}{}", ToString(options_.hang_limit),
            guilty.empty() ? "; all processes wait for each other:" + all : "; these hold the others up:" + guilty),
        group_->rank() == FirstAlive(options_.dead_after));
  }

  // Ends this process. The one that prints says so to the others and ends first.
  void End(int exit_status, const std::string& message, bool print) {
    if (options_.before_ending != nullptr) options_.before_ending();
    if (print) {
      options_.print(message);
      Send(Beat::kEnding);
      if (!terminated) Sleep(kMessageOut);
    } else {
      if (!message.empty()) WaitForPrinter();
      if (!terminated) Sleep(kLater);
    }
    options_.end(exit_status);
    const std::lock_guard lock(mutex_);  // only in tests: here a program has ended
    ended_ = true;
    failed_.notify_all();
  }

  void WaitForPrinter() {
    const Clock::time_point start = Clock::now();
    while (Since(start) < kWaitForPrinter) {
      for (int r = 0; r < group_->size(); ++r) {
        if (r == group_->rank() || !Of(r).next.done()) continue;
        if (Of(r).done() || Unpack(Of(r).next.TakeText()).kind == Beat::kEnding) return;
        Of(r).next = group_->ReceiveText(r, kChannel);
      }
      std::this_thread::sleep_for(kBeat / 4);
    }
  }

  WatchOptions options_;
  std::unique_ptr<Group> group_;
  const std::string host_;
  std::mutex mutex_;
  std::condition_variable failed_;
  std::optional<Error> failure_;     // of Fail
  std::function<void()> wish_;       // of OnSigterm
  std::deque<Activity> activities_;  // grows, never moves
  std::vector<Peer> peers_;          // the thread's; the own entry is a mirror
  std::atomic<bool> stop_ = false, ended_ = false;
  struct sigaction before_ {};
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Watch> StartWatch(Group& group, const WatchOptions& options) {
  return std::make_unique<WatchImpl>(group, options);
}

}  // namespace alpa::process
