// GGUF containers: what an independent program wrote is read, what is written is read back, and metadata can be
// copied from file to file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "core/model/gguf.h"
#include "core/model/gguf_writer.h"
#include "sluice/gguf_types.h"
#include "support/scratch_folder.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using testing::ScratchFolder;

// Made by tests/data/model/make_reference_gguf.py.
const std::filesystem::path kReference = SLUICE_TEST_DATA "/model/reference.gguf";

std::vector<float> values(const GgufFile& file, const GgufTensor& tensor) {
  const uint64_t count = tensor.shape[0] * tensor.shape[1] * tensor.shape[2] * tensor.shape[3];
  std::vector<float> result(count);
  sluice_gguf_dequantize(tensor.type, file.data(tensor).data(), count, result.data());
  return result;
}

TEST(Gguf, EveryKindOfValueIsRead) {
  const GgufFile file(kReference);
  EXPECT_EQ(file.version(), 3u);
  EXPECT_EQ(file.alignment(), 32u);
  EXPECT_EQ(file.data_offset(), 768u);
  EXPECT_EQ(file.text("general.architecture"), "llama");
  EXPECT_EQ(file.unsigned_value("t.u8"), 200u);
  EXPECT_EQ(file.unsigned_value("t.u16"), 60000u);
  EXPECT_EQ(file.unsigned_value("t.u32"), 4000000000u);
  EXPECT_EQ(file.number("t.i8"), -100);
  EXPECT_EQ(file.number("t.i16"), -30000);
  EXPECT_EQ(file.number("t.i32"), -2000000000);
  EXPECT_EQ(file.number("t.i64"), -0x1p62);
  EXPECT_EQ(file.number("t.f32"), double(0.1f));
  EXPECT_EQ(file.number("t.f64"), 0.1);
  EXPECT_EQ(file.boolean("t.yes"), true);
  EXPECT_EQ(file.boolean("t.no"), false);
  EXPECT_EQ(file.text("t.text"), "h\xC3\xA9llo \xE2\x96\x81");
  EXPECT_THAT(file.integers("t.ints").value(), ElementsAre(1, -2, 3));
  EXPECT_THAT(file.floats("t.floats").value(), ElementsAre(0.5f, -1.5f));
  EXPECT_THAT(file.texts("t.texts").value(), ElementsAre("a", "",
                                                         "\xE2\x96\x81"
                                                         "b"));
  EXPECT_EQ(file.text("t.absent"), std::nullopt);
  EXPECT_EQ(file.find("t.absent"), nullptr);
}

TEST(Gguf, ValuesOfAnotherTypeAreRefusedByKey) {
  const GgufFile file(kReference);
  EXPECT_THAT(error_of([&] { file.text("t.u8"); }).what(), HasSubstr("key \"t.u8\" (at byte"));
  EXPECT_THAT(error_of([&] { file.text("t.u8"); }).what(), HasSubstr("is UINT8, expected STRING"));
  EXPECT_THAT(error_of([&] { file.unsigned_value("t.i8"); }).what(),
              HasSubstr("is INT8 -100, expected an integer from 0"));
  EXPECT_THAT(error_of([&] { file.unsigned_value("t.u64"); }).what(), HasSubstr("9223372036854775813"));
  EXPECT_THAT(error_of([&] { file.unsigned_value("t.f32"); }).what(), HasSubstr("is FLOAT32 0.1"));
  EXPECT_THAT(error_of([&] { file.number("t.text"); }).what(), HasSubstr("expected a finite number"));
  EXPECT_THAT(error_of([&] { file.boolean("t.u8"); }).what(), HasSubstr("expected BOOL"));
  EXPECT_THAT(error_of([&] { file.texts("t.ints"); }).what(), HasSubstr("is ARRAY/INT32, expected ARRAY/STRING"));
  EXPECT_THAT(error_of([&] { file.floats("t.ints"); }).what(), HasSubstr("expected ARRAY/FLOAT32"));
  EXPECT_THAT(error_of([&] { file.integers("t.texts"); }).what(), HasSubstr("expected ARRAY/INT32"));
}

TEST(Gguf, ValuesAreDescribedForPeople) {
  const GgufFile file(kReference);
  const auto described = [&](std::string_view key) { return describe_value(*file.find(key)); };
  EXPECT_EQ(described("t.u64"), "9223372036854775813");
  EXPECT_EQ(described("t.f32"), "0.1");
  EXPECT_EQ(described("t.yes"), "true");
  EXPECT_EQ(described("t.texts"),
            "[\"a\", \"\", \"\xE2\x96\x81"
            "b\"]");
  EXPECT_EQ(described("t.bools"), "[true, false, true]");
  EXPECT_EQ(file.find("t.texts")->type_name(), "ARRAY/STRING");
}

