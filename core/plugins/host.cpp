// See host.h and registry.h: the services behind a sluice_host, and Instance.
#include "core/plugins/host.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "core/base/error.h"
#include "core/plugins/interfaces.h"
#include "core/plugins/parts.h"

namespace sluice {
namespace {

// The message of the call now running on this thread, and whose it is.
struct PendingMessage {
  uint64_t serial = 0;  // 0: nobody's
  std::string text;
};
thread_local PendingMessage pending;
std::atomic<uint64_t> hosts{0};

// Nothing may be thrown into a plugin: where memory runs out the message is lost, the code is not.
sluice_status host_fail(const sluice_host* host, sluice_status code, const char* message) {
  try {
    std::string text = message ? message : "";
    for (HostState* self = &state_of(host); self; self = self->owner) {
      self->keep_message(text);
      text = self->who + ": " + text;
    }
  } catch (...) {
  }
  return code;
}

int log_level() {
  const char* wanted = std::getenv("SLUICE_LOG");
  if (!wanted) return 2;
  const std::string_view text = wanted;
  if (text == "debug" || text == "0") return 0;
  if (text == "info" || text == "1") return 1;
  return text == "off" ? 3 : 2;
}

void host_log(const sluice_host* host, int32_t level, const char* message) {
  static const int wanted = log_level();
  if (level < wanted || !message) return;
  constexpr const char* kNames[] = {"debug", "info", "warning"};
  try {
    const std::string line = fmt::format("{}: {}: {}\n",
                                         kNames[level < 0   ? 0
                                                : level > 2 ? 2
                                                            : level],
                                         state_of(host).who, message);
    std::fwrite(line.data(), 1, line.size(), stderr);
  } catch (...) {
  }
}

// Stands right before the memory handed out.
struct Header {
  void* base;
  size_t bytes;
};

void* host_alloc(const sluice_host* host, size_t bytes, size_t align) {
  if (align < alignof(Header)) align = alignof(Header);
  if (align & (align - 1)) return nullptr;
  if (bytes > SIZE_MAX - align - sizeof(Header)) return nullptr;
  void* base = std::malloc(bytes + align + sizeof(Header));
  if (!base) return nullptr;
  const uintptr_t address = (uintptr_t(base) + sizeof(Header) + align - 1) & ~uintptr_t(align - 1);
  const Header header{base, bytes};
  std::memcpy(reinterpret_cast<void*>(address - sizeof header), &header, sizeof header);
  state_of(host).root().bytes += bytes;
  return reinterpret_cast<void*>(address);
}

void host_free(const sluice_host* host, void* memory) {
  if (!memory) return;
  Header header;
  std::memcpy(&header, static_cast<char*>(memory) - sizeof header, sizeof header);
  state_of(host).root().bytes -= header.bytes;
  std::free(header.base);
}

void host_parallel(const sluice_host* host, uint32_t n, void (*job)(void*, uint32_t), void* arg) {
  state_of(host).registry.pool().run(n, job, arg);
}

void stats_add(const sluice_host* host, const char* name, double numerator, double denominator) {
  if (!name) return;
  HostState& self = state_of(host).root();
  try {
    const std::lock_guard lock(self.mutex);
    for (Counter& counter : self.counters) {
      if (counter.name == name) {
        counter.numerator += numerator;
        counter.denominator += denominator;
        return;
      }
    }
    self.counters.push_back({name, numerator, denominator});
  } catch (...) {
  }
}

const void* host_extension(const sluice_host* host, const char* id) {
  static constexpr sluice_host_stats kStats{SLUICE_HOST_STATS_LAYOUT, 0, stats_add};
  if (!id) return nullptr;
  if (std::string_view(id) == SLUICE_HOST_STATS) return &kStats;
  if (std::string_view(id) == SLUICE_HOST_MODULES)
    return state_of(host).registry.reads_part_params() ? &host_modules() : nullptr;
  return evictor_extension_layout(id);
}

}  // namespace

HostState::HostState(Registry& from, const sluice_module& of, HostState* part_of)
    : registry(from), module(&of), owner(part_of), serial(++hosts), who(module_title(of)) {
  table.abi = SLUICE_ABI;
  table.size = sizeof(sluice_host);
  table.ctx = this;
  table.fail = host_fail;
  table.log = host_log;
  table.alloc = host_alloc;
  table.free = host_free;
  table.parallel = host_parallel;
  table.extension = host_extension;
}

void HostState::keep_message(const std::string& text) {
  pending.text = text, pending.serial = serial;
  spoke = true;
  const std::lock_guard lock(mutex);
  message = text;
}

std::string HostState::take_message() {
  const std::lock_guard lock(mutex);
  spoke = false;
  std::string text = std::exchange(message, {});
  if (pending.serial == serial) {
    text = std::exchange(pending.text, {});
    pending.serial = 0;
  }
  return text;
}

void throw_status(HostState& host, sluice_status status, std::string_view verb) {
  std::string message = host.take_message();
  if (message.empty()) {
    switch (status) {
      case SLUICE_INVALID:
        message = "refused what it was given, without a reason";
        break;
      case SLUICE_UNSUPPORTED:
        message = "does not support this, without a reason";
        break;
      case SLUICE_NO_MEMORY:
        message = "not enough memory";
        break;
      case SLUICE_DEVICE:
        message = "the device failed";
        break;
      case SLUICE_INTERNAL:
        message = "it found a bug of its own";
        break;
      default:
        message = fmt::format("returned the unknown status {}", status);
    }
  }
  const bool user = status == SLUICE_INVALID || status == SLUICE_UNSUPPORTED;
  throw Error(fmt::format("{}, {}: {}", host.who, verb, message), user ? kExitUsage : kExitFailed);
}

Instance::Instance() = default;
Instance::Instance(const sluice_module& module, void* self, std::shared_ptr<HostState> host, void (*destroy)(void*))
    : module_(&module), self_(self), host_(std::move(host)), destroy_(destroy) {}

Instance::Instance(Instance&& other) noexcept
    : module_(other.module_),
      self_(std::exchange(other.self_, nullptr)),
      host_(std::move(other.host_)),
      destroy_(other.destroy_) {}

Instance& Instance::operator=(Instance&& other) noexcept {
  if (this == &other) return *this;
  destroy();
  module_ = other.module_;
  self_ = std::exchange(other.self_, nullptr);
  host_ = std::move(other.host_);
  destroy_ = other.destroy_;
  return *this;
}

Instance::~Instance() { destroy(); }

void Instance::destroy() {
  if (!self_) return;
  const InVerb in(who(), "destroy");
  destroy_(self_);
}

const char* Instance::who() const { return host_->who.c_str(); }

const sluice_host* Instance::host() const { return &host_->table; }
uint64_t Instance::plugin_bytes() const { return host_ ? host_->bytes.load() : 0; }

std::vector<Counter> Instance::counters() const {
  if (!host_) return {};
  const std::lock_guard lock(host_->mutex);
  return host_->counters;
}

void Instance::check(sluice_status status, std::string_view verb) const {
  if (status != SLUICE_OK) throw_status(*host_, status, verb);
  host_->drop_message();
}

}  // namespace sluice
