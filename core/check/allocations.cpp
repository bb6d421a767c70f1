// See allocations.h. A call to another object's function goes through a slot of the caller's global offset table;
// the slots named malloc and so on get the address of a function here that counts and passes the call on.
#include "core/check/allocations.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <span>
#include <string_view>

namespace sluice::check {
namespace {

std::atomic<bool> watching{false};
std::atomic<uint64_t> taken{0};

void count() {
  if (watching.load(std::memory_order_relaxed)) taken.fetch_add(1, std::memory_order_relaxed);
}

// One counted function of the signature R(Args...); `kWhich` tells functions of one signature apart.
template <int kWhich, class R, class... Args>
struct Counted {
  static inline R (*real)(Args...) = nullptr;
  static R call(Args... args) {
    count();
    return real(args...);
  }
};

struct Redirection {
  const char* name;
  void* counted;
  void** real;
};

template <class Function>
Redirection redirection(const char* name) {
  return {name, reinterpret_cast<void*>(&Function::call), reinterpret_cast<void**>(&Function::real)};
}

std::span<const Redirection> redirections() {
  static const Redirection list[] = {
      redirection<Counted<0, void*, size_t>>("malloc"),
      redirection<Counted<1, void*, size_t>>("_Znwm"),  // operator new and new[]
      redirection<Counted<2, void*, size_t>>("_Znam"),
      redirection<Counted<3, void*, size_t>>("valloc"),
      redirection<Counted<0, void*, size_t, size_t>>("calloc"),
      redirection<Counted<1, void*, size_t, size_t>>("memalign"),
      redirection<Counted<2, void*, size_t, size_t>>("aligned_alloc"),
      redirection<Counted<0, void*, void*, size_t>>("realloc"),
      redirection<Counted<0, void*, void*, size_t, size_t>>("reallocarray"),
      redirection<Counted<0, int, void**, size_t, size_t>>("posix_memalign"),
      redirection<Counted<0, void*, void*, size_t, int, int, int, off_t>>("mmap"),
      redirection<Counted<1, void*, void*, size_t, int, int, int, off_t>>("mmap64"),
  };
  return list;
}

// The parts of an object's dynamic section that tell its slots.
struct Tables {
  const ElfW(Sym) * symbols = nullptr;
  const char* names = nullptr;
  const ElfW(Rela) * calls = nullptr;
  const ElfW(Rela) * others = nullptr;
  size_t call_bytes = 0, other_bytes = 0;
};

Tables tables_of(const dl_phdr_info& object) {
  Tables tables;
  const auto at = [&](ElfW(Addr) address) {
    return reinterpret_cast<const void*>(address < object.dlpi_addr ? address + object.dlpi_addr : address);
  };
  for (size_t i = 0; i < object.dlpi_phnum; i++) {
    if (object.dlpi_phdr[i].p_type != PT_DYNAMIC) continue;
    const auto* entry = reinterpret_cast<const ElfW(Dyn)*>(object.dlpi_addr + object.dlpi_phdr[i].p_vaddr);
    for (; entry->d_tag != DT_NULL; ++entry) {
      if (entry->d_tag == DT_SYMTAB) tables.symbols = static_cast<const ElfW(Sym)*>(at(entry->d_un.d_ptr));
      if (entry->d_tag == DT_STRTAB) tables.names = static_cast<const char*>(at(entry->d_un.d_ptr));
      if (entry->d_tag == DT_JMPREL) tables.calls = static_cast<const ElfW(Rela)*>(at(entry->d_un.d_ptr));
      if (entry->d_tag == DT_PLTRELSZ) tables.call_bytes = entry->d_un.d_val;
      if (entry->d_tag == DT_RELA) tables.others = static_cast<const ElfW(Rela)*>(at(entry->d_un.d_ptr));
      if (entry->d_tag == DT_RELASZ) tables.other_bytes = entry->d_un.d_val;
    }
  }
  return tables;
}

void redirect_slot(void** slot, void* counted) {
  if (*slot == counted) return;
  const auto page = uintptr_t(sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<uintptr_t>(slot) & ~(page - 1);
  // Linkers make the table read-only once the loader has filled it.
  if (mprotect(reinterpret_cast<void*>(first), page, PROT_READ | PROT_WRITE) == 0) *slot = counted;
}

int redirect_object(dl_phdr_info* object, size_t, void*) {
  const std::string_view name = object->dlpi_name;
  // The loader's and the kernel's own, and what sanitizers count with.
  for (std::string_view own :
       {"linux-vdso", "linux-gate", "/ld-linux", "/libc.so", "/libasan", "/libtsan", "/libubsan"})
    if (name.find(own) != std::string_view::npos) return 0;
  const Tables tables = tables_of(*object);
  if (!tables.symbols || !tables.names) return 0;
  const auto redirect = [&](const ElfW(Rela) * first, size_t bytes) {
    if (!first) return;
    for (const ElfW(Rela) & slot : std::span(first, bytes / sizeof *first)) {
      const size_t symbol = sizeof(void*) == 8 ? slot.r_info >> 32 : slot.r_info >> 8;
      if (symbol == 0 || tables.symbols[symbol].st_shndx != SHN_UNDEF) continue;
      const std::string_view wanted = tables.names + tables.symbols[symbol].st_name;
      for (const Redirection& to : redirections())
        if (*to.real && wanted == to.name)
          redirect_slot(reinterpret_cast<void**>(object->dlpi_addr + slot.r_offset), to.counted);
    }
  };
  redirect(tables.calls, tables.call_bytes);
  redirect(tables.others, tables.other_bytes);
  return 0;
}

}  // namespace

AllocationWatch::AllocationWatch() {
  taken = 0;
  watching = true;
}

uint64_t AllocationWatch::stop() {
  watching = false;
  return taken;
}

void redirect_allocations() {
  for (const Redirection& to : redirections())
    if (!*to.real) *to.real = dlsym(RTLD_DEFAULT, to.name);
  dl_iterate_phdr(redirect_object, nullptr);
}

}  // namespace sluice::check
