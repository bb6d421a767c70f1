// See elf_file.h.
#include "core/check/elf_file.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/plugins/elf_check.h"

#ifdef __linux__
#include <elf.h>
#include <link.h>

#include <cstring>
#include <map>
#include <optional>
#include <span>
#endif

namespace sluice::check {

#ifdef __linux__
namespace {

using Section = ElfW(Shdr);
using Symbol = ElfW(Sym);

// A file's bytes as structs, or nothing where they would end beyond it.
struct Reader {
  std::span<const std::byte> bytes;

  template <class T>
  std::optional<T> at(uint64_t offset) const {
    if (offset > bytes.size() || sizeof(T) > bytes.size() - offset) return std::nullopt;
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
  }
  template <class T>
  std::vector<T> list(uint64_t offset, uint64_t size) const {
    if (offset > bytes.size() || size > bytes.size() - offset) return {};
    std::vector<T> values(size / sizeof(T));
    if (!values.empty()) std::memcpy(values.data(), bytes.data() + offset, values.size() * sizeof(T));
    return values;
  }
  std::string text(const Section& strings, uint64_t offset) const {
    std::string result;
    for (uint64_t i = offset; i < strings.sh_size; i++) {
      const auto c = at<char>(strings.sh_offset + i);
      if (!c || !*c) break;
      result += *c;
    }
    return result;
  }
};

uint16_t own_machine() {
  const MappedFile program("/proc/self/exe");
  const auto header = Reader{program.bytes()}.at<ElfW(Ehdr)>(0);
  return header ? header->e_machine : uint16_t(EM_NONE);
}

std::string machine_name(uint16_t machine) {
  const std::map<uint16_t, const char*> names = {
      {EM_X86_64, "x86-64"}, {EM_386, "x86"},       {EM_AARCH64, "AArch64"}, {EM_ARM, "ARM"},
      {EM_RISCV, "RISC-V"},  {EM_PPC64, "PowerPC"}, {EM_S390, "S/390"},      {EM_LOONGARCH, "LoongArch"}};
  const auto name = names.find(machine);
  return name == names.end() ? fmt::format("machine {}", machine) : name->second;
}

std::string refuse(const ElfW(Ehdr) & header) {
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return "is no ELF file";
  const unsigned char own_class = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;
  const uint16_t own = own_machine();
  if (header.e_machine != own)
    return fmt::format("is for {}, this program for {}", machine_name(header.e_machine), machine_name(own));
  if (header.e_ident[EI_CLASS] != own_class) return "has another word size than this program";
  if (header.e_type != ET_DYN) return "is no shared library";
  return {};
}

// Functions named in .init_array: an entry's address stands in the relocation for it.
void find_constructors(const Reader& reader, const std::vector<Section>& sections, ElfFile& result) {
  std::map<uint64_t, std::string> functions;
  for (const Section& section : sections) {
    if (section.sh_type != SHT_SYMTAB || section.sh_link >= sections.size()) continue;
    for (const Symbol& symbol : reader.list<Symbol>(section.sh_offset, section.sh_size))
      if ((symbol.st_info & 0xF) == STT_FUNC)
        functions[symbol.st_value] = reader.text(sections[section.sh_link], symbol.st_name);
  }
  for (const Section& array : sections) {
    if (array.sh_type != SHT_INIT_ARRAY && array.sh_type != SHT_PREINIT_ARRAY) continue;
    result.constructors += uint32_t(array.sh_size / sizeof(void*));
    for (const Section& section : sections) {
      if (section.sh_type != SHT_RELA) continue;
      for (const ElfW(Rela) & entry : reader.list<ElfW(Rela)>(section.sh_offset, section.sh_size)) {
        if (entry.r_offset < array.sh_addr || entry.r_offset >= array.sh_addr + array.sh_size) continue;
        const auto function = functions.find(uint64_t(entry.r_addend));
        if (function != functions.end()) result.constructor_names.push_back(function->second);
      }
    }
  }
}

}  // namespace

ElfFile read_elf(const std::filesystem::path& path) {
  ElfFile result;
  const MappedFile file(path);
  const Reader reader{file.bytes()};
  const auto header = reader.at<ElfW(Ehdr)>(0);
  result.refusal = header ? refuse(*header) : "is no ELF file";
  if (result.refusal.empty()) result.refusal = damaged_library(path);
  if (!result.refusal.empty()) return result;

  const std::vector<Section> sections =
      reader.list<Section>(header->e_shoff, uint64_t(header->e_shnum) * sizeof(Section));
  for (const Section& section : sections) {
    if (section.sh_type != SHT_DYNSYM || section.sh_link >= sections.size()) continue;
    result.has_sections = true;
    for (const Symbol& symbol : reader.list<Symbol>(section.sh_offset, section.sh_size)) {
      const std::string name = reader.text(sections[section.sh_link], symbol.st_name);
      const unsigned binding = symbol.st_info >> 4, visibility = symbol.st_other & 3;
      if (!name.empty() && symbol.st_shndx != SHN_UNDEF && binding != STB_LOCAL && visibility != STV_HIDDEN &&
          visibility != STV_INTERNAL)
        result.exported.push_back(name);
    }
  }
  find_constructors(reader, sections, result);
  return result;
}
#else
ElfFile read_elf(const std::filesystem::path&) { return {}; }
#endif

}  // namespace sluice::check
