// What the cpu backend's products promise beyond the checks of all backends (backend_contract_test.cpp): the file's
// very numbers, no byte more than the file has, weights left in place, codes at their ends.
#include "tests/backend_fixture.h"

namespace sluice::testing {
namespace {

Mat multiply(Cpu& cpu, sluice_queue* queue, const Weight& w, Mat& x) {
  Mat out(x.rows, w.values.rows);
  const sluice_mat in = x.view(), to = out.view();
  cpu.check(cpu.table->matmul(cpu.self, queue, &in, w.weight, &to));
  return out;
}

class Matmul : public ::testing::TestWithParam<uint32_t> {};

std::string type_name(const ::testing::TestParamInfo<uint32_t>& info) {
  return sluice_gguf_type_info(info.param)->name;
}
INSTANTIATE_TEST_SUITE_P(AllTypes, Matmul, ::testing::ValuesIn(all_types()), type_name);

// The exact kernels multiply by the very numbers of the file: a unit vector picks one column.
TEST_P(Matmul, ExactWeightsAreTheFilesNumbers) {
  for (const std::string& isa : usable_isas()) {
    Cpu cpu({1, isa, "", true});
    const uint32_t cols = 256, rows = 33;
    const Weight w(cpu, GetParam(), rows, cols, 13);
    Mat unit(cols, cols);
    for (uint32_t c = 0; c < cols; c++) unit.row(c)[c] = 1;
    const Mat got = multiply(cpu, cpu.exact, w, unit);
    for (uint32_t c = 0; c < cols; c++) {
      for (uint32_t r = 0; r < rows; r++) ASSERT_EQ(got.row(c)[r], w.values.row(r)[c]) << isa << " " << r << "," << c;
    }
  }
}

TEST_P(Matmul, TakesNoByteMoreThanTheFile) {
  Cpu cpu;
  const Weight even(cpu, GetParam(), 48, 256, 1), odd(cpu, GetParam(), 33, 256, 1);
  EXPECT_EQ(cpu.table->weight_bytes(cpu.self, even.weight), even.file.size());
  EXPECT_EQ(cpu.table->weight_bytes(cpu.self, odd.weight), odd.file.size() / 33 * 48);  // whole panels of 16 rows
}

// Weights left in the file give the same bits as repacked ones, and take no memory.
TEST_P(Matmul, WithoutRepackingTheSameBits) {
  Cpu packed({2, "auto", "", true}), in_place({2, "auto", "", false});
  const uint32_t rows = 83, cols = 512;
  const std::vector<uint8_t> bytes = random_weights(GetParam(), rows, cols, 7);
  const Weight w(packed, GetParam(), rows, cols, 7);
  sluice_weight* left = nullptr;
  in_place.check(
      in_place.table->weight_create(in_place.self, GetParam(), rows, cols, bytes.data(), bytes.size(), &left));
  EXPECT_EQ(in_place.table->weight_bytes(in_place.self, left), 0u);
  for (uint32_t batch : {1u, 70u}) {
    Mat x = random_mat(batch, cols, batch), out(batch, rows);
    const sluice_mat in = x.view(), to = out.view();
    in_place.check(in_place.table->matmul(in_place.self, in_place.fast, &in, left, &to));
    EXPECT_EQ(out.data, multiply(packed, packed.fast, w, x).data);
    in_place.check(in_place.table->matmul(in_place.self, in_place.exact, &in, left, &to));
    EXPECT_EQ(out.data, multiply(packed, packed.exact, w, x).data);
  }
  const uint32_t token = 82;
  Mat row(1, cols);
  const sluice_mat to = row.view();
  in_place.check(in_place.table->embed(in_place.self, in_place.fast, left, &token, &to));
  EXPECT_TRUE(std::equal(row.row(0), row.row(1), w.values.row(82)));
  in_place.table->weight_destroy(in_place.self, left);
}

TEST_P(Matmul, OneRowIsAVector) {
  Cpu cpu;
  const Weight w(cpu, GetParam(), 1, 256, 9);
  EXPECT_EQ(cpu.table->weight_bytes(cpu.self, w.weight), 1024u);
}

TEST(MatmulFast, LargestCodesDoNotSaturate) {  // all products have one sign and the largest magnitude
  for (const std::string& isa : usable_isas()) {
    Cpu cpu({1, isa, "", true});
    for (uint32_t type : {SLUICE_GGUF_Q4_0, SLUICE_GGUF_Q5_1, SLUICE_GGUF_Q8_0, SLUICE_GGUF_Q6_K, SLUICE_GGUF_Q2_K}) {
      for (int fill : {0xFF, 0x80, 0x7F, 0x00}) {
        const sluice_gguf_type* info = sluice_gguf_type_info(type);
        const uint32_t rows = 16, cols = 256;
        std::vector<uint8_t> bytes(size_t(rows) * cols / info->block * info->bytes, uint8_t(fill));
        for (size_t i = 0; i < bytes.size(); i += info->bytes) {
          uint8_t* b = bytes.data() + i;
          if (type == SLUICE_GGUF_Q6_K) {
            put_half(reinterpret_cast<sluice_q6_k*>(b)->d, 0.5f);
          } else if (type == SLUICE_GGUF_Q2_K) {
            put_half(reinterpret_cast<sluice_q2_k*>(b)->d, 0.5f);
            put_half(reinterpret_cast<sluice_q2_k*>(b)->dmin, 0);
          } else {
            put_half(b, 0.5f);
            if (type == SLUICE_GGUF_Q5_1) put_half(b + 2, 0);
          }
        }
        Mat values(rows, cols);
        sluice_gguf_dequantize(type, bytes.data(), values.data.size(), values.data.data());
        sluice_weight* w = nullptr;
        cpu.check(cpu.table->weight_create(cpu.self, type, rows, cols, bytes.data(), bytes.size(), &w));
        for (float sign : {1.0f, -1.0f}) {
          Mat x(1, cols), out(1, rows);
          for (float& e : x.data) e = sign * 127;  // quantized without error
          const sluice_mat in = x.view(), to = out.view();
          cpu.check(cpu.table->matmul(cpu.self, cpu.fast, &in, w, &to));
          double want = 0;
          for (uint32_t c = 0; c < cols; c++) want += double(values.row(5)[c]) * x.data[c];
          EXPECT_FLOAT_EQ(out.data[5], float(want)) << isa << " " << info->name << " filled with " << fill;
        }
        cpu.table->weight_destroy(cpu.self, w);
      }
    }
  }
}

TEST(MatmulErrors, SayWhatIsWrong) {
  Cpu cpu;
  sluice_weight* w = nullptr;
  const std::vector<uint8_t> bytes(4096);
  const auto message = [&](uint32_t type, uint32_t rows, uint32_t cols, uint64_t size) -> std::string {
    try {
      cpu.check(cpu.table->weight_create(cpu.self, type, rows, cols, bytes.data(), size, &w));
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_EQ(cpu.table->weight_type(cpu.self, 23), 0);
  EXPECT_EQ(cpu.table->weight_type(cpu.self, SLUICE_GGUF_Q4_K), 1);
  EXPECT_NE(message(23, 1, 256, 100).find("tensor type 23 is not supported"), std::string::npos);
  EXPECT_NE(message(SLUICE_GGUF_Q4_0, 2, 40, 40).find("blocks of 32"), std::string::npos);
  EXPECT_NE(message(SLUICE_GGUF_Q4_0, 2, 64, 71).find("has 72 bytes, not 71"), std::string::npos);
  EXPECT_NE(message(SLUICE_GGUF_F32, 0, 64, 0).find("0 rows"), std::string::npos);

  const Weight good(cpu, SLUICE_GGUF_F32, 20, 10, 1);
  Mat x(2, 11), out(2, 20);
  const sluice_mat in = x.view(), to = out.view();
  EXPECT_THROW(cpu.check(cpu.table->matmul(cpu.self, cpu.exact, &in, good.weight, &to)), Error);
  const uint32_t token = 20;
  Mat row(1, 10);
  const sluice_mat embedded = row.view();
  EXPECT_THROW(cpu.check(cpu.table->embed(cpu.self, cpu.exact, good.weight, &token, &embedded)), Error);
}

}  // namespace
}  // namespace sluice::testing
