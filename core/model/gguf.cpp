// See gguf.h. The parser never trusts a count or a length: each is compared with the bytes that are left before
// anything is reserved or read, so that a lying file costs no more memory than its own size.
#include "core/model/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/base/error.h"
#include "core/base/text.h"
#include "sluice/gguf_types.h"

namespace sluice {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF files are read where they lie, in little endian");

constexpr uint32_t kMaxNesting = 8;                       // arrays in arrays
constexpr uint64_t kMaxKey = 65535;                       // bytes, as the format says
constexpr uint64_t kMaxTensorName = 64;                   // bytes, as the format says
constexpr uint64_t kLeastEntry = 8 + 1 + 4 + 1;           // key length, key, type, value
constexpr uint64_t kLeastTensor = 8 + 1 + 4 + 8 + 4 + 8;  // name length, name, dims, shape, type, offset

// Reads forward through the file and says where something is wrong.
class Cursor {
 public:
  explicit Cursor(const MappedFile& file) : path_(file.path()), bytes_(file.bytes()) {}

  uint64_t offset() const { return offset_; }
  uint64_t left() const { return bytes_.size() - offset_; }
  std::span<const std::byte> since(uint64_t first) const { return bytes_.subspan(first, offset_ - first); }

  [[noreturn]] void fail(uint64_t at, std::string_view message) const {
    throw Error(fmt::format("{}: at byte {}: {}", path_.string(), at, message));
  }
  void need(uint64_t bytes, std::string_view what) const {
    if (bytes > left())
      fail(offset_, fmt::format("{} takes {} bytes, but only {} are left in the file: it is truncated or damaged", what,
                                bytes, left()));
  }
  template <class T>
  T read(std::string_view what) {
    need(sizeof(T), what);
    T value;
    std::memcpy(&value, bytes_.data() + offset_, sizeof value);
    offset_ += sizeof value;
    return value;
  }
  void skip(uint64_t bytes, std::string_view what) {
    need(bytes, what);
    offset_ += bytes;
  }
  std::string_view string(std::string_view what) {
    const uint64_t at = offset_, length = read<uint64_t>(what);
    if (length > left())
      fail(at, fmt::format("{} claims {} bytes, but only {} are left in the file", what, length, left()));
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data() + offset_), length);
    offset_ += length;
    if (!valid_utf8(text)) fail(at + 8, fmt::format("{} is not valid UTF-8: \"{}\"", what, printable(text)));
    return text;
  }

 private:
  const std::filesystem::path& path_;
  std::span<const std::byte> bytes_;
  uint64_t offset_ = 0;
};

GgufType read_type(Cursor& cursor, std::string_view what) {
  const uint64_t at = cursor.offset();
  const uint32_t number = cursor.read<uint32_t>(what);
  if (!is_gguf_type(number)) cursor.fail(at, fmt::format("{} is {}, expected 0 to 12", what, number));
  return GgufType(number);
}

void check_boolean(Cursor& cursor) {
  const uint64_t at = cursor.offset();
  const uint8_t value = cursor.read<uint8_t>("a BOOL");
  if (value > 1) cursor.fail(at, fmt::format("a BOOL is {}, expected 0 or 1", value));
}

void check_array(Cursor& cursor, uint32_t depth);

void check_values(Cursor& cursor, GgufType type, uint64_t count, uint32_t depth) {
  if (const uint32_t size = size_of(type); size != 0 && type != GgufType::kBool) {
    cursor.skip(count * size, "a value");  // no overflow: check_array() compared count with the file
    return;
  }
  for (uint64_t i = 0; i < count; i++) {
    if (type == GgufType::kBool) check_boolean(cursor);
    if (type == GgufType::kString) cursor.string("a STRING value");
    if (type == GgufType::kArray) check_array(cursor, depth + 1);
  }
}

struct ArrayHead {
  GgufType element;
  uint64_t count;
};

ArrayHead read_array_head(Cursor& cursor) {
  const GgufType element = read_type(cursor, "the element type of an ARRAY");
  const uint64_t at = cursor.offset(), count = cursor.read<uint64_t>("the length of an ARRAY");
  const uint64_t least = element == GgufType::kString ? 8 : element == GgufType::kArray ? 12 : size_of(element);
  if (count > cursor.left() / least)
    cursor.fail(at, fmt::format("an ARRAY claims {} elements of type {}, but only {} bytes are left in the file", count,
                                name_of(element), cursor.left()));
  return {element, count};
}

