// Tokens of a template to its tree: expressions, from the loosest binding to the tightest. Statements are in
// template_parser.cpp.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/tokenizer/template_lexer.h"
#include "core/tokenizer/template_syntax.h"

namespace sluice::jinja {

// A place in the tokens. The last one is always kEnd and is never passed.
class Cursor {
 public:
  Cursor(const std::string& source, const std::vector<Token>& tokens) : source_(source), tokens_(tokens) {}

  const Token& peek(size_t ahead = 0) const { return tokens_[std::min(next_ + ahead, tokens_.size() - 1)]; }
  Token take();
  bool is_operator(std::string_view text, size_t ahead = 0) const;
  bool is_name(std::string_view text, size_t ahead = 0) const;
  bool take_operator(std::string_view text);
  bool take_name(std::string_view text);
  void expect_operator(std::string_view text);
  std::string expect_name(std::string_view what);
  [[noreturn]] void fail(const std::string& what) const { fail_at(source_, peek().at, what); }
  [[noreturn]] void fail(size_t at, const std::string& what) const { fail_at(source_, at, what); }
  // What stands here, for messages.
  std::string found() const;

 private:
  const std::string& source_;
  const std::vector<Token>& tokens_;
  size_t next_ = 0;
};

class ExpressionParser {
 public:
  explicit ExpressionParser(Cursor& cursor) : cursor_(cursor) {}
  // An expression, or several with commas between, which make a list.
  ExpressionPtr parse_tuple(bool with_conditional = true);
  ExpressionPtr parse_expression(bool with_conditional = true);
  // Filters behind a value that is filled in later: {% set x | trim %}. NULL if there are none.
  ExpressionPtr parse_filters(ExpressionPtr value);

 private:
  ExpressionPtr make(Expression::Kind kind, size_t at, std::string name, std::vector<ExpressionPtr> operands);
  ExpressionPtr conditional();
  ExpressionPtr logical_or();
  ExpressionPtr logical_and();
  ExpressionPtr logical_not();
  ExpressionPtr comparison();
  ExpressionPtr binary(size_t level);
  ExpressionPtr unary(bool with_filters);
  ExpressionPtr primary();
  ExpressionPtr postfix(ExpressionPtr value);
  ExpressionPtr subscript(ExpressionPtr value);
  ExpressionPtr test(ExpressionPtr value);
  void arguments(Expression& call);

  Cursor& cursor_;
  int nesting_ = 0;
};

}  // namespace sluice::jinja
