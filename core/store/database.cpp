// See database.h.
#include "core/store/database.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <cstring>
#include <exception>

#include "core/base/error.h"

namespace sluice {
namespace {

// Characters that a URI gives a meaning.
std::string uri(const std::filesystem::path& file) {
  std::string text = "file:";
  for (const char c : std::filesystem::absolute(file).string())
    text += std::string_view("%?#").find(c) == std::string_view::npos ? std::string(1, c)
                                                                      : fmt::format("%{:02X}", unsigned(c));
  return text + "?immutable=1";
}

}  // namespace

void Database::fail() const {
  const int code = handle_ ? sqlite3_extended_errcode(handle_) : SQLITE_NOMEM, kind = code & 0xFF;
  const int reason = handle_ ? sqlite3_system_errno(handle_) : 0;
  const std::string system = reason ? fmt::format(" ({})", std::strerror(reason)) : "";
  const std::string name = file_.string(), said = handle_ ? sqlite3_errmsg(handle_) : "out of memory";
  switch (kind) {
    case SQLITE_FULL:
      throw Error(
          fmt::format("{}: the disk is full; what was finished before is in the store, and the run can be "
                      "resumed once there is room",
                      name));
    case SQLITE_IOERR:
      throw Error(fmt::format("{}: cannot be read or written{}: {}; what was finished before is in the store", name,
                              system, said));
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      throw Error(
          fmt::format("{}: is damaged or no store: {}; move it away, or use another output folder", name, said));
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
      throw Error(
          fmt::format("{}: cannot be opened for this{}: {}; the folder and the files in it must be yours to "
                      "write",
                      name, system, said));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      throw Error(fmt::format("{}: another process holds it: {}", name, said), kExitFailed);
    default:
      throw Error(fmt::format("{}: {}{}", name, said, system), kExitFailed);
  }
}

Database::Database(const std::filesystem::path& file, Open how) : file_(file) {
  const int flags = how == Open::kCreate  ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
                    : how == Open::kWrite ? SQLITE_OPEN_READWRITE
                                          : SQLITE_OPEN_READONLY;
  const std::string name = how == Open::kReadAlone ? uri(file) : file.string();
  const int code = sqlite3_open_v2(name.c_str(), &handle_, flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, nullptr);
  try {
    if (code != SQLITE_OK) fail();
    sqlite3_busy_timeout(handle_, 10000);
    sqlite3_extended_result_codes(handle_, 1);
  } catch (...) {
    sqlite3_close(handle_);
    throw;
  }
}

Database::~Database() { sqlite3_close(handle_); }

void Database::execute(const char* sql) {
  if (sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) fail();
}

int64_t Database::number(const char* sql) {
  Statement statement(*this, sql);
  return statement.step() ? statement.number(0) : 0;
}

std::string Database::text(const char* sql) {
  Statement statement(*this, sql);
  return statement.step() ? statement.text(0) : "";
}

int64_t Database::last_id() const { return sqlite3_last_insert_rowid(handle_); }

Statement::Statement(Database& database, const char* sql) : database_(database) {
  check(sqlite3_prepare_v2(database.handle_, sql, -1, &handle_, nullptr));
}
Statement::~Statement() { sqlite3_finalize(handle_); }

void Statement::check(int code) const {
  if (code != SQLITE_OK) database_.fail();
}

Statement& Statement::bind(int64_t value) {
  check(sqlite3_bind_int64(handle_, next_++, value));
  return *this;
}
Statement& Statement::bind(double value) {
  check(sqlite3_bind_double(handle_, next_++, value));
  return *this;
}
Statement& Statement::bind(std::string_view text) {
  check(sqlite3_bind_text64(handle_, next_++, text.data() ? text.data() : "", text.size(), SQLITE_STATIC, SQLITE_UTF8));
  return *this;
}
Statement& Statement::bind(std::optional<double> value) {
  if (value) return bind(*value);
  check(sqlite3_bind_null(handle_, next_++));
  return *this;
}
Statement& Statement::bind_bytes(std::span<const std::byte> bytes) {
  check(bytes.empty() ? sqlite3_bind_zeroblob(handle_, next_++, 0)
                      : sqlite3_bind_blob64(handle_, next_++, bytes.data(), bytes.size(), SQLITE_STATIC));
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(handle_);
  if (code != SQLITE_ROW && code != SQLITE_DONE) database_.fail();
  return code == SQLITE_ROW;
}

void Statement::run() {
  while (step()) {
  }
  reset();
}

void Statement::reset() {
  sqlite3_reset(handle_);  // what it says was said by step()
  sqlite3_clear_bindings(handle_);
  next_ = 1;
}

int64_t Statement::number(int column) const { return sqlite3_column_int64(handle_, column); }
double Statement::real(int column) const { return sqlite3_column_double(handle_, column); }
bool Statement::null(int column) const { return sqlite3_column_type(handle_, column) == SQLITE_NULL; }

std::string Statement::text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
  return text ? std::string(text, size_t(sqlite3_column_bytes(handle_, column))) : std::string();
}

std::span<const std::byte> Statement::bytes(int column) const {
  const auto* data = static_cast<const std::byte*>(sqlite3_column_blob(handle_, column));
  return {data, data ? size_t(sqlite3_column_bytes(handle_, column)) : 0};
}

Transaction::Transaction(Database& database) : database_(database) { database.execute("BEGIN IMMEDIATE"); }

Transaction::~Transaction() {
  if (!open_) return;
  try {
    database_.execute("ROLLBACK");
  } catch (const std::exception&) {  // a failed statement may have rolled it back already
  }
}

void Transaction::commit() {
  database_.execute("COMMIT");
  open_ = false;
}

}  // namespace sluice
