#include "alpa/frontend/find_branches.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <unordered_map>

namespace alpa::frontend {
namespace {

using ir::OpId;

constexpr int kRoot = -1;  // dominates what starts from the inputs

// Branches between two ops of a series, as positions in it.
struct Block {
  int start = kRoot;  // the op that all ways to `end` pass, not part of it
  int end = 0;        // where the branches meet, not part of it
  std::vector<std::vector<int>> branches;
  size_t size() const {
    size_t n = 0;
    for (const auto& branch : branches) n += branch.size();
    return n;
  }
};

// The ops of a series that have work in front of them or do some, with their dependences.
class Series {
 public:
  Series(const ir::Module& module, const ForwardGraph& graph, const std::vector<OpId>& ops, double least_work)
      : graph_(graph),
        ops_(ops),
        least_work_(least_work),
        before_(ops.size()),
        dominator_(ops.size(), kRoot),
        depth_(ops.size(), 1),
        mark_(ops.size(), -1),
        parent_(ops.size()) {
    std::unordered_map<OpId, int> position;
    for (size_t k = 0; k < ops.size(); ++k) {
      if (graph.early[static_cast<size_t>(ops[k])]) continue;
      position[ops[k]] = static_cast<int>(k);
      for (const ir::ValueId v : module.op(ops[k]).operands) {
        if (const auto at = position.find(module.value(v).producer); at != position.end())
          before_[k].push_back(at->second);
      }
      FindDominator(static_cast<int>(k));
    }
  }

  // The largest blocks that do not overlap, in order.
  std::vector<Block> Blocks() {
    std::vector<Block> found;
    for (size_t k = 0; k < ops_.size(); ++k) {
      Block block = BlockBefore(static_cast<int>(k));
      if (block.branches.size() > 1) found.push_back(std::move(block));
    }
    std::stable_sort(found.begin(), found.end(), [](const Block& a, const Block& b) { return a.size() > b.size(); });
    std::vector<Block> out;
    for (Block& block : found) {
      const bool overlaps = std::any_of(out.begin(), out.end(),
                                        [&](const Block& o) { return block.start < o.end && o.start < block.end; });
      if (!overlaps) out.push_back(std::move(block));
    }
    std::sort(out.begin(), out.end(), [](const Block& a, const Block& b) { return a.start < b.start; });
    return out;
  }

 private:
  double Work(int k) const { return graph_.work[static_cast<size_t>(ops_[static_cast<size_t>(k)])]; }

  void FindDominator(int k) {
    const auto i = static_cast<size_t>(k);
    int common = -2;
    for (const int p : before_[i]) common = common == -2 ? p : Common(common, p);
    if (common < 0) common = kRoot;
    dominator_[i] = common;
    depth_[i] = common == kRoot ? 1 : depth_[static_cast<size_t>(common)] + 1;
  }
  int Common(int a, int b) const {
    while (a != b) {
      if (a == kRoot || b == kRoot) return kRoot;
      int& deeper = depth_[static_cast<size_t>(a)] >= depth_[static_cast<size_t>(b)] ? a : b;
      deeper = dominator_[static_cast<size_t>(deeper)];
    }
    return a;
  }

  // The branches that meet in op `end`: groups of ops between it and its dominator that do not depend on each other.
  Block BlockBefore(int end) {
    Block block;
    block.start = dominator_[static_cast<size_t>(end)];
    block.end = end;
    const auto& sides = before_[static_cast<size_t>(end)];
    if (sides.size() < 2) return block;
    std::vector<int> between;
    std::vector<int> stack;
    auto visit = [&](int k) {
      if (k == block.start || mark_[static_cast<size_t>(k)] == end) return;
      mark_[static_cast<size_t>(k)] = end;
      parent_[static_cast<size_t>(k)] = k;
      between.push_back(k);
      stack.push_back(k);
    };
    for (const int side : sides) visit(side);
    while (!stack.empty()) {
      const int k = stack.back();
      stack.pop_back();
      for (const int p : before_[static_cast<size_t>(k)]) {
        visit(p);
        if (p != block.start) parent_[static_cast<size_t>(Group(k))] = Group(p);
      }
    }
    std::sort(between.begin(), between.end());
    std::map<int, std::vector<int>> groups;
    for (const int k : between) groups[Group(k)].push_back(k);
    for (auto& [group, members] : groups) {
      if (IsWorthIt(members)) block.branches.push_back(std::move(members));
    }
    std::sort(block.branches.begin(), block.branches.end());
    return block;
  }
  int Group(int k) {
    while (parent_[static_cast<size_t>(k)] != k) {
      int& up = parent_[static_cast<size_t>(k)];
      up = parent_[static_cast<size_t>(up)];
      k = up;
    }
    return k;
  }
  bool IsWorthIt(const std::vector<int>& members) const {
    double work = 0;
    int workers = 0;
    for (const int k : members) {
      work += Work(k);
      workers += Work(k) > 0;
    }
    return workers >= 2 && work >= least_work_;
  }

