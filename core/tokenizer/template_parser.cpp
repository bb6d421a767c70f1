// Statements: text, output, if, for, set, break and continue. Whatever else Jinja has is refused by its name.
#include "core/tokenizer/template_parser.h"

#include <fmt/format.h>

#include <initializer_list>

#include "core/base/text.h"

namespace sluice::jinja {
namespace {

constexpr int kMostNestedBlocks = 64;

class StatementParser {
 public:
  StatementParser(const std::string& source, const std::vector<Token>& tokens)
      : cursor_(source, tokens), expressions_(cursor_) {}

  Block run() { return block({}); }

 private:
  // Statements up to a tag with one of the names in `ends`, whose name is taken, or to the end of the template.
  Block block(std::initializer_list<std::string_view> ends) {
    if (++nesting_ > kMostNestedBlocks) cursor_.fail("blocks are nested too deeply");
    Block body;
    for (;;) {
      const Token token = cursor_.take();
      if (token.kind == Token::Kind::kEnd) {
        if (ends.size() != 0) cursor_.fail(fmt::format("a block is not closed; expected is one of: {}", join(ends)));
        break;
      }
      if (token.kind == Token::Kind::kText) {
        body.push_back(make(Statement::Kind::kText, token.at));
        body.back().text = token.text;
      } else if (token.kind == Token::Kind::kPrint) {
        body.push_back(make(Statement::Kind::kPrint, token.at));
        body.back().value = expressions_.parse_tuple();
        expect(Token::Kind::kPrintEnd, "}}");
      } else {
        ended_by_ = cursor_.peek().text;
        bool ends_here = false;
        for (const std::string_view end : ends) ends_here |= cursor_.is_name(end);
        if (ends_here) {
          cursor_.take();
          break;
        }
        body.push_back(tag());
      }
    }
    --nesting_;
    return body;
  }

  static Statement make(Statement::Kind kind, size_t at) {
    Statement statement;
    statement.kind = kind;
    statement.at = at;
    return statement;
  }

  void expect(Token::Kind kind, std::string_view text) {
    if (cursor_.peek().kind != kind) cursor_.fail(fmt::format("'{}' is expected, not {}", text, cursor_.found()));
    cursor_.take();
  }
  void expect_block_end() { expect(Token::Kind::kBlockEnd, "%}"); }

  Statement tag() {
    const size_t at = cursor_.peek().at;
    const std::string name = cursor_.expect_name("the name of a statement");
    if (name == "if") return if_tag(at);
    if (name == "for") return for_tag(at);
    if (name == "set") return set_tag(at);
    if (name == "break" || name == "continue") {
      if (loops_ == 0) cursor_.fail(at, fmt::format("'{}' outside of a loop", name));
      expect_block_end();
      return make(name == "break" ? Statement::Kind::kBreak : Statement::Kind::kContinue, at);
    }
    if (name.starts_with("end") || name == "else" || name == "elif")
      cursor_.fail(at, fmt::format("'{}' without its beginning", printable(name)));
    cursor_.fail(at, fmt::format("statement '{}' is not supported", printable(name)));
  }

  Statement if_tag(size_t at) {
    Statement statement = make(Statement::Kind::kIf, at);
    ended_by_ = "elif";
    while (ended_by_ == "elif") {
      ExpressionPtr condition = expressions_.parse_tuple();
      expect_block_end();
      Block body = block({"elif", "else", "endif"});
      statement.branches.push_back({std::move(condition), std::move(body)});
    }
    if (ended_by_ == "else") {
      expect_block_end();
      statement.branches.push_back({nullptr, block({"endif"})});
    }
    expect_block_end();
    return statement;
  }

  std::vector<std::string> targets() {
    const bool bracket = cursor_.take_operator("(");
    std::vector<std::string> names = {cursor_.expect_name("a variable")};
    while (cursor_.take_operator(",")) names.push_back(cursor_.expect_name("a variable"));
    if (bracket) cursor_.expect_operator(")");
    return names;
  }

  Statement for_tag(size_t at) {
    Statement statement = make(Statement::Kind::kFor, at);
    statement.names = targets();
    if (!cursor_.take_name("in")) cursor_.fail(fmt::format("'in' is expected, not {}", cursor_.found()));
    statement.value = expressions_.parse_tuple(false);
    if (cursor_.take_name("if")) statement.condition = expressions_.parse_expression();
    if (cursor_.is_name("recursive")) cursor_.fail("'recursive' loops are not supported");
    expect_block_end();
    ++loops_;
    statement.branches.push_back({nullptr, block({"else", "endfor"})});
    --loops_;
    if (ended_by_ == "else") {
      expect_block_end();
      statement.branches.push_back({nullptr, block({"endfor"})});
    }
    expect_block_end();
    return statement;
  }

  Statement set_tag(size_t at) {
    Statement statement = make(Statement::Kind::kSet, at);
    statement.names = targets();
    if (statement.names.size() == 1 && cursor_.take_operator("."))
      statement.attribute = cursor_.expect_name("the name of an attribute");
    if (cursor_.take_operator("=")) {
      statement.value = expressions_.parse_tuple();
      expect_block_end();
      return statement;
    }
    if (statement.names.size() > 1) cursor_.fail(fmt::format("'=' is expected, not {}", cursor_.found()));
    statement.kind = Statement::Kind::kSetBlock;
    if (cursor_.is_operator("|")) cursor_.fail("filters on a 'set' block are not supported");
    expect_block_end();
    const int loops = loops_;
    loops_ = 0;  // a loop is not left from within a text that is being made
    statement.branches.push_back({nullptr, block({"endset"})});
    loops_ = loops;
    expect_block_end();
    return statement;
  }

  Cursor cursor_;
  ExpressionParser expressions_;
  std::string ended_by_;  // the name of the tag that ended the last block
  int nesting_ = 0, loops_ = 0;
};

}  // namespace

Template parse(std::string_view source) {
  Template parsed;
  parsed.source = normalize_source(source);
  const std::vector<Token> tokens = lex(parsed.source);
  parsed.body = StatementParser(parsed.source, tokens).run();
  return parsed;
}

}  // namespace sluice::jinja
