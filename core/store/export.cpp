// See export.h.
#include "core/store/export.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <map>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/sha256.h"
#include "core/base/text.h"
#include "sluice/plugin.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& json, int indent) { return json.dump(indent, ' ', false, Json::error_handler_t::replace); }

Json parse(const std::string& text, const char* what) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded())
    throw Error(fmt::format("{} of a stored sample is no JSON: {}", what, printable(text)), kExitFailed);
  return json;
}

// What Python's str() gives, of all that is no list: the harness writes responses so.
Json python_strings(const Json& value) {
  if (value.is_array()) {
    Json list = Json::array();
    for (const Json& item : value) list.push_back(python_strings(item));
    return list;
  }
  if (value.is_string()) return value;
  if (value.is_boolean()) return value.get<bool>() ? "True" : "False";
  if (value.is_null()) return "None";
  return dump(value, -1);
}

// "<>:/|\?*[]" and quotes, one or several, become "__".
std::string sanitized(std::string_view name) {
  std::string text;
  bool inside = false;
  for (const char c : name) {
    const bool bad = std::string_view("\"<>:/|\\?*[]").find(c) != std::string_view::npos;
    if (!bad)
      text += c;
    else if (!inside)
      text += "__";
    inside = bad;
  }
  return text;
}

struct Hashes {
  std::string doc, prompt, target;
};

Hashes hashes_of(const SampleRecord& s) {
  return {sha256_hex(dump(parse(s.doc, "the record"), 2)), sha256_hex(s.prompt), sha256_hex(s.target)};
}

// f(sample, its filter's place), in the harness's order.
template <class F>
void each_line(std::span<const SampleRecord> samples, F f) {
  size_t filters = 0;
  for (const SampleRecord& s : samples) filters = std::max(filters, s.filtered.size());
  for (size_t filter = 0; filter < filters; filter++)
    for (const SampleRecord& s : samples)
      if (filter < s.filtered.size()) f(s, filter);
}

std::string task_hash(std::span<const SampleRecord> samples) {
  Sha256 sum;
  each_line(samples, [&](const SampleRecord& s, size_t) {
    const Hashes h = hashes_of(s);
    sum.add(h.doc + h.prompt + h.target);
  });
  return sum.hex();
}

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json metrics_of(const ExportTask& task) {
  Json json;
  if (task.group)
    json = {{"alias", task.alias}, {"name", task.name}};
  else
    json = {{"name", task.name}, {"alias", task.alias}};
  if (task.group && task.metrics.empty()) return json;  // it only holds tasks together
  json["sample_len"] = task.effective;
  Json counts = Json::object();
  for (const ExportMetric& m : task.metrics) {
    json[m.name + "," + m.filter] = number(m.value);
    json[m.name + "_stderr," + m.filter] = m.stderr_value ? number(*m.stderr_value) : Json("N/A");
    counts[m.name + "," + m.filter] = task.effective;
  }
  if (task.group && !counts.empty()) json["sample_count"] = counts;
  return json;
}

std::string csv_cell(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == text.npos) return std::string(text);
  std::string cell = "\"";
  for (const char c : text) cell += c == '"' ? "\"\"" : std::string(1, c);
  return cell + '"';
}

}  // namespace

std::string results_json(const Export& run, std::span<const ExportSamples> samples) {
  Json json, results = Json::object(), groups = Json::object(), subtasks = Json::object();
  // These the harness sorts by name.
  std::map<std::string, Json> configs, versions, shots, higher;
  Json counts = Json::object();
  for (const ExportTask& task : run.tasks) {
    results[task.name] = metrics_of(task);
    versions[task.name] = parse(task.version, "the version");
    if (task.shots) shots[task.name] = *task.shots;
    Json better = Json::object();
    for (const auto& [metric, up] : task.higher_is_better) better[metric] = up;
    higher[task.name] = better;
    if (task.group) {
      subtasks[task.name] = task.children;
      if (!task.metrics.empty()) groups[task.name] = results[task.name];
    } else {
      configs[task.name] = parse(task.config, "the configuration");
      counts[task.name] = {{"original", task.original}, {"effective", task.effective}};
    }
  }
  json["results"] = results;
  if (!groups.empty()) json["groups"] = groups;
  json["group_subtasks"] = subtasks, json["configs"] = configs, json["versions"] = versions, json["n-shot"] = shots;
  json["higher_is_better"] = higher, json["n-samples"] = counts;
  json["config"] = parse(run.config, "the configuration");
  json["git_hash"] = run.git_hash.empty() ? Json(nullptr) : Json(run.git_hash);
  json["date"] = run.date;
  json["pretty_env_info"] = run.machine, json["transformers_version"] = "N/A";
  json["lm_eval_version"] = fmt::format("N/A (Sluice {})", SLUICE_VERSION), json["upper_git_hash"] = nullptr;
  Json hashes = Json::object();
  for (const ExportSamples& s : samples) hashes[s.task] = task_hash(s.samples);
  json["task_hashes"] = hashes;
  json["model_source"] = run.model_source, json["model_name"] = run.model_name;
  json["model_name_sanitized"] = sanitized(run.model_name);
  const auto text = [&](const char* name, const std::optional<std::string>& value) {
    json[name] = value ? Json(*value) : Json(nullptr);
    json[std::string(name) + "_sha"] = value && !value->empty() ? Json(sha256_hex(*value)) : Json(nullptr);
  };
  text("system_instruction", run.system_instruction);
  json["fewshot_as_multiturn"] = false;
  text("chat_template", run.chat_template);
  json["total_evaluation_time_seconds"] = fmt::format("{}", run.seconds);
  json["sluice"] = parse(run.extra, "what is beside the results");
  return dump(json, 2) + "\n";
}

