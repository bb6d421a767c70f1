// See elf_check.h. Only Linux has ELF and its header; elsewhere the loader judges alone.
#include "core/plugins/elf_check.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/file.h"

#ifdef __linux__
#include <elf.h>
#include <link.h>

#include <cstring>
#endif

namespace sluice {

#ifdef __linux__
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
  if (header.e_ident[EI_CLASS] != (sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32)) return {};
  if (header.e_phentsize != sizeof(ElfW(Phdr))) return "has damaged program headers";
  const uint64_t table = uint64_t(header.e_phnum) * sizeof(ElfW(Phdr));
  if (header.e_phoff > bytes.size() || table > bytes.size() - header.e_phoff)
    return fmt::format("is cut off: its program headers end beyond its {} bytes", bytes.size());
  for (uint32_t i = 0; i < header.e_phnum; i++) {
    ElfW(Phdr) segment;
    std::memcpy(&segment, bytes.data() + header.e_phoff + i * sizeof segment, sizeof segment);
    if (segment.p_type != PT_LOAD && segment.p_type != PT_DYNAMIC) continue;
    if (segment.p_offset > bytes.size() || segment.p_filesz > bytes.size() - segment.p_offset)
      return fmt::format("is cut off: segment {} ends beyond its {} bytes", i, bytes.size());
  }
  return {};
}
#else
std::string damaged_library(const std::filesystem::path&) { return {}; }
#endif

}  // namespace sluice
