// Weights from the form they have in a file to panels (layout.h) and back, row by row. Works on 4 codes at a time, as
// the bytes of a 32-bit number; the layouts of the file are those of sluice/gguf_types.h.
#include <cstring>
#include <new>

#include "backends/cpu/cpu.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "GGUF files and panels are little-endian");

namespace sluice::cpu {
namespace {

uint32_t load_32(const void* p) {
  uint32_t x;
  std::memcpy(&x, p, 4);
  return x;
}
void store_32(void* p, uint32_t x) { std::memcpy(p, &x, 4); }

constexpr uint32_t kLow4 = 0x0F0F0F0Fu, kLow2 = 0x03030303u, kLow1 = 0x01010101u;

// ---- the file's blocks: codes of the 4 columns 32 block + 4 group + 0 .. 3 --------------------------

uint32_t nibbles_of(const uint8_t* codes, uint32_t group) {
  return load_32(codes + 4 * (group % 4)) >> 4 * (group / 4) & kLow4;
}
uint32_t fifth_bits(const uint8_t* high, uint32_t group) {
  const uint32_t four = load_32(high) >> 4 * group & 15u;
  return (four * 0x00204081u & kLow1) << 4;  // bit i to byte i
}
uint32_t codes_of(const sluice_q4_0& b, uint32_t, uint32_t group) { return nibbles_of(b.codes, group); }
uint32_t codes_of(const sluice_q4_1& b, uint32_t, uint32_t group) { return nibbles_of(b.codes, group); }
uint32_t codes_of(const sluice_iq4_nl& b, uint32_t, uint32_t group) { return nibbles_of(b.codes, group); }
uint32_t codes_of(const sluice_q5_0& b, uint32_t, uint32_t group) {
  return nibbles_of(b.codes, group) | fifth_bits(b.high, group);
}
uint32_t codes_of(const sluice_q5_1& b, uint32_t, uint32_t group) {
  return nibbles_of(b.codes, group) | fifth_bits(b.high, group);
}
uint32_t codes_of(const sluice_q8_0& b, uint32_t, uint32_t group) { return load_32(b.codes + 4 * group); }
uint32_t codes_of(const sluice_q2_k& b, uint32_t block, uint32_t group) {
  return load_32(b.codes + 32 * (block / 4) + 4 * group) >> 2 * (block % 4) & kLow2;
}
uint32_t codes_of(const sluice_q3_k& b, uint32_t block, uint32_t group) {
  return (load_32(b.codes + 32 * (block / 4) + 4 * group) >> 2 * (block % 4) & kLow2) |
         (load_32(b.high + 4 * group) >> block & kLow1) << 2;
}
uint32_t codes_of(const sluice_q4_k& b, uint32_t block, uint32_t group) {
  return load_32(b.codes + 32 * (block / 2) + 4 * group) >> 4 * (block % 2) & kLow4;
}
uint32_t codes_of(const sluice_q5_k& b, uint32_t block, uint32_t group) {
  return (load_32(b.codes + 32 * (block / 2) + 4 * group) >> 4 * (block % 2) & kLow4) |
         (load_32(b.high + 4 * group) >> block & kLow1) << 4;
}
uint32_t codes_of(const sluice_q6_k& b, uint32_t block, uint32_t group) {
  const uint8_t* low = b.low + 64 * (block / 4) + 32 * (block % 2) + 4 * group;
  const uint8_t* high = b.high + 32 * (block / 4) + 4 * group;
  return (load_32(low) >> 4 * (block % 4 / 2) & kLow4) | (load_32(high) >> 2 * (block % 4) & kLow2) << 4;
}

// ---- headers: a row's part of a unit's header --------------------------------------------------------

template <class B>
void copy_d(const B& b, uint32_t row, uint8_t* unit) {
  std::memcpy(unit + 2 * row, b.d, 2);
}
void pack_six_bits(uint32_t block, uint32_t one, uint32_t two, uint32_t row, uint8_t* scales) {
  uint8_t* at = scales + 48 * (block / 2) + row;
  at[16 * (block % 2)] = uint8_t((one & 15) | (two & 15) << 4);
  at[32] = uint8_t(at[32] | (one >> 4 | two >> 4 << 2) << 4 * (block % 2));
}
template <Layout L, class B>
void pack_header(const B& b, uint32_t row, uint8_t* unit) {
  copy_d(b, row, unit);
  uint8_t* scales = unit + L.scales_at();
  if constexpr (requires { b.m; }) std::memcpy(unit + 32 + 2 * row, b.m, 2);
  if constexpr (requires { b.dmin; }) std::memcpy(unit + 32 + 2 * row, b.dmin, 2);
  if constexpr (L.scales == Scales::kSixBitMins) {
    for (uint32_t s = 0; s < 8; s++) {
      uint32_t scale, min;
      sluice_k_scale_min(b.scales, s, &scale, &min);
      pack_six_bits(s, scale, min, row, scales);
    }
  }
  if constexpr (L.scales == Scales::kSixBitHalves) {
    for (uint32_t s = 0; s < 8; s++) {
      pack_six_bits(s, sluice_q3_k_scale(b.scales, 2 * s), sluice_q3_k_scale(b.scales, 2 * s + 1), row, scales);
    }
  }
  if constexpr (L.scales == Scales::kBytes || L.scales == Scales::kNibbles) {
    for (uint32_t s = 0; s < 16; s++) scales[16 * s + row] = uint8_t(b.scales[s]);
  }
}

// ---- panels ---------------------------------------------------------------------------------------

// One row of the file becomes row `row` of a zeroed panel.
template <Layout L, class B>
void pack_row(const uint8_t* src, uint32_t cols, uint32_t row, uint8_t* panel) {
  static_assert(sizeof(B) == L.bytes);
  for (uint32_t first = 0; first < cols; first += L.columns, src += sizeof(B), panel += L.unit_bytes()) {
    const B& b = *reinterpret_cast<const B*>(src);
    pack_header<L>(b, row, panel);
    for (uint32_t block = 0; block < L.blocks(); block++) {
      uint32_t codes[8];
      for (uint32_t g = 0; g < 8; g++) codes[g] = codes_of(b, block, g);
      uint8_t* at = panel + L.codes_at() + block * L.plane_bytes() + 4 * row;
      if constexpr (L.whole) {
        for (uint32_t g = 0; g < 8; g++) store_32(at + kLine * g, codes[g]);
        at += 8 * kLine;
      }
      if constexpr (L.nibbles) {
        for (uint32_t i = 0; i < 4; i++) store_32(at + kLine * i, (codes[i] & kLow4) | (codes[i + 4] & kLow4) << 4);
        at += 4 * kLine;
      }
      if constexpr (L.pairs) {
        constexpr uint32_t place = L.nibbles ? 4 : 0;
        for (uint32_t k = 0; k < 2; k++) {
          uint32_t line = 0;
          for (uint32_t i = 0; i < 4; i++) line |= (codes[4 * k + i] >> place & kLow2) << 2 * i;
          store_32(at + kLine * k, line);
        }
        at += 2 * kLine;
      }
      if constexpr (L.bits) {
        constexpr uint32_t place = L.nibbles ? 4 : 2;
        uint32_t line = 0;
        for (uint32_t g = 0; g < 8; g++) line |= (codes[g] >> place & kLow1) << g;
        store_32(at, line);
      }
    }
  }
}

template <uint32_t bytes>
void pack_float_row(const uint8_t* src, uint32_t cols, uint32_t row, uint8_t* panel) {
  for (uint32_t c = 0; c < cols; c++)
    std::memcpy(panel + size_t(c) * kPanelRows * bytes + row * bytes, src + size_t(c) * bytes, bytes);
}

// What a header says of one row and sub-block.
struct RowScale {
  float scale, min;
};
template <Layout L>
RowScale row_scale(const uint8_t* unit, uint32_t block, uint32_t half, uint32_t row) {
  const float d = sluice_load_f16(unit + 2 * row);
  const float m = L.min ? sluice_load_f16(unit + 32 + 2 * row) : 0;
  const uint8_t* at = unit + L.scales_at();
  if constexpr (L.scales == Scales::kPlain) {
    return {d, m};
  } else if constexpr (L.scales == Scales::kSixBitMins || L.scales == Scales::kSixBitHalves) {
    const uint32_t low = at[48 * (block / 2) + 16 * (block % 2) + row];
    const uint32_t high = uint32_t(at[48 * (block / 2) + 32 + row]) >> 4 * (block % 2);
    const uint32_t one = (low & 15) | (high & 3) << 4, two = low >> 4 | (high >> 2 & 3) << 4;
    if constexpr (L.scales == Scales::kSixBitMins) return {d * float(one), -(m * float(two))};
    return {d * float(int32_t(half ? two : one) - 32), 0};
  } else {
    const uint8_t byte = at[16 * (2 * block + half) + row];
    if constexpr (L.scales == Scales::kBytes) return {d * float(int8_t(byte)), 0};
    return {d * float(byte & 15), -(m * float(byte >> 4))};
  }
}

template <Layout L>
void unpack_row(const uint8_t* panel, uint32_t cols, uint32_t row, float* out) {
  for (uint32_t first = 0; first < cols; first += L.columns, panel += L.unit_bytes()) {
    for (uint32_t block = 0; block < L.blocks(); block++) {
      const uint8_t* at = panel + L.codes_at() + block * L.plane_bytes() + 4 * row;
      const RowScale scales[2] = {row_scale<L>(panel, block, 0, row), row_scale<L>(panel, block, 1, row)};
      for (uint32_t g = 0; g < 8; g++) {
        const uint8_t* plane = at;
        uint32_t codes = 0;
        if constexpr (L.whole) codes = load_32(plane + kLine * g);
        if constexpr (L.nibbles) {
          codes = load_32(plane + kLine * (g % 4)) >> 4 * (g / 4) & kLow4;
          plane += 4 * kLine;
        }
        if constexpr (L.pairs) {
          codes |= (load_32(plane + kLine * (g / 4)) >> 2 * (g % 4) & kLow2) << (L.nibbles ? 4 : 0);
          plane += 2 * kLine;
        }
        if constexpr (L.bits) codes |= (load_32(plane) >> g & kLow1) << (L.nibbles ? 4 : 2);
        const RowScale& s = scales[L.halves ? g / 4 : 0];
        for (uint32_t c = 0; c < 4; c++) {
          int32_t code = int32_t(codes >> 8 * c & 0xFF) - L.offset;
          if constexpr (L.whole) code = int8_t(code);
          if constexpr (L.table) code = sluice_iq4_nl_table()[code];
          const float product = s.scale * float(code);
          *out++ = L.min ? product + s.min : product;
        }
      }
    }
  }
}

template <Layout L>
void unpack_float_row(const uint8_t* panel, uint32_t cols, uint32_t row, float* out) {
  for (uint32_t c = 0; c < cols; c++) {
    sluice_gguf_dequantize(L.type, panel + (size_t(c) * kPanelRows + row) * L.bytes, 1, out + c);
  }
}

struct RowCodec {
  void (*pack)(const uint8_t* src, uint32_t cols, uint32_t row, uint8_t* panel);
  void (*unpack)(const uint8_t* panel, uint32_t cols, uint32_t row, float* out);
};

// In the order of kLayouts.
constexpr RowCodec kRowCodecs[kLayoutCount] = {
    {pack_float_row<4>, unpack_float_row<kF32>},
    {pack_float_row<2>, unpack_float_row<kF16>},
    {pack_float_row<2>, unpack_float_row<kBF16>},
    {pack_row<kQ4_0, sluice_q4_0>, unpack_row<kQ4_0>},
    {pack_row<kQ4_1, sluice_q4_1>, unpack_row<kQ4_1>},
    {pack_row<kQ5_0, sluice_q5_0>, unpack_row<kQ5_0>},
    {pack_row<kQ5_1, sluice_q5_1>, unpack_row<kQ5_1>},
    {pack_row<kQ8_0, sluice_q8_0>, unpack_row<kQ8_0>},
    {pack_row<kIQ4_NL, sluice_iq4_nl>, unpack_row<kIQ4_NL>},
    {pack_row<kQ2_K, sluice_q2_k>, unpack_row<kQ2_K>},
    {pack_row<kQ3_K, sluice_q3_k>, unpack_row<kQ3_K>},
    {pack_row<kQ4_K, sluice_q4_k>, unpack_row<kQ4_K>},
    {pack_row<kQ5_K, sluice_q5_k>, unpack_row<kQ5_K>},
    {pack_row<kQ6_K, sluice_q6_k>, unpack_row<kQ6_K>},
};

uint64_t row_bytes(const Layout& layout, uint32_t cols) { return uint64_t(cols) / layout.columns * layout.bytes; }

// `to` is zeroed.
void pack_panel(const sluice_weight& w, const uint8_t* rows, uint32_t panel, uint8_t* to) {
  const uint64_t stride = row_bytes(kLayouts[w.layout], w.cols);
  const uint32_t first = panel * kPanelRows, count = w.rows - first < kPanelRows ? w.rows - first : kPanelRows;
  for (uint32_t r = 0; r < count; r++) kRowCodecs[w.layout].pack(rows + (first + r) * stride, w.cols, r, to);
}

}  // namespace

int32_t weight_type(void*, uint32_t gguf_type) { return layout_index(gguf_type) < kLayoutCount; }

sluice_status weight_create(void* self, uint32_t gguf_type, uint32_t rows, uint32_t cols, const void* data,
                            uint64_t bytes, sluice_weight** weight) {
  Backend& backend = backend_of(self);
  const uint32_t index = layout_index(gguf_type);
  if (index == kLayoutCount) {
    char known[160] = {};
    for (const Layout& l : kLayouts) {
      std::strcat(known, *known ? ", " : "");
      std::strcat(known, sluice_gguf_type_info(l.type)->name);
    }
    return fail(backend, SLUICE_UNSUPPORTED, "tensor type %u is not supported; the cpu backend knows %s", gguf_type,
                known);
  }
  const Layout& layout = kLayouts[index];
  const char* name = sluice_gguf_type_info(gguf_type)->name;
  if (rows == 0 || cols == 0 || cols % layout.columns != 0) {
    return fail(backend, SLUICE_INVALID, "a %s matrix of %u rows of %u columns: columns come in blocks of %u", name,
                rows, cols, layout.columns);
  }
  const uint64_t source_row = row_bytes(layout, cols);
  if (bytes / rows != source_row || bytes % rows != 0) {
    return fail(backend, SLUICE_INVALID, "a %s matrix of %u x %u has %llu bytes, not %llu", name, rows, cols,
                (unsigned long long)(source_row * rows), (unsigned long long)bytes);
  }
  const uint32_t panels = (rows + kPanelRows - 1) / kPanelRows;
  const uint64_t panel_bytes = source_row * kPanelRows;
  const bool in_place = rows > 1 && !backend.repack;
  const uint64_t allocated = rows == 1 ? uint64_t(cols) * sizeof(float) : in_place ? 0 : panels * panel_bytes;
  if (const sluice_status status = take(backend, allocated, "weights")) return status;
  void* memory = in_place ? nullptr : arena_allocate(backend, allocated);
  sluice_weight* w = memory || in_place ? new (std::nothrow) sluice_weight{} : nullptr;
  if (!w) {
    if (memory) arena_free(backend, memory);
    give_back(backend, allocated);
    return fail(backend, SLUICE_NO_MEMORY, "weights: the system refused %llu bytes", (unsigned long long)allocated);
  }
  *w = {index, rows, cols, panel_bytes, allocated, nullptr, nullptr, nullptr};
  *weight = w;
  const uint8_t* src = static_cast<const uint8_t*>(data);
  if (in_place) {
    w->file = src;
    return SLUICE_OK;
  }
  if (rows == 1) {
    w->vector = static_cast<float*>(memory);
    sluice_gguf_dequantize(gguf_type, src, cols, w->vector);
    return SLUICE_OK;
  }
  w->panels = static_cast<uint8_t*>(memory);
  parallel(backend, panels, [&](uint32_t p) { pack_panel(*w, src, p, w->panels + p * panel_bytes); });
  return SLUICE_OK;
}

void weight_destroy(void* self, sluice_weight* weight) {
  if (!weight) return;
  Backend& backend = backend_of(self);
  if (!weight->file) arena_free(backend, weight->vector ? static_cast<void*>(weight->vector) : weight->panels);
  give_back(backend, weight->bytes);
  delete weight;
}

uint64_t weight_bytes(void*, const sluice_weight* weight) { return weight->bytes; }

const uint8_t* weight_panel(const sluice_weight& weight, uint32_t panel, uint8_t* workspace) {
  if (weight.panels) return weight.panels + panel * weight.panel_bytes;
  std::memset(workspace, 0, weight.panel_bytes);
  pack_panel(weight, weight.file, panel, workspace);
  return workspace;
}

void weight_row(const sluice_weight& weight, uint32_t row, float* out) {
  if (weight.file) {
    const Layout& layout = kLayouts[weight.layout];
    sluice_gguf_dequantize(layout.type, weight.file + row * row_bytes(layout, weight.cols), weight.cols, out);
    return;
  }
  if (weight.vector) {
    std::memcpy(out, weight.vector, weight.cols * sizeof(float));
    return;
  }
  kRowCodecs[weight.layout].unpack(weight.panels + row / kPanelRows * weight.panel_bytes, weight.cols, row % kPanelRows,
                                   out);
}

}  // namespace sluice::cpu
