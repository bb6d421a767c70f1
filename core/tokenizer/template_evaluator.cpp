// Statements, variables, items and calls. Operators are in template_operators.cpp; filters, tests and methods in
// template_builtins.cpp.
#include "core/tokenizer/template_evaluator.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/text.h"
#include "core/tokenizer/template_lexer.h"
#include "core/tokenizer/unicode.h"

namespace sluice::jinja {
namespace {

constexpr size_t kNodeWork = 100, kRoundWork = 2000;
constexpr size_t kLargestText = size_t(64) << 20;
constexpr int64_t kLongestRange = 100000;  // Jinja's own limit in its sandbox

using Kind = Expression::Kind;

// Python's rules for the bounds of a slice.
struct Bounds {
  int64_t begin, end, step;
};
Bounds slice_bounds(int64_t size, std::optional<int64_t> begin, std::optional<int64_t> end, int64_t step) {
  const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
  const auto place = [&](std::optional<int64_t> index, int64_t fallback) {
    if (!index) return fallback;
    return std::clamp(*index < 0 ? *index + size : *index, low, high);
  };
  return {place(begin, step > 0 ? low : high), place(end, step > 0 ? high : low), step};
}

}  // namespace

const Value* Arguments::find(size_t place, std::string_view name) const {
  return place < places.size() ? &places[place] : names.find(name);
}

Evaluator::Evaluator(const Template& parsed, Variables variables, std::time_t now) : template_(parsed), now_(now) {
  for (const char* name : {"raise_exception", "strftime_now", "namespace", "range"})
    variables.emplace(name, Function{name});
  scopes_.push_back(std::move(variables));
}

MarkedText Evaluator::run() {
  MarkedText out;
  execute(template_.body, out);
  return out;
}

void Evaluator::fail(size_t at, const std::string& what) const { fail_at(template_.source, at, what); }

void Evaluator::charge(size_t at, size_t units) {
  work_ += std::min(units, kMostWork);
  if (work_ > kMostWork) fail(at, "the template does too much work; it seems not to come to an end");
}

void Evaluator::charge_items(size_t at, size_t count) { charge(at, std::min(count, kMostWork) * kItemWork); }

void Evaluator::charge_search(size_t at, size_t text, size_t wanted) {
  charge(at, std::min(text, kMostWork) * std::max<size_t>(1, std::min(wanted, kMostWork)));
}

MarkedText Evaluator::text_of(size_t at, const Value& value) const {
  auto text = printed(value);
  if (!text) fail(at, fmt::format("printing {} is not supported; 'tojson' is", kind_of(value)));
  return std::move(*text);
}

void Evaluator::print(size_t at, const MarkedText& text, MarkedText& out) {
  charge(at, text.size());
  if (out.size() + text.size() > kLargestText) fail(at, "the text grows beyond 64 MiB");
  out.append(text);
}

List Evaluator::items_of(size_t at, const Value& value) {
  if (const List* list = value.list()) {
    charge_items(at, list->size());
    return *list;
  }
  List items;
  if (const MarkedText* text = value.text()) {
    charge_items(at, text->size());
    for (size_t i = 0; i < text->size(); i += items.back().text()->size())
      items.push_back(text->substr(i, character_at(text->bytes(), i).length));
  } else if (const Dict* dict = value.dict(); dict && !dict->is_namespace) {
    charge_items(at, dict->entries.size());
    for (const auto& [key, entry] : dict->entries) items.push_back(MarkedText(key));
  } else if (!value.is<Undefined>()) {
    fail(at, fmt::format("{} has no items", kind_of(value)));
  }
  return items;
}

Evaluator::Flow Evaluator::execute(const Block& block, MarkedText& out) {
  for (const Statement& statement : block) {
    const Flow flow = execute(statement, out);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Evaluator::Flow Evaluator::execute(const Statement& statement, MarkedText& out) {
  charge(statement.at, kNodeWork);
  switch (statement.kind) {
    case Statement::Kind::kText:
      print(statement.at, MarkedText(statement.text), out);
      break;
    case Statement::Kind::kPrint:
      print(statement.at, text_of(statement.at, evaluate(*statement.value)), out);
      break;
    case Statement::Kind::kIf:
      for (const auto& [condition, body] : statement.branches)
        if (!condition || truthy(evaluate(*condition))) return execute(body, out);
      break;
    case Statement::Kind::kFor:
      return loop(statement, out);
    case Statement::Kind::kSet:
      assign(statement, evaluate(*statement.value));
      break;
    case Statement::Kind::kSetBlock: {
      MarkedText text;
      execute(statement.branches[0].body, text);
      assign(statement, std::move(text));
      break;
    }
    case Statement::Kind::kBreak:
      return Flow::kBreak;
    case Statement::Kind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

void Evaluator::unpack(const Statement& statement, const Value& value) {
  Variables& scope = scopes_.back();
  if (statement.names.size() == 1) {
    scope[statement.names[0]] = value;
    return;
  }
  const List items = items_of(statement.at, value);
  if (items.size() != statement.names.size())
    fail(statement.at, fmt::format("{} values for {} variables", items.size(), statement.names.size()));
  for (size_t i = 0; i < items.size(); ++i) scope[statement.names[i]] = items[i];
}

void Evaluator::assign(const Statement& statement, Value value) {
  if (statement.attribute.empty()) return unpack(statement, value);
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    const auto found = scope->find(statement.names[0]);
    if (found == scope->end()) continue;
    Dict* dict = found->second.dict();
    if (!dict || !dict->is_namespace) break;
    if (value.dict() && value.dict()->is_namespace)
      fail(statement.at, "a namespace within a namespace is not supported");
    dict->set(statement.attribute, std::move(value));
    return;
  }
  fail(statement.at, fmt::format("'{}' is no namespace; only a namespace's attributes can be set", statement.names[0]));
}

Evaluator::Flow Evaluator::loop(const Statement& statement, MarkedText& out) {
  List items = items_of(statement.at, evaluate(*statement.value));
  if (statement.condition) {
    List kept;
    for (const Value& item : items) {
      scopes_.emplace_back();
      unpack(statement, item);
      if (truthy(evaluate(*statement.condition))) kept.push_back(item);
      scopes_.pop_back();
    }
    items = std::move(kept);
  }
  if (items.empty() && statement.branches.size() > 1) {
    scopes_.emplace_back();
    const Flow flow = execute(statement.branches[1].body, out);
    scopes_.pop_back();
    return flow;
  }
  const int64_t count = int64_t(items.size());
  for (int64_t i = 0; i < count; ++i) {
    charge(statement.at, kRoundWork);
    Dict state;
    state.entries = {{"index", i + 1},        {"index0", i},
                     {"revindex", count - i}, {"revindex0", count - i - 1},
                     {"first", i == 0},       {"last", i + 1 == count},
                     {"length", count}};
    state.set("previtem", i > 0 ? items[size_t(i - 1)] : Value(Undefined{"loop.previtem"}));
    state.set("nextitem", i + 1 < count ? items[size_t(i + 1)] : Value(Undefined{"loop.nextitem"}));
    scopes_.emplace_back();
    scopes_.back()["loop"] = std::move(state);
    unpack(statement, items[size_t(i)]);
    const Flow flow = execute(statement.branches[0].body, out);
    scopes_.pop_back();
    if (flow == Flow::kBreak) break;
  }
  return Flow::kNext;
}

Value Evaluator::evaluate(const Expression& e) {
  charge(e.at, kNodeWork);
  Value value = compute(e);
  if (const MarkedText* text = value.text()) charge(e.at, text->size());
  if (value.depth > kDeepestValue) fail(e.at, "lists and dicts are nested too deeply, or hold a namespace");
  return value;
}

Value Evaluator::compute(const Expression& e) {
  switch (e.kind) {
    case Kind::kConstant:
      return e.value;
    case Kind::kVariable:
      return variable(e);
    case Kind::kList:
      return arguments(e);
    case Kind::kDict: {
      Dict dict;
      for (size_t i = 0; i < e.operands.size(); i += 2) {
        const Value key = evaluate(*e.operands[i]);
        if (!key.text()) fail(e.operands[i]->at, fmt::format("a dict's key must be a text, not {}", kind_of(key)));
        dict.set(key.text()->bytes(), evaluate(*e.operands[i + 1]));
      }
      return dict;
    }
    case Kind::kAttribute: {
      const Value value = evaluate(*e.operands[0]);
      if (value.is<Undefined>()) fail(e.at, fmt::format("attribute '{}' of {}", e.name, kind_of(value)));
      return attribute(value, e.name);
    }
    case Kind::kItem:
      return item(e);
    case Kind::kSlice:
      return slice(e);
    case Kind::kCall:
      return call(e);
    case Kind::kFilter: {
      const Value value = evaluate(*e.operands[0]);
      List places = arguments(e);
      places.erase(places.begin());
      return apply_filter(*this, e.name, value, {e.at, fmt::format("filter '{}'", e.name), places, named_arguments(e)});
    }
    case Kind::kTest: {
      const Value value = evaluate(*e.operands[0]);
      List places = arguments(e);
      places.erase(places.begin());
      return apply_test(*this, e.name, value, {e.at, fmt::format("test '{}'", e.name), places, named_arguments(e)});
    }
    case Kind::kUnary:
      return unary(e);
    case Kind::kBinary:
      return binary(e);
    case Kind::kComparison:
      return comparison(e);
    case Kind::kConditional:
      if (truthy(evaluate(*e.operands[1]))) return evaluate(*e.operands[0]);
      return e.operands[2] ? evaluate(*e.operands[2]) : Value(Undefined{"the missing 'else'"});
  }
  return {};
}

List Evaluator::arguments(const Expression& e) {
  List values;
  for (const ExpressionPtr& operand : e.operands) values.push_back(evaluate(*operand));
  return values;
}

Dict Evaluator::named_arguments(const Expression& e) {
  Dict values;
  for (const auto& [name, value] : e.named) values.set(name, evaluate(*value));
  return values;
}

Value Evaluator::variable(const Expression& e) const {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    const auto found = scope->find(e.name);
    if (found != scope->end()) return found->second;
  }
  return Undefined{e.name};
}

Value Evaluator::attribute(const Value& value, const std::string& name) const {
  const Dict* dict = value.dict();
  const Value* found = dict ? dict->find(name) : nullptr;
  return found ? *found : Value(Undefined{name});
}

Value Evaluator::item(const Expression& e) {
  const Value value = evaluate(*e.operands[0]);
  const Value index = evaluate(*e.operands[1]);
  if (value.is<Undefined>()) fail(e.at, fmt::format("an item of {}", kind_of(value)));
  if (index.text()) return attribute(value, index.text()->bytes());
  const auto place = index.integer();
  if (!place) fail(e.at, fmt::format("an index must be a number or a text, not {}", kind_of(index)));
  const auto resolve = [&](size_t size) { return *place < 0 ? *place + int64_t(size) : *place; };
  if (const List* list = value.list()) {
    const int64_t at = resolve(list->size());
    if (at >= 0 && at < int64_t(list->size())) return (*list)[size_t(at)];
  } else if (const MarkedText* text = value.text()) {
    charge(e.at, text->size());
    const int64_t at = resolve(character_count(text->bytes()));
    const size_t offset = character_offset(text->bytes(), size_t(std::max<int64_t>(at, 0)));
    if (at >= 0 && offset < text->size()) return text->substr(offset, character_at(text->bytes(), offset).length);
  }
  return Undefined{fmt::format("item {}", *place)};
}

Value Evaluator::slice(const Expression& e) {
  const Value value = evaluate(*e.operands[0]);
  std::optional<int64_t> parts[3];
  for (size_t i = 0; i < 3; ++i) {
    if (!e.operands[i + 1]) continue;
    const Value part = evaluate(*e.operands[i + 1]);
    if (part.is<None>()) continue;
    parts[i] = part.integer();
    if (!parts[i]) fail(e.at, fmt::format("a slice's bound must be a number, not {}", kind_of(part)));
    // Beyond any size; so that adding a size cannot overflow.
    parts[i] = std::clamp<int64_t>(*parts[i], -(int64_t(1) << 40), int64_t(1) << 40);
  }
  const int64_t step = parts[2].value_or(1);
  if (step == 0) fail(e.at, "a slice's step must not be 0");
  if (!value.list() && !value.text()) fail(e.at, fmt::format("a slice of {}", kind_of(value)));
  if (const MarkedText* text = value.text(); text && step == 1) {
    charge(e.at, text->size());
    const Bounds bounds = slice_bounds(int64_t(character_count(text->bytes())), parts[0], parts[1], 1);
    const size_t begin = character_offset(text->bytes(), size_t(bounds.begin));
    const size_t end = character_offset(text->bytes(), size_t(bounds.end));
    return text->substr(begin, end > begin ? end - begin : 0);
  }
  const List items = items_of(e.at, value);
  const Bounds bounds = slice_bounds(int64_t(items.size()), parts[0], parts[1], step);
  List taken;
  for (int64_t i = bounds.begin; step > 0 ? i < bounds.end : i > bounds.end; i += step)
    taken.push_back(items[size_t(i)]);
  if (value.list()) return taken;
  MarkedText text;
  for (const Value& character : taken) text.append(*character.text());
  return text;
}

Value Evaluator::call(const Expression& e) {
  const Expression& callee = *e.operands[0];
  if (callee.kind == Kind::kAttribute) {
    const Value object = evaluate(*callee.operands[0]);
    const Value member = attribute(object, callee.name);
    if (!member.is<Function>()) {
      if (object.is<Undefined>()) fail(callee.at, fmt::format("method '{}' of {}", callee.name, kind_of(object)));
      List places;
      for (size_t i = 1; i < e.operands.size(); ++i) places.push_back(evaluate(*e.operands[i]));
      return call_method(*this, callee.name, object,
                         {e.at, fmt::format("method '{}'", callee.name), places, named_arguments(e)});
    }
  }
  const Value function = evaluate(callee);
  if (const Function* known = std::get_if<Function>(&function.held)) return call_function(e, known->name);
  fail(callee.at, callee.kind == Kind::kVariable && function.is<Undefined>()
                      ? fmt::format("function '{}' is not supported", printable(callee.name))
                      : fmt::format("{} cannot be called", kind_of(function)));
}

Value Evaluator::call_function(const Expression& e, const std::string& name) {
  Arguments given{e.at, fmt::format("function '{}'", name), {}, named_arguments(e)};
  for (size_t i = 1; i < e.operands.size(); ++i) given.places.push_back(evaluate(*e.operands[i]));
  if (name == "namespace") {
    Dict made = std::move(given.names);
    if (!given.places.empty()) fail(e.at, "namespace() takes named arguments only");
    made.is_namespace = true;
    for (const auto& [key, value] : made.entries)
      if (value.dict() && value.dict()->is_namespace) fail(e.at, "a namespace within a namespace is not supported");
    return made;
  }
  if (name == "range") {
    int64_t bounds[3] = {0, 0, 1};
    if (given.places.empty() || given.places.size() > 3) fail(e.at, "range() takes one to three numbers");
    for (size_t i = 0; i < given.places.size(); ++i) {
      const auto number = given.places[i].integer();
      if (!number) fail(e.at, "range() takes one to three numbers");
      bounds[given.places.size() == 1 ? 1 : i] = std::clamp<int64_t>(*number, -(int64_t(1) << 40), int64_t(1) << 40);
    }
    if (bounds[2] == 0) fail(e.at, "range() needs a step that is not 0");
    List list;
    for (int64_t i = bounds[0]; bounds[2] > 0 ? i < bounds[1] : i > bounds[1]; i += bounds[2]) {
      if (int64_t(list.size()) == kLongestRange)
        fail(e.at, fmt::format("range() of more than {} numbers", kLongestRange));
      list.push_back(i);
    }
    charge_items(e.at, list.size());
    return list;
  }
  const Value* first = given.find(0, name == "strftime_now" ? "format" : "message");
  if (!first || !first->text()) fail(e.at, fmt::format("{} takes one text", given.what));
  if (name == "raise_exception")
    fail(e.at, fmt::format("the template refuses this conversation: {}", printable(first->text()->bytes(), 400)));
  std::tm local{};
  localtime_r(&now_, &local);
  char text[256];
  const size_t length = std::strftime(text, sizeof text, first->text()->bytes().c_str(), &local);
  return MarkedText(std::string_view(text, length));
}

}  // namespace sluice::jinja
