// Damaged GGUF files: truncated, flipped, lying. Each opens or is refused with an Error that names the place; none
// crashes or takes memory beyond what the file's own size accounts for.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstring>

#include "core/base/file.h"
#include "core/model/gguf.h"
#include "core/model/model_file.h"
#include "support/allocation_watch.h"
#include "support/fuzz.h"
#include "support/scratch_folder.h"
#include "support/tiny_model.h"

namespace sluice {
namespace {

using testing::AllocationWatch;
using testing::error_of;
using testing::FuzzRandom;
using ::testing::HasSubstr;
using testing::put_bytes;
using testing::ScratchFolder;
using testing::TinyModel;

TinyModel smallest() {
  TinyModel model;
  model.layers = 1;
  model.width = 8;
  model.heads = 2;
  model.kv_heads = 1;
  model.ffn = 8;
  model.vocab = 300;
  return model;
}

std::string smallest_file() {
  static const std::string bytes = [] {
    const ScratchFolder folder;
    testing::write_tiny_gguf(folder / "a.gguf", smallest());
    return read_file(folder / "a.gguf");
  }();
  return bytes;
}

// Every byte a loaded model points to.
uint64_t touch(const ModelFile& file) {
  uint64_t sum = 0;
  for (const Tensor& tensor : file.tensors())
    for (uint64_t i = 0; i < tensor.bytes; i++) sum += static_cast<const uint8_t*>(tensor.data)[i];
  for (const Metadata& entry : file.metadata()) sum += entry.key.size() + entry.value.size();
  for (const std::string& token : file.vocabulary().tokens) sum += token.size();
  return sum;
}

// Opens the file; true if that works. The bound holds strings (32 bytes for 8 in the file), metadata as text, and an
// owned copy of the tensors.
bool opens(const std::filesystem::path& path) {
  const uint64_t size = std::filesystem::file_size(path);
  const AllocationWatch watch;
  bool opened = false;
  try {
    touch(*ModelFile::open(path));
    opened = true;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kExitUsage) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(path.filename().string()));
    EXPECT_LT(std::strlen(error.what()), 1000u);
  }
  EXPECT_LT(watch.largest(), 8 * size + 65536);
  EXPECT_LT(watch.peak(), 16 * size + 262144);
  return opened;
}

std::string message_of(const std::string& bytes) {
  const ScratchFolder folder;
  put_bytes(folder / "damaged.gguf", bytes);
  EXPECT_FALSE(opens(folder / "damaged.gguf"));
  return error_of([&] { ModelFile::open(folder / "damaged.gguf"); }).what();
}

template <class T>
std::string with(std::string bytes, size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
  return bytes;
}

// The first occurrence of a name, which lies behind its length.
size_t place_of(const std::string& bytes, std::string_view name) {
  const size_t at = bytes.find(name);
  EXPECT_NE(at, std::string::npos) << name;
  return at;
}

TEST(GgufDamage, UndamagedFileOpens) {
  const ScratchFolder folder;
  put_bytes(folder / "a.gguf", smallest_file());
  EXPECT_TRUE(opens(folder / "a.gguf"));
  put_bytes(folder / "a.gguf", with(smallest_file(), 4, uint32_t(2)));
  EXPECT_TRUE(opens(folder / "a.gguf"));  // versions 2 and 3 differ in nothing that is read here
  EXPECT_EQ(ModelFile::open(folder / "a.gguf")->format(), "GGUF v2");
}

TEST(GgufDamage, Header) {
  const std::string good = smallest_file();
  EXPECT_THAT(message_of(with(good, 0, uint32_t(0x46554746))), HasSubstr("at byte 0: starts with \"FGUF\""));
  EXPECT_THAT(message_of(with(good, 4, uint32_t(1))), HasSubstr("at byte 4: GGUF version 1 (of August 2023)"));
  EXPECT_THAT(message_of(with(good, 4, uint32_t(4))),
              HasSubstr("at byte 4: GGUF version 4 is not supported, expected 2 or 3"));
  EXPECT_THAT(message_of(with(good, 4, uint32_t(0))), HasSubstr("GGUF version 0"));
  EXPECT_THAT(message_of(with(good, 4, __builtin_bswap32(3))), HasSubstr("big-endian GGUF file (version 3)"));
  for (const uint64_t count : {UINT64_MAX, uint64_t(1) << 63, uint64_t(1) << 32, uint64_t(good.size())}) {
    EXPECT_THAT(message_of(with(good, 8, count)),
                HasSubstr(fmt::format("at byte 8: claims {} tensors, but only", count)));
    EXPECT_THAT(message_of(with(good, 16, count)),
                HasSubstr(fmt::format("at byte 16: claims {} keys, but only", count)));
  }
  EXPECT_THAT(message_of(with(good, 16, uint64_t(1))), HasSubstr("damaged.gguf"));
}

