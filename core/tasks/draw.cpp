// See draw.h.
#include "core/tasks/draw.h"

#include <algorithm>
#include <numeric>
#include <random>

namespace sluice {
namespace {

// How many of each size: quotas rounded down, then one more where the most was lost.
std::vector<uint64_t> shares(const std::vector<uint64_t>& sizes, uint64_t count) {
  const uint64_t all = std::accumulate(sizes.begin(), sizes.end(), uint64_t{0});
  std::vector<uint64_t> taken, lost;
  uint64_t left = count;
  for (const uint64_t size : sizes) {
    taken.push_back(size * count / all), lost.push_back(size * count % all);
    left -= taken.back();
  }
  std::vector<size_t> order(sizes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return lost[a] > lost[b]; });
  for (size_t i = 0; i < left; ++i) taken[order[i]]++;
  return taken;
}

std::mt19937_64 generator(uint64_t seed, const std::string& name) {
  for (const char c : name) seed = (seed ^ uint8_t(c)) * 0x100000001b3ull;  // FNV-1a
  return std::mt19937_64(seed);
}

}  // namespace

void draw_documents(Task& task, uint32_t count, uint64_t seed) {
  std::vector<uint64_t> sizes;
  for (const Subtask& subtask : task.subtasks) sizes.push_back(subtask.documents.size());
  if (std::accumulate(sizes.begin(), sizes.end(), uint64_t{0}) <= count) return;
  const std::vector<uint64_t> taken = shares(sizes, count);
  for (size_t s = 0; s < task.subtasks.size(); ++s) {
    std::vector<Document>& documents = task.subtasks[s].documents;
    std::vector<size_t> drawn(documents.size());
    std::iota(drawn.begin(), drawn.end(), size_t{0});
    std::mt19937_64 random = generator(seed, task.subtasks[s].name);
    // The library's distributions differ between libraries; a share of 53 bits does not.
    for (size_t i = 0; i < taken[s]; ++i)
      std::swap(drawn[i], drawn[i + size_t(double(random() >> 11) * 0x1p-53 * double(drawn.size() - i))]);
    drawn.resize(taken[s]);
    std::sort(drawn.begin(), drawn.end());
    std::vector<Document> kept;
    for (const size_t d : drawn) kept.push_back(std::move(documents[d]));
    documents = std::move(kept);
  }
  std::erase_if(task.subtasks, [](const Subtask& subtask) { return subtask.documents.empty(); });
}

}  // namespace sluice
