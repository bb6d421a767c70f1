// See elf_file.h.
#include "core/check/elf_file.h"

#include <elf.h>
#include <fmt/format.h>
#include <link.h>

#include <cstring>
#include <map>
#include <optional>
#include <span>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/plugins/elf_check.h"

namespace sluice::check {
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
  const bool elf = header && std::memcmp(header->e_ident, ELFMAG, SELFMAG) == 0;
  result.refusal = elf ? damaged_library(path) : "is no ELF file";
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

}  // namespace sluice::check
