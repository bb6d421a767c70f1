// See registry.h: folders are scanned once, and the first module of a name wins.
#include "core/plugins/registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <set>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/plugins/host.h"
#include "core/plugins/interfaces.h"
#include "core/plugins/library.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kSuffix = ".sluice.so";

// The plugin libraries of a folder by name, so that what wins does not depend on the file system.
std::vector<fs::path> libraries_in(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  if (fs::is_regular_file(folder, error)) return {folder};
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->path().filename().string().ends_with(kSuffix)) found.push_back(entry->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

// Links followed as far as the path exists.
fs::path resolved(const fs::path& folder) {
  std::error_code error;
  fs::path canonical = fs::weakly_canonical(folder, error);
  return error ? folder : canonical;
}

// Where the plugins that came with the program are. They were tested with it and need no probe.
std::vector<fs::path> own_folders() {
  return {resolved(program_folder().parent_path() / "lib" / "sluice"), resolved(SLUICE_INSTALLED_PLUGINS)};
}

std::string library_name(const fs::path& library) {
  std::string name = library.filename().string();
  if (name.ends_with(kSuffix)) name.resize(name.size() - kSuffix.size());
  return name;
}

// A module as its library offers it.
struct Offer {
  InterfaceId id;  // views into the library
  bool wrong_revision = false;
  Module module;
};

// A plugin for several hosts publishes several revisions of one module; this host takes one and misses no other.
bool has_better_revision(std::span<const Offer> offers, const Offer& offer) {
  return std::any_of(offers.begin(), offers.end(), [&](const Offer& other) {
    if (!other.module.module || other.module.name != offer.module.name || other.id.name != offer.id.name) return false;
    return offer.wrong_revision || (offer.module.module && offer.id.revision < other.id.revision);
  });
}

template <class Create>
Instance create(Registry& registry, const sluice_module& module, std::span<const sluice_value> values, HostState* owner,
                Create&& call, void (*destroy)(void*)) {
  if (values.size() != module.param_count) {
    throw Error(
        fmt::format("{}, create: takes {} parameters, got {}", module_title(module), module.param_count, values.size()),
        kExitFailed);
  }
  auto host = std::make_shared<HostState>(registry, module, owner);
  void* self = nullptr;
  const sluice_status status = host->run_create([&] {
    const InVerb in(host->who.c_str(), "create");
    return call(&host->table, values.data(), &self);
  });
  if (status != SLUICE_OK) throw_status(*host, status, "create");
  host->drop_message();
  if (!self) throw Error(fmt::format("{}, create: succeeded but gave no instance", module_title(module)), kExitFailed);
  return Instance(module, self, std::move(host), destroy);
}

Instance create_policy(Registry& registry, const sluice_module& module, const sluice_geometry& geometry,
                       std::span<const sluice_value> values, HostState* owner) {
  const auto start = [&](auto& table) {
    return create(
        registry, module, values, owner,
        [&](const sluice_host* host, const sluice_value* params, void** self) {
          return table.create(host, &geometry, params, self);
        },
        table.destroy);
  };
  const std::string_view id = module.interface_id;
  if (id == SLUICE_EVICTOR) return start(*static_cast<const sluice_evictor*>(module.table));
  if (id == SLUICE_CODEC) return start(*static_cast<const sluice_codec*>(module.table));
  throw Error(fmt::format("{} is neither an evictor nor a codec", module.name), kExitFailed);
}

}  // namespace

struct Registry::Impl {
  explicit Impl(ThreadPool& threads) : pool(threads) {}

  ThreadPool& pool;
  std::vector<Module> modules;
  PartParamsReader read_part_params = nullptr;

  void add(const sluice_plugin& plugin, const fs::path& library, std::span<const Interface> interfaces) {
    if (std::string reason = refuse_entry(&plugin); !reason.empty()) {
      modules.push_back({"", library_name(library), library, nullptr, std::move(reason)});
      return;
    }
    std::vector<Offer> offers;
    for (const sluice_module* given : std::span(plugin.modules, plugin.module_count)) {
      if (!given) {
        modules.push_back({"", library_name(library), library, nullptr, "its list of modules has a NULL in it"});
        continue;
      }
      Verdict verdict = judge_module(*given, interfaces);
      Module module{given->interface_id ? given->interface_id : "", given->name ? given->name : library_name(library),
                    library, verdict.module, std::move(verdict.reason)};
      const std::string_view id = given->interface_id ? given->interface_id : "";
      offers.push_back({parse_interface_id(id), verdict.revision, std::move(module)});
      if (verdict.module) offers.back().module.interface_id = verdict.module->interface_id;
    }
    for (const Offer& offer : offers)
      if (!has_better_revision(offers, offer)) add(offer.module);
  }

