// The program: finds the command, runs it, turns errors into messages and exit codes. What commands do is in the
// files beside this one.
#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <new>
#include <system_error>
#include <vector>

#include "apps/command.h"
#include "apps/commands.h"
#include "apps/interrupt.h"
#include "core/base/error.h"
#include "core/base/text.h"
#include "sluice/plugin.h"

namespace sluice {
namespace {

constexpr Command kCommands[] = {
    {"run", "generate from a prompt, or chat", R"([CONFIG] --text S | --file F [-n N] [--chat] [--set K=V]

Streams the text to stdout and closes with tokens, speed and bytes of the cache on stderr.

Examples:
  sluice run --text "Once upon a time" -n 64
  sluice run configs/gear2_h2o20.toml --chat --set model.path=llama2-7b.gguf
  sluice run configs/gear4.toml --file prompt.txt -n 200 --json)",
     run_run},
    {"compare", "several policies in lockstep over one text", R"(CONFIG... --file F | --text S [--tokens N] [--html OUT]

Feeds the same tokens to every policy, token by token through its compressed cache, and measures each against the
F16 cache: perplexity, KL divergence, top token, stored bytes by kind, tok/s.

Examples:
  sluice compare configs/demo.toml --file book.txt --tokens 512 --html out/compare.html
  sluice compare configs/gear2.toml configs/group2.toml --file book.txt --fail-if 'kld>0.3')",
     run_compare},
    {"ppl", "perplexity and KL divergence of one policy",
     R"([CONFIG] --file F | --text S [--tokens N] [--mode decode|chunked]

Examples:
  sluice ppl configs/gear4.toml --file wiki.test.raw --tokens 2048
  sluice ppl configs/group4.toml --file wiki.test.raw --mode chunked --chunk 256 --json)",
     run_ppl},
    {"bench", "prompt and decode speed, with bytes and share of bandwidth",
     R"([CONFIG...] [-p N] [-n N] [-d N] [-r N] [-t N] [--batch N] [-o FORMAT]

N may be a list or range: 0,1024,4096 or 1-4. A depth is prefilled once and forked for each repetition.

Examples:
  sluice bench configs/full.toml configs/gear2.toml -p 512 -n 64 -d 0,4096
  sluice bench --set model.path=llama2-7b.gguf -t 1,2 -o json)",
     run_bench},
    {"plugin", "list plugins and describe what they provide", R"(list | describe NAME [--markdown]

Examples:
  sluice plugin list
  sluice plugin describe h2o)",
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

void print(std::FILE* to, const std::string& text) { std::fwrite(text.data(), 1, text.size(), to); }

std::string overview() {
  std::string text =
      "Sluice runs Llama-family models whose KV cache is governed by plugins.\n\nUsage: sluice COMMAND ...\n\n";
  for (const Command& command : commands()) text += fmt::format("  {:<10} {}\n", command.name, command.summary);
  return text + "\n`sluice help COMMAND` explains a command. `sluice --version` prints the version.\n";
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
    print(stderr, overview());
    return kExitUsage;
  }
  if (words[0] == "--version" || words[0] == "version") {
    print(stdout, fmt::format("sluice {}\n", SLUICE_VERSION));
    return kExitOk;
  }
  if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    if (words.size() < 2) {
      print(stdout, overview());
      return kExitOk;
    }
    const std::vector<std::string> help = {"--help"};
    return require_command(words[1]).run(help);
  }
  return require_command(words[0]).run(std::span(words).subspan(1));
}

// What was printed may still be in a buffer; a full disk must not look like success. A reader that had enough
// and closed the pipe is no failure.
int flush_output(int code) {
  errno = 0;
  if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return code;
  if (errno == EPIPE || errno == 0) return code;
  print(stderr, fmt::format("sluice: cannot write to stdout: {}\n", std::generic_category().message(errno)));
  return code == kExitOk ? int(kExitFailed) : code;
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
  watch_interrupts();
  int code = kExitFailed;
  try {
    code = dispatch(std::vector<std::string>(argv + (argc > 0), argv + argc));
  } catch (const Error& error) {
    code = error.code();
    std::fflush(stdout);
    print(stderr, fmt::format("sluice: {}\n", error.what()));
  } catch (const std::bad_alloc&) {
    print(stderr, "sluice: not enough memory for this model, context or batch\n");
  } catch (const std::exception& error) {
    print(stderr, fmt::format("sluice: failed unexpectedly: {}\n", error.what()));
  }
  return flush_output(code);
}
