// See elf_check.h.
#include "core/plugins/elf_check.h"

#include <elf.h>
#include <fmt/format.h>
#include <link.h>

#include <cstring>

#include "core/base/error.h"
#include "core/base/file.h"

namespace sluice {
namespace {

#if defined(__x86_64__)
constexpr unsigned kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr unsigned kMachine = EM_AARCH64;
#elif defined(__riscv)
constexpr unsigned kMachine = EM_RISCV;
#elif defined(__powerpc64__)
constexpr unsigned kMachine = EM_PPC64;
#else
constexpr unsigned kMachine = EM_NONE;  // not known here: the loader judges
#endif

std::string machine_name(unsigned machine) {
  switch (machine) {
    case EM_X86_64:
      return "x86-64";
    case EM_386:
      return "32-bit x86";
    case EM_AARCH64:
      return "AArch64";
    case EM_ARM:
      return "32-bit Arm";
    case EM_RISCV:
      return "RISC-V";
    case EM_PPC64:
      return "PowerPC";
    default:
      return fmt::format("machine {} of the ELF list", machine);
  }
}

}  // namespace

std::string damaged_library(const std::filesystem::path& path) {
  MappedFile file;
  try {
    file = MappedFile(path);
  } catch (const Error&) {
    return {};
  }
  const std::span<const std::byte> bytes = file.bytes();
  ElfW(Ehdr) header;
  if (bytes.size() < sizeof header || std::memcmp(bytes.data(), ELFMAG, SELFMAG) != 0) return {};
  std::memcpy(&header, bytes.data(), sizeof header);
  // Type and machine stand at the same place in headers of both sizes.
  if (kMachine != EM_NONE && header.e_machine != kMachine)
    return fmt::format("was built for {}, this machine is {}", machine_name(header.e_machine), machine_name(kMachine));
  if (header.e_ident[EI_CLASS] != (sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32))
    return fmt::format("has addresses of {} bits, this program's have {}",
                       header.e_ident[EI_CLASS] == ELFCLASS64 ? 64 : 32, 8 * sizeof(void*));
  if (header.e_type == ET_REL) return "is an object file and no shared library; link it with -shared";
  if (header.e_type != ET_DYN) return "is no shared library; link it with -shared";
  if (header.e_phentsize != sizeof(ElfW(Phdr))) return "has damaged program headers";
  const uint64_t table = uint64_t(header.e_phnum) * sizeof(ElfW(Phdr));
  if (header.e_phoff > bytes.size() || table > bytes.size() - header.e_phoff)
    return fmt::format("is cut off: its program headers end beyond its {} bytes", bytes.size());
  const uint64_t sections = uint64_t(header.e_shnum) * header.e_shentsize;
  if (header.e_shoff > bytes.size() || sections > bytes.size() - header.e_shoff)
    return fmt::format("is cut off: its section headers end beyond its {} bytes", bytes.size());
  for (uint32_t i = 0; i < header.e_phnum; i++) {
    ElfW(Phdr) segment;
    std::memcpy(&segment, bytes.data() + header.e_phoff + i * sizeof segment, sizeof segment);
    if (segment.p_type != PT_LOAD && segment.p_type != PT_DYNAMIC) continue;
    if (segment.p_offset > bytes.size() || segment.p_filesz > bytes.size() - segment.p_offset)
      return fmt::format("is cut off: segment {} ends beyond its {} bytes", i, bytes.size());
  }
  return {};
}

}  // namespace sluice
