// See task.h.
#include "core/check/task.h"

#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/check/checks.h"
#include "core/config/config.h"
#include "core/config/tree.h"
#include "core/plugins/describe.h"
#include "core/plugins/interfaces.h"
#include "core/plugins/library.h"
#include "sluice/extensions.h"

namespace sluice::check {
namespace {

// As --set writes them, but named as the module names them.
ModuleChoice choice_of(const std::string& module, const std::vector<std::string>& settings) {
  ModuleChoice choice;
  choice.name = module;
  Mistakes mistakes;
  for (const std::string& setting : settings) {
    const Table table = read_override(setting, mistakes);
    for (const Table::Entry& entry : table.entries) {
      if (entry.node.scalar())
        choice.params[entry.key] = {entry.node.as_scalar(), entry.node.place, entry.key_place};
      else
        mistakes.add(entry.node.place, "a parameter is a number, a word or true or false");
    }
  }
  mistakes.raise();
  return choice;
}

// The task names what there is not: a mistake of the command and no failure of the library.
struct NoModule : Error {
  using Error::Error;
};

// The library's module of this name that the check is for.
const sluice_module& find_module(const Registry& registry, const Task& task) {
  std::vector<std::string> names;
  for (const Module& module : registry.modules()) {
    if (module.library != task.library || !is_for(task.check, module.interface_id)) continue;
    if (module.name == task.module && !module.module) throw Error(module.reason);
    if (module.name == task.module && (task.interface_id.empty() || task.interface_id == module.interface_id))
      return *module.module;
    names.push_back(module.name);
  }
  throw NoModule(fmt::format("{} has no module \"{}\" for {}{}", task.library.string(), printable(task.module),
                             task.check, names.empty() ? "" : "; it has " + join(names)));
}

void run_check(const Check& check, const Task& task, const Prober* prober) {
  if (!task.module.empty()) return with_module(task, prober, check.run);
  ThreadPool pool(1);
  Registry none({}, pool);
  Subject subject;
  subject.library = task.library;
  subject.seed = task.seed;
  subject.registry = &none;
  check.run(subject);
}

void describe(const sluice_module& module, const std::vector<std::string>& settings, Offer& offer) {
  for (const char* id : evictor_extensions()) offer.extended = offer.extended || find_extension(module, id).table;
  for (const sluice_param& param : std::span(module.params, module.param_count)) {
    offer.parameters.emplace_back(param.name);
    for (const std::string& setting : settings)
      if (setting.starts_with(offer.parameters.back() + "=")) offer.settings.push_back(setting);
  }
  if (offer.settings.empty()) return;
  try {
    const ModuleChoice choice = choice_of(offer.name, offer.settings);
    resolve_params(module, choice);
  } catch (const Error& error) {
    offer.mistake = error.what();
  }
}

// For a shell, in quotes where it needs them.
std::string quoted(const std::string& word) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=.,/:%@";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string text = "'";
  for (char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

}  // namespace

std::vector<std::string> Task::words() const {
  std::vector<std::string> list = {"plugin", "try", check, library.string()};
  if (!module.empty()) {
    list.insert(list.end(), {"--module", module});
    for (const std::string& setting : settings) list.insert(list.end(), {"--set", setting});
    for (const std::filesystem::path& folder : folders) list.insert(list.end(), {"--path", folder.string()});
    list.insert(list.end(), {"--seed", std::to_string(seed)});
  }
  return list;
}

std::string Task::command() const {
  std::string line = "sluice";
  for (const std::string& word : words()) line += " " + quoted(word);
  return line;
}

void with_module(const Task& task, const Prober* prober, const std::function<void(const Subject& subject)>& job) {
  ThreadPool pool(1);
  Subject subject;
  subject.library = task.library;
  subject.seed = task.seed;
  // First the library, so that its modules win over others of their names.
  std::vector<std::filesystem::path> places = {task.library};
  for (std::filesystem::path& folder : Registry::search_path(task.folders)) places.push_back(std::move(folder));
  load_library(task.library);  // before the registry could probe it
  Registry registry(places, pool, prober);
  registry.read_part_params_with(read_part_params);
  subject.registry = &registry;
  subject.module = &find_module(registry, task);
  if (const std::string missing = missing_device(*subject.module); !missing.empty()) skip(missing);
  for (const sluice_param& param : std::span(subject.module->params, subject.module->param_count)) {
    const auto is_set = [&](const std::string& setting) { return setting.starts_with(std::string(param.name) + "="); };
    if (param.required && std::none_of(task.settings.begin(), task.settings.end(), is_set))
      skip(fmt::format("its parameter \"{}\" has no default: give --set {}=...", param.name, param.name));
  }
  const ModuleChoice choice = choice_of(task.module, task.settings);
  subject.values = resolve_params(*subject.module, choice);
  job(subject);
}

Result run_task(const Task& task, const Prober* prober) {
  const Check* check = find_check(task.check);
  if (!check)
    throw Error(fmt::format("there is no check \"{}\"{}", task.check, did_you_mean(task.check, check_names())));
  const auto start = std::chrono::steady_clock::now();
  Result result;
  try {
    run_check(*check, task, prober);
  } catch (const Outcome& outcome) {
    result.verdict = outcome.verdict, result.why = outcome.what();
  } catch (const NoModule&) {
    throw;
  } catch (const std::bad_alloc&) {
    result.verdict = Verdict::kFail, result.why = "asks for more memory than there is";
  } catch (const std::exception& error) {
    result.verdict = Verdict::kFail, result.why = error.what();
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

std::vector<Offer> list_offers(const std::filesystem::path& library, const std::vector<std::string>& settings) {
  std::vector<Offer> offers;
  ThreadPool pool(1);
  const std::filesystem::path places[] = {library};
  const Registry registry(places, pool);
  for (const Module& module : registry.modules()) {
    Offer offer;
    offer.interface_id = module.interface_id, offer.name = module.name;
    if (!module.module) offer.reason = module.reason;
    offers.push_back(offer);
    if (module.module) describe(*module.module, settings, offers.back());
  }
  return offers;
}

void refuse_unknown(const std::vector<std::string>& settings, const std::set<std::string>& names) {
  for (const std::string& setting : settings)
    if (const std::string name = setting.substr(0, setting.find('=')); !names.count(name))
      throw Error(fmt::format("--set {}: no module here has a parameter \"{}\"{}; there are: {}", printable(setting),
                              printable(name), did_you_mean(name, names), names.empty() ? "none" : join(names)));
}

std::string to_json(const std::vector<Offer>& offers) {
  nlohmann::json list = nlohmann::json::array();
  for (const Offer& offer : offers)
    list.push_back({{"interface", offer.interface_id},
                    {"name", offer.name},
                    {"reason", offer.reason},
                    {"extended", offer.extended},
                    {"parameters", offer.parameters},
                    {"settings", offer.settings},
                    {"mistake", offer.mistake}});
  return list.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::vector<Offer> offers_from_json(const std::string& json) {
  std::vector<Offer> offers;
  for (const auto& offer : nlohmann::json::parse(json))
    offers.push_back({offer.at("interface"), offer.at("name"), offer.at("reason"), offer.at("extended"),
                      offer.at("parameters"), offer.at("settings"), offer.at("mistake")});
  return offers;
}

}  // namespace sluice::check
