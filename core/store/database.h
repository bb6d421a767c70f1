// SQLite as values: a connection and prepared statements that throw Error, worded for whoever owns the file. Knows no
// table.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace sluice {

class Database {
 public:
  enum class Open { kCreate, kWrite, kRead, kReadAlone };  // kReadAlone: nobody writes, and nothing beside it is made
  Database(const std::filesystem::path& file, Open how);
  ~Database();
  Database(const Database&) = delete;

  void execute(const char* sql);    // one or several statements without results
  int64_t number(const char* sql);  // the first column of the first row, 0 if there is none
  std::string text(const char* sql);
  int64_t last_id() const;
  const std::filesystem::path& file() const { return file_; }
  [[noreturn]] void fail() const;  // Error of what went wrong last

 private:
  friend class Statement;
  std::filesystem::path file_;
  sqlite3* handle_ = nullptr;
};

// bind() in the order of the ?s, then step(); columns until the next step(). Used again after reset().
class Statement {
 public:
  Statement(Database& database, const char* sql);
  ~Statement();
  Statement(const Statement&) = delete;

  // The text or blob must live until the statement is reset.
  Statement& bind(int64_t value);
  Statement& bind(double value);
  Statement& bind(std::string_view text);
  Statement& bind(std::optional<double> value);
  Statement& bind_bytes(std::span<const std::byte> bytes);
  bool step();  // true: a row is there
  void run();   // step() without rows, then reset()
  void reset();

  int64_t number(int column) const;
  double real(int column) const;
  bool null(int column) const;
  std::string text(int column) const;
  std::span<const std::byte> bytes(int column) const;

 private:
  void check(int code) const;
  Database& database_;
  sqlite3_stmt* handle_ = nullptr;
  int next_ = 1;
};

// Everything until commit(), or nothing.
class Transaction {
 public:
  explicit Transaction(Database& database);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  void commit();

 private:
  Database& database_;
  bool open_ = true;
};

}  // namespace sluice
