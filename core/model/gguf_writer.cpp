// See gguf_writer.h. Everything before the data is small and kept encoded in two strings; the data go straight to
// the file with zeros between tensors.
#include "core/model/gguf_writer.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "core/model/gguf.h"
#include "sluice/gguf_types.h"

namespace sluice {
namespace {

constexpr uint64_t kAlignment = GgufFile::kDefaultAlignment;

template <class T>
void append(std::string& to, const T& value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void append_string(std::string& to, std::string_view text) {
  append(to, uint64_t(text.size()));
  to += text;
}

std::string padding(uint64_t bytes) { return std::string((kAlignment - bytes % kAlignment) % kAlignment, '\0'); }

}  // namespace

void GgufWriter::begin_entry(std::string_view key, GgufType type) {
  assert(!head_written_);
  append_string(entries_, key);
  append(entries_, uint32_t(type));
  entry_count_++;
}

void GgufWriter::begin_array(std::string_view key, GgufType element, uint64_t count) {
  begin_entry(key, GgufType::kArray);
  append(entries_, uint32_t(element));
  append(entries_, count);
}

void GgufWriter::set(std::string_view key, bool value) {
  begin_entry(key, GgufType::kBool);
  append(entries_, uint8_t(value));
}

void GgufWriter::set(std::string_view key, uint32_t value) {
  begin_entry(key, GgufType::kUint32);
  append(entries_, value);
}

void GgufWriter::set(std::string_view key, int32_t value) {
  begin_entry(key, GgufType::kInt32);
  append(entries_, value);
}

void GgufWriter::set(std::string_view key, uint64_t value) {
  begin_entry(key, GgufType::kUint64);
  append(entries_, value);
}

void GgufWriter::set(std::string_view key, float value) {
  begin_entry(key, GgufType::kFloat32);
  append(entries_, value);
}

void GgufWriter::set(std::string_view key, double value) {
  begin_entry(key, GgufType::kFloat64);
  append(entries_, value);
}

void GgufWriter::set(std::string_view key, std::string_view value) {
  begin_entry(key, GgufType::kString);
  append_string(entries_, value);
}

void GgufWriter::set(std::string_view key, std::span<const std::string> values) {
  begin_array(key, GgufType::kString, values.size());
  for (const std::string& value : values) append_string(entries_, value);
}

void GgufWriter::set(std::string_view key, std::span<const float> values) {
  begin_array(key, GgufType::kFloat32, values.size());
  for (const float value : values) append(entries_, value);
}

void GgufWriter::set(std::string_view key, std::span<const int32_t> values) {
  begin_array(key, GgufType::kInt32, values.size());
  for (const int32_t value : values) append(entries_, value);
}

void GgufWriter::copy(const GgufEntry& entry) {
  if (entry.key == "general.alignment") return;
  begin_entry(entry.key, entry.type);
  entries_.append(reinterpret_cast<const char*>(entry.encoded.data()), entry.encoded.size());
}

uint64_t GgufWriter::add_tensor(std::string_view name, uint32_t type, std::span<const uint64_t> shape) {
  assert(!head_written_ && !shape.empty() && shape.size() <= 4);
  assert(sluice_gguf_type_info(type) && shape[0] % sluice_gguf_type_info(type)->block == 0);
  uint64_t bytes = sluice_gguf_row_bytes(type, shape[0]);
  for (const uint64_t size : shape.subspan(1)) bytes *= size;
  append_string(infos_, name);
  append(infos_, uint32_t(shape.size()));
  for (const uint64_t size : shape) append(infos_, size);
  append(infos_, type);
  append(infos_, data_bytes_);
  data_bytes_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  tensor_bytes_.push_back(bytes);
  return bytes;
}

void GgufWriter::write_head() {
  if (head_written_) return;
  head_written_ = true;
  std::string head;
  append(head, GgufFile::kMagic);
  append(head, uint32_t(3));
  append(head, uint64_t(tensor_bytes_.size()));
  append(head, entry_count_);
  file_.write(head);
  file_.write(entries_);
  file_.write(infos_);
  if (!tensor_bytes_.empty()) file_.write(padding(file_.written()));
}

void GgufWriter::end_tensor() {
  file_.write(padding(current_bytes_));
  current_++;
  current_bytes_ = 0;
}

void GgufWriter::write(std::span<const std::byte> bytes) {
  write_head();
  while (!bytes.empty()) {
    assert(current_ < tensor_bytes_.size());
    const uint64_t take = std::min<uint64_t>(bytes.size(), tensor_bytes_[current_] - current_bytes_);
    file_.write(bytes.first(take));
    bytes = bytes.subspan(take);
    current_bytes_ += take;
    if (current_bytes_ == tensor_bytes_[current_]) end_tensor();
  }
}

void GgufWriter::finish() {
  write_head();
  assert(current_ == tensor_bytes_.size());  // all bytes of all tensors were written
  file_.commit();
}

}  // namespace sluice
