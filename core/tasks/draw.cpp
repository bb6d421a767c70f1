// See draw.h.
#include "core/tasks/draw.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <string>

#include "core/tasks/parts.h"
#include "core/tasks/task_file.h"

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
  struct Stratum {
    size_t subtask;
    std::string name;  // of the subtask and the part
    std::vector<size_t> documents;
  };
  std::vector<Stratum> strata;
  for (size_t s = 0; s < task.subtasks.size(); ++s) {
    const Subtask& subtask = task.subtasks[s];
    const auto first = strata.size();
    for (size_t d = 0; d < subtask.documents.size(); ++d) {
      const std::string name = subtask.name + part_name(subtask.documents[d].fields, task.file->parts);
      auto found = std::find_if(strata.begin() + std::ptrdiff_t(first), strata.end(),
                                [&](const Stratum& known) { return known.name == name; });
      if (found == strata.end()) found = strata.insert(found, {s, name, {}});
      found->documents.push_back(d);
    }
  }
  std::vector<uint64_t> sizes;
  for (const Stratum& stratum : strata) sizes.push_back(stratum.documents.size());
  if (std::accumulate(sizes.begin(), sizes.end(), uint64_t{0}) <= count) return;
  const std::vector<uint64_t> taken = shares(sizes, count);
  std::vector<std::vector<size_t>> kept(task.subtasks.size());
  for (size_t i = 0; i < strata.size(); ++i) {
    std::vector<size_t>& drawn = strata[i].documents;
    std::mt19937_64 random = generator(seed, strata[i].name);
    // The library's distributions differ between libraries; a share of 53 bits does not.
    for (size_t k = 0; k < taken[i]; ++k)
      std::swap(drawn[k], drawn[k + size_t(double(random() >> 11) * 0x1p-53 * double(drawn.size() - k))]);
    drawn.resize(taken[i]);
    std::vector<size_t>& all = kept[strata[i].subtask];
    all.insert(all.end(), drawn.begin(), drawn.end());
  }
  for (size_t s = 0; s < task.subtasks.size(); ++s) {
    std::sort(kept[s].begin(), kept[s].end());
    std::vector<Document> documents;
    for (const size_t d : kept[s]) documents.push_back(std::move(task.subtasks[s].documents[d]));
    task.subtasks[s].documents = std::move(documents);
  }
  std::erase_if(task.subtasks, [](const Subtask& subtask) { return subtask.documents.empty(); });
}

}  // namespace sluice
