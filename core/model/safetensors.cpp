// See safetensors.h. The header is JSON; it is parsed event by event, so that a header of any other shape is
// refused at its first wrong character instead of being built up in memory.
#include "core/model/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "core/base/error.h"
#include "core/base/text.h"

namespace sluice {
namespace {

constexpr uint64_t kMaxHeader = 100'000'000;  // the format's own limit
constexpr size_t kMaxDims = 8;

struct DataType {
  std::string_view name;
  uint32_t bytes;
};

constexpr std::array<DataType, 14> kDataTypes = {{{"F64", 8},
                                                  {"F32", 4},
                                                  {"F16", 2},
                                                  {"BF16", 2},
                                                  {"I64", 8},
                                                  {"I32", 4},
                                                  {"I16", 2},
                                                  {"I8", 1},
                                                  {"U64", 8},
                                                  {"U32", 4},
                                                  {"U16", 2},
                                                  {"U8", 1},
                                                  {"BOOL", 1},
                                                  {"F8_E4M3", 1}}};

// {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ..., "__metadata__": {"key": "text", ...}}
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderReader(const std::filesystem::path& path, std::vector<SafetensorsTensor>& tensors)
      : path_(path), tensors_(tensors) {}

  bool start_object(std::size_t) override {
    if (state_ == State::kStart) return enter(State::kTop);
    if (state_ == State::kTensorValue) return enter(State::kTensor);
    if (state_ == State::kMetadataValue) return enter(State::kMetadata);
    unexpected("an object");
  }
  bool end_object() override {
    if (state_ == State::kTensor) {
      end_tensor();
      return enter(State::kTop);
    }
    return enter(state_ == State::kMetadata ? State::kTop : State::kEnd);
  }
  bool key(std::string& text) override {
    if (state_ == State::kTop) {
      if (!names_.insert(text).second) fail(fmt::format("tensor \"{}\" occurs twice in the header", printable(text)));
      if (text == "__metadata__") return enter(State::kMetadataValue);
      tensors_.emplace_back().name = std::move(text);
      seen_ = 0;
      return enter(State::kTensorValue);
    }
    if (state_ == State::kMetadata) return true;
    for (uint32_t i = 0; i < kFields.size(); i++) {
      if (text != kFields[i]) continue;
      if (seen_ & 1u << i) fail_tensor(fmt::format("has \"{}\" twice", text));
      seen_ |= 1u << i;
      return enter(kFieldStates[i]);
    }
    fail_tensor(fmt::format("has a field \"{}\", expected dtype, shape and data_offsets", printable(text)));
  }
  bool string(std::string& text) override {
    if (state_ == State::kMetadata) return true;
    if (state_ != State::kDtype) unexpected("a string");
    tensors_.back().dtype = std::move(text);
    return enter(State::kTensor);
  }
  bool start_array(std::size_t) override {
    if (state_ == State::kShape) return enter(State::kShapeItems);
    if (state_ == State::kOffsets) return enter(State::kOffsetItems);
    unexpected("an array");
  }
  bool end_array() override { return enter(State::kTensor); }
  bool number_unsigned(number_unsigned_t number) override {
    if (state_ == State::kShapeItems) {
      if (tensors_.back().shape.size() == kMaxDims) fail_tensor(fmt::format("has more than {} dimensions", kMaxDims));
      tensors_.back().shape.push_back(number);
      return true;
    }
    if (state_ != State::kOffsetItems || offset_count_ == 2) unexpected("a number");
    offsets_[offset_count_++] = number;
    return true;
  }
  bool null() override { unexpected("null"); }
  bool boolean(bool) override { unexpected("a boolean"); }
  bool number_integer(number_integer_t number) override { unexpected(fmt::format("the number {}", number)); }
  bool number_float(number_float_t, const std::string& text) override {
    unexpected(fmt::format("the number {}", printable(text)));
  }
  bool binary(nlohmann::json::binary_t&) override { unexpected("binary data"); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    fail(fmt::format("the header is not valid JSON at byte {}: {}", 8 + position, json_complaint(error.what())));
  }

 private:
  enum class State {
    kStart,
    kTop,
    kTensorValue,
    kTensor,
    kMetadataValue,
    kMetadata,
    kDtype,
    kShape,
    kShapeItems,
    kOffsets,
    kOffsetItems,
    kEnd
  };
  static constexpr std::array<std::string_view, 3> kFields = {"dtype", "shape", "data_offsets"};
  static constexpr std::array<State, 3> kFieldStates = {State::kDtype, State::kShape, State::kOffsets};