  void add(Module module) {
    for (const Module& other : modules) {
      if (!module.module || !other.module || other.name != module.name || other.interface_id != module.interface_id) {
        continue;
      }
      module.module = nullptr;
      module.reason = other.library == module.library
                          ? "its library has another of this name"
                          : fmt::format("hidden by {}, which was found first",
                                        other.library.empty() ? "a built-in module" : other.library.string());
    }
    modules.push_back(std::move(module));
  }
};

Registry::Registry(std::span<const fs::path> folders, ThreadPool& pool, const Prober* prober)
    : impl_(std::make_unique<Impl>(pool)) {
  const std::vector<fs::path> own = own_folders();
  std::set<fs::path> seen;
  for (const fs::path& folder : folders) {
    for (const fs::path& file : libraries_in(folder)) {
      std::error_code error;
      const fs::path canonical = fs::canonical(file, error);
      if (error) {
        impl_->modules.push_back({"", library_name(file), file, nullptr, "cannot be read: " + error.message()});
        continue;
      }
      if (!seen.insert(canonical).second) continue;
      const bool known = std::find(own.begin(), own.end(), canonical.parent_path()) != own.end();
      LoadedLibrary loaded = load_library(canonical, known ? nullptr : prober);
      if (loaded.plugin) {
        impl_->add(*loaded.plugin, canonical, known_interfaces());
      } else {
        impl_->modules.push_back({"", library_name(file), canonical, nullptr, std::move(loaded.reason)});
      }
    }
  }
}

Registry::~Registry() = default;

std::vector<fs::path> Registry::search_path(std::span<const fs::path> configured) {
  std::vector<fs::path> folders(configured.begin(), configured.end());
  if (const char* variable = std::getenv("SLUICE_PLUGIN_PATH")) {
    const std::string_view text = variable;
    for (size_t from = 0; from <= text.size();) {
      const size_t to = std::min(text.find(':', from), text.size());
      if (to > from) folders.emplace_back(text.substr(from, to - from));
      from = to + 1;
    }
  }
  for (fs::path& folder : own_folders()) folders.push_back(std::move(folder));

  std::vector<fs::path> unique;
  for (const fs::path& folder : folders) {
    fs::path canonical = resolved(folder);
    if (std::find(unique.begin(), unique.end(), canonical) == unique.end()) unique.push_back(std::move(canonical));
  }
  return unique;
}

const std::vector<Module>& Registry::modules() const { return impl_->modules; }
ThreadPool& Registry::pool() { return impl_->pool; }

void Registry::add(const sluice_plugin& plugin, const fs::path& library, std::span<const Interface> interfaces) {
  impl_->add(plugin, library, interfaces);
}

const sluice_module& Registry::find(std::string_view interface_id, std::string_view name,
                                    std::string_view where) const {
  const std::string_view noun = interface_noun(interface_id);
  std::string message = where.empty() ? "" : fmt::format("{}: ", where);
  std::vector<std::string> names;
  for (const Module& module : impl_->modules) {
    if (!module.module || module.interface_id != interface_id) continue;
    if (module.name == name) return *module.module;
    names.push_back(module.name);
  }
  // One that was refused explains itself; a library that did not load is known by its file's name only.
  for (const Module& module : impl_->modules) {
    const bool right_kind = module.interface_id.empty() || interface_noun(module.interface_id) == noun;
    if (module.module || module.name != name || !right_kind) continue;
    throw Error(
        fmt::format("{}{} \"{}\" is unavailable: {} {}", message, noun, name, module.library.string(), module.reason));
  }
  std::sort(names.begin(), names.end());
  if (names.empty()) {
    throw Error(fmt::format("{}there is no {} \"{}\": no {} was found at all (see `sluice plugin list`)", message, noun,
                            printable(name), noun));
  }
  throw Error(fmt::format("{}there is no {} \"{}\"{}; there {} {}", message, noun, printable(name),
                          did_you_mean(name, names), names.size() == 1 ? "is" : "are", fmt::join(names, ", ")));
}

Instance Registry::create_policy(const sluice_module& module, const sluice_geometry& geometry,
                                 std::span<const sluice_value> values) {
  return sluice::create_policy(*this, module, geometry, values, nullptr);
}

void Registry::read_part_params_with(PartParamsReader reader) { impl_->read_part_params = reader; }
bool Registry::reads_part_params() const { return impl_->read_part_params != nullptr; }

Instance Registry::create_part(const sluice_module& module, const sluice_geometry& geometry,
                               std::string_view parameters, HostState& owner) {
  Instance part;
  impl_->read_part_params(module, parameters, [&](std::span<const sluice_value> values) {
    part = sluice::create_policy(*this, module, geometry, values, &owner);
  });
  return part;
}

Instance Registry::create_backend(const sluice_module& module, std::span<const sluice_value> values) {
  if (std::string_view(module.interface_id) != SLUICE_BACKEND) {
    throw Error(fmt::format("{} is no backend", module.name), kExitFailed);
  }
  const auto& table = *static_cast<const sluice_backend*>(module.table);
  return create(*this, module, values, nullptr, table.create, table.destroy);
}

}  // namespace sluice
