// The tables of `sluice bench`: a list of fields per row, each with what people and what programs read, so that no
// format can forget what another says. Roofs are measured after the rows, so rows are put into words at the end.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/bench/measure.h"
#include "core/bench/roof.h"
#include "core/report/json.h"
#include "core/report/table.h"

namespace sluice {

struct Field {
  Column column;
  Cell cell;
};

// Roofs around some rows. `after` is unknown until the last of them is measured.
struct RoofPair {
  bool wanted = false;
  Roof before;
  std::optional<Roof> after;

  Roof between() const { return wanted ? roof_between(before, after.value_or(Roof{})) : Roof{}; }
  // Why the rows are void; empty if they are not, or if nobody asked.
  std::string reason() const;
};
// Measures what is above one of the rows, and says it on stderr.
std::shared_ptr<RoofPair> roof_before(ThreadPool& pool, std::string_view instructions, bool wanted);
void roof_after(RoofPair& roofs, ThreadPool& pool, std::string_view instructions);

// Cells that are used more than once.
Field share_field(const char* key, const char* title, double share);
Field decimal_field(const char* key, const char* title, double x, int decimals);
Field text_field(const char* key, const char* title, std::string text);
Field count_field(const char* key, const char* title, uint64_t n);
void add_void_fields(std::vector<Field>& fields, const RoofPair& roofs);

// The share of the roof's arithmetic that operations take, when so many of the two kinds run a second.
double multiply_share(const Roof& roof, double integer_ops, double float_ops);

struct BenchLine {
  std::string policy;
  BenchRow row;
  TokenCost cost;
  uint32_t threads = 0;
  double call = 0;    // seconds that a plugin's verb takes besides what it does
  uint64_t peak = 0;  // resident memory; 0: not known
  double foreign = kUnknown;
  std::string kernel, precision, positions, model, weights;
  std::shared_ptr<const RoofPair> roofs;
};
std::vector<Field> bench_fields(const BenchLine& line);

// Rows in the order in which they came, written when asked.
class BenchOutput {
 public:
  // `name`: of the SQL table and of the JSON array. `empty`: a row without figures, for the columns of a table without
  // rows.
  BenchOutput(std::string name, Format format, std::vector<Field> empty)
      : name_(std::move(name)), format_(format), empty_(std::move(empty)) {}
  // `fields` is called when the table is written. Members of `kv` stand in JSON as one object.
  void add(std::function<std::vector<Field>()> fields, std::optional<KvBytes> kv = std::nullopt) {
    rows_.push_back({std::move(fields), std::move(kv)});
  }
  void publish() const;

 private:
  struct Row {
    std::function<std::vector<Field>()> fields;
    std::optional<KvBytes> kv;
  };
  std::string name_;
  Format format_;
  std::vector<Field> empty_;
  std::vector<Row> rows_;
};

}  // namespace sluice