  bool enter(State state) {
    state_ = state;
    return true;
  }
  void end_tensor() {
    for (uint32_t i = 0; i < kFields.size(); i++)
      if (!(seen_ & 1u << i)) fail_tensor(fmt::format("has no \"{}\"", kFields[i]));
    if (offset_count_ != 2) fail_tensor(fmt::format("has {} data_offsets, expected 2", offset_count_));
    if (offsets_[0] > offsets_[1])
      fail_tensor(fmt::format("its data_offsets [{}, {}] run backwards", offsets_[0], offsets_[1]));
    tensors_.back().offset = offsets_[0];
    tensors_.back().bytes = offsets_[1] - offsets_[0];
    offset_count_ = 0;
  }
  [[noreturn]] void fail(const std::string& message) const {
    throw Error(fmt::format("{}: {}", path_.string(), message));
  }
  [[noreturn]] void fail_tensor(const std::string& message) const {
    fail(fmt::format("tensor \"{}\": {}", printable(tensors_.back().name), message));
  }
  [[noreturn]] void unexpected(std::string_view what) const {
    const std::string place =
        tensors_.empty() ? "before the first tensor" : fmt::format("at tensor \"{}\"", printable(tensors_.back().name));
    fail(fmt::format("the header holds {} where none belongs ({})", what, place));
  }

  const std::filesystem::path& path_;
  std::vector<SafetensorsTensor>& tensors_;
  std::unordered_set<std::string> names_;
  State state_ = State::kStart;
  uint32_t seen_ = 0;  // bit i: field i of the current tensor
  std::array<uint64_t, 2> offsets_{};
  uint32_t offset_count_ = 0;
};

uint64_t read_header_length(const MappedFile& file) {
  const auto fail = [&](const std::string& message) {
    throw Error(fmt::format("{}: {}", file.path().string(), message));
  };
  if (file.size() < 8) fail(fmt::format("is {} bytes long, too short for a safetensors file", file.size()));
  uint64_t length = 0;
  std::memcpy(&length, file.bytes().data(), sizeof length);
  if (length > kMaxHeader)
    fail(fmt::format("at byte 0: the header claims {} bytes, expected at most {}: this is no safetensors file", length,
                     kMaxHeader));
  if (length > file.size() - 8)
    fail(fmt::format("at byte 0: the header claims {} bytes, but only {} follow: the file is truncated or damaged",
                     length, file.size() - 8));
  return length;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(path) {
  const uint64_t header = read_header_length(file_);
  const auto* const text = reinterpret_cast<const char*>(file_.bytes().data()) + 8;
  HeaderReader reader(path, tensors_);
  nlohmann::json::sax_parse(text, text + header, &reader);

  const uint64_t data_offset = 8 + header, data_bytes = file_.size() - data_offset;
  const auto fail = [&](const SafetensorsTensor& tensor, const std::string& message) {
    throw Error(fmt::format("{}: tensor \"{}\": {}", path.string(), printable(tensor.name), message));
  };
  for (SafetensorsTensor& tensor : tensors_) {
    const auto type =
        std::find_if(kDataTypes.begin(), kDataTypes.end(), [&](const DataType& t) { return t.name == tensor.dtype; });
    if (type == kDataTypes.end())
      fail(tensor,
           fmt::format("has dtype \"{}\", which is not supported; supported: F32, F16, BF16", printable(tensor.dtype)));
    uint64_t bytes = type->bytes;
    for (const uint64_t size : tensor.shape)
      if (__builtin_mul_overflow(bytes, size, &bytes)) fail(tensor, "has a shape of more bytes than any file can hold");
    if (bytes != tensor.bytes)
      fail(tensor, fmt::format("is [{}] of {}, which takes {} bytes, but its data_offsets span {}",
                               fmt::join(tensor.shape, " x "), tensor.dtype, bytes, tensor.bytes));
    if (tensor.offset > data_bytes || tensor.bytes > data_bytes - tensor.offset)
      fail(tensor,
           fmt::format("its data_offsets [{}, {}] end beyond the file, which holds {} bytes of data: it is truncated "
                       "or damaged",
                       tensor.offset, tensor.offset + tensor.bytes, data_bytes));
  }
  std::sort(tensors_.begin(), tensors_.end(), [](const SafetensorsTensor& a, const SafetensorsTensor& b) {
    return a.offset != b.offset ? a.offset < b.offset : a.bytes < b.bytes;
  });
  // The format allows neither overlaps nor holes.
  uint64_t end = 0;
  for (SafetensorsTensor& tensor : tensors_) {
    if (tensor.offset < end)
      fail(tensor, fmt::format("its data from {} on overlap the tensor before, which ends at {}", tensor.offset, end));
    if (tensor.offset > end)
      fail(tensor,
           fmt::format("its data start at {}, but the tensor before ends at {}: bytes between belong to no tensor",
                       tensor.offset, end));
    end = tensor.offset + tensor.bytes;
    tensor.offset += data_offset;
  }
  if (end != data_bytes)
    throw Error(fmt::format("{}: {} bytes behind the last tensor belong to no tensor: the file is damaged",
                            path.string(), data_bytes - end));
}

}  // namespace sluice