TEST(Gguf, TensorsLieWhereTheFileSays) {
  const GgufFile file(kReference);
  ASSERT_EQ(file.tensors().size(), 5u);
  const GgufTensor& cube = file.tensors()[2];
  EXPECT_EQ(cube.name, "cube");
  EXPECT_EQ(cube.dims, 3u);
  EXPECT_THAT(cube.shape, ElementsAre(4, 3, 2, 1));
  EXPECT_EQ(cube.offset, 2688u);
  for (const GgufTensor& tensor : file.tensors()) {
    const std::vector<float> x = values(file, tensor);
    if (tensor.name == "vector") {
      EXPECT_THAT(x, ElementsAre(1.5f, 2.5f, 3.5f));
    } else if (tensor.name == "cube") {
      EXPECT_EQ(x[23], 23);
    } else {
      const float step = tensor.name == "q8" ? 20.0f / 127 : 0;  // of the block, whose largest magnitude is below 20
      EXPECT_NEAR(x[100], 100 / 8.0f - 20, step / 2);
    }
  }
}

TEST(Gguf, WrittenFileIsReadBack) {
  const ScratchFolder folder;
  GgufWriter writer(folder / "a.gguf");
  writer.set("general.architecture", "test");
  writer.set("a.bool", true);
  writer.set("a.u32", uint32_t(7));
  writer.set("a.i32", int32_t(-7));
  writer.set("a.u64", uint64_t(1) << 40);
  writer.set("a.f32", 0.25f);
  writer.set("a.f64", 0.1);
  const std::vector<std::string> texts = {"x", ""};
  const std::vector<float> floats = {1, 2, 3};
  const std::vector<int32_t> integers = {-1, 1};
  writer.set("a.texts", std::span<const std::string>(texts));
  writer.set("a.floats", std::span<const float>(floats));
  writer.set("a.integers", std::span<const int32_t>(integers));
  const uint64_t first[] = {3, 1}, second[] = {32, 2};
  EXPECT_EQ(writer.add_tensor("first", SLUICE_GGUF_F32, first), 12u);
  EXPECT_EQ(writer.add_tensor("second", SLUICE_GGUF_Q8_0, second), 68u);
  std::vector<std::byte> bytes(80);
  for (size_t i = 0; i < bytes.size(); i++) bytes[i] = std::byte(i);
  // Pieces need not end where tensors do.
  writer.write(std::span(bytes).first(5));
  writer.write(std::span(bytes).subspan(5, 40));
  writer.write(std::span(bytes).subspan(45));
  EXPECT_FALSE(std::filesystem::exists(folder / "a.gguf"));
  writer.finish();

  const GgufFile file(folder / "a.gguf");
  EXPECT_EQ(file.boolean("a.bool"), true);
  EXPECT_EQ(file.unsigned_value("a.u32"), 7u);
  EXPECT_EQ(file.number("a.i32"), -7);
  EXPECT_EQ(file.number("a.u64"), 0x1p40);
  EXPECT_EQ(file.number("a.f32"), 0.25);
  EXPECT_EQ(file.number("a.f64"), 0.1);
  EXPECT_EQ(file.texts("a.texts"), texts);
  EXPECT_EQ(file.floats("a.floats"), floats);
  EXPECT_EQ(file.integers("a.integers"), integers);
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(file.tensors()[1].type, uint32_t(SLUICE_GGUF_Q8_0));
  EXPECT_EQ(std::memcmp(file.data(file.tensors()[0]).data(), bytes.data(), 12), 0);
  EXPECT_EQ(std::memcmp(file.data(file.tensors()[1]).data(), bytes.data() + 12, 68), 0);
}

TEST(Gguf, CopiedMetadataIsTheSame) {
  const ScratchFolder folder;
  const GgufFile from(kReference);
  GgufWriter writer(folder / "a.gguf");
  for (const GgufEntry& entry : from.entries()) writer.copy(entry);
  writer.finish();
  const GgufFile to(folder / "a.gguf");
  ASSERT_EQ(to.entries().size(), from.entries().size());
  for (size_t i = 0; i < to.entries().size(); i++) {
    const GgufEntry &a = from.entries()[i], &b = to.entries()[i];
    EXPECT_EQ(a.key, b.key);
    EXPECT_EQ(a.type_name(), b.type_name());
    EXPECT_TRUE(std::equal(a.encoded.begin(), a.encoded.end(), b.encoded.begin(), b.encoded.end())) << a.key;
  }
}

TEST(Gguf, NothingIsLeftWithoutFinish) {
  const ScratchFolder folder;
  { GgufWriter(folder / "a.gguf").set("general.architecture", "test"); }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace sluice
