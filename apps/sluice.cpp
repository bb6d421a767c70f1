// The program: finds the command, runs it, turns errors into messages and exit codes. What commands do is in the
// files beside this one.
#include <fmt/format.h>

#include <cstdio>
#include <new>
#include <vector>

#include "apps/command.h"
#include "apps/commands.h"
#include "apps/interrupt.h"
#include "apps/output.h"
#include "core/base/error.h"
#include "core/base/text.h"
#include "sluice/plugin.h"

namespace sluice {
namespace {

constexpr Command kCommands[] = {
    {"run", "generate from a prompt, or chat", R"([CONFIG] --text S | --file F [-n N] [--chat] [--set K=V]

Streams the text to stdout and closes with tokens, speed and bytes of the cache on stderr.

--chat reads one message a line from stdin; end of file (Ctrl-D) leaves, Ctrl-C ends the answer and leaves.

Examples:
  sluice run -m smollm2-135m-instruct --text "Once upon a time" -n 64
  sluice run configs/gear2_h2o20.toml --chat --set model.path=llama2-7b.gguf
  sluice run configs/gear4.toml --file prompt.txt -n 200 --json)",
     run_run},
    {"compare", "several policies in lockstep over one text", R"(CONFIG... --file F | --text S [--tokens N] [--html OUT]

Feeds the same tokens to every policy, token by token through its compressed cache, and measures each against the
F16 cache: perplexity, KL divergence, top token, stored bytes by kind, tok/s. --details adds the change of probability as
llama.cpp's --kl-divergence has it, --attention N what attention itself loses.

--fail-if takes FIELD>NUMBER or FIELD<NUMBER, in quotes. Fields: kld (or kld_mean), kld_p99, kld_max, nll_mean, ppl,
same_top, tok_s, bytes, peak_bytes, ratio, bits_per_element; what they are stands in docs/output.md.

Examples:
  sluice compare configs/demo.toml --file book.txt --tokens 512 --html out/compare.html
  sluice compare configs/h2o20.toml configs/sieve20.toml --file book.txt --attention 16
  sluice compare configs/gear2.toml configs/group2.toml --file book.txt --fail-if 'kld>0.3')",
     run_compare},
    {"ppl", "perplexity and KL divergence of one policy",
     R"([CONFIG] --file F | --text S [--tokens N] [--mode decode|chunked]

--fail-if takes FIELD>NUMBER or FIELD<NUMBER, in quotes; `sluice help compare` names the fields.

Examples:
  sluice ppl configs/gear4.toml --file wiki.test.raw --tokens 2048
  sluice ppl configs/group4.toml --file wiki.test.raw --mode chunked --chunk 256 --json)",
     run_ppl},
    {"eval", "tasks under several policies: scores, flips, bytes",
     R"([CONFIG...] --tasks T,... --out DIR [--limit N] [--resume] [--log-samples] [-o FORMAT]

Asks the questions of tasks under every policy, with prompts, filters and scores as lm-evaluation-harness has them
(docs/evaluation.md), and under F16 rows as a baseline if no configuration keeps all. Each sample is in
DIR/samples.sqlite when it is done: Ctrl-C, a crash or kill -9 lose those under way and no other, and --resume makes what
is missing. At the end come a table on stdout and the harness's files in DIR.

--fidelity also leads every policy through the baseline's answers and says how far each token's distribution strays: where
scores are too coarse, or the model is guessing, that still tells policies apart.

--fail-if takes FIELD>NUMBER or FIELD<NUMBER, in quotes, of every task and metric: exact_match, acc, acc_norm,
word_perplexity, difference, difference_low, flips_lost, mcnemar_p, kld (with --fidelity), invalid, truncated, ratio and
others;
what they are stands in docs/output.md.

Examples:
  sluice eval --list
  sluice eval configs/gear2.toml configs/h2o20.toml --tasks gsm8k_cot,mmlu --limit 40 --out out/eval
  sluice eval configs/gear2.toml --tasks mmlu_anatomy --data configs/tasks/sample --out out/eval --resume
  sluice eval configs/gear2.toml --tasks gsm8k_cot --limit 100 --out out/eval --fidelity --fail-if 'kld>0.2'
  sluice eval configs/demo.toml --tasks gsm8k_cot --samples questions.json --out out/eval --fail-if 'flips_lost>5')",
     run_eval},
    {"diff", "two evaluations on the same questions", R"(A B [-o FORMAT] [--fail-if GATE]

A and B are folders that `sluice eval --out` made, or DIR:POLICY. Two folders without policies are compared policy by
policy, by name. Per task and metric: both scores on the questions they share, questions lost and won, McNemar's exact p,
a bootstrap interval of the difference, and at which token generated texts first differ.

Examples:
  sluice diff out/monday out/tuesday
  sluice diff out/eval:full out/eval:gear2 --fail-if 'mcnemar_p<0.01')",
     run_diff},
    {"bench", "prompt and decode speed, with bytes and share of bandwidth",
     R"([CONFIG...] [-p N] [-n N] [-d N] [-r N] [-t N] [--batch N] [-o FORMAT]
       bench --pair CONFIG --pair CONFIG [-p N | -n N] [-d N] ...
       bench [CONFIG] --versus 'CMD ARGS' [-p N | -n N] [-d N] ...
       bench [CONFIG] --kernel NAME|list|all [-r CALLS]

N may be a list or range: 0,1024,4096 or 1-4. A depth is prefilled once and forked for each repetition. What this
machine can do at most is measured before and after; if the two differ by more than a tenth, rows are marked void.

--pair and --versus time two in turns, A B B A, and give the ratio of the second to the first, or of ours to the
driver's. docs/bench.md explains every column and how a driver of another runtime answers.

Examples:
  sluice bench configs/full.toml configs/gear2.toml -p 512 -n 64 -d 0,4096
  sluice bench --set model.path=llama2-7b.gguf -t 1,2 -o json
  sluice bench --pair configs/full.toml --pair configs/gear2.toml -n 64 -d 4096 -r 9 --depth-by tiling
  sluice bench configs/full.toml -n 64 -d 4096 --versus 'scripts/peers/llama_driver.py M.gguf -t 2 -n 64 -d 4096'
  sluice bench configs/gear2.toml --kernel codec_dot -t 1,2)",
     run_bench},
    {"plugin", "list, describe and check plugins, begin one of your own",
     R"(list | describe [NAME] [--markdown] | check FILE|NAME... [--set K=V] | new NAME [--kind K] [--lang L]
trace FILE|NAME [--set K=V] [--out FILE]

  list      every module found, and why some libraries cannot be used
  describe  a module's parameters, where it comes from, what it can do; --markdown without a NAME: all policies
  check     tries what the plugin headers promise, each check in a child process with a time limit; prints for what
            failed the line that runs it again, and exits with 1 then. `sluice plugin check --help` names its options,
            docs/plugin-check.md what is checked
  new       a folder with a small policy to edit: source, tests, CMake project, configuration
  trace     writes down what a plugin does on fixed inputs; beside its library, `check` compares with it

Examples:
  sluice plugin list
  sluice plugin describe h2o
  sluice plugin check build/my_evictor.sluice.so --set sinks=2
  sluice plugin check h2o sieve --only-failed --fuzz 60
  sluice plugin new my_codec --kind codec --lang c++)",
     run_plugin},
    {"config", "show, check or explain configuration files", R"(show|check|schema [FILE...] [--set K=V]

  show FILE     the merged file, each value with the place it comes from
  check FILE... all mistakes at once; exit code 2 if there are any
  schema        every key with type, default and meaning, as JSON schema or --markdown

Examples:
  sluice config show configs/gear2_h2o20.toml
  sluice config check configs/*.toml
  sluice config schema --markdown)",
     run_config},
    {"inspect", "show what a model file holds", R"(FILE [--json] [--tensors]

FILE is a GGUF file, a Hugging Face folder or a name in the model cache.

Examples:
  sluice inspect smollm2-135m-instruct
  sluice inspect model.gguf --tensors)",
     run_inspect},
    {"quantize", "write a model with another weight type", R"(IN OUT --type T [--requantize] [--force] [--pure]

IN is a GGUF file, a Hugging Face folder or a name in the model cache; OUT becomes a GGUF file. Vectors stay F32, the
output matrix keeps at least Q6_K (--pure: T as well). Tensors whose rows do not divide by a type's blocks fall back to
a type of smaller blocks and are listed.

Examples:
  sluice quantize hf/Llama-2-7b llama2-7b-q4_0.gguf --type Q4_0
  sluice quantize smollm2-135m-instruct smollm2-q8_0.gguf --type Q8_0 --requantize)",
     run_quantize},
    {"synth", "write a model of a true shape with random weights",
     R"(--shape S [--type T] [--tokenizer FILE] [--format gguf|hf] [--layers N] OUT

For measuring speed and memory where the real weights are not at hand; its text is noise.

Examples:
  sluice synth --shape llama2-7b --type Q4_0 --tokenizer tokenizer.model llama2-7b-synth.gguf
  sluice synth --shape tinyllama-1.1b --type BF16 --format hf tinyllama-synth)",
     run_synth},
};

void print_error(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stderr); }

std::string overview() {
  std::string text =
      "Sluice runs Llama-family models whose KV cache is governed by plugins.\n\nUsage: sluice COMMAND ...\n\n";
  for (const Command& command : commands()) text += fmt::format("  {:<10} {}\n", command.name, command.summary);
  return text + R"(
`sluice help COMMAND` explains a command. `sluice --version` prints the version.

Models are GGUF files, Hugging Face folders or names in the model cache, the folder $SLUICE_MODELS or else
~/.cache/sluice/models; scripts/get_model.sh puts smollm2-135m-instruct there. Plugins (*.sluice.so) are found in the
folders of [plugins] path, then of SLUICE_PLUGIN_PATH (separated by colons), then beside the program.
)";
}

const Command& require_command(const std::string& name) {
  if (const Command* command = find_command(name)) return *command;
  std::vector<std::string> names;
  for (const Command& command : commands()) names.push_back(command.name);
  throw Error(fmt::format("there is no command \"{}\"{}; commands: {}", name, did_you_mean(name, names),
                          fmt::join(names, ", ")));
}

int dispatch(const std::vector<std::string>& words) {
  if (words.empty()) {
    print_error(overview());
    return kExitUsage;
  }
  if (words[0] == "--version" || words[0] == "version") {
    write_stdout(fmt::format("sluice {}\n", SLUICE_VERSION));
    return kExitOk;
  }
  if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    if (words.size() < 2) {
      write_stdout(overview());
      return kExitOk;
    }
    const std::vector<std::string> help = {"--help"};
    return require_command(words[1]).run(help);
  }
  return require_command(words[0]).run(std::span(words).subspan(1));
}

}  // namespace

std::span<const Command> commands() { return kCommands; }

const Command* find_command(std::string_view name) {
  for (const Command& command : kCommands) {
    if (command.name == name) return &command;
  }
  return nullptr;
}

}  // namespace sluice

int main(int argc, char** argv) {
  using namespace sluice;
  guard_standard_files();
  keep_stdout_for_commands();
  watch_interrupts();
  int code = kExitFailed;
  try {
    code = dispatch(std::vector<std::string>(argv + (argc > 0), argv + argc));
  } catch (const Error& error) {
    code = error.code();
    flush_stdout();
    print_error(fmt::format("sluice: {}\n", error.what()));
  } catch (const OutputGone&) {
    code = kExitOk;
  } catch (const std::bad_alloc&) {
    print_error("sluice: not enough memory for this model, context or batch\n");
  } catch (const std::exception& error) {
    print_error(fmt::format("sluice: failed unexpectedly: {}\n", error.what()));
  }
  return finish_stdout(code);
}
