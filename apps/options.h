// Reads a command's words with Boost.Program_options, the way all commands do: long options in full, `--help`
// first, positionals counted by hand, numbers checked against a range, errors worded for people.
//
//   int run_thing(std::span<const std::string> args) {
//     auto options = config_options();                 // --set
//     options.add_options()("n,n", po::value<std::string>()->value_name("N"), "tokens to generate");
//     const auto words = parse_words("thing", args, options, {.names = {"CONFIG"}, .least = 0});
//     if (!words) return kExitOk;                      // --help was asked for and is printed
//     const int64_t n = words->integer("n", 128, 1, 1 << 20);
#pragma once

#include <boost/program_options.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

namespace po = boost::program_options;

// The words that are no options: their names as --help shows them. The last may repeat.
struct Positionals {
  std::vector<std::string> names;
  size_t least = 0;
  bool repeat = false;
};

class Words {
 public:
  po::variables_map values;
  std::vector<std::string> positional;
  std::string command;

  bool has(const char* option) const { return values.count(option) != 0; }
  // Empty if not given.
  std::string text(const char* option) const;
  // Options hold text; these check that all of it is a number in [low, high].
  int64_t integer(const char* option, int64_t fallback, int64_t low, int64_t high) const;
  double number(const char* option, double fallback, double low, double high) const;
  // One of "a|b|c".
  std::string choice(const char* option, const char* fallback, const char* choices) const;
  std::vector<std::string> list(const char* option) const;  // of a repeatable option

  std::vector<std::string> overrides() const;  // --set, --model and --threads
};

// Empty when --help was asked for; it is printed then. Throws Error for anything wrong.
std::optional<Words> parse_words(std::string_view command, std::span<const std::string> args,
                                 const po::options_description& options, const Positionals& positionals);

// Options that several commands share; add() more to them.
po::options_description config_options();                                     // --set K=V
inline constexpr const char* kTableFormats = "md|text|csv|json|jsonl|sql";    // the first is the default
po::options_description output_options(const char* formats = kTableFormats);  // --json, -o FORMAT
po::options_description precision_options(const char* fallback);              // --precision, and its default in words
po::options_description text_options();                                       // --text S, --file F

// "md" unless -o or --json say otherwise.
std::string output_format(const Words& words, const char* choices = kTableFormats);
// --text, or the contents of --file ("-": stdin). Error if neither or both are given.
std::string input_text(const Words& words);

// "-t" or "--threads", as it would be typed.
std::string typed(std::string_view option);

// A --help text's paragraphs for one command, options included.
std::string help_text(std::string_view command, const po::options_description& options);

}  // namespace sluice
