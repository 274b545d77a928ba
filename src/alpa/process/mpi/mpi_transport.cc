// Messages over MPI. One thread makes all calls of MPI and naps when there is nothing to do.
//
// Each message begins with an MPI message of tag 0: a Header, and the bytes themselves when they are few. Many bytes
// follow under a tag of their own once a receive wants them, straight from the sender's buffer into the receiver's. So
// MPI's matching, small tags, ints for sizes and rules for threads do not matter to anybody else.
#include <fmt/format.h>
#include <mpi.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <future>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

#include "alpa/process/transport.h"

namespace alpa::process {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

constexpr size_t kEager = 8192;             // bytes that go along with the header
constexpr size_t kPiece = size_t{1} << 30;  // of one MPI message; its counts are ints
constexpr int kTags = 30'000;  // MPI promises 32767; so many large messages to one process may be under way
constexpr microseconds kShortestNap(20);
constexpr microseconds kLongestNap(500);

struct Header {
  uint64_t group, channel, size;
  int64_t tag;  // of the bytes that follow; 0: they are behind the header
};

// MPI requests that end together.
struct Operation {
  std::vector<MPI_Request> requests;
  std::shared_ptr<TransferState> transfer;  // completed in the end; may be null
  std::string owned;                        // memory that the requests use
};

class MpiTransport : public Transport {
 public:
  // Returns when MPI has started, or the reason why it has not.
  Status Start() {
    std::promise<Status> started;
    auto result = started.get_future();
    thread_ = std::thread([this, &started] { Work(started); });
    return result.get();
  }
  ~MpiTransport() override {
    Enqueue([this] { stop_ = true; });
    thread_.join();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void Send(int to, const Address& address, std::span<const std::byte> bytes,
            std::shared_ptr<TransferState> send) override {
    Header header{address.group, address.channel, bytes.size(), 0};
    if (bytes.size() <= kEager) {
      std::string message = Pack(header, bytes);
      Complete(*send, Ok());
      Enqueue([this, to, message = std::move(message)]() mutable { SendSmall(to, std::move(message)); });
    } else {
      Enqueue([this, to, header, bytes, send = std::move(send)] { SendLarge(to, header, bytes, send); });
    }
  }

 private:
  static std::string Pack(const Header& header, std::span<const std::byte> bytes) {
    std::string out(sizeof(Header) + bytes.size(), '\0');
    std::memcpy(out.data(), &header, sizeof(Header));
    if (!bytes.empty()) std::memcpy(out.data() + sizeof(Header), bytes.data(), bytes.size());
    return out;
  }

  void Enqueue(std::function<void()> command) {
    const std::lock_guard lock(mutex_);
    commands_.push_back(std::move(command));
    wake_.notify_one();
  }

  // ---- the thread

  void Work(std::promise<Status>& started) {
    ::prctl(PR_SET_TIMERSLACK, 1000);  // ns; naps of 20 us are not to become 70
    int level = 0;
    if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &level) != MPI_SUCCESS || level < MPI_THREAD_FUNNELED) {
      started.set_value(Error{Code::kEnvironment, "MPI does not start", ""});
      return;
    }
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    tags_.resize(static_cast<size_t>(size_));
    started.set_value(Ok());
    Clock::time_point active = Clock::now();
    while (!stop_ || !operations_.empty()) {
      const bool commanded = RunCommands();
      const bool arrived = ReceiveHeaders();
      const bool ended = EndOperations();
      if (commanded || arrived || ended) {
        active = Clock::now();
      } else {
        Nap(Clock::now() - active);
      }
    }
    MPI_Finalize();
  }

