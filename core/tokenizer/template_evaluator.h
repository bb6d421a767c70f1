// Runs a parsed template over the variables of a chat. What a template may cost is limited: it comes with a model
// file, which nobody has checked.
#pragma once

#include <ctime>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/tokenizer/template_syntax.h"

namespace sluice::jinja {

using Variables = std::unordered_map<std::string, Value>;

class Evaluator {
 public:
  // `now` is what strftime_now() tells, in local time.
  Evaluator(const Template& parsed, Variables variables, std::time_t now);
  // Throws Error with line and column, also where the template itself refuses with raise_exception().
  MarkedText run();

  // For filters, tests and methods, which are in template_builtins.cpp.
  [[noreturn]] void fail(size_t at, const std::string& what) const;
  // Counts work and ends what does not come to an end: a unit is about a nanosecond, or a byte copied.
  void charge(size_t at, size_t units);
  void charge_items(size_t at, size_t count);
  void charge_search(size_t at, size_t text, size_t wanted);
  // str(value), or an Error.
  MarkedText text_of(size_t at, const Value& value) const;
  // The items that a loop over the value would see, or an Error.
  List items_of(size_t at, const Value& value);
  bool contains(size_t at, const Value& container, const Value& item);
  Value attribute(const Value& value, const std::string& name) const;
  bool same(size_t at, const Value& a, const Value& b);

 private:
  enum class Flow { kNext, kBreak, kContinue };
  static constexpr size_t kMostWork = size_t(1) << 30;  // about a second, see charge()
  static constexpr size_t kItemWork = 1000;

  Flow execute(const Block& block, MarkedText& out);
  Flow execute(const Statement& statement, MarkedText& out);
  Flow loop(const Statement& statement, MarkedText& out);
  void assign(const Statement& statement, Value value);
  void unpack(const Statement& statement, const Value& value);
  void print(size_t at, const MarkedText& text, MarkedText& out);

  Value evaluate(const Expression& expression);
  Value compute(const Expression& expression);
  Value variable(const Expression& expression) const;
  Value item(const Expression& expression);
  Value slice(const Expression& expression);
  Value call(const Expression& expression);
  Value call_function(const Expression& expression, const std::string& name);
  Value unary(const Expression& expression);
  Value binary(const Expression& expression);
  Value add(size_t at, const Value& left, const Value& right);
  Value arithmetic(size_t at, const std::string& name, const Value& left, const Value& right);
  Value comparison(const Expression& expression);
  bool compare(size_t at, const std::string& name, const Value& left, const Value& right);
  List arguments(const Expression& expression);
  Dict named_arguments(const Expression& expression);

  const Template& template_;
  std::vector<Variables> scopes_;
  std::time_t now_;
  size_t work_ = 0;
};

// Arguments of a filter, a test or a method: by place and by name.
struct Arguments {
  size_t at = 0;
  std::string what;  // "filter 'trim'", for messages
  List places;
  Dict names;

  // Argument `place` or `name`, or NULL.
  const Value* find(size_t place, std::string_view name) const;
};

Value apply_filter(Evaluator& evaluator, const std::string& name, const Value& value, const Arguments& arguments);
bool apply_test(Evaluator& evaluator, const std::string& name, const Value& value, const Arguments& arguments);
Value call_method(Evaluator& evaluator, const std::string& name, const Value& value, const Arguments& arguments);

}  // namespace sluice::jinja