  const ForwardGraph& graph_;
  const std::vector<OpId>& ops_;
  double least_work_;
  std::vector<std::vector<int>> before_;  // positions of the ops that each reads
  std::vector<int> dominator_;            // the last op that all ways from the inputs pass, kRoot: none
  std::vector<int> depth_;                // in the tree of dominators
  std::vector<int> mark_, parent_;        // of the search between an op and its dominator
};

// Where each position of the series goes: part 2 b is in front of block b, 2 b + 1 the block itself.
struct Placement {
  int part = 0;
  int branch = -1;
  auto operator<=>(const Placement&) const = default;  // NOLINT(modernize-use-nullptr): a bug of the check
};

std::vector<Placement> Place(const ir::Module& module, const ForwardGraph& graph, const std::vector<OpId>& ops,
                             const std::vector<Block>& blocks) {
  std::vector<Placement> out(ops.size());
  for (size_t k = 0; k < ops.size(); ++k) {
    for (const Block& block : blocks) {
      if (static_cast<int>(k) > block.start) out[k].part += 2;
    }
  }
  for (size_t b = 0; b < blocks.size(); ++b) {
    for (size_t branch = 0; branch < blocks[b].branches.size(); ++branch) {
      for (const int k : blocks[b].branches[branch]) {
        out[static_cast<size_t>(k)] = {static_cast<int>(2 * b + 1), static_cast<int>(branch)};
      }
    }
  }
  // Early ops go where they are first read; one that several branches read goes in front of them.
  std::unordered_map<OpId, Placement> placed;
  for (size_t k = ops.size(); k-- > 0;) {
    if (graph.early[static_cast<size_t>(ops[k])]) {
      bool first = true;
      for (const ir::ValueId v : module.op(ops[k]).results) {
        for (const OpId reader : graph.readers[static_cast<size_t>(v)]) {
          const auto at = placed.find(reader);
          if (at == placed.end()) continue;
          const bool other = !first && at->second.part == out[k].part && at->second.branch != out[k].branch;
          out[k] = first ? at->second : other ? Placement{out[k].part - 1, -1} : std::min(out[k], at->second);
          first = false;
        }
      }
    }
    placed[ops[k]] = out[k];
  }
  return out;
}

}  // namespace

std::vector<ForwardPart> FindBranches(const ir::Module& module, const ForwardGraph& graph, const std::vector<OpId>& ops,
                                      double least_work) {
  const std::vector<Block> blocks = Series(module, graph, ops, least_work).Blocks();
  if (blocks.empty()) return {{ops, {}}};
  const std::vector<Placement> placement = Place(module, graph, ops, blocks);
  std::vector<std::vector<std::vector<OpId>>> parts(2 * blocks.size() + 1);
  for (size_t k = 0; k < ops.size(); ++k) {
    auto& part = parts[static_cast<size_t>(placement[k].part)];
    const auto branch = static_cast<size_t>(std::max(0, placement[k].branch));
    if (part.size() <= branch) part.resize(branch + 1);
    part[branch].push_back(ops[k]);
  }
  std::vector<ForwardPart> out;
  for (size_t p = 0; p < parts.size(); ++p) {
    if (parts[p].empty()) continue;
    ForwardPart part;
    if (p % 2 == 0) {
      part.ops = std::move(parts[p][0]);
    } else {
      for (const auto& branch : parts[p]) part.branches.push_back(FindBranches(module, graph, branch, least_work));
    }
    out.push_back(std::move(part));
  }
  return out;
}

}  // namespace alpa::frontend