TEST(GgufDamage, KeysAndValues) {
  const std::string good = smallest_file();
  EXPECT_THAT(message_of(with(good, 24, uint64_t(1) << 60)),
              HasSubstr("at byte 24: a key claims 1152921504606846976 bytes"));
  EXPECT_THAT(message_of(with(good, 24, uint64_t(0))), HasSubstr("at byte 24: a key is 0 bytes long"));
  EXPECT_THAT(message_of(with(good, 32, uint8_t(0xFF))),
              HasSubstr("at byte 32: a key is not valid UTF-8: \"\\xFFeneral"));
  const std::string_view architecture = "general.architecture";
  const size_t type = place_of(good, architecture) + architecture.size();
  EXPECT_THAT(
      message_of(with(good, type, uint32_t(13))),
      HasSubstr(fmt::format("at byte {}: the type of key \"general.architecture\" is 13, expected 0 to 12", type)));
  EXPECT_THAT(message_of(with(good, type + 4, uint64_t(1) << 40)),
              HasSubstr("a STRING value claims 1099511627776 bytes"));
  EXPECT_THAT(message_of(with(good, type + 12, uint8_t(0xC0))), HasSubstr("a STRING value is not valid UTF-8"));

  const std::string_view add_bos = "tokenizer.ggml.add_bos_token";
  const size_t boolean = place_of(good, add_bos) + add_bos.size() + 4;
  EXPECT_THAT(message_of(with(good, boolean, uint8_t(2))), HasSubstr("a BOOL is 2, expected 0 or 1"));

  const std::string_view tokens = "tokenizer.ggml.tokens";
  const size_t array = place_of(good, tokens) + tokens.size() + 4;
  EXPECT_THAT(message_of(with(good, array, uint32_t(99))), HasSubstr("the element type of an ARRAY is 99"));
  EXPECT_THAT(message_of(with(good, array + 4, UINT64_MAX)),
              HasSubstr("an ARRAY claims 18446744073709551615 elements of type STRING"));
  EXPECT_THAT(message_of(with(good, array + 4, uint64_t(1) << 61)), HasSubstr("an ARRAY claims"));  // times 8 is 0
  EXPECT_THAT(message_of(with(good, array + 12, UINT64_MAX)), HasSubstr("a STRING value claims 18446744073709551615"));
  EXPECT_THAT(message_of(with(good, array, uint32_t(9))), HasSubstr("damaged.gguf"));  // strings read as arrays

  std::string twice = good;
  const size_t name = place_of(good, "tokenizer.ggml.unknown_token_id");
  twice.replace(name, 31, "tokenizer.ggml.padding_token_id");
  const size_t bos = place_of(good, "tokenizer.ggml.bos_token_id");
  twice.replace(bos, 27, "tokenizer.ggml.eos_token_id");
  EXPECT_THAT(message_of(twice), HasSubstr("key \"tokenizer.ggml.eos_token_id\" occurs twice"));
}

TEST(GgufDamage, ArraysDoNotNestForever) {
  std::string bytes = smallest_file().substr(0, 24);
  bytes = with(with(bytes, 8, uint64_t(0)), 16, uint64_t(1));
  bytes.append("\1\0\0\0\0\0\0\0k", 9);
  bytes.append("\x09\0\0\0", 4);
  for (int depth = 0; depth < 100000; depth++) bytes.append("\x09\0\0\0\1\0\0\0\0\0\0\0", 12);
  EXPECT_THAT(message_of(bytes), HasSubstr("arrays nest deeper than 8 levels"));
}

TEST(GgufDamage, Tensors) {
  const std::string good = smallest_file();
  const std::string_view name = "token_embd.weight";
  const size_t at = place_of(good, name), dims = at + name.size(), type = dims + 4 + 16, offset = type + 4;
  EXPECT_THAT(message_of(with(good, at - 8, uint64_t(65))),
              HasSubstr("a tensor's name is 65 bytes long, expected 1 to 64"));
  EXPECT_THAT(message_of(with(good, at, uint8_t(0x80))), HasSubstr("a tensor's name is not valid UTF-8"));
  EXPECT_THAT(message_of(with(good, dims, uint32_t(0))),
              HasSubstr("tensor \"token_embd.weight\": has 0 dimensions, expected 1 to 4"));
  EXPECT_THAT(message_of(with(good, dims, uint32_t(5))), HasSubstr("has 5 dimensions"));
  EXPECT_THAT(message_of(with(good, dims, UINT32_MAX)), HasSubstr("has 4294967295 dimensions"));
  EXPECT_THAT(message_of(with(good, dims + 4, uint64_t(0))), HasSubstr("dimension 0 is 0, expected at least 1"));
  EXPECT_THAT(message_of(with(good, dims + 4, UINT64_MAX)), HasSubstr("more elements than any file can hold"));
  EXPECT_THAT(message_of(with(good, dims + 12, uint64_t(1) << 60)), HasSubstr("more elements than any file can hold"));
  EXPECT_THAT(message_of(with(good, dims + 12, uint64_t(1) << 56)), HasSubstr("end beyond the file"));
  EXPECT_THAT(message_of(with(good, type, uint32_t(16))),
              HasSubstr("has type 16 (IQ2_XXS), which is not supported; supported: F32, F16"));
  EXPECT_THAT(message_of(with(good, type, uint32_t(4))), HasSubstr("has type 4, which is not known"));
  EXPECT_THAT(message_of(with(good, type, uint32_t(SLUICE_GGUF_Q4_0))),
              HasSubstr("rows of 8 numbers, expected a multiple of the 32"));
  EXPECT_THAT(message_of(with(good, offset, uint64_t(1))),
              HasSubstr("its data offset 1 is not a multiple of the alignment 32"));
  EXPECT_THAT(message_of(with(good, offset, uint64_t(1) << 63)), HasSubstr("end beyond the file"));
  EXPECT_THAT(message_of(with(good, offset, UINT64_MAX - 31)), HasSubstr("end beyond the file"));
  EXPECT_THAT(message_of(with(good, offset, uint64_t(64))), HasSubstr("overlap tensor \"token_embd.weight\""));
  std::string twice = good;
  twice.replace(place_of(good, "blk.0.attn_k.weight"), 19, "blk.0.attn_v.weight");
  EXPECT_THAT(message_of(twice), HasSubstr("tensor \"blk.0.attn_v.weight\" occurs twice"));
}

