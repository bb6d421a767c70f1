// `sluice plugin new`: copies the template of a kind and a language into a fresh folder under the policy's own name.
// What a policy looks like is the templates' business (plugins/template).
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "apps/output.h"
#include "apps/plugin_verbs.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/text.h"
#include "core/plugins/library.h"
#include "sluice/plugin.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

// A word of the template and what stands for it in the copy, in names of files as in what they hold.
struct Replacement {
  std::string from, to;
};

std::string replaced(std::string text, const std::vector<Replacement>& replacements) {
  for (const Replacement& r : replacements)
    for (size_t at = 0; (at = text.find(r.from, at)) != std::string::npos; at += r.to.size())
      text.replace(at, r.from.size(), r.to);
  return text;
}

// It becomes a file, a CMake target, and a name in TOML.
void check_name(const std::string& name) {
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; };
  if (name.empty() || !std::all_of(name.begin(), name.end(), allowed) || !(name[0] >= 'a' && name[0] <= 'z'))
    throw Error(
        fmt::format("sluice plugin new: \"{}\" cannot be a policy's name: a letter a-z first, then a-z, 0-9, _ "
                    "and -, as in my_evictor",
                    printable(name)));
  if (name.size() > 64)
    throw Error(fmt::format("sluice plugin new: the name has {} characters; 64 are enough", name.size()));
  if (name == "none")
    throw Error("sluice plugin new: in a configuration \"none\" means no policy; choose another name");
  for (const char* target : {"all", "clean", "depend", "edit_cache", "help", "install", "list_install_components",
                             "package", "package_source", "preinstall", "rebuild_cache", "test"})
    if (name == target)
      throw Error(fmt::format("sluice plugin new: CMake needs the name \"{}\" itself; choose another", name));
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    files.push_back(entry->path());
  if (error || files.empty())
    throw Error(fmt::format("sluice plugin new: there are no templates in {}; `cmake --install ... --component sdk` "
                            "with the program's prefix puts them there",
                            folder.string()),
                kExitFailed);
  std::sort(files.begin(), files.end());
  return files;
}

// Filled beside its place and moved there when it is complete; whatever goes wrong leaves nothing behind.
class NewFolder {
 public:
  explicit NewFolder(const fs::path& target) : target_(target) {
    const fs::path parent = target.has_parent_path() ? target.parent_path() : fs::path(".");
    std::error_code error;
    if (fs::symlink_status(target, error).type() != fs::file_type::not_found)
      throw Error(fmt::format("sluice plugin new: {} exists already; --out DIR names another place", target.string()));
    if (!fs::is_directory(parent, error))
      throw Error(
          fmt::format("sluice plugin new: {} is to lie in {}, which is no folder", target.string(), parent.string()));
    std::string name = (parent / ".sluice_new_XXXXXX").string();
    if (!::mkdtemp(name.data()))
      throw Error(fmt::format("sluice plugin new: cannot create a folder in {}: {}", parent.string(),
                              std::generic_category().message(errno)));
    temporary_ = name;
    fs::permissions(temporary_, fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec |
                                    fs::perms::others_read | fs::perms::others_exec);
  }
  NewFolder(const NewFolder&) = delete;
  ~NewFolder() {
    std::error_code ignored;
    if (!temporary_.empty()) fs::remove_all(temporary_, ignored);
  }
  fs::path operator/(const std::string& name) const { return temporary_ / name; }
  void commit() {
    std::error_code error;
    fs::rename(temporary_, target_, error);
    if (error) throw Error(fmt::format("sluice plugin new: cannot create {}: {}", target_.string(), error.message()));
    temporary_.clear();
  }

 private:
  fs::path target_, temporary_;
};

}  // namespace

int new_plugin(const Words& words) {
  const std::string& name = words.positional[1];
  const std::string kind = words.choice("kind", "evictor", "evictor|codec");
  const std::string lang = words.choice("lang", "c", "c|c++");
  check_name(name);
  fs::path target = words.has("out") ? words.text("out") : name;
  if (target.empty()) throw Error("sluice plugin new: --out takes the folder to make, not an empty name");
  if (!target.has_filename()) target = target.parent_path();  // "folder/"

  const bool cpp = lang == "c++";
  const std::string_view version = SLUICE_VERSION;
  const std::vector<Replacement> replacements = {
      {"my_" + kind, name},
      {"@NAME@", name},
      {"@SOURCE@", name + (cpp ? ".cpp" : ".c")},
      {"@LANGUAGES@", cpp ? "C CXX" : "C"},
      {"@COMPILER@", cpp ? "c++" : "cc"},
      {"@VERSION@", std::string(version.substr(0, version.rfind('.')))},
  };
  const fs::path templates = program_folder().parent_path() / "share" / "sluice" / "template";
  NewFolder folder(target);
  std::string made;
  for (const std::string& part : {std::string("common"), kind, kind + (cpp ? "_cpp" : "_c")})
    for (const fs::path& file : files_in(templates / part)) {
      const std::string own = replaced(file.filename().string(), replacements);
      write_file(folder / own, replaced(read_file(file), replacements));
      made += fmt::format("  {}\n", (target / own).string());
    }
  folder.commit();
  write_stdout(fmt::format("{} {} in\n{}{} says how to build, test and compare it.\n", kind, name, made,
                           (target / "README.md").string()));
  return kExitOk;
}

}  // namespace sluice
