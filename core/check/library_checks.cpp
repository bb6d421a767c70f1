// Checks of a library as a whole: its file, what happens when it is loaded, and whether what its entry point gives is
// fit to be called. Nothing of its modules is called but `extension`.
#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <regex>
#include <set>

#include "core/base/text.h"
#include "core/check/check.h"
#include "core/check/elf_file.h"
#include "core/check/footprint.h"
#include "core/plugins/interfaces.h"
#include "core/plugins/library.h"
#include "sluice/extensions.h"

namespace sluice::check {
namespace {

constexpr const char* kEntry = "sluice_plugin_entry";
using Entry = const sluice_plugin* (*)();

void* load(const Subject& subject) {
  void* library = dlopen(subject.library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) fail(reword_loader_message(dlerror(), subject.library));
  return library;
}

Entry find_entry(const Subject& subject) {
  const auto entry = reinterpret_cast<Entry>(dlsym(load(subject), kEntry));
  expect(entry != nullptr, fmt::format("exports no {}, so it is not a Sluice plugin", kEntry));
  return entry;
}

// The modules, of an entry point that passes its check. Where only some checks are run it may be one that does not, and
// that is library-entry's to say.
std::span<const sluice_module* const> modules_of(const Subject& subject) {
  const sluice_plugin* plugin = find_entry(subject)();
  if (const std::string reason = refuse_entry(plugin); !reason.empty()) skip(reason);
  const std::span<const sluice_module* const> modules(plugin->modules, plugin->module_count);
  for (const sluice_module* module : modules)
    if (!module) skip("its list of modules has a NULL in it");
  return modules;
}

// NULL for none that this host knows.
const Interface* known_interface(const sluice_module& module) {
  if (!module.interface_id) return nullptr;
  const InterfaceId id = parse_interface_id(module.interface_id);
  for (const Interface& known : known_interfaces())
    if (known.name == id.name && known.revision == id.revision) return &known;
  return nullptr;
}

std::string named(const sluice_module& module) {
  return fmt::format("module \"{}\": ", module.name ? printable(module.name) : "");
}

// The same of modules that pass library-interfaces as well.
std::span<const sluice_module* const> known_modules_of(const Subject& subject) {
  const auto modules = modules_of(subject);
  for (const sluice_module* module : modules)
    if (!known_interface(*module)) skip(named(*module) + judge_module(*module).reason);
  return modules;
}

void library_file(const Subject& subject) {
  const ElfFile file = read_elf(subject.library);
  expect(file.refusal.empty(), file.refusal);
}

void library_load(const Subject& subject) { load(subject); }

void library_symbol(const Subject& subject) { find_entry(subject); }

// Instances of C++'s own templates, which -fvisibility=hidden leaves in sight.
bool is_standard(const std::string& name) {
  static const std::regex standard("^_Z(GV|T[ISV]|Z)*N?K?S[abdiost]");
  return std::regex_search(name, standard);
}

std::string listed(std::vector<std::string> names) {
  const size_t count = names.size();
  names.resize(std::min<size_t>(count, 5));
  return join(names) + (count > 5 ? fmt::format(" and {} more", count - 5) : "");
}

void library_exports(const Subject& subject) {
  const ElfFile file = read_elf(subject.library);
  if (!file.has_sections) skip("the file has no table of sections to look into");
  std::vector<std::string> own, standard;
  for (const std::string& name : file.exported)
    if (name != kEntry) (is_standard(name) ? standard : own).push_back(printable(name));
  if (!own.empty())
    fail(fmt::format("also exports {}; hide all but {} (-fvisibility=hidden, or a version script)", listed(own),
                     kEntry));
  if (!standard.empty())
    warn(fmt::format("also exports {} of C++'s library; a version script hides them, sluice_add_plugin() has one",
                     listed(standard)));
}

void library_quiet(const Subject& subject) {
  std::string said, grown;
  {
    const CapturedOutput output;
    const Footprint before = Footprint::now();
    find_entry(subject)();
    grown = before.grown(Footprint::now());
    said = output.text();
  }
  expect(grown.empty(), grown);
  expect(said.empty(), "prints \"" + printable(said) + "\"");
}

void library_constructors(const Subject& subject) {
  const ElfFile file = read_elf(subject.library);
  if (!file.has_sections) skip("the file has no table of sections to look into");
  // What compilers put there for themselves; the last two are sanitizers.
  const auto theirs = [](const std::string& name) {
    return name == "frame_dummy" || name == "__cpu_indicator_init" || name == "init_have_lse_atomics" ||
           name.find("sub_I_00099_") != std::string::npos || name == "asan.module_ctor";
  };
  std::vector<std::string> own;
  for (const std::string& name : file.constructor_names)
    if (!theirs(name)) own.push_back(printable(name));
  expect(own.empty(), fmt::format("runs {} when it is loaded: make it const data, or work for create()", join(own)));
  const size_t unnamed = file.constructors - std::min<size_t>(file.constructors, file.constructor_names.size());
  if (unnamed > 1)
    warn(fmt::format("runs {} functions when it is loaded; whose they are is not told, for it is stripped", unnamed));
}

void library_entry(const Subject& subject) {
  const Entry entry = find_entry(subject);
  const sluice_plugin* plugin = entry();
  const std::string reason = refuse_entry(plugin);
  expect(reason.empty(), reason);
  expect(entry() == plugin, fmt::format("its {}() returns another pointer when it is called again", kEntry));
  for (const sluice_module* module : std::span(plugin->modules, plugin->module_count))
    expect(module != nullptr, "its list of modules has a NULL in it");
}

void library_interfaces(const Subject& subject) {
  for (const sluice_module* module : modules_of(subject))
    if (!known_interface(*module)) fail(named(*module) + judge_module(*module).reason);
}

void library_names(const Subject& subject) {
  std::set<std::pair<std::string, std::string>> seen;
  for (const sluice_module* module : known_modules_of(subject))
    if (module->name)
      expect(seen.emplace(module->interface_id, module->name).second,
             fmt::format("gives two modules of {} the name \"{}\"", module->interface_id, printable(module->name)));
}

void library_layout(const Subject& subject) {
  for (const sluice_module* module : known_modules_of(subject))
    if (module->layout != known_interface(*module)->layout) fail(named(*module) + judge_module(*module).reason);
}

void library_members(const Subject& subject) {
  for (const sluice_module* module : known_modules_of(subject)) {
    sluice_module without_parameters = *module;
    without_parameters.param_count = 0;
    const std::string reason = judge_module(without_parameters).reason;
    expect(reason.empty(), named(*module) + reason);
  }
}

void library_parameters(const Subject& subject) {
  for (const sluice_module* module : known_modules_of(subject)) {
    const std::string reason = judge_module(*module).reason;
    expect(reason.empty(), named(*module) + reason);
  }
}

void library_extensions(const Subject& subject) {
  for (const sluice_module* module : known_modules_of(subject)) {
    if (!module->extension) continue;
    for (const char* unknown : {"sluice.nothing/1", "sluice.evictor.rows/0", ""})
      expect(!module->extension(unknown),
             fmt::format("{}has an answer to the unknown extension id \"{}\"", named(*module), unknown));
    std::vector<const char*> known = {SLUICE_CODEC_CUDA, SLUICE_BACKEND_REPLAY};
    known.insert(known.end(), evictor_extensions().begin(), evictor_extensions().end());
    for (const char* id : known) {
      const Extension extension = find_extension(*module, id);
      expect(extension.reason.empty(), named(*module) + extension.reason);
    }
  }
}

void library_speed(const Subject& subject) {
  const auto start = std::chrono::steady_clock::now();
  for (const sluice_module* module : known_modules_of(subject)) judge_module(*module);
  const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  if (ms > 100) warn(fmt::format("takes {:.0f} ms to load and look at; every command that uses plugins waits", ms));
}

}  // namespace

std::span<const Check> library_checks() {
  static constexpr Check kChecks[] = {
      {"library-file", "the file is a whole shared library for this machine", library_file, 10, true},
      {"library-load", "it loads with all its symbols bound", library_load, 10, true},
      {"library-symbol", "it exports sluice_plugin_entry", library_symbol, 10, true},
      {"library-exports", "it exports nothing else (of C++'s library: warning only)", library_exports},
      {"library-constructors", "no code of its own runs when it is loaded", library_constructors},
      {"library-quiet",
       "loading starts no thread, opens no file, prints nothing, handles no signal, flushes no denormals",
       library_quiet},
      {"library-entry", "the entry point returns one and the same sluice_plugin of this ABI", library_entry, 10, true},
      {"library-interfaces", "its modules' interfaces are known to this host", library_interfaces, 10, true},
      {"library-layout", "its modules were built against this host's headers", library_layout, 10, true},
      {"library-members", "no function is missing, no text is NULL, names are fit for TOML", library_members, 10, true},
      {"library-parameters", "parameters have unique names, one line of help, and defaults within their bounds",
       library_parameters, 10, true},
      {"library-names", "no two modules of one interface share a name", library_names},
      {"library-extensions", "unknown extension ids get NULL, known ones tables of this host's layout",
       library_extensions},
      {"library-speed", "it is loaded and looked at within 100 ms (warning only)", library_speed},
  };
  return kChecks;
}

}  // namespace sluice::check
