// How weights lie in memory once loaded: 16 output rows are interleaved, so that a vector holds the same column of
// all 16 and nothing is ever summed across a vector. Shared by the repacking in weights.cpp and by the kernels.
//
// A *panel* is 16 rows of a matrix, a *unit* is what one block of the file becomes for these 16 rows: as many bytes as
// 16 such blocks have. A unit is a header with scales, then for each 32 of its columns the codes, cut into planes:
//
//   nibbles  4 lines   byte 4 r + c of line i: code[r][4 i + c] (low) and code[r][4 (i + 4) + c] (high)
//   pairs    2 lines   byte 4 r + c of line k: two bits, from the lowest up, of code[r][4 (4 k + i) + c], i = 0 .. 3
//   bits     1 line    byte 4 r + c: bit g is one of code[r][4 g + c]
//   bytes    8 lines   byte 4 r + c of line g: code[r][4 g + c]
//
// A line is 64 bytes, r a row below 16, c a column below 4, g one of the 8 groups of 4 columns. Headers:
//
//   d      F16 [16]      m or dmin, where the type has one: F16 [16]
//   six    for each two of the 32-column blocks: [16] low nibbles of two 6-bit numbers of the first block, the same of
//          the second, [16] their four pairs of high bits. The two numbers are scale and min (Q4_K, Q5_K) or the scales
//          of the block's two halves (Q3_K)
//   bytes  [sub-block][16]: scale, or scale (low nibble) and min (high)
//
// F32, F16 and BF16 panels are [cols][16].
#pragma once

#include <cstdint>

#include "sluice/gguf_types.h"

namespace sluice::cpu {

inline constexpr uint32_t kPanelRows = 16;
inline constexpr uint32_t kBlockColumns = 32;
inline constexpr uint32_t kLine = 64;  // bytes: 16 rows x 4 columns

enum class Scales : uint8_t { kPlain, kSixBitMins, kSixBitHalves, kBytes, kNibbles };

struct Layout {
  uint32_t type;                     // SLUICE_GGUF_...
  uint32_t columns;                  // of a unit; 1 for the float types
  uint32_t bytes;                    // of one row's block in the file
  bool nibbles, pairs, bits, whole;  // planes
  bool min;                          // x = scale * code + min, else x = scale * (code - offset)
  bool halves;                       // a scale for every 16 columns instead of 32
  bool table;                        // codes are indices into IQ4_NL's table
  int32_t offset;
  Scales scales;

  constexpr uint32_t blocks() const { return columns / kBlockColumns; }
  constexpr uint32_t plane_bytes() const { return kLine * (4 * nibbles + 2 * pairs + 1 * bits + 8 * whole); }
  constexpr uint32_t unit_bytes() const { return kPanelRows * bytes; }
  constexpr uint32_t scales_at() const { return min ? 64 : 32; }  // behind d and dmin
  constexpr uint32_t codes_at() const { return unit_bytes() - blocks() * plane_bytes(); }
  // How many bits an unsigned code has; 8 stands for signed bytes.
  constexpr uint32_t code_bits() const { return whole || table ? 8 : 4u * nibbles + 2u * pairs + bits; }
};

inline constexpr Layout kF32{SLUICE_GGUF_F32, 1, 4, 0, 0, 0, 0, 0, 0, 0, 0, Scales::kPlain};
inline constexpr Layout kF16{SLUICE_GGUF_F16, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, Scales::kPlain};
inline constexpr Layout kBF16{SLUICE_GGUF_BF16, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, Scales::kPlain};
inline constexpr Layout kQ4_0{SLUICE_GGUF_Q4_0, 32, 18, 1, 0, 0, 0, 0, 0, 0, 8, Scales::kPlain};
inline constexpr Layout kQ4_1{SLUICE_GGUF_Q4_1, 32, 20, 1, 0, 0, 0, 1, 0, 0, 0, Scales::kPlain};
inline constexpr Layout kQ5_0{SLUICE_GGUF_Q5_0, 32, 22, 1, 0, 1, 0, 0, 0, 0, 16, Scales::kPlain};
inline constexpr Layout kQ5_1{SLUICE_GGUF_Q5_1, 32, 24, 1, 0, 1, 0, 1, 0, 0, 0, Scales::kPlain};
inline constexpr Layout kQ8_0{SLUICE_GGUF_Q8_0, 32, 34, 0, 0, 0, 1, 0, 0, 0, 0, Scales::kPlain};
inline constexpr Layout kIQ4_NL{SLUICE_GGUF_IQ4_NL, 32, 18, 1, 0, 0, 0, 0, 0, 1, 0, Scales::kPlain};
inline constexpr Layout kQ2_K{SLUICE_GGUF_Q2_K, 256, 84, 0, 1, 0, 0, 1, 1, 0, 0, Scales::kNibbles};
inline constexpr Layout kQ3_K{SLUICE_GGUF_Q3_K, 256, 110, 0, 1, 1, 0, 0, 1, 0, 4, Scales::kSixBitHalves};
inline constexpr Layout kQ4_K{SLUICE_GGUF_Q4_K, 256, 144, 1, 0, 0, 0, 1, 0, 0, 0, Scales::kSixBitMins};
inline constexpr Layout kQ5_K{SLUICE_GGUF_Q5_K, 256, 176, 1, 0, 1, 0, 1, 0, 0, 0, Scales::kSixBitMins};
inline constexpr Layout kQ6_K{SLUICE_GGUF_Q6_K, 256, 210, 1, 1, 0, 0, 0, 1, 0, 32, Scales::kBytes};

// All of them; the index is how kernels are looked up.
inline constexpr Layout kLayouts[] = {kF32,  kF16,    kBF16, kQ4_0, kQ4_1, kQ5_0, kQ5_1,
                                      kQ8_0, kIQ4_NL, kQ2_K, kQ3_K, kQ4_K, kQ5_K, kQ6_K};
inline constexpr uint32_t kLayoutCount = sizeof kLayouts / sizeof kLayouts[0];

inline constexpr uint32_t layout_index(uint32_t gguf_type) {  // kLayoutCount if there is none
  uint32_t i = 0;
  while (i < kLayoutCount && kLayouts[i].type != gguf_type) i++;
  return i;
}

}  // namespace sluice::cpu
