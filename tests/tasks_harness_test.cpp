// Prompts and scores against the harness's own: hashes of what it builds on the sample and on the official sets, and
// what its filters and metrics make of some thousand texts (scripts/make_harness_data.py).
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "core/base/sha256.h"
#include "core/tasks/task.h"
#include "support/scratch_folder.h"
#include "support/shared_data.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

const fs::path kTasks = fs::path(SLUICE_SOURCE) / "configs" / "tasks";

const Json& golden() {
  static const Json data = Json::parse(std::ifstream(std::string(SLUICE_TEST_DATA) + "/tasks/prompts.json"));
  return data;
}

std::string joined(const std::vector<std::string>& choices) {
  std::string text;
  for (size_t i = 0; i < choices.size(); ++i) {
    if (i > 0) text += '\0';
    text += choices[i];
  }
  return text;
}

// Every document of every task of a list, byte for byte by its hash.
size_t compare_prompts(const Json& list, const fs::path& data) {
  size_t compared = 0;
  for (const Json& one : list) {
    TaskOptions options;
    options.tasks = {kTasks};
    options.data = data;
    options.limit = 40;
    if (!one["shots"].is_null()) options.shots = one["shots"].get<uint32_t>();
    const Task task = load_task(one["task"], options);
    EXPECT_EQ(task.subtasks.size(), 1u);
    const std::vector<Document>& documents = task.subtasks[0].documents;
    EXPECT_EQ(documents.size(), one["documents"].size()) << one["task"];
    for (size_t i = 0; i < documents.size() && i < one["documents"].size(); ++i) {
      const Json& expected = one["documents"][i];
      EXPECT_EQ(documents[i].id, expected["id"].get<uint32_t>());
      EXPECT_EQ(documents[i].prompt.size(), expected["bytes"].get<size_t>()) << one["task"] << " " << i;
      EXPECT_EQ(sha256_hex(documents[i].prompt), expected["prompt"].get<std::string>())
          << one["task"] << " " << i << "\n"
          << documents[i].prompt;
      EXPECT_EQ(sha256_hex(joined(documents[i].choices)), expected["choices"].get<std::string>()) << one["task"];
      ++compared;
    }
  }
  return compared;
}

TEST(HarnessPrompts, OfTheSample) { EXPECT_GE(compare_prompts(golden()["sample"], kTasks / "sample"), 100u); }

// Places that the official sets lack are filled as the script fills them: a part of the training set, test questions
// for the validation split.
TEST(HarnessPrompts, OfTheOfficialSets) {
  SLUICE_NEED_SHARED(shared, "data");
  testing::ScratchFolder scratch;
  for (const char* set : {"gsm8k", "mmlu", "mmlu/val"}) fs::create_directories(scratch / set);
  fs::create_symlink(shared / "bbh", scratch / "bbh");
  fs::create_symlink(shared / "mmlu/test", scratch / "mmlu/test");
  fs::create_symlink(shared / "mmlu/dev", scratch / "mmlu/dev");
  fs::create_symlink(shared / "gsm8k/test.jsonl", scratch / "gsm8k/test.jsonl");
  const bool whole = fs::exists(shared / "gsm8k/train.jsonl");
  fs::create_symlink(shared / (whole ? "gsm8k/train.jsonl" : "gsm8k/train_first1000.jsonl"),
                     scratch / "gsm8k/train.jsonl");
  for (const auto& entry : fs::directory_iterator(shared / "mmlu/test")) {
    std::string name = entry.path().filename().string();
    name.replace(name.rfind("_test"), 5, "_val");
    fs::create_symlink(entry.path(), scratch.path() / "mmlu" / "val" / name);
  }
  EXPECT_GE(compare_prompts(golden()["official"], scratch.path()), 800u);
}

