// Operators: arithmetic, comparison and membership, by Python's rules.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/tokenizer/template_evaluator.h"

namespace sluice::jinja {

bool Evaluator::same(size_t at, const Value& a, const Value& b) {
  const size_t most = (kMostWork - work_) / kItemWork + 1;
  size_t budget = most;
  const bool result = equal(a, b, budget);
  charge_items(at, most - budget);
  return result;
}

Value Evaluator::unary(const Expression& e) {
  const Value value = evaluate(*e.operands[0]);
  if (e.name == "not") return !truthy(value);
  const int64_t sign = e.name == "-" ? -1 : 1;
  if (const auto integer = value.integer()) return int64_t(uint64_t(sign) * uint64_t(*integer));
  if (const auto number = value.number()) return double(sign) * *number;
  fail(e.at, fmt::format("'{}' of {}", e.name, kind_of(value)));
}

Value Evaluator::binary(const Expression& e) {
  Value left = evaluate(*e.operands[0]);
  if (e.name == "and") return truthy(left) ? evaluate(*e.operands[1]) : left;
  if (e.name == "or") return truthy(left) ? left : evaluate(*e.operands[1]);
  const Value right = evaluate(*e.operands[1]);
  if (e.name == "~") {
    MarkedText text = text_of(e.at, left);
    print(e.at, text_of(e.at, right), text);
    return text;
  }
  return e.name == "+" ? add(e.at, left, right) : arithmetic(e.at, e.name, left, right);
}

Value Evaluator::add(size_t at, const Value& left, const Value& right) {
  if (left.text() && right.text()) {
    charge(at, left.text()->size());
    MarkedText text = *left.text();
    print(at, *right.text(), text);
    return text;
  }
  if (left.list() && right.list()) {
    charge_items(at, left.list()->size() + right.list()->size());
    List list = *left.list();
    list.insert(list.end(), right.list()->begin(), right.list()->end());
    return list;
  }
  return arithmetic(at, "+", left, right);
}

Value Evaluator::arithmetic(size_t at, const std::string& name, const Value& left, const Value& right) {
  const auto x = left.number(), y = right.number();
  if (!x || !y) fail(at, fmt::format("{} {} {}", kind_of(left), name, kind_of(right)));
  if ((name == "/" || name == "//" || name == "%") && *y == 0) fail(at, "division by zero");
  const auto a = left.integer(), b = right.integer();
  if (a && b && name != "/" && name != "**") {
    int64_t result = 0;
    bool overflow = false;
    if (name == "+")
      overflow = __builtin_add_overflow(*a, *b, &result);
    else if (name == "-")
      overflow = __builtin_sub_overflow(*a, *b, &result);
    else if (name == "*")
      overflow = __builtin_mul_overflow(*a, *b, &result);
    else if (*b == -1)
      overflow = name == "//" && __builtin_sub_overflow(int64_t(0), *a, &result);
    else {
      // Python rounds down, and the remainder has the divisor's sign.
      const int64_t remainder = *a % *b + ((*a % *b != 0 && (*a < 0) != (*b < 0)) ? *b : 0);
      result = name == "%" ? remainder : (*a - remainder) / *b;
    }
    if (overflow) fail(at, "the number is too large");
    return result;
  }
  if (name == "**") {
    const double power = std::pow(*x, *y);
    if (a && b && *b >= 0 && std::fabs(power) < 0x1p53) return int64_t(power);
    if (a && b && *b >= 0) fail(at, "the number is too large");
    return power;
  }
  if (name == "+") return *x + *y;
  if (name == "-") return *x - *y;
  if (name == "*") return *x * *y;
  if (name == "/") return *x / *y;
  return name == "//" ? std::floor(*x / *y) : *x - *y * std::floor(*x / *y);
}

Value Evaluator::comparison(const Expression& e) {
  Value left = evaluate(*e.operands[0]);
  for (size_t i = 0; i < e.names.size(); ++i) {
    Value right = evaluate(*e.operands[i + 1]);
    if (!compare(e.at, e.names[i], left, right)) return false;
    left = std::move(right);
  }
  return true;
}

bool Evaluator::compare(size_t at, const std::string& name, const Value& left, const Value& right) {
  if (name == "==") return same(at, left, right);
  if (name == "!=") return !same(at, left, right);
  if (name == "in") return contains(at, right, left);
  if (name == "not in") return !contains(at, right, left);
  const bool swapped = name == ">" || name == "<=";
  const auto smaller = swapped ? less(right, left) : less(left, right);
  if (!smaller) fail(at, fmt::format("{} {} {}", kind_of(left), name, kind_of(right)));
  if (left.is<double>() && std::isnan(std::get<double>(left.held))) return false;
  return name == "<" || name == ">" ? *smaller : !*smaller;
}

bool Evaluator::contains(size_t at, const Value& container, const Value& item) {
  if (const MarkedText* text = container.text()) {
    if (!item.text()) fail(at, fmt::format("{} in a text", kind_of(item)));
    charge_search(at, text->size(), item.text()->size());
    return text->bytes().find(item.text()->bytes()) != std::string::npos;
  }
  if (const Dict* dict = container.dict(); dict && !dict->is_namespace)
    return item.text() && dict->find(item.text()->bytes());
  const List items = items_of(at, container);
  return std::any_of(items.begin(), items.end(), [&](const Value& other) { return same(at, other, item); });
}

}  // namespace sluice::jinja