void check_array(Cursor& cursor, uint32_t depth) {
  if (depth > kMaxNesting) cursor.fail(cursor.offset(), fmt::format("arrays nest deeper than {} levels", kMaxNesting));
  const ArrayHead head = read_array_head(cursor);
  check_values(cursor, head.element, head.count, depth);
}

GgufEntry read_entry(Cursor& cursor) {
  GgufEntry entry;
  entry.offset = cursor.offset();
  entry.key = cursor.string("a key");
  if (entry.key.empty() || entry.key.size() > kMaxKey)
    cursor.fail(entry.offset, fmt::format("a key is {} bytes long, expected 1 to {}", entry.key.size(), kMaxKey));
  const std::string type_of = fmt::format("the type of key \"{}\"", printable(entry.key));
  entry.type = read_type(cursor, type_of);
  const uint64_t first = cursor.offset();
  uint64_t elements = first;
  if (entry.type == GgufType::kArray) {
    const ArrayHead head = read_array_head(cursor);
    entry.element = head.element;
    entry.count = head.count;
    elements = cursor.offset();
    check_values(cursor, head.element, head.count, 1);
  } else {
    check_values(cursor, entry.type, 1, 0);
  }
  entry.encoded = cursor.since(first);
  entry.elements = cursor.since(elements);
  return entry;
}

// Types that other programs write and Sluice does not read, so that the message can name them.
std::string unknown_type(uint32_t type) {
  struct Row {
    uint32_t type;
    std::string_view name;
  };
  static constexpr Row kOthers[] = {{9, "Q8_1"},   {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"},
                                    {19, "IQ1_S"}, {21, "IQ3_S"}, {22, "IQ2_S"},   {23, "IQ4_XS"}, {24, "I8"},
                                    {25, "I16"},   {26, "I32"},   {27, "I64"},     {28, "F64"},    {29, "IQ1_M"},
                                    {34, "TQ1_0"}, {35, "TQ2_0"}, {39, "MXFP4"},   {40, "NVFP4"}};
  std::string supported;
  for (uint32_t i = 0; const sluice_gguf_type* info = sluice_gguf_type_at(i); i++)
    supported += fmt::format("{}{}", i ? ", " : "", info->name);
  for (const Row& row : kOthers)
    if (row.type == type)
      return fmt::format("has type {} ({}), which is not supported; supported: {}", type, row.name, supported);
  return fmt::format("has type {}, which is not known; supported: {}", type, supported);
}

// The offset is still relative to the data section, and not checked.
GgufTensor read_tensor(Cursor& cursor) {
  GgufTensor tensor;
  const uint64_t at = cursor.offset();
  tensor.name = cursor.string("a tensor's name");
  if (tensor.name.empty() || tensor.name.size() > kMaxTensorName)
    cursor.fail(at,
                fmt::format("a tensor's name is {} bytes long, expected 1 to {}", tensor.name.size(), kMaxTensorName));
  const auto fail = [&](uint64_t where, const std::string& message) {
    cursor.fail(where, fmt::format("tensor \"{}\": {}", printable(tensor.name), message));
  };
  const uint64_t dims_at = cursor.offset();
  tensor.dims = cursor.read<uint32_t>("the number of dimensions of a tensor");
  if (tensor.dims < 1 || tensor.dims > 4) fail(dims_at, fmt::format("has {} dimensions, expected 1 to 4", tensor.dims));
  uint64_t numbers = 1;
  for (uint32_t i = 0; i < tensor.dims; i++) {
    const uint64_t dim_at = cursor.offset();
    tensor.shape[i] = cursor.read<uint64_t>("a dimension of a tensor");
    if (tensor.shape[i] == 0) fail(dim_at, fmt::format("dimension {} is 0, expected at least 1", i));
    if (__builtin_mul_overflow(numbers, tensor.shape[i], &numbers) || numbers > uint64_t(1) << 62)
      fail(dim_at,
           fmt::format("dimension {} is {}, which makes more elements than any file can hold", i, tensor.shape[i]));
  }
  const uint64_t type_at = cursor.offset();
  tensor.type = cursor.read<uint32_t>("the type of a tensor");
  const auto* const info = sluice_gguf_type_info(tensor.type);
  if (!info) fail(type_at, unknown_type(tensor.type));
  if (tensor.shape[0] % info->block != 0)
    fail(dims_at, fmt::format("has rows of {} numbers, expected a multiple of the {} numbers in a block of {}",
                              tensor.shape[0], info->block, info->name));
  if (__builtin_mul_overflow(numbers / info->block, uint64_t(info->bytes), &tensor.bytes))
    fail(dims_at, "has more bytes than any file can hold");
  tensor.offset = cursor.read<uint64_t>("the offset of a tensor");
  return tensor;
}

uint32_t read_header(Cursor& cursor) {
  const uint32_t magic = cursor.read<uint32_t>("the magic number");
  if (magic != GgufFile::kMagic) {
    const std::string_view found(reinterpret_cast<const char*>(&magic), 4);
    cursor.fail(0, fmt::format("starts with \"{}\", expected \"GGUF\": this is no GGUF file", printable(found)));
  }
  const uint32_t version = cursor.read<uint32_t>("the version");
  if (version == 2 || version == 3) return version;
  if (version == 1)
    cursor.fail(4, "GGUF version 1 (of August 2023) is not supported: convert the model again to version 3");
  if (version != 0 && __builtin_bswap32(version) <= 3)
    cursor.fail(4, fmt::format("this is a big-endian GGUF file (version {}): only little endian is supported",
                               __builtin_bswap32(version)));
  cursor.fail(4, fmt::format("GGUF version {} is not supported, expected 2 or 3", version));
}

template <class T, class Name>
void check_unique(const std::filesystem::path& path, const std::vector<T>& items, std::string_view what, Name name) {
  std::vector<std::string_view> names;
  names.reserve(items.size());
  for (const T& item : items) names.push_back(name(item));
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end())
    throw Error(fmt::format("{}: {} \"{}\" occurs twice", path.string(), what, printable(*twice)));
}

}  // namespace