  // Longer, the longer nothing has happened.
  void Nap(Clock::duration idle) {
    const auto nap = std::clamp(std::chrono::duration_cast<microseconds>(idle) / 64, kShortestNap, kLongestNap);
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, nap, [this] { return !commands_.empty(); });
  }

  bool RunCommands() {
    std::vector<std::function<void()>> commands;
    {
      const std::lock_guard lock(mutex_);
      commands.swap(commands_);
    }
    for (const auto& command : commands) command();
    return !commands.empty();
  }

  void SendSmall(int to, std::string message) {
    Operation& operation = operations_.emplace_back();
    operation.owned = std::move(message);
    Check(MPI_Isend(operation.owned.data(), static_cast<int>(operation.owned.size()), MPI_BYTE, to, 0, MPI_COMM_WORLD,
                    &operation.requests.emplace_back(MPI_REQUEST_NULL)),
          operation);
  }

  void SendLarge(int to, Header header, std::span<const std::byte> bytes, const std::shared_ptr<TransferState>& send) {
    int& next = tags_[static_cast<size_t>(to)];
    next = next % kTags + 1;
    header.tag = next;
    SendSmall(to, Pack(header, {}));
    Operation& operation = operations_.emplace_back();
    operation.transfer = send;
    for (size_t at = 0; at < bytes.size(); at += kPiece) {
      Check(MPI_Isend(bytes.data() + at, static_cast<int>(std::min(kPiece, bytes.size() - at)), MPI_BYTE, to, next,
                      MPI_COMM_WORLD, &operation.requests.emplace_back(MPI_REQUEST_NULL)),
            operation);
    }
  }

  bool ReceiveHeaders() {
    bool any = false;
    for (;;) {
      int found = 0;
      MPI_Message message;
      MPI_Status status;
      if (MPI_Improbe(MPI_ANY_SOURCE, 0, MPI_COMM_WORLD, &found, &message, &status) != MPI_SUCCESS || found == 0) {
        return any;
      }
      any = true;
      int size = 0;
      MPI_Get_count(&status, MPI_BYTE, &size);
      if (MPI_Mrecv(buffer_.data(), size, MPI_BYTE, &message, &status) != MPI_SUCCESS) return any;
      Deliver(status.MPI_SOURCE);
    }
  }

  // Puts the message whose header is in buffer_ into the mailbox.
  void Deliver(int from) {
    Header header;
    std::memcpy(&header, buffer_.data(), sizeof(Header));
    Arrival arrival;
    arrival.size = header.size;
    if (header.tag == 0) {
      arrival.bytes.assign(buffer_.data() + sizeof(Header), header.size);
    } else {
      arrival.fetch = [this, from, header](std::shared_ptr<TransferState> receive) {
        Enqueue([this, from, header, receive = std::move(receive)] { Fetch(from, header, receive); });
      };
    }
    mailbox().Deliver({from, header.group, header.channel}, std::move(arrival));
  }

  void Fetch(int from, const Header& header, const std::shared_ptr<TransferState>& receive) {
    Operation& operation = operations_.emplace_back();
    operation.transfer = receive;
    if (receive == nullptr) operation.owned.resize(header.size);
    auto* into = receive == nullptr ? reinterpret_cast<std::byte*>(operation.owned.data()) : receive->into.data();
    for (size_t at = 0; at < header.size; at += kPiece) {
      Check(MPI_Irecv(into + at, static_cast<int>(std::min<size_t>(kPiece, header.size - at)), MPI_BYTE, from,
                      static_cast<int>(header.tag), MPI_COMM_WORLD, &operation.requests.emplace_back(MPI_REQUEST_NULL)),
            operation);
    }
  }

  static Error Failure(int code) {
    std::array<char, MPI_MAX_ERROR_STRING> text{};
    int length = 0;
    MPI_Error_string(code, text.data(), &length);
    return Error{Code::kEnvironment, "MPI: " + std::string(text.data(), static_cast<size_t>(length)), ""};
  }

  static void Check(int code, Operation& operation) {
    if (code == MPI_SUCCESS || operation.transfer == nullptr) return;
    Complete(*operation.transfer, Failure(code));
    operation.transfer = nullptr;
  }

  bool EndOperations() {
    bool any = false;
    for (auto it = operations_.begin(); it != operations_.end();) {
      int done = 0;
      const int code =
          MPI_Testall(static_cast<int>(it->requests.size()), it->requests.data(), &done, MPI_STATUSES_IGNORE);
      if (code == MPI_SUCCESS && done == 0) {
        ++it;
        continue;
      }
      Check(code, *it);
      if (it->transfer != nullptr) Complete(*it->transfer, Ok());
      it = operations_.erase(it);
      any = true;
    }
    return any;
  }

  std::thread thread_;
  int rank_ = 0, size_ = 0;  // set before Start() returns
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::function<void()>> commands_;
  // The thread's own.
  bool stop_ = false;
  std::list<Operation> operations_;
  std::vector<int> tags_;  // last one used, by receiver
  std::array<char, sizeof(Header) + kEager> buffer_{};
};

}  // namespace
}  // namespace alpa::process

extern "C" __attribute__((visibility("default"))) bool alpa_mpi_transport(
    std::shared_ptr<alpa::process::Transport>* out, alpa::Error* error) {
  auto transport = std::make_shared<alpa::process::MpiTransport>();
  const alpa::Status status = transport->Start();
  if (!status.ok()) {
    *error = status.error();
    return false;
  }
  *out = std::move(transport);
  return true;
}
