// Finds, loads and checks plugin libraries, and makes instances of their modules. How a library is loaded is
// library.h's business, what a module does that of core/cache and core/run.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/plugins/interfaces.h"
#include "core/plugins/thread_pool.h"
#include "core/plugins/watchdog.h"
#include "sluice/backend.h"

namespace sluice {

struct Prober;

// A counter that an instance reported through sluice.host.stats/1.
struct Counter {
  std::string name;
  double numerator = 0, denominator = 0;
};

// A module found in a library, usable or not.
struct Module {
  std::string interface_id, name;
  std::filesystem::path library;          // empty: registered by a test
  const sluice_module* module = nullptr;  // NULL when unavailable
  std::string reason;                     // why it is unavailable, a sentence for the user
};

// Reads the parameters of a part (sluice.host.modules/1), written as TOML writes them, and calls `use` once with one
// value per parameter of the module; they live as long as that call. Throws Error. core/config has one.
using PartParamsReader = void (*)(const sluice_module& module, std::string_view text,
                                  const std::function<void(std::span<const sluice_value>)>& use);

// One created instance: the module's table, its self, and the host services it was given.
// Destroyed before the registry. Move-only.
class Instance {
 public:
  Instance();
  Instance(const sluice_module& module, void* self, std::shared_ptr<struct HostState> host, void (*destroy)(void*));
  Instance(Instance&&) noexcept;
  Instance& operator=(Instance&&) noexcept;
  ~Instance();

  explicit operator bool() const { return self_ != nullptr; }
  void* self() const { return self_; }
  const sluice_module& module() const { return *module_; }
  template <class Table>
  const Table& table() const {
    return *static_cast<const Table*>(module_->table);
  }
  // Calls a verb of the table with self() before the other arguments. A status becomes an Error as check() words it,
  // anything else is returned. The watchdog knows about it.
  template <class Result, class Self, class... Parameters, class... Arguments>
  auto call(const char* verb, Result (*function)(Self*, Parameters...), Arguments&&... arguments) const {
    const InVerb in(who(), verb);
    if constexpr (std::is_same_v<Result, sluice_status>)
      check(function(self_, std::forward<Arguments>(arguments)...), verb);
    else
      return function(self_, std::forward<Arguments>(arguments)...);
  }
  const char* who() const;  // "evictor h2o"
  const sluice_host* host() const;
  uint64_t plugin_bytes() const;          // live bytes taken through host->alloc
  std::vector<Counter> counters() const;  // in order of first appearance
  // Throws Error naming module, verb and the message given to host->fail(). exit 2 for SLUICE_INVALID and
  // SLUICE_UNSUPPORTED, 1 otherwise. SLUICE_OK forgets what was said on the way.
  void check(sluice_status status, std::string_view verb) const;

 private:
  void destroy();

  const sluice_module* module_ = nullptr;
  void* self_ = nullptr;
  std::shared_ptr<struct HostState> host_;
  void (*destroy_)(void*) = nullptr;
};

class Registry {
 public:
  // Scans the folders in order for *.sluice.so; the first module of a name wins. One of them may be a library itself.
  // `pool` outlives the registry. A prober tries libraries from other folders than the program's own before they are
  // loaded.
  Registry(std::span<const std::filesystem::path> folders, ThreadPool& pool, const Prober* prober = nullptr);
  ~Registry();
  Registry(const Registry&) = delete;

  // [plugins] path, then SLUICE_PLUGIN_PATH (colon separated), then the folder beside the executable and the
  // installed folder.
  static std::vector<std::filesystem::path> search_path(std::span<const std::filesystem::path> configured);

  const std::vector<Module>& modules() const;
  // The usable module of this interface ("sluice.evictor/1") and name; otherwise Error with the names there
  // are, "did you mean", or why it is unavailable. `where` ("file:12:1") opens the message if not empty.
  const sluice_module& find(std::string_view interface_id, std::string_view name, std::string_view where = "") const;
  // For tests and for modules linked into the program. Of a module that is there in several revisions, the newest that
  // these interfaces know is taken.
  void add(const sluice_plugin& plugin, const std::filesystem::path& library = {},
           std::span<const Interface> interfaces = known_interfaces());

  // values: one per parameter of the module, in its order (core/config makes them).
  Instance create_policy(const sluice_module& module, const sluice_geometry& geometry,
                         std::span<const sluice_value> values);  // evictor or codec
  Instance create_backend(const sluice_module& module, std::span<const sluice_value> values);
  ThreadPool& pool();

  // Until it knows how to read a part's parameters, the registry lets no module have parts.
  void read_part_params_with(PartParamsReader reader);
  bool reads_part_params() const;
  // For parts.h: an evictor or codec that belongs to the instance of `owner`.
  Instance create_part(const sluice_module& module, const sluice_geometry& geometry, std::string_view parameters,
                       struct HostState& owner);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
