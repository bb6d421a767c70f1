// See options.h: what Boost.Program_options leaves to do, and the wording of its errors.
#include "apps/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <sstream>

#include "apps/command.h"
#include "apps/interrupt.h"
#include "apps/output.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/text.h"
#include "core/config/config.h"

namespace sluice {
namespace {

[[noreturn]] void fail(std::string_view command, const std::string& message) {
  throw Error(fmt::format("{} (see `sluice help {}`)", message, command));
}

std::vector<std::string> option_names(const po::options_description& options) {
  std::vector<std::string> names;
  for (const auto& option : options.options()) names.push_back("--" + option->long_name());
  return names;
}

std::string stripped(std::string text) {
  while (!text.empty() && text.front() == '\n') text.erase(0, 1);  // what is indented stays so
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

}  // namespace

std::string typed(std::string_view option) { return (option.size() == 1 ? "-" : "--") + std::string(option); }

std::string Words::text(const char* option) const { return has(option) ? values[option].as<std::string>() : ""; }

std::vector<std::string> Words::list(const char* option) const {
  return has(option) ? values[option].as<std::vector<std::string>>() : std::vector<std::string>{};
}

std::vector<std::string> Words::overrides() const {
  std::vector<std::string> settings = list("set");
  // Relative to where the command is given, as every path on a command line.
  if (has("model")) settings.push_back("model.path=" + toml_text(text("model")));
  if (has("threads")) settings.push_back(fmt::format("backend.threads={}", integer("threads", 0, 0, 1024)));
  return settings;
}

int64_t Words::integer(const char* option, int64_t fallback, int64_t low, int64_t high) const {
  if (!has(option)) return fallback;
  const std::string given = text(option);
  int64_t value = 0;
  const auto [rest, error] = std::from_chars(given.data(), given.data() + given.size(), value);
  if (given.empty() || error == std::errc::invalid_argument || rest != given.data() + given.size()) {
    fail(command, fmt::format("{} takes an integer, not \"{}\"", typed(option), given));
  }
  if (error != std::errc() || value < low || value > high) {
    fail(command, fmt::format("{} {} is out of range: {} to {}", typed(option), given, low, high));
  }
  return value;
}

double Words::number(const char* option, double fallback, double low, double high) const {
  if (!has(option)) return fallback;
  const std::string given = text(option);
  double value = 0;
  const auto [rest, error] = std::from_chars(given.data(), given.data() + given.size(), value);
  if (given.empty() || error != std::errc() || rest != given.data() + given.size() || std::isnan(value)) {
    fail(command, fmt::format("{} takes a number, not \"{}\"", typed(option), given));
  }
  if (value < low || value > high) {
    fail(command, fmt::format("{} {} is out of range: {} to {}", typed(option), given, low, high));
  }
  return value;
}

std::string Words::choice(const char* option, const char* fallback, const char* choices) const {
  if (!has(option)) return fallback;
  const std::string given = text(option);
  const std::vector<std::string_view> names = split(choices, '|');
  if (std::find(names.begin(), names.end(), given) != names.end()) return given;
  fail(command, fmt::format("{} takes {}, not \"{}\"{}", typed(option), fmt::join(names, ", "), given,
                            did_you_mean(given, names)));
}

std::string help_text(std::string_view name, const po::options_description& options) {
  const Command* command = find_command(name);
  const std::string_view usage = command ? command->usage : "";
  const size_t line = std::min(usage.find('\n'), usage.size());
  std::ostringstream shown;
  shown << options;
  std::string text =
      fmt::format("Usage: sluice {} {}\n\n{}\n", name, usage.substr(0, line), command ? command->summary : "");
  if (line < usage.size()) text += "\n" + stripped(std::string(usage.substr(line))) + "\n";
  return text + "\nOptions:\n" + shown.str();
}

std::optional<Words> parse_words(std::string_view command, std::span<const std::string> args,
                                 const po::options_description& options, const Positionals& positionals) {
  po::options_description shown(100, 50);
  for (const auto& option : options.options()) shown.add(option);
  shown.add_options()("help,h", "show this text");
  po::options_description all;
  all.add(shown).add_options()("positional", po::value<std::vector<std::string>>(), "");
  po::positional_options_description places;
  places.add("positional", -1);

  Words words;
  words.command = command;
  const auto style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
  try {
    const std::vector<std::string> list(args.begin(), args.end());
    po::store(po::command_line_parser(list).options(all).positional(places).style(style).run(), words.values);
  } catch (const po::unknown_option& error) {
    const std::string name = error.get_option_name();
    fail(command, fmt::format("sluice {} has no option {}{}", command, name, did_you_mean(name, option_names(shown))));
  } catch (const po::error& error) {
    fail(command, error.what());
  }
  if (words.has("help")) {
    const std::string text = help_text(command, shown);
    write_stdout(text);
    return std::nullopt;
  }
  po::notify(words.values);

  words.positional = words.list("positional");
  const std::vector<std::string>& names = positionals.names;
  if (words.positional.size() < positionals.least) {
    fail(command,
         fmt::format("sluice {} needs {}", command, names[std::min(words.positional.size(), names.size() - 1)]));
  }
  if (words.positional.size() > names.size() && !positionals.repeat) {
    fail(command,
         fmt::format("sluice {} does not know what to do with \"{}\"", command, words.positional[names.size()]));
  }
  return words;
}

po::options_description config_options() {
  po::options_description options;
  options.add_options()(
      "model,m", po::value<std::string>()->value_name("MODEL"),
      "a GGUF file, a Hugging Face folder, or a name in the model cache: short for --set model.path=MODEL");
  options.add_options()("set", po::value<std::vector<std::string>>()->composing()->value_name("K=V"),
                        "set a key of the configuration, as in --set cache.budget=20%; may be repeated");
  return options;
}

po::options_description output_options(const char* formats) {
  po::options_description options;
  const std::string help = fmt::format("format of what goes to stdout: {}", join(split(formats, '|')));
  options.add_options()("json", "the same as -o json")("output,o", po::value<std::string>()->value_name("FORMAT"),
                                                       help.c_str());
  return options;
}

po::options_description text_options() {
  po::options_description options;
  options.add_options()("text", po::value<std::string>()->value_name("S"), "the text itself")(
      "file", po::value<std::string>()->value_name("F"), "a file with the text, - for stdin");
  return options;
}

po::options_description precision_options(const char* fallback) {
  po::options_description options;
  const std::string help = fmt::format(
      "exact: float activations; fast: 8-bit ones in matmuls, faster with a small error (default: {})", fallback);
  options.add_options()("precision", po::value<std::string>()->value_name("P"), help.c_str());
  return options;
}

std::string output_format(const Words& words, const char* choices) {
  const std::string format = words.choice("output", words.has("json") ? "json" : "md", choices);
  if (words.has("json") && format != "json")
    fail(words.command, fmt::format("--json and -o {} contradict each other", format));
  return format;
}

std::string input_text(const Words& words) {
  if (words.has("text") == words.has("file")) {
    fail(words.command, words.has("text") ? "--text and --file exclude each other" : "needs --text or --file");
  }
  if (words.has("text")) return words.text("text");
  const std::string name = words.text("file");
  return read_file(name == "-" ? "/dev/stdin" : name, uint64_t(1) << 32, &interrupt_flag());
}

}  // namespace sluice