TEST(GgufDamage, Alignment) {
  // The name of a key of type UINT32 becomes general.alignment; lengths differ, so another of the same length is taken.
  std::string good = smallest_file();
  const std::string_view key = "llama.block_count";
  ASSERT_EQ(key.size(), std::string_view("general.alignment").size());
  good.replace(place_of(good, key), key.size(), "general.alignment");
  const size_t value = place_of(good, "general.alignment") + key.size() + 4;
  for (const uint32_t alignment : {0u, 1u, 3u, 4u, 48u, 0x80000001u})
    EXPECT_THAT(message_of(with(good, value, alignment)),
                HasSubstr(fmt::format("is {}, expected a power of two from 8 on", alignment)));
  EXPECT_THAT(message_of(with(good, value, 0x80000000u)), HasSubstr("end beyond the file"));
}

TEST(GgufDamage, EveryTruncationIsRefused) {
  const ScratchFolder folder;
  const std::filesystem::path path = folder / "a.gguf";
  put_bytes(path, smallest_file());
  uint64_t data = 0, end = 0;
  {
    const GgufFile file(path);
    data = file.data_offset();
    for (const GgufTensor& tensor : file.tensors()) end = std::max(end, tensor.offset + tensor.bytes);
  }
  // From the last byte that is needed down: every length through the metadata, every 61st and all ends of tensors
  // behind.
  for (uint64_t size = end; size-- > 0;) {
    if (size > data && size % 61 != 0 && size % 32 > 1) continue;
    std::filesystem::resize_file(path, size);
    ASSERT_FALSE(opens(path)) << size;
  }
}

TEST(GgufDamage, FlippedBitsAreLoadedOrRefused) {
  const ScratchFolder folder;
  const std::filesystem::path path = folder / "a.gguf";
  const std::string good = smallest_file();
  FuzzRandom random(1);
  int opened = 0, refused = 0;
  for (int round = 0; round < FuzzRandom::rounds(4000); round++) {
    std::string bytes = good;
    // The metadata are most of what can go wrong; every eighth flip falls anywhere.
    const size_t range = round % 8 ? 11000 : bytes.size();
    for (uint64_t flips = 1 + random.next() % 3; flips > 0; flips--)
      bytes[random.next() % range] ^= char(1 << random.next() % 8);
    put_bytes(path, bytes);
    (opens(path) ? opened : refused)++;
    if (HasFailure()) FAIL() << "round " << round;
  }
  EXPECT_GT(opened, 100);
  EXPECT_GT(refused, 1000);
}

TEST(GgufDamage, NastyNumbersAnywhere) {
  const ScratchFolder folder;
  const std::filesystem::path path = folder / "a.gguf";
  const std::string good = smallest_file();
  const uint64_t numbers[] = {0,
                              1,
                              UINT64_MAX,
                              uint64_t(1) << 63,
                              (uint64_t(1) << 63) - 1,
                              uint64_t(1) << 32,
                              uint64_t(1) << 31,
                              good.size(),
                              good.size() - 1,
                              uint64_t(1) << 61,
                              0xFFFFFFFFu,
                              9,
                              0x0900000009};
  FuzzRandom random(2);
  for (int round = 0; round < FuzzRandom::rounds(3000); round++) {
    const size_t offset = round < 600 ? size_t(round) : random.next() % 11000;
    const size_t width = random.next() % 2 ? 8 : 4;
    std::string bytes = good;
    std::memcpy(bytes.data() + offset, &numbers[random.next() % std::size(numbers)], width);
    put_bytes(path, bytes);
    opens(path);
    if (HasFailure()) FAIL() << "round " << round;
  }
}

}  // namespace
}  // namespace sluice
