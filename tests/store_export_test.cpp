// Exports have the harness's keys, in its order, and its hashes.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "core/base/file.h"
#include "core/base/sha256.h"
#include "core/base/text.h"
#include "core/store/export.h"
#include "support/scratch_folder.h"
#include "support/store_samples.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

std::vector<std::string> keys(const Json& json) {
  std::vector<std::string> names;
  for (const auto& [name, value] : json.items()) names.push_back(name);
  return names;
}

Export example() {
  Export run;
  run.model_name = "smol:2/a", run.date = 1.5, run.seconds = 12.25, run.machine = "a machine";
  run.config = R"({"model":"sluice","limit":2})", run.extra = R"({"policy":"gear2"})";
  ExportTask group{
      "bbh", "bbh",    {{"exact_match", "get-answer", 0.5, 0.1}}, {{"exact_match", true}}, "3", 3, 0, 2, "",
      true,  {"bbh_a"}};
  ExportTask task{"bbh_a",
                  "a",
                  {{"exact_match", "get-answer", 0.5, {}}},
                  {{"exact_match", true}},
                  "\"4.0\"",
                  3,
                  250,
                  2,
                  R"({"task":"bbh_a","num_fewshot":3})",
                  false,
                  {}};
  run.tasks = {task, group};
  return run;
}

TEST(StoreExport, ResultsHaveTheHarnessesKeys) {
  const std::vector<SampleRecord> samples{testing::sample(0), testing::sample(1)};
  const ExportSamples of{"bbh_a", samples};
  const Json json = Json::parse(results_json(example(), {&of, 1}));
  EXPECT_EQ(keys(json), (std::vector<std::string>{"results",
                                                  "groups",
                                                  "group_subtasks",
                                                  "configs",
                                                  "versions",
                                                  "n-shot",
                                                  "higher_is_better",
                                                  "n-samples",
                                                  "config",
                                                  "git_hash",
                                                  "date",
                                                  "pretty_env_info",
                                                  "transformers_version",
                                                  "lm_eval_version",
                                                  "upper_git_hash",
                                                  "task_hashes",
                                                  "model_source",
                                                  "model_name",
                                                  "model_name_sanitized",
                                                  "system_instruction",
                                                  "system_instruction_sha",
                                                  "fewshot_as_multiturn",
                                                  "chat_template",
                                                  "chat_template_sha",
                                                  "total_evaluation_time_seconds",
                                                  "sluice"}));
  EXPECT_EQ(keys(json["results"]["bbh_a"]),
            (std::vector<std::string>{"name", "alias", "sample_len", "exact_match,get-answer",
                                      "exact_match_stderr,get-answer"}));
  EXPECT_EQ(json["results"]["bbh_a"]["exact_match_stderr,get-answer"], "N/A");
  EXPECT_EQ(json["groups"]["bbh"]["exact_match_stderr,get-answer"], 0.1);
  EXPECT_EQ(json["groups"]["bbh"]["sample_count"]["exact_match,get-answer"], 2);
  EXPECT_EQ(json["group_subtasks"]["bbh"], Json::array({"bbh_a"}));
  EXPECT_EQ(json["versions"]["bbh_a"], "4.0");
  EXPECT_EQ(json["n-samples"], Json({{"bbh_a", {{"original", 250}, {"effective", 2}}}}));
  EXPECT_EQ(json["model_name_sanitized"], "smol__2__a");
  EXPECT_EQ(json["total_evaluation_time_seconds"], "12.25");
  EXPECT_EQ(json["sluice"]["policy"], "gear2");
}

