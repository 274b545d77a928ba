#include "alpa/xla/clique.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include "alpa/xla/reduce_elements.h"
#include "alpa/xla/xla_pch.h"

namespace alpa::xla {
namespace {

using Buffer = std::vector<std::byte>;

constexpr int kLocalBits = 10;  // of a device's number within its process, in a channel

uint64_t Hash(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a: alike in all processes
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace

// Messages of one collective. A channel is a pair of devices; the group keeps the order of messages within it.
class Clique::Messages {
 public:
  explicit Messages(Clique& clique) : clique_(clique) {}
  ~Messages() {  // only after an error: nothing may write into buffers that go away
    for (process::Transfer& transfer : transfers_) transfer.Cancel();
  }
  void Send(const std::byte* from, size_t size, int source, int target) {
    const auto to = clique_.members_[static_cast<size_t>(target)].process;
    transfers_.push_back(clique_.group_.Send(to, Channel(source, target), {from, size}));
  }
  void Receive(std::byte* into, size_t size, int source, int target) {
    const auto from = clique_.members_[static_cast<size_t>(source)].process;
    transfers_.push_back(clique_.group_.Receive(from, Channel(source, target), {into, size}));
  }
  absl::Status Wait() {
    for (process::Transfer& transfer : transfers_) {
      const Status status = transfer.Wait();
      if (!status.ok()) return absl::UnavailableError(status.error().message);
    }
    transfers_.clear();
    return absl::OkStatus();
  }

 private:
  uint64_t Channel(int source, int target) const {
    const auto local = [&](int rank) {
      return static_cast<uint64_t>(clique_.members_[static_cast<size_t>(rank)].local);
    };
    return clique_.number_ | local(source) << kLocalBits | local(target);
  }

  Clique& clique_;
  std::vector<process::Transfer> transfers_;
};

Clique::Clique(process::Group& group, std::vector<Member> members, std::string_view name)
    : group_(group), members_(std::move(members)), posted_(members_.size()) {
  for (size_t r = 0; r < members_.size(); ++r) {
    ALPA_CHECK(members_[r].local < 1 << kLocalBits);
    by_process_[members_[r].process].push_back(static_cast<int>(r));
  }
  local_ = by_process_[group_.rank()].size();
  // 2^43 numbers, the top bit being for others (kReservedChannels).
  number_ = Hash(name) << (2 * kLocalBits) & ~process::kReservedChannels;
}

absl::Status Clique::Join(Post post, const Work& work) {
  std::unique_lock lock(mutex_);
  const int64_t number = posted_[static_cast<size_t>(post.rank)]++;
  Meeting& meeting = meetings_[number];
  meeting.posts.push_back(std::move(post));
  if (meeting.posts.size() == local_) {
    changed_.wait(lock, [&] { return turn_ == number; });
    std::sort(meeting.posts.begin(), meeting.posts.end(), [](auto& a, auto& b) { return a.rank < b.rank; });
    meeting.left = local_;
    lock.unlock();
    const absl::Status status = work(*this, meeting.posts);
    lock.lock();
    meeting.status = status;
    meeting.done = true;
    ++turn_;
    changed_.notify_all();
  } else {
    changed_.wait(lock, [&] { return meeting.done; });
  }
  absl::Status status = meeting.status;
  if (--meeting.left == 0) meetings_.erase(number);
  return status;
}

// Each process owns one chunk: it collects it from the others, adds it up, and spreads it.
absl::Status Clique::AllReduce(std::vector<Post>& posts, ::xla::PrimitiveType type, size_t count,
                               ::xla::ReductionKind kind) {
  const size_t width = ::xla::primitive_util::ByteWidth(type);
  Buffer sum(posts[0].in[0], posts[0].in[0] + count * width);
  for (size_t i = 1; i < posts.size(); ++i) {
    if (auto s = ReduceElements(sum.data(), posts[i].in[0], count, type, kind); !s.ok()) return s;
  }
  const size_t chunk = (count + by_process_.size() - 1) / by_process_.size();
  const auto start = [&](size_t c) { return std::min(count, c * chunk) * width; };
  const auto length = [&](size_t c) { return start(c + 1) - start(c); };
  const auto own = static_cast<size_t>(std::distance(by_process_.begin(), by_process_.find(group_.rank())));
  const int me = Head(group_.rank());
  Messages messages(*this);
  std::vector<Buffer> parts(by_process_.size(), Buffer(length(own)));
  size_t c = 0;
  for (const auto& [process, ranks] : by_process_) {
    if (!Mine(process)) {
      messages.Receive(parts[c].data(), length(own), ranks.front(), me);
      messages.Send(sum.data() + start(c), length(c), me, ranks.front());
    }
    ++c;
  }
  if (auto s = messages.Wait(); !s.ok()) return s;
  std::copy_n(sum.data() + start(own), length(own), parts[own].data());
  for (c = 1; c < parts.size(); ++c) {
    if (auto s = ReduceElements(parts[0].data(), parts[c].data(), length(own) / width, type, kind); !s.ok()) return s;
  }
  std::copy(parts[0].begin(), parts[0].end(), sum.data() + start(own));
  c = 0;
  for (const auto& [process, ranks] : by_process_) {
    if (!Mine(process)) {
      messages.Receive(sum.data() + start(c), length(c), ranks.front(), me);
      messages.Send(parts[0].data(), length(own), me, ranks.front());
    }
    ++c;
  }
  if (auto s = messages.Wait(); !s.ok()) return s;
  for (Post& post : posts) std::copy(sum.begin(), sum.end(), post.out[0]);
  return absl::OkStatus();
}

absl::Status Clique::ReduceScatter(std::vector<Post>& posts, ::xla::PrimitiveType type, size_t count,
                                   ::xla::ReductionKind kind) {
  const size_t size = count * ::xla::primitive_util::ByteWidth(type);
  Buffer sum(posts[0].in[0], posts[0].in[0] + size * members_.size());
  for (size_t i = 1; i < posts.size(); ++i) {
    if (auto s = ReduceElements(sum.data(), posts[i].in[0], count * members_.size(), type, kind); !s.ok()) return s;
  }
  Messages messages(*this);
  std::map<int, Buffer> parts;  // by process: its sums for each of our devices
  for (const auto& [process, ranks] : by_process_) {
    Buffer& part = parts[process];
    part.resize(size * posts.size());
    for (size_t i = 0; i < posts.size(); ++i) {
      std::byte* at = part.data() + i * size;
      if (Mine(process)) {
        std::copy_n(sum.data() + static_cast<size_t>(posts[i].rank) * size, size, at);
      } else {
        messages.Receive(at, size, ranks.front(), posts[i].rank);
      }
    }
    if (Mine(process)) continue;
    for (const int r : ranks) messages.Send(sum.data() + static_cast<size_t>(r) * size, size, Head(group_.rank()), r);
  }
  if (auto s = messages.Wait(); !s.ok()) return s;
  Buffer& total = parts.begin()->second;
  for (auto part = std::next(parts.begin()); part != parts.end(); ++part) {
    if (auto s = ReduceElements(total.data(), part->second.data(), count * posts.size(), type, kind); !s.ok()) return s;
  }
  for (size_t i = 0; i < posts.size(); ++i) std::copy_n(total.data() + i * size, size, posts[i].out[0]);
  return absl::OkStatus();
}

absl::Status Clique::AllGather(std::vector<Post>& posts, size_t size) {
  Buffer mine;  // a copy, since input and output may share memory
  for (const Post& post : posts) mine.insert(mine.end(), post.in[0], post.in[0] + size);
  std::byte* whole = posts[0].out[0];
  Messages messages(*this);
  for (size_t i = 0; i < posts.size(); ++i) {
    std::copy_n(mine.data() + i * size, size, whole + static_cast<size_t>(posts[i].rank) * size);
  }
  for (const auto& [process, ranks] : by_process_) {
    if (Mine(process)) continue;
    for (const int r : ranks) messages.Receive(whole + static_cast<size_t>(r) * size, size, r, Head(group_.rank()));
    for (size_t i = 0; i < posts.size(); ++i) {
      messages.Send(mine.data() + i * size, size, posts[i].rank, ranks.front());
    }
  }
  if (auto s = messages.Wait(); !s.ok()) return s;
  for (size_t i = 1; i < posts.size(); ++i) std::copy_n(whole, size * members_.size(), posts[i].out[0]);
  return absl::OkStatus();
}

absl::Status Clique::AllToAll(std::vector<Post>& posts, size_t size) {
  std::map<int, Post*> at;
  for (Post& post : posts) at[post.rank] = &post;
  Messages messages(*this);
  for (Post& post : posts) {
    for (size_t j = 0; j < members_.size(); ++j) {
      const int other = static_cast<int>(j);
      if (at.contains(other)) {
        std::copy_n(post.in[j], size, at[other]->out[static_cast<size_t>(post.rank)]);
      } else {
        messages.Send(post.in[j], size, post.rank, other);
        messages.Receive(post.out[j], size, other, post.rank);
      }
    }
  }
  return messages.Wait();
}

absl::Status Clique::Permute(std::vector<Post>& posts, size_t size) {
  std::map<int, Post*> at;
  for (Post& post : posts) at[post.rank] = &post;
  Messages messages(*this);
  for (Post& post : posts) {
    if (!post.source.has_value()) {
      std::memset(post.out[0], 0, size);  // as the operation says of devices to which nothing is sent
    } else if (at.contains(*post.source)) {
      std::copy_n(at[*post.source]->in[0], size, post.out[0]);
    } else {
      messages.Receive(post.out[0], size, *post.source, post.rank);
    }
    for (const int target : post.targets) {
      if (!at.contains(target)) messages.Send(post.in[0], size, post.rank, target);
    }
  }
  return messages.Wait();
}

}  // namespace alpa::xla
