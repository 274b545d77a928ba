#include "alpa/process/agree.h"

#include <fmt/format.h>

#include <algorithm>

namespace alpa::process {
namespace {

constexpr uint64_t kGather = kReservedChannels;
constexpr uint64_t kBroadcast = kReservedChannels + 1;

// An error as text: "", or its code, message and hint.
std::string Pack(const Status& status) {
  if (status.ok()) return "";
  const Error& e = status.error();
  return fmt::format("{} {} {}{}", static_cast<int>(e.code), e.message.size(), e.message, e.hint);
}

Error Unpack(const std::string& text) {
  const size_t first = text.find(' ');
  const size_t second = text.find(' ', first + 1);
  const size_t length = std::stoul(text.substr(first + 1, second - first - 1));
  return Error{static_cast<Code>(std::stoi(text.substr(0, first))), text.substr(second + 1, length),
               text.substr(second + 1 + length)};
}

}  // namespace

Result<std::vector<std::string>> GatherTexts(Group& group, const std::string& text) {
  std::vector<Transfer> receives;
  std::vector<std::string> out;
  for (int r = 0; r < group.size(); ++r) group.SendText(r, kGather, text);
  receives.reserve(static_cast<size_t>(group.size()));
  for (int r = 0; r < group.size(); ++r) receives.push_back(group.ReceiveText(r, kGather));
  for (Transfer& receive : receives) {
    ALPA_RETURN_IF_ERROR(receive.Wait());
    out.push_back(receive.TakeText());
  }
  return out;
}

Result<std::string> Broadcast(Group& group, int root, const std::string& text) {
  if (group.rank() == root) {
    for (int r = 0; r < group.size(); ++r) {
      if (r != root) group.SendText(r, kBroadcast, text);
    }
    return text;
  }
  Transfer receive = group.ReceiveText(root, kBroadcast);
  ALPA_RETURN_IF_ERROR(receive.Wait());
  return receive.TakeText();
}

Status Barrier(Group& group) {
  const auto all = GatherTexts(group, "");
  return all.ok() ? Ok() : Status(all.error());
}

Status AgreeOn(Group& group, const Status& mine) {
  ALPA_TRY(const std::vector<std::string> all, GatherTexts(group, Pack(mine)));
  const auto failed = std::find_if(all.begin(), all.end(), [](const std::string& text) { return !text.empty(); });
  if (failed == all.end()) return Ok();
  Error error = Unpack(*failed);
  const bool everywhere = std::all_of(all.begin(), all.end(), [&](const std::string& text) { return text == *failed; });
  if (!everywhere) error.message = fmt::format("process {}: {}", failed - all.begin(), error.message);
  return error;
}

Status AgreeOnValue(Group& group, const std::string& what, const std::string& value) {
  ALPA_TRY(const std::vector<std::string> all, GatherTexts(group, value));
  for (size_t r = 1; r < all.size(); ++r) {
    if (all[r] == all[0]) continue;
    return Error{Code::kMismatch, fmt::format("process {} has another {} than process 0", r, what),
                 "start all processes with the same arguments, files and version"};
  }
  return Ok();
}

}  // namespace alpa::process
