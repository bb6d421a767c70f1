// The tables of a store and how a file says that it is one: docs/store.md describes what is here. Version 2.
#pragma once

#include <cstdint>

#include "core/store/database.h"

namespace sluice {

inline constexpr int64_t kStoreApplication = 0x536C7563;  // "Sluc", PRAGMA application_id
inline constexpr int64_t kStoreVersion = 2;               // PRAGMA user_version

// Makes the tables in an empty file.
void create_schema(Database& database);
// A file without a table is empty, also one whose making was cut short.
bool empty_store(Database& database);
// Throws Error if the file is no store, of another version, or (`thoroughly`) damaged.
void check_store(Database& database, bool thoroughly);

}  // namespace sluice
