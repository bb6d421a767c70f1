// `sluice quantize`: a model file into a GGUF file of another weight type. The work is core/convert's; here are the
// options and the table of what became of the tensors.
#include "core/quant/quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/interrupt.h"
#include "apps/options.h"
#include "apps/output.h"
#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/base/text.h"
#include "core/config/config.h"
#include "core/convert/quantize_model.h"
#include "core/report/table.h"
#include "sluice/gguf_types.h"

namespace sluice {
namespace {

using nlohmann::ordered_json;

const char* name_of(uint32_t type) { return sluice_gguf_type_info(type)->name; }

double relative_rmse(double error, double norm) { return norm > 0 ? std::sqrt(error / norm) : 0; }

// Sums over the tensors that went from one type to another.
struct Group {
  uint64_t tensors = 0, numbers = 0, bytes = 0;
  double error = 0, norm = 0;
};

Table type_table(const QuantizeReport& report) {
  std::map<std::pair<std::string, std::string>, Group> groups;
  for (const QuantizedTensor& tensor : report.tensors) {
    Group& group = groups[{name_of(tensor.from), name_of(tensor.to)}];
    group.tensors += 1, group.numbers += tensor.rows * tensor.cols, group.bytes += tensor.bytes;
    group.error += tensor.squared_error, group.norm += tensor.squared_norm;
  }
  Table table{"quantize",
              {{"from", "from", false},
               {"to", "to", false},
               {"tensors", "tensors"},
               {"parameters", "parameters"},
               {"bytes", "bytes"},
               {"rmse", "RMSE"},
               {"rmse_relative", "of RMS"}},
              {}};
  for (const auto& [types, group] : groups) {
    const double relative = relative_rmse(group.error, group.norm);
    const double rmse = group.numbers ? std::sqrt(group.error / double(group.numbers)) : 0;
    table.rows.push_back({types.first,
                          types.second,
                          group.tensors,
                          {group.numbers, fmt::format("{:.2f} M", double(group.numbers) / 1e6)},
                          {group.bytes, human_bytes(group.bytes)},
                          {rmse, fmt::format("{:.3g}", rmse)},
                          {relative, fmt::format("{:.3f} %", 100 * relative)}});
  }
  return table;
}

// Tensors that did not get the type that was asked for, layers of the same kind together:
// "Q8_0: token_embd.weight (rows of 576 ...)".
std::vector<std::string> exceptions(const QuantizeReport& report) {
  std::map<std::string, std::pair<uint64_t, std::string>> lines;  // by what they share
  for (const QuantizedTensor& tensor : report.tensors) {
    if (tensor.reason.empty() || tensor.rows == 1) continue;
    std::string name = tensor.name;
    if (name.starts_with("blk.")) name = "blk.*" + name.substr(name.find('.', 4));
    auto& [count, text] = lines[name];
    text = fmt::format("{} -> {} ({})", name, name_of(tensor.to), tensor.reason);
    count += 1;
  }
  std::vector<std::string> texts;
  for (const auto& [name, line] : lines) {
    texts.push_back(line.first > 1 ? fmt::format("{} x {}", line.first, line.second) : line.second);
  }
  return texts;
}

ordered_json to_json(const QuantizeReport& report, const std::filesystem::path& out, uint32_t type) {
  ordered_json json = {{"file", out.string()},
                       {"type", name_of(type)},
                       {"bytes_in", report.bytes_in},
                       {"bytes", report.bytes_out},
                       {"requantized_from", nullptr},
                       {"vocabulary_converted", report.vocabulary_converted},
                       {"tensors", ordered_json::array()}};
  if (!report.requantized_from.empty()) json["requantized_from"] = report.requantized_from;
  for (const QuantizedTensor& tensor : report.tensors) {
    json["tensors"].push_back({{"name", tensor.name},
                               {"from", name_of(tensor.from)},
                               {"to", name_of(tensor.to)},
                               {"rows", tensor.rows},
                               {"cols", tensor.cols},
                               {"bytes", tensor.bytes},
                               {"rmse", std::sqrt(tensor.squared_error / double(tensor.rows * tensor.cols))},
                               {"rmse_relative", relative_rmse(tensor.squared_error, tensor.squared_norm)},
                               {"fallback", tensor.fallback},
                               {"reason", tensor.reason}});
  }
  return json;
}

std::string to_text(const QuantizeReport& report, const std::filesystem::path& out) {
  std::string text = write_table(type_table(report), Format::kText);
  const std::vector<std::string> others = exceptions(report);
  if (!others.empty()) text += "\nother types than asked for:\n";
  for (const std::string& line : others) text += "  " + line + "\n";
  if (!report.requantized_from.empty()) {
    text += fmt::format("\nrequantized from {}: errors are against those weights, not against the original ones\n",
                        report.requantized_from);
  }
  if (report.vocabulary_converted) {
    text += "\nthe tokenizer's merges are stored as SentencePiece scores, the form that GGUF has for them\n";
  }
  return text +
         fmt::format("\n{}: {}, was {}\n", out.string(), human_bytes(report.bytes_out), human_bytes(report.bytes_in));
}

}  // namespace

int run_quantize(std::span<const std::string> args) {
  po::options_description options;
  options.add_options()("type", po::value<std::string>()->value_name("T"), "weight type: Q4_0, Q4_K, Q8_0, F16 ...")(
      "requantize", "accept weights that are quantized already")("force", "replace OUT if it exists")(
      "pure", "the output matrix, too, gets T")("threads,t", po::value<std::string>()->value_name("N"),
                                                "worker threads (default: all cores)")("json", "one JSON object");
  const auto words = parse_words("quantize", args, options, {.names = {"IN", "OUT"}, .least = 2});
  if (!words) return kExitOk;
  if (!words->has("type")) {
    std::vector<std::string> names;
    for (const uint32_t type : quantizable_types()) names.push_back(name_of(type));
    throw Error(fmt::format("quantize needs --type: one of {}", join(names)));
  }
  QuantizeOptions job;
  job.type = parse_weight_type(words->text("type"));
  job.requantize = words->has("requantize"), job.force = words->has("force"), job.pure = words->has("pure");
  job.stop = &interrupt_flag();
  ThreadPool pool(unsigned(words->integer("threads", 0, 0, 1024)));
  const std::filesystem::path in = find_model(words->positional[0], {}), out = words->positional[1];

  QuantizeReport report;
  {
    // Bytes of the input as it is read; the total is only known then.
    std::unique_ptr<Progress> progress;
    uint64_t shown = 0;
    job.progress = [&](uint64_t done, uint64_t total, const std::string& tensor) {
      if (!progress) progress = std::make_unique<Progress>(total, "quantize");
      progress->advance(done - shown, tensor);
      shown = done;
    };
    report = quantize_model(in, out, job, pool);
  }
  const std::string text =
      words->has("json")
          ? to_json(report, out, job.type).dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n"
          : to_text(report, out);
  write_stdout(text);
  return kExitOk;
}

}  // namespace sluice