void compare_pages(const Json& expected, const fs::path& data) {
  TaskOptions options;
  options.tasks = {kTasks};
  options.data = data;
  const Task task = load_task("wikitext", options);
  const std::vector<Document>& pages = task.subtasks[0].documents;
  ASSERT_EQ(pages.size(), expected.size());
  for (size_t i = 0; i < pages.size(); ++i) {
    EXPECT_EQ(sha256_hex(pages[i].prompt), expected[i]["text"].get<std::string>()) << i << pages[i].prompt;
    EXPECT_EQ(pages[i].words, expected[i]["words"].get<uint64_t>());
    EXPECT_EQ(pages[i].bytes, expected[i]["bytes"].get<uint64_t>());
  }
}

TEST(HarnessPages, OfTheSample) { compare_pages(golden()["wikitext"]["sample"], kTasks / "sample"); }

TEST(HarnessPages, OfTheOfficialSet) {
  SLUICE_NEED_SHARED(shared, "data");
  compare_pages(golden()["wikitext"]["official"], shared);
}

TEST(HarnessScores, OfEveryText) {
  TaskOptions options;
  options.tasks = {kTasks};
  options.data = kTasks / "sample";
  options.limit = 1;
  options.shots = 0;
  std::map<std::string, Task> tasks;
  const std::map<std::string, std::string> parts = {{"mmlu_flan_cot_fewshot", "mmlu_flan_cot_fewshot_anatomy"},
                                                    {"mmlu_flan_cot_zeroshot", "mmlu_flan_cot_zeroshot_anatomy"},
                                                    {"bbh_cot_fewshot", "bbh_cot_fewshot_snarks"}};
  std::ifstream file(std::string(SLUICE_TEST_DATA) + "/tasks/scores.jsonl");
  size_t compared = 0, right = 0;
  for (std::string line; std::getline(file, line);) {
    const Json one = Json::parse(line);
    const std::string name = one["task"];
    if (!tasks.count(name)) tasks[name] = load_task(parts.count(name) ? parts.at(name) : name, options);
    const Task& task = tasks[name];
    Document document;
    document.target = one["target"];
    document.fields = {{"choices", one["choices"]}};
    size_t filters = 0;
    for (const TaskScore& score : score_generation(task, task.subtasks[0], document, one["text"].get<std::string>())) {
      if (!one["filters"].contains(score.filter)) continue;  // ours
      const Json& expected = one["filters"][score.filter];
      EXPECT_EQ(score.prediction, expected[0].get<std::string>()) << one << score.filter;
      EXPECT_EQ(score.value, expected[1].get<double>()) << one << score.filter;
      EXPECT_EQ(score.invalid, score.prediction == "[invalid]");
      ++filters, ++compared, right += score.value > 0;
    }
    EXPECT_EQ(filters, one["filters"].size()) << one;
  }
  EXPECT_GE(compared, 3000u);
  EXPECT_GE(right, 500u);
}

// What a task calls settled is: whatever comes after changes no score.
TEST(HarnessScores, AreSettledWhenATaskSaysSo) {
  TaskOptions options;
  options.tasks = {kTasks};
  options.data = kTasks / "sample";
  const Task task = load_task("mmlu_flan_cot_fewshot_anatomy", options);
  const Subtask& subtask = task.subtasks[0];
  std::ifstream file(std::string(SLUICE_TEST_DATA) + "/tasks/scores.jsonl");
  size_t settled = 0;
  for (std::string line; std::getline(file, line);) {
    const std::string text = Json::parse(line)["text"];
    for (size_t length = 0; length <= text.size(); ++length) {
      const std::string part = text.substr(0, length);
      if (!score_is_settled(task, part)) continue;
      const auto before = score_generation(task, subtask, subtask.documents[0], part);
      const auto after =
          score_generation(task, subtask, subtask.documents[0], text + "\nThe answer is (A). answer is B.");
      EXPECT_EQ(before[0].prediction, after[0].prediction) << text;
      ++settled;
      break;
    }
  }
  EXPECT_GE(settled, 100u);
}

}  // namespace
}  // namespace sluice
