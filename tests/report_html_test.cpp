// The page as text, and in a browser where there is one (tests/browser/check_report.py holds the detailed checks).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/report/html.h"
#include "core/report/table.h"
#include "tests/report_fake.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

TEST(HtmlReport, HoldsOneSegmentPerPolicyAndKind) {
  const Comparison comparison = testing::fake_comparison();
  EXPECT_EQ(count(html_report(comparison), "<rect class=\"segment "), comparison.policies.size() * kKindNames.size());
}

TEST(HtmlReport, RefersToNothingOutside) {
  const std::string page = html_report(testing::fake_comparison());
  for (const char* part : {"http://", "https://", "@import", "src=", "url("}) EXPECT_THAT(page, Not(HasSubstr(part)));
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
}

TEST(HtmlReport, NamesStayText) {
  const std::string page = html_report(testing::hostile_comparison());
  EXPECT_EQ(count(page, "<script"), 3u);
  EXPECT_EQ(count(page, "</script>"), 3u);
  EXPECT_THAT(page, Not(HasSubstr("<img")));
  EXPECT_THAT(page, Not(HasSubstr("<i>rate")));
  EXPECT_THAT(page, HasSubstr("&lt;/script&gt;&lt;script&gt;alert(1)"));
}

TEST(HtmlReport, SimulatedRowsShowNeitherBytesNorSpeed) {
  Comparison comparison = testing::fake_comparison();
  PolicyResult& row = comparison.policies[2];
  row.kv.stored = false;
  row.kv.bytes = row.kv.peak_bytes = 12345678;
  row.tok_s = 98765.4;
  const std::string page = html_report(comparison);
  EXPECT_THAT(page, Not(HasSubstr("12345678")));
  EXPECT_THAT(page, Not(HasSubstr("98765.4")));
  EXPECT_THAT(page, HasSubstr("simulated"));
}

// Anything a run may lack must still give a page.
std::vector<std::pair<std::string, Comparison>> odd_comparisons() {
  std::vector<std::pair<std::string, Comparison>> all = {{"fake", testing::fake_comparison()},
                                                         {"hostile", testing::hostile_comparison()}};
  Comparison bare;
  bare.model = "bare";
  bare.policies.resize(2);
  bare.policies[0].policy = "nothing known";
  bare.policies[1].policy = "nothing stored";
  bare.policies[1].kv.stored = false;
  bare.policies[0].kld_mean = 0;
  bare.policies[0].kv.ratio = 0;
  bare.policies[0].kld_curve = {{0, 0, kUnknown}, {1, 1, 0}};
  all.emplace_back("bare", bare);
  Comparison alone = testing::fake_comparison();
  alone.policies.resize(1);
  all.emplace_back("alone", alone);
  Comparison gaps = testing::fake_comparison();
  gaps.policies[3].kld_curve[5].kld = kUnknown;
  gaps.policies[4].kld_mean = gaps.policies[4].kld_p99 = gaps.policies[4].ppl = kUnknown;
  gaps.policies[5].kld_curve.clear();
  gaps.policies[6].tok_s.reset();
  gaps.policies[7].kld_mean = 1e-14;
  all.emplace_back("gaps", gaps);
  return all;
}

TEST(HtmlReport, NoNumberIsNanOrInfinite) {
  for (const auto& [name, comparison] : odd_comparisons()) {
    const std::string page = html_report(comparison);
    const std::string body = page.substr(page.find("<body>"), page.find("<script") - page.find("<body>"));
    EXPECT_THAT(body, Not(::testing::ContainsRegex("[\" ,(-](nan|inf)[\" ,)]"))) << name;
  }
  html_report(Comparison{});  // not a row at all
}

TEST(HtmlReport, InABrowser) {
  if (std::system("python3 -c 'import json' > /dev/null 2>&1") != 0) GTEST_SKIP() << "no python3";
  const auto folder = std::filesystem::temp_directory_path() / ("sluice_report_" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  std::string skipped;
  for (const auto& [name, comparison] : odd_comparisons()) {
    if (name == "alone" || name == "gaps") continue;  // a browser takes seconds a page
    const auto page = folder / (name + ".html"), data = folder / (name + ".json");
    std::ofstream(page) << html_report(comparison);
    std::ofstream(data) << comparison_table(comparison, Format::kJson);
    const std::string command =
        "python3 '" SLUICE_SOURCE "/tests/browser/check_report.py' '" + page.string() + "' '" + data.string() + "'";
    const int status = std::system(command.c_str());
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (code == 77) {
      skipped = "no browser";
      continue;
    }
    EXPECT_EQ(code, 0) << command;
  }
  std::filesystem::remove_all(folder);
  if (!skipped.empty()) GTEST_SKIP() << skipped;
}

}  // namespace
}  // namespace sluice
