// `sluice synth`: a model of a true shape with random weights. The work is core/convert's.
#include "core/convert/synth.h"

#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/interrupt.h"
#include "apps/options.h"
#include "apps/output.h"
#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/base/text.h"
#include "core/config/config.h"
#include "core/convert/shapes.h"
#include "core/quant/quantize.h"
#include "sluice/gguf_types.h"

namespace sluice {

int run_synth(std::span<const std::string> args) {
  po::options_description options;
  options.add_options()("shape", po::value<std::string>()->value_name("S"), join(model_shape_names()).c_str())(
      "type", po::value<std::string>()->value_name("T"), "weight type (default: F16)")(
      "tokenizer", po::value<std::string>()->value_name("FILE"),
      "tokenizer.model, tokenizer.json or a GGUF file with a vocabulary (default: made-up words)")(
      "format", po::value<std::string>()->value_name("F"), "gguf (default) or hf: a Hugging Face folder")(
      "layers", po::value<std::string>()->value_name("N"), "so many layers instead of the shape's")(
      "seed", po::value<std::string>()->value_name("N"), "of the random weights (default: 0)")(
      "force", "replace OUT if it exists")("pure", "the output matrix, too, gets T")(
      "threads,t", po::value<std::string>()->value_name("N"), "worker threads (default: all cores)")("json",
                                                                                                     "one JSON object");
  const auto words = parse_words("synth", args, options, {.names = {"OUT"}, .least = 1});
  if (!words) return kExitOk;
  if (!words->has("shape")) throw Error(fmt::format("synth needs --shape: one of {}", join(model_shape_names())));
  SynthOptions job;
  job.hyper = model_shape(words->text("shape"));
  job.hyper.layers = uint32_t(words->integer("layers", job.hyper.layers, 1, 1000));
  job.type = parse_weight_type(words->has("type") ? words->text("type") : "F16");
  // A model in the cache serves as well as a file with a vocabulary.
  if (words->has("tokenizer")) job.tokenizer = find_model(words->text("tokenizer"), {});
  job.seed = uint64_t(words->integer("seed", 0, 0, INT64_MAX));
  job.force = words->has("force"), job.pure = words->has("pure");
  job.stop = &interrupt_flag();
  ThreadPool pool(unsigned(words->integer("threads", 0, 0, 1024)));
  const std::filesystem::path out = words->positional[0];
  const bool folder = words->choice("format", "gguf", "gguf|hf") == "hf";

  SynthReport report;
  {
    std::unique_ptr<Progress> progress;
    uint64_t shown = 0;
    job.progress = [&](uint64_t done, uint64_t total, const std::string& tensor) {
      if (!progress) progress = std::make_unique<Progress>(total, "synth");
      progress->advance(done - shown, tensor);
      shown = done;
    };
    report = folder ? synthesize_huggingface(out, job, pool) : synthesize_gguf(out, job, pool);
  }
  std::string text;
  if (words->has("json")) {
    const nlohmann::ordered_json json = {
        {"file", out.string()},         {"shape", job.hyper.name}, {"type", sluice_gguf_type_info(job.type)->name},
        {"layers", job.hyper.layers},   {"bytes", report.bytes},   {"parameters", report.parameters},
        {"weight_files", report.files}, {"seed", job.seed},        {"fallbacks", report.fallbacks}};
    text = json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  } else {
    for (const std::string& line : report.fallbacks) text += line + "\n";
    text += fmt::format("{}: {}, {} layers, {:.1f} M parameters, {}, {}{}\n", out.string(), job.hyper.name,
                        job.hyper.layers, double(report.parameters) / 1e6, sluice_gguf_type_info(job.type)->name,
                        human_bytes(report.bytes), folder ? fmt::format(" in {} files", report.files) : "");
  }
  write_stdout(text);
  return kExitOk;
}

}  // namespace sluice
