// Plugin libraries: cut before the end of what is loaded, and headers that lie. Of those that no longer look like a
// library of this machine none may be given to the loader, which would crash on some.
#include <elf.h>
#include <fmt/format.h>
#include <link.h>

#include "fuzz/damage.h"

namespace sluice::fuzz {

std::vector<Damage> damaged_plugins(const std::string& sound) {
  testing::FuzzRandom random(106);
  std::vector<Damage> list;
  const auto add = [&](const std::string& what, std::string bytes) {
    const std::string name = fmt::format("damaged_{:02}.sluice.so", list.size());
    list.push_back({"plugin library", what, {{name, std::move(bytes)}}, name, name, "[a-z]"});
  };
  ElfW(Ehdr) header;
  std::memcpy(&header, sound.data(), sizeof header);
  uint64_t end = 0;
  std::vector<size_t> loaded;  // where the program headers of what is loaded stand
  for (uint32_t i = 0; i < header.e_phnum; ++i) {
    ElfW(Phdr) segment;
    const size_t at = header.e_phoff + i * sizeof segment;
    std::memcpy(&segment, sound.data() + at, sizeof segment);
    if (segment.p_type != PT_LOAD) continue;
    end = std::max<uint64_t>(end, segment.p_offset + segment.p_filesz);
    loaded.push_back(at);
  }
  for (const size_t length : lengths_below(end, 12, random))
    add(fmt::format("cut to {} bytes", length), sound.substr(0, length));
  for (size_t byte = 0; byte < 4; ++byte)
    add(fmt::format("a bit of byte {} flipped", byte), with(sound, byte, char(sound[byte] ^ 1 << random.next() % 8)));
  add("of the other word size", with(sound, EI_CLASS, char(3 - header.e_ident[EI_CLASS])));
  add("of another byte order", with(sound, EI_DATA, char(3 - header.e_ident[EI_DATA])));
  add("for another machine", with(sound, offsetof(ElfW(Ehdr), e_machine), ElfW(Half)(EM_68K)));
  for (const ElfW(Half) type : {ET_NONE, ET_REL, ET_EXEC, ET_CORE})
    add(fmt::format("of type {}", type), with(sound, offsetof(ElfW(Ehdr), e_type), type));
  add("program headers of another size", with(sound, offsetof(ElfW(Ehdr), e_phentsize), ElfW(Half)(1)));
  for (const uint64_t lie : {uint64_t(sound.size()), uint64_t(1) << 63, UINT64_MAX})
    add(fmt::format("program headers at {}", lie), with(sound, offsetof(ElfW(Ehdr), e_phoff), ElfW(Off)(lie)));
  add("65535 program headers", with(sound, offsetof(ElfW(Ehdr), e_phnum), ElfW(Half)(65535)));
  for (const size_t at : loaded) {
    add("a segment behind the end", with(sound, at + offsetof(ElfW(Phdr), p_offset), ElfW(Off)(sound.size() + 1)));
    add("a segment longer than the file", with(sound, at + offsetof(ElfW(Phdr), p_filesz), ~ElfW(Xword)(0)));
  }
  return list;
}

}  // namespace sluice::fuzz
