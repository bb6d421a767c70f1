// The quantizers on the real model's matrices against what a peer's quantizers leave on the same numbers
// (scripts/make_peer_rmse_data.py).
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/file.h"
#include "core/model/model_file.h"
#include "core/quant/quantize.h"
#include "sluice/gguf_types.h"
#include "support/shared_data.h"

namespace sluice {
namespace {

TEST(QuantizeRealModel, LosesNoMoreThanThePeer) {
  SLUICE_NEED_REAL_MODEL(path);
  const nlohmann::json figures =
      nlohmann::json::parse(read_file(std::string(SLUICE_TEST_DATA) + "/quant/peer_rmse.json"));
  const auto model = ModelFile::open(path);
  size_t compared = 0;
  for (const auto& [name, peers] : figures.items()) {
    if (name == "bell") continue;
    const Tensor& tensor = model->tensor(name);
    const size_t n = size_t(tensor.rows * tensor.cols) / 256 * 256;
    std::vector<float> x(tensor.rows * tensor.cols), y(n);
    sluice_gguf_dequantize(tensor.type, tensor.data, x.size(), x.data());
    for (const auto& [type_name, peer] : peers.items()) {
      const uint32_t type = parse_weight_type(type_name);
      const sluice_gguf_type& info = *sluice_gguf_type_info(type);
      std::vector<uint8_t> blocks(n / info.block * info.bytes);
      quantize(type, x.data(), n, blocks.data());
      sluice_gguf_dequantize(type, blocks.data(), n, y.data());
      double error = 0, norm = 0;
      for (size_t i = 0; i < n; ++i) {
        error += (double(x[i]) - y[i]) * (double(x[i]) - y[i]);
        norm += double(x[i]) * x[i];
      }
      // The promise. Where the peer's error is 0, the numbers lie on the type's grid and ours must be rounding only.
      EXPECT_LE(std::sqrt(error / norm), 1.05 * peer.get<double>() + 1e-7) << name << " as " << type_name;
      ++compared;
    }
  }
  EXPECT_EQ(compared, 6u * 11u);
}

}  // namespace
}  // namespace sluice