std::string samples_jsonl(std::span<const SampleRecord> samples) {
  std::string text;
  each_line(samples, [&](const SampleRecord& s, size_t filter) {
    const Filtered& f = s.filtered[filter];
    const Hashes hashes = hashes_of(s);
    Json line, arguments = Json::object(), names = Json::array();
    size_t n = 0;
    for (const Json& second : parse(s.arguments, "the arguments")) {
      Json& one = arguments[fmt::format("gen_args_{}", n++)] = {{"arg_0", s.prompt}};
      if (!second.is_null()) one["arg_1"] = second;  // a text to be measured is alone
    }
    for (const Metric& m : f.metrics) names.push_back(m.name);
    line["doc_id"] = s.doc_id, line["doc"] = parse(s.doc, "the record"), line["target"] = s.target;
    line["arguments"] = arguments;
    line["resps"] = python_strings(parse(s.responses, "the responses"));
    line["filtered_resps"] = python_strings(parse(f.responses, "the filtered responses"));
    line["filter"] = f.filter, line["metrics"] = names;
    line["doc_hash"] = hashes.doc, line["prompt_hash"] = hashes.prompt, line["target_hash"] = hashes.target;
    for (const Metric& m : f.metrics)
      line[m.name] = m.weight ? Json::array({number(m.value), number(*m.weight)}) : number(m.value);
    text += dump(line, -1) + "\n";
  });
  return text;
}

std::string samples_csv(std::span<const SampleRecord> samples) {
  std::vector<std::string> metrics;  // "exact_match,strict-match"
  for (const SampleRecord& s : samples)
    for (const Filtered& f : s.filtered)
      for (const Metric& m : f.metrics)
        if (const std::string name = m.name + "," + f.filter;
            std::find(metrics.begin(), metrics.end(), name) == metrics.end())
          metrics.push_back(name);
  std::string text =
      "doc_id,target,ended_by,prompt_tokens,prefix_tokens,generated_tokens,compressed_before_scoring,too_short,"
      "kept_after_prompt,kept,stored_bytes,f16_bytes,peak_bytes,prompt_seconds,seconds";
  for (const std::string& name : metrics) text += "," + csv_cell(name);
  text += "\r\n";
  for (const SampleRecord& s : samples) {
    text += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}", s.doc_id, csv_cell(s.target), s.ended_by,
                        s.prompt_tokens, s.prefix_tokens, s.tokens.size(), s.compressed_before_scoring,
                        int(s.too_short), s.kept_after_prompt, s.kept, s.stored_bytes, s.f16_bytes, s.peak_bytes,
                        s.prompt_seconds, s.seconds);
    for (const std::string& name : metrics) {
      text += ",";
      for (const Filtered& f : s.filtered)
        for (const Metric& m : f.metrics)
          if (m.name + "," + f.filter == name && std::isfinite(m.value)) text += fmt::format("{}", m.value);
    }
    text += "\r\n";
  }
  return text;
}

std::string export_time() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
  return fmt::format("{:%Y-%m-%dT%H-%M-%S}.{:06}", fmt::localtime(std::time_t(micros / 1000000)), micros % 1000000);
}

std::vector<std::filesystem::path> write_export(const std::filesystem::path& folder, const std::string& time,
                                                const Export& run, std::span<const ExportSamples> samples) {
  const std::filesystem::path place = folder / sanitized(run.model_name);
  std::error_code error;
  std::filesystem::create_directories(place, error);
  if (error) throw Error(fmt::format("{}: cannot make this folder: {}", place.string(), error.message()), kExitFailed);
  std::vector<std::filesystem::path> files;
  for (const ExportSamples& s : samples) {
    const auto file = [&](const char* kind) { return place / fmt::format("samples_{}_{}.{}", s.task, time, kind); };
    write_file(files.emplace_back(file("jsonl")), samples_jsonl(s.samples));
    write_file(files.emplace_back(file("csv")), samples_csv(s.samples));
  }
  write_file(files.emplace_back(place / fmt::format("results_{}.json", time)), results_json(run, samples));
  return files;
}

}  // namespace sluice
