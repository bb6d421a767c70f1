// The tree of a parsed template. Every node knows its place in the source, for messages.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/tokenizer/template_value.h"

namespace sluice::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct Expression {
  enum class Kind {
    kConstant,     // value
    kVariable,     // name
    kList,         // operands
    kDict,         // operands: key, value, key, value ...
    kAttribute,    // operands[0] . name
    kItem,         // operands[0] [ operands[1] ]
    kSlice,        // operands[0] [ operands[1] : operands[2] : operands[3] ], absent ones NULL
    kCall,         // operands[0] ( operands[1...], named )
    kFilter,       // operands[0] | name ( operands[1...], named )
    kTest,         // operands[0] is name ( operands[1...] )
    kUnary,        // name operands[0]: "not", "-", "+"
    kBinary,       // operands[0] name operands[1]
    kComparison,   // operands[0] names[0] operands[1] names[1] operands[2] ...
    kConditional,  // operands[0] if operands[1] else operands[2] (NULL: undefined)
  } kind = Kind::kConstant;
  size_t at = 0;  // byte of the source
  int depth = 1;  // of the tree below
  std::string name;
  std::vector<std::string> names;
  Value value;
  std::vector<ExpressionPtr> operands;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
};

struct Statement;
using Block = std::vector<Statement>;

struct Statement {
  enum class Kind {
    kText,      // text
    kPrint,     // value
    kIf,        // branches in order; a branch without condition is the else
    kFor,       // names in value if condition: branches[0], otherwise branches[1] if there
    kSet,       // names = value; with attribute: names[0].attribute = value
    kSetBlock,  // names[0] = what branches[0] prints
    kBreak,
    kContinue,
  } kind = Kind::kText;
  struct Branch {
    ExpressionPtr condition;
    Block body;
  };
  size_t at = 0;
  std::string text;
  std::vector<std::string> names;
  std::string attribute;
  ExpressionPtr value, condition;
  std::vector<Branch> branches;
};

struct Template {
  std::string source;
  Block body;
};

// Throws Error with line and column for what is not Jinja or not supported.
Template parse(std::string_view source);

}  // namespace sluice::jinja