GgufFile::GgufFile(const std::filesystem::path& path) : file_(path) {
  Cursor cursor(file_);
  version_ = read_header(cursor);
  const uint64_t tensor_count = cursor.read<uint64_t>("the number of tensors");
  const uint64_t entry_count = cursor.read<uint64_t>("the number of keys");
  if (tensor_count > cursor.left() / kLeastTensor)
    cursor.fail(8, fmt::format("claims {} tensors, but only {} bytes follow", tensor_count, cursor.left()));
  if (entry_count > cursor.left() / kLeastEntry)
    cursor.fail(16, fmt::format("claims {} keys, but only {} bytes follow", entry_count, cursor.left()));
  for (uint64_t i = 0; i < entry_count; i++) entries_.push_back(read_entry(cursor));
  check_unique(path, entries_, "key", [](const GgufEntry& entry) { return entry.key; });
  for (uint64_t i = 0; i < tensor_count; i++) tensors_.push_back(read_tensor(cursor));
  check_unique(path, tensors_, "tensor", [](const GgufTensor& tensor) { return tensor.name; });

  if (const GgufEntry* const entry = find("general.alignment")) {
    const uint32_t value = unsigned_value("general.alignment").value();
    if (value < 8 || !std::has_single_bit(value))
      fail(*entry, fmt::format("is {}, expected a power of two from 8 on", value));
    alignment_ = value;
  }
  data_offset_ = (cursor.offset() + alignment_ - 1) / alignment_ * alignment_;
  check_data();
}

void GgufFile::check_data() {
  const uint64_t data_bytes = file_.size() > data_offset_ ? file_.size() - data_offset_ : 0;
  const auto fail_tensor = [&](const GgufTensor& tensor, const std::string& message) {
    throw Error(fmt::format("{}: tensor \"{}\": {}", path().string(), printable(tensor.name), message));
  };
  for (GgufTensor& tensor : tensors_) {
    if (tensor.offset % alignment_ != 0)
      fail_tensor(tensor,
                  fmt::format("its data offset {} is not a multiple of the alignment {}", tensor.offset, alignment_));
    if (tensor.offset > data_bytes || tensor.bytes > data_bytes - tensor.offset)
      fail_tensor(tensor,
                  fmt::format("its {} bytes at data offset {} end beyond the file, whose data are bytes {} to {}: "
                              "the file is truncated or damaged",
                              tensor.bytes, tensor.offset, data_offset_, file_.size()));
    tensor.offset += data_offset_;
  }
  std::vector<const GgufTensor*> by_offset;
  by_offset.reserve(tensors_.size());
  for (const GgufTensor& tensor : tensors_) by_offset.push_back(&tensor);
  std::sort(by_offset.begin(), by_offset.end(), [](auto* a, auto* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < by_offset.size(); i++) {
    const GgufTensor &before = *by_offset[i - 1], &after = *by_offset[i];
    if (before.offset + before.bytes > after.offset)
      fail_tensor(after, fmt::format("its bytes from {} on overlap tensor \"{}\", which ends at byte {}", after.offset,
                                     printable(before.name), before.offset + before.bytes));
  }
}

}  // namespace sluice
