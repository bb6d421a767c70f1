// Expressions by recursive descent, with Jinja's precedence. Depth is limited, since a template comes from a file
// that nobody has checked.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "core/base/text.h"
#include "core/tokenizer/template_parser.h"

namespace sluice::jinja {
namespace {

using Kind = Expression::Kind;

constexpr int kDeepest = 400;    // of a tree
constexpr int kMostNested = 64;  // brackets within brackets

// Binary operators from loose to tight.
const std::vector<std::vector<std::string_view>> kLevels = {{"+", "-"}, {"~"}, {"*", "/", "//", "%"}, {"**"}};

}  // namespace

Token Cursor::take() {
  const Token token = peek();
  if (token.kind != Token::Kind::kEnd) ++next_;
  return token;
}

bool Cursor::is_operator(std::string_view text, size_t ahead) const {
  return peek(ahead).kind == Token::Kind::kOperator && peek(ahead).text == text;
}

bool Cursor::is_name(std::string_view text, size_t ahead) const {
  return peek(ahead).kind == Token::Kind::kName && peek(ahead).text == text;
}

bool Cursor::take_operator(std::string_view text) { return is_operator(text) && (take(), true); }
bool Cursor::take_name(std::string_view text) { return is_name(text) && (take(), true); }

void Cursor::expect_operator(std::string_view text) {
  if (!take_operator(text)) fail(fmt::format("'{}' is expected, not {}", text, found()));
}

std::string Cursor::expect_name(std::string_view what) {
  if (peek().kind != Token::Kind::kName) fail(fmt::format("{} is expected, not {}", what, found()));
  return take().text;
}

std::string Cursor::found() const {
  switch (peek().kind) {
    case Token::Kind::kEnd:
      return "the end of the template";
    case Token::Kind::kText:
      return "text";
    case Token::Kind::kString:
      return fmt::format("the text '{}'", printable(peek().text));
    default:
      return fmt::format("'{}'", printable(peek().text));
  }
}

ExpressionPtr ExpressionParser::make(Kind kind, size_t at, std::string name, std::vector<ExpressionPtr> operands) {
  auto made = std::make_unique<Expression>();
  made->kind = kind;
  made->at = at;
  made->name = std::move(name);
  for (const ExpressionPtr& operand : operands)
    if (operand) made->depth = std::max(made->depth, operand->depth + 1);
  if (made->depth > kDeepest) cursor_.fail(at, "the expression is too deep");
  made->operands = std::move(operands);
  return made;
}

namespace {
std::vector<ExpressionPtr> list_of(ExpressionPtr a, ExpressionPtr b = nullptr, bool both = true) {
  std::vector<ExpressionPtr> list;
  list.push_back(std::move(a));
  if (b || !both) list.push_back(std::move(b));
  return list;
}
}  // namespace

ExpressionPtr ExpressionParser::parse_tuple(bool with_conditional) {
  const size_t at = cursor_.peek().at;
  std::vector<ExpressionPtr> items = list_of(parse_expression(with_conditional));
  bool tuple = false;
  while (cursor_.take_operator(",")) {
    tuple = true;
    const Token::Kind next = cursor_.peek().kind;
    if (next == Token::Kind::kBlockEnd || next == Token::Kind::kPrintEnd || cursor_.is_operator(")")) break;
    items.push_back(parse_expression(with_conditional));
  }
  if (!tuple) return std::move(items[0]);
  return make(Kind::kList, at, "", std::move(items));
}

ExpressionPtr ExpressionParser::parse_expression(bool with_conditional) {
  if (++nesting_ > kMostNested) cursor_.fail("the expression is nested too deeply");
  ExpressionPtr value = with_conditional ? conditional() : logical_or();
  --nesting_;
  return value;
}

ExpressionPtr ExpressionParser::conditional() {
  ExpressionPtr value = logical_or();
  while (cursor_.is_name("if")) {
    const size_t at = cursor_.take().at;
    std::vector<ExpressionPtr> parts = list_of(std::move(value), logical_or());
    parts.push_back(cursor_.take_name("else") ? parse_expression() : nullptr);
    value = make(Kind::kConditional, at, "", std::move(parts));
  }
  return value;
}

ExpressionPtr ExpressionParser::logical_or() {
  ExpressionPtr left = logical_and();
  while (cursor_.is_name("or")) {
    const size_t at = cursor_.take().at;
    left = make(Kind::kBinary, at, "or", list_of(std::move(left), logical_and()));
  }
  return left;
}

ExpressionPtr ExpressionParser::logical_and() {
  ExpressionPtr left = logical_not();
  while (cursor_.is_name("and")) {
    const size_t at = cursor_.take().at;
    left = make(Kind::kBinary, at, "and", list_of(std::move(left), logical_not()));
  }
  return left;
}

ExpressionPtr ExpressionParser::logical_not() {
  if (!cursor_.is_name("not")) return comparison();
  if (++nesting_ > kMostNested) cursor_.fail("the expression is nested too deeply");
  const size_t at = cursor_.take().at;
  ExpressionPtr value = make(Kind::kUnary, at, "not", list_of(logical_not()));
  --nesting_;
  return value;
}

ExpressionPtr ExpressionParser::comparison() {
  static constexpr std::string_view kOperators[] = {"==", "!=", "<", "<=", ">", ">="};
  const size_t at = cursor_.peek().at;
  std::vector<ExpressionPtr> operands = list_of(binary(0));
  std::vector<std::string> names;
  for (;;) {
    const auto matches = [&](std::string_view name) { return cursor_.is_operator(name); };
    if (std::any_of(std::begin(kOperators), std::end(kOperators), matches))
      names.push_back(cursor_.take().text);
    else if (cursor_.take_name("in"))
      names.push_back("in");
    else if (cursor_.is_name("not") && cursor_.is_name("in", 1))
      cursor_.take(), cursor_.take(), names.push_back("not in");
    else
      break;
    operands.push_back(binary(0));
  }
  if (names.empty()) return std::move(operands[0]);
  ExpressionPtr made = make(Kind::kComparison, at, "", std::move(operands));
  made->names = std::move(names);
  return made;
}

ExpressionPtr ExpressionParser::binary(size_t level) {
  if (level == kLevels.size()) return unary(true);
  ExpressionPtr left = binary(level + 1);
  for (;;) {
    const auto matches = [&](std::string_view name) { return cursor_.is_operator(name); };
    if (std::none_of(kLevels[level].begin(), kLevels[level].end(), matches)) return left;
    const Token name = cursor_.take();
    left = make(Kind::kBinary, name.at, name.text, list_of(std::move(left), binary(level + 1)));
  }
}

ExpressionPtr ExpressionParser::unary(bool with_filters) {
  ExpressionPtr value;
  if (cursor_.is_operator("-") || cursor_.is_operator("+")) {
    if (++nesting_ > kMostNested) cursor_.fail("the expression is nested too deeply");
    const Token sign = cursor_.take();
    value = make(Kind::kUnary, sign.at, sign.text, list_of(unary(false)));
    --nesting_;
  } else {
    value = primary();
  }
  value = postfix(std::move(value));
  return with_filters ? parse_filters(std::move(value)) : std::move(value);
}

ExpressionPtr ExpressionParser::primary() {
  const Token token = cursor_.peek();
  ExpressionPtr made = make(Kind::kConstant, token.at, "", {});
  switch (token.kind) {
    case Token::Kind::kName:
      cursor_.take();
      if (token.text == "true" || token.text == "True")
        made->value = true;
      else if (token.text == "false" || token.text == "False")
        made->value = false;
      else if (token.text == "none" || token.text == "None")
        made->value = None{};
      else
        made->kind = Kind::kVariable, made->name = token.text;
      return made;
    case Token::Kind::kString: {
      std::string text;
      while (cursor_.peek().kind == Token::Kind::kString) text += cursor_.take().text;
      made->value = MarkedText(text);
      return made;
    }
    case Token::Kind::kInteger: {
      int64_t value = 0;
      const auto [end, error] = std::from_chars(token.text.data(), token.text.data() + token.text.size(), value);
      if (error != std::errc()) cursor_.fail("the number is too large");
      cursor_.take();
      made->value = value;
      return made;
    }
    case Token::Kind::kFloat: {
      double value = 0;
      std::from_chars(token.text.data(), token.text.data() + token.text.size(), value);
      cursor_.take();
      made->value = value;
      return made;
    }
    default:
      break;
  }
  if (cursor_.take_operator("(")) {
    if (cursor_.take_operator(")")) return made->kind = Kind::kList, std::move(made);
    made = parse_tuple();
    cursor_.expect_operator(")");
    return made;
  }
  if (cursor_.take_operator("[")) {
    std::vector<ExpressionPtr> items;
    while (!cursor_.is_operator("]")) {
      if (!items.empty()) cursor_.expect_operator(",");
      if (cursor_.is_operator("]")) break;
      items.push_back(parse_expression());
    }
    cursor_.expect_operator("]");
    return make(Kind::kList, token.at, "", std::move(items));
  }
  if (cursor_.take_operator("{")) {
    std::vector<ExpressionPtr> items;
    while (!cursor_.is_operator("}")) {
      if (!items.empty()) cursor_.expect_operator(",");
      if (cursor_.is_operator("}")) break;
      items.push_back(parse_expression());
      cursor_.expect_operator(":");
      items.push_back(parse_expression());
    }
    cursor_.expect_operator("}");
    return make(Kind::kDict, token.at, "", std::move(items));
  }
  cursor_.fail(fmt::format("a value is expected, not {}", cursor_.found()));
}

ExpressionPtr ExpressionParser::postfix(ExpressionPtr value) {
  for (;;) {
    const size_t at = cursor_.peek().at;
    if (cursor_.take_operator(".")) {
      if (cursor_.peek().kind == Token::Kind::kInteger) {
        ExpressionPtr index = primary();
        value = make(Kind::kItem, at, "", list_of(std::move(value), std::move(index)));
      } else {
        std::string name = cursor_.expect_name("the name of an attribute");
        value = make(Kind::kAttribute, at, std::move(name), list_of(std::move(value)));
      }
    } else if (cursor_.is_operator("[")) {
      value = subscript(std::move(value));
    } else if (cursor_.is_operator("(")) {
      value = make(Kind::kCall, at, "", list_of(std::move(value)));
      arguments(*value);
    } else {
      return value;
    }
  }
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr value) {
  const size_t at = cursor_.take().at;
  std::vector<ExpressionPtr> parts = list_of(std::move(value));
  bool slice = false;
  ExpressionPtr part;
  while (!cursor_.take_operator("]")) {
    if (cursor_.take_operator(":")) {
      slice = true;
      parts.push_back(std::move(part));
      part = nullptr;
    } else if (part) {
      cursor_.fail(fmt::format("']' is expected, not {}", cursor_.found()));
    } else {
      part = parse_expression();
    }
  }
  if (!slice && !part) cursor_.fail(at, "an index is missing");
  if (parts.size() > 3) cursor_.fail(at, "a slice has at most three parts");
  parts.push_back(std::move(part));
  if (slice) parts.resize(4);
  return make(slice ? Kind::kSlice : Kind::kItem, at, "", std::move(parts));
}

void ExpressionParser::arguments(Expression& call) {
  cursor_.expect_operator("(");
  for (bool first = true; !cursor_.take_operator(")"); first = false) {
    if (!first) cursor_.expect_operator(",");
    if (cursor_.take_operator(")")) break;
    if (cursor_.is_operator("*") || cursor_.is_operator("**")) cursor_.fail("arguments with '*' are not supported");
    const bool named = cursor_.peek().kind == Token::Kind::kName && cursor_.is_operator("=", 1);
    const std::string name = named ? cursor_.take().text : "";
    if (named) cursor_.take();
    ExpressionPtr value = parse_expression();
    call.depth = std::max(call.depth, value->depth + 1);
    if (call.depth > kDeepest) cursor_.fail("the expression is too deep");
    if (named)
      call.named.emplace_back(name, std::move(value));
    else if (!call.named.empty())
      cursor_.fail("an argument without a name follows a named one");
    else
      call.operands.push_back(std::move(value));
  }
}

ExpressionPtr ExpressionParser::parse_filters(ExpressionPtr value) {
  for (;;) {
    if (cursor_.is_operator("|")) {
      cursor_.take();
      const size_t at = cursor_.peek().at;
      std::string name = cursor_.expect_name("the name of a filter");
      value = make(Kind::kFilter, at, std::move(name), list_of(std::move(value)));
      if (cursor_.is_operator("(")) arguments(*value);
    } else if (cursor_.is_name("is")) {
      cursor_.take();
      value = test(std::move(value));
    } else if (cursor_.is_operator("(")) {
      const size_t at = cursor_.peek().at;
      value = make(Kind::kCall, at, "", list_of(std::move(value)));
      arguments(*value);
    } else {
      return value;
    }
  }
}

ExpressionPtr ExpressionParser::test(ExpressionPtr value) {
  const bool negated = cursor_.take_name("not");
  const size_t at = cursor_.peek().at;
  std::string name = cursor_.expect_name("the name of a test");
  ExpressionPtr made = make(Kind::kTest, at, std::move(name), list_of(std::move(value)));
  const Token& next = cursor_.peek();
  const bool value_follows = next.kind == Token::Kind::kString || next.kind == Token::Kind::kInteger ||
                             next.kind == Token::Kind::kFloat || cursor_.is_operator("[") || cursor_.is_operator("{");
  const bool name_follows = next.kind == Token::Kind::kName && next.text != "else" && next.text != "or" &&
                            next.text != "and" && next.text != "if";
  if (cursor_.is_operator("(")) {
    arguments(*made);
  } else if (value_follows || name_follows) {
    if (cursor_.is_name("is")) cursor_.fail("tests cannot be chained with 'is'");
    ExpressionPtr argument = postfix(primary());
    made->depth = std::max(made->depth, argument->depth + 1);
    made->operands.push_back(std::move(argument));
  }
  return negated ? make(Kind::kUnary, at, "not", list_of(std::move(made))) : std::move(made);
}

}  // namespace sluice::jinja
