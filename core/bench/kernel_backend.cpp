// See kernel_parts.h: the kernels of a backend, through its table.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstring>

#include "core/bench/kernel_parts.h"
#include "sluice/gguf_types.h"

namespace sluice {
namespace {

using check::BackendProbe;
using check::Mat;

std::string lower(std::string text) {
  for (char& c : text) c = char(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// Copies of one matrix on the backend.
class WeightCopies {
 public:
  WeightCopies(BackendProbe& backend, uint32_t type, uint32_t rows, uint32_t cols, uint64_t copies)
      : backend_(backend), file_(check::random_weights(type, rows, cols, kKernelSeed)) {
    for (uint64_t i = 0; i < copies; i++) {
      sluice_weight* weight = nullptr;
      backend.check(backend.table->weight_create(backend.self, type, rows, cols, file_.data(), file_.size(), &weight),
                    "weight_create");
      weights.push_back(weight);
    }
  }
  WeightCopies(const WeightCopies&) = delete;
  ~WeightCopies() {
    for (sluice_weight* weight : weights) backend_.table->weight_destroy(backend_.self, weight);
  }
  uint64_t bytes() const {  // of a copy: as it lies on the device, or in the file where the backend works in it
    const uint64_t own = backend_.table->weight_bytes(backend_.self, weights[0]);
    return own ? own : file_.size();
  }
  std::vector<sluice_weight*> weights;

 private:
  BackendProbe& backend_;
  std::vector<uint8_t> file_;
};

// A layer's cache for one decoded token: K and V of every lane in segments, copy after copy.
class DenseLayers {
 public:
  DenseLayers(BackendProbe& backend, const KernelShape& shape) : backend_(backend), shape_(shape) {
    const uint64_t row = kKernelHeadDim, lane = shape.slots * row, side = shape.lanes * lane;
    copies = shape.copies(side * 2);
    Mat some = check::random_mat(1, uint32_t(lane), kKernelSeed);
    std::vector<uint16_t> halves(lane);
    for (uint64_t i = 0; i < lane; i++) halves[i] = sluice_to_half(some.data[i]);
    constexpr uint32_t kSegment = 256;
    for (uint64_t copy = 0; copy < copies; copy++) {
      std::vector<sluice_span> spans;
      std::vector<sluice_lane> lanes(shape.lanes);
      for (uint32_t h = 0; h < shape.lanes; h++) {
        lanes[h].slots = shape.slots;
        for (const uint32_t which : {SLUICE_KEY, SLUICE_VALUE}) {
          auto* const rows = backend.put(halves, true);
          (which == SLUICE_KEY ? lanes[h].k_first : lanes[h].v_first) = uint32_t(spans.size());
          for (uint32_t first = 0; first < shape.slots; first += kSegment)
            spans.push_back({rows + first * row, nullptr, first, std::min(kSegment, shape.slots - first)});
        }
        lanes[h].k_count = lanes[h].v_count = uint32_t(spans.size()) / (2 * (h + 1));
      }
      spans_.push_back(backend.put(spans, true)), lanes_.push_back(backend.put(lanes, true));
    }
    std::vector<uint32_t> positions(shape.slots);
    for (uint32_t s = 0; s < shape.slots; s++) positions[s] = s;
    slot_pos_ = backend.put(positions, true);
    position = backend.put(std::vector<uint32_t>{shape.slots - 1}, true);
    part_ = backend.put(std::vector<sluice_part>{{0, 1, 1, 0}}, true);
    const auto lasting = [&](const Mat& m) { return sluice_mat{backend.put(m.data, true), m.rows, m.cols}; };
    q = lasting(check::random_mat(1, shape.lanes * kKernelHeadDim, kKernelSeed + 1));
    out = lasting(Mat(1, shape.lanes * kKernelHeadDim));
    scores = lasting(check::random_mat(shape.lanes, shape.slots, kKernelSeed + 2)).data;
  }
  sluice_group group(size_t copy) const {
    return {1,     shape_.lanes, shape_.lanes, kKernelHeadDim,
            1,     shape_.slots, 256,          1 / std::sqrt(float(kKernelHeadDim)),
            part_, lanes_[copy], spans_[copy], slot_pos_};
  }

  uint64_t copies;
  sluice_mat q{}, out{};
  float* scores;
  const uint32_t* position;

 private:
  BackendProbe& backend_;
  KernelShape shape_;
  std::vector<const sluice_span*> spans_;
  std::vector<const sluice_lane*> lanes_;
  uint32_t* slot_pos_;
  const sluice_part* part_;
};

constexpr const char* kAttention[][2] = {{"f16_dot", "scores of a query and F16 rows of K"},
                                         {"softmax", "scores become weights"},
                                         {"f16_accumulate", "weights times F16 rows of V"},
                                         {"f16_attention", "the three of them fused"}};

}  // namespace

std::vector<KernelName> backend_kernels(const BackendProbe& backend, const KernelShape& s, bool exact) {
  std::vector<KernelName> names;
  for (const char* kind : {"gemv", "gemm"})
    for (const uint32_t type : check::all_types()) {
      if (!backend.table->weight_type(backend.self, type)) continue;
      const std::string type_name = check::type_name(type);
      const bool integers = !exact && !check::is_float_type(type);
      names.push_back({lower(type_name) + "_" + kind,
                       fmt::format("{} x {} {} weights, {} row(s) of {} activations", s.width, s.width, type_name,
                                   kind == std::string_view("gemv") ? 1 : s.prompt, integers ? "8-bit" : "float")});
    }
  names.push_back({"rmsnorm", fmt::format("a row of {}", s.width)});
  names.push_back({"silu_mul", fmt::format("a row of {}", s.width)});
  for (const auto& [name, what] : kAttention)
    names.push_back({name, fmt::format("{}: {} lanes of {} x {}", what, s.lanes, s.slots, kKernelHeadDim)});
  return names;
}

KernelCall make_matmul(BackendProbe& backend, const KernelShape& shape, bool exact, const std::string& name) {
  const bool gemm = name.ends_with("_gemm");
  uint32_t type = 0;
  for (const uint32_t each : check::all_types())
    if (name.starts_with(lower(check::type_name(each)) + "_gem")) type = each;
  const uint32_t n = shape.width, rows = gemm ? shape.prompt : 1;
  const sluice_gguf_type* info = sluice_gguf_type_info(type);
  const uint64_t file_bytes = uint64_t(n) * n / info->block * info->bytes;
  const auto weights = std::make_shared<WeightCopies>(backend, type, n, n, gemm ? 1 : shape.copies(file_bytes));
  const Mat activations = check::random_mat(rows, n, kKernelSeed);
  const sluice_mat x{backend.put(activations.data, true), rows, n};
  const sluice_mat out{backend.put(Mat(rows, n).data, true), rows, n};
  KernelCall kernel{name, 2.0 * n * n * rows, !exact && !check::is_float_type(type), double(weights->bytes()), {}};
  kernel.call = [&backend, weights, x, out, exact, turn = size_t(0)]() mutable {
    const sluice_weight* w = weights->weights[next_copy(turn, weights->weights.size())];
    backend.instance().call("matmul", backend.table->matmul, backend.queue(exact), &x, w, &out);
  };
  return kernel;
}

KernelCall make_row_kernel(BackendProbe& backend, const KernelShape& shape, const std::string& name) {
  const uint32_t n = shape.width;
  const auto row = [&](uint64_t seed) {
    return sluice_mat{backend.put(check::random_mat(1, n, kKernelSeed + seed).data, true), 1, n};
  };
  const sluice_mat a = row(1), b = row(2), out = row(3);
  KernelCall kernel{name, 0, false, 2.0 * n * sizeof(float), {}};
  if (name == "silu_mul") {
    kernel.call = [&backend, a, b, out] {
      backend.instance().call("silu_mul", backend.table->silu_mul, backend.fast, &a, &b, &out);
    };
    return kernel;
  }
  const auto gain = std::make_shared<WeightCopies>(backend, SLUICE_GGUF_F32, 1, n, 1);
  kernel.call = [&backend, gain, a, out] {
    backend.instance().call("rmsnorm", backend.table->rmsnorm, backend.fast, &a, gain->weights[0], 1e-5f, &out);
  };
  return kernel;
}

KernelCall make_attention_kernel(BackendProbe& backend, const KernelShape& shape, const std::string& name) {
  const auto layers = std::make_shared<DenseLayers>(backend, shape);
  const double scores = double(shape.lanes) * shape.slots, side = scores * kKernelHeadDim;
  KernelCall kernel{name, 2 * side, false, 2 * side, {}};  // an F16 number has two bytes, and two operations
  // f(group) for the next copy.
  const auto on_next = [layers](auto f) {
    return [layers, f, turn = size_t(0)]() mutable {
      const sluice_group group = layers->group(next_copy(turn, layers->copies));
      f(group, *layers);
    };
  };
  const uint32_t lanes = shape.lanes;
  if (name == "f16_dot") {
    kernel.call = on_next([&backend, lanes](const sluice_group& group, const DenseLayers& on) {
      backend.instance().call("attn_scores", backend.table->attn_scores, backend.fast, &group, 0u, lanes, &on.q,
                              on.scores);
    });
  } else if (name == "softmax") {
    kernel.operations = 0, kernel.bytes = scores * sizeof(float);
    kernel.call = on_next([&backend, lanes](const sluice_group& group, const DenseLayers& on) {
      backend.instance().call("attn_softmax", backend.table->attn_softmax, backend.fast, &group, 0u, lanes, on.position,
                              on.scores, nullptr, nullptr);
    });
  } else if (name == "f16_accumulate") {
    kernel.call = on_next([&backend, lanes](const sluice_group& group, const DenseLayers& on) {
      backend.instance().call("attn_mix", backend.table->attn_mix, backend.fast, &group, 0u, lanes, on.scores, &on.out);
    });
  } else {
    kernel.operations *= 2, kernel.bytes *= 2;
    kernel.call = on_next([&backend](const sluice_group& group, const DenseLayers& on) {
      backend.instance().call("attention", backend.table->attention, backend.fast, &group, &on.q, on.position, nullptr,
                              nullptr, &on.out);
    });
  }
  return kernel;
}

}  // namespace sluice