TEST(StoreExport, SamplesAreLinesFilterByFilter) {
  const std::vector<SampleRecord> samples{testing::sample(3), testing::sample(4)};
  const std::string text = samples_jsonl(samples);
  std::vector<Json> lines;
  for (const std::string_view line : split(text, '\n'))
    if (!line.empty()) lines.push_back(Json::parse(line));
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(keys(lines[0]),
            (std::vector<std::string>{"doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter",
                                      "metrics", "doc_hash", "prompt_hash", "target_hash", "exact_match"}));
  EXPECT_EQ(lines[0]["filter"], "strict-match");
  EXPECT_EQ(lines[1]["filter"], "strict-match");
  EXPECT_EQ(lines[2]["filter"], "flexible-extract");
  EXPECT_EQ(lines[1]["doc_id"], 4);
  EXPECT_EQ(lines[0]["arguments"]["gen_args_0"]["arg_0"], samples[0].prompt);
  EXPECT_EQ(lines[0]["arguments"]["gen_args_0"]["arg_1"]["max_gen_toks"], 256);
  EXPECT_EQ(lines[0]["prompt_hash"], sha256_hex(samples[0].prompt));
  // json.dumps(doc, indent=2, ensure_ascii=False), as Python writes it.
  EXPECT_EQ(lines[0]["doc_hash"],
            sha256_hex("{\n  \"question\": \"How many is 3? \\\"so\\\"\\n…\",\n  \"answer\": \"#### 3\"\n}"));
  std::string sum;
  for (const Json& line : lines)
    sum += line["doc_hash"].get<std::string>() + line["prompt_hash"].get<std::string>() +
           line["target_hash"].get<std::string>();
  const ExportSamples of{"bbh_a", samples};
  EXPECT_EQ(Json::parse(results_json(example(), {&of, 1}))["task_hashes"]["bbh_a"], sha256_hex(sum));
}

// Pairs of log-likelihood and greediness become strings, as Python's str() writes them.
TEST(StoreExport, LikelihoodsAreWrittenAsTheHarnessDoes) {
  SampleRecord s = testing::sample(1);
  s.arguments = R"([" A", " B"])", s.responses = "[[[-1.25,false]],[[-2.0,true]]]";
  s.filtered = {{"none", "[[-1.25,false],[-2.0,true]]", {{"acc", 1.0, {}}, {"word_perplexity", -30.5, 12}}}};
  const Json line = Json::parse(samples_jsonl({&s, 1}));
  EXPECT_EQ(line["resps"], Json::parse(R"([[["-1.25","False"]],[["-2.0","True"]]])"));
  EXPECT_EQ(line["filtered_resps"], Json::parse(R"([["-1.25","False"],["-2.0","True"]])"));
  EXPECT_EQ(line["arguments"]["gen_args_1"]["arg_1"], " B");
  EXPECT_EQ(line["word_perplexity"], Json::array({-30.5, 12.0}));
}

TEST(StoreExport, FilesAreWholeAndNamedByTheTime) {
  const testing::ScratchFolder folder;
  std::vector<SampleRecord> samples{testing::sample(0), testing::sample(1)};
  samples[1].target = "a, \"b\"\nc";
  const ExportSamples of{"bbh_a", samples};
  const auto results = write_export(folder.path(), "2026-01-31T17-05-09.123456", example(), {&of, 1}).back();
  EXPECT_EQ(results, folder / "smol__2__a" / "results_2026-01-31T17-05-09.123456.json");
  EXPECT_EQ(read_file(results), results_json(example(), {&of, 1}));
  EXPECT_EQ(read_file(folder / "smol__2__a" / "samples_bbh_a_2026-01-31T17-05-09.123456.jsonl"),
            samples_jsonl(samples));
  const std::string csv = read_file(folder / "smol__2__a" / "samples_bbh_a_2026-01-31T17-05-09.123456.csv");
  EXPECT_THAT(csv, ::testing::HasSubstr(
                       ",seconds,\"exact_match,strict-match\",\"exact_match,flexible-extract\"\r\n0,0,limit,"));
  EXPECT_THAT(csv, ::testing::HasSubstr("\r\n1,\"a, \"\"b\"\"\nc\",stop string,901,800,21,"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder / "smol__2__a"), {}), 3);
  EXPECT_THAT(export_time(),
              ::testing::MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}\\.[0-9]{6}"));
}

}  // namespace
}  // namespace sluice
