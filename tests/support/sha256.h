// SHA-256 for tests that compare long results by their published hash. Slow and plain.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace sluice::testing {

__extension__ using Uint128 = unsigned __int128;

inline std::string sha256(std::span<const uint8_t> bytes) {
  // The first 32 bits of the fractional parts of the cube (square) roots of the first primes, computed.
  static const auto kTables = [] {
    std::array<uint32_t, 72> tables{};  // [64] round constants, [8] initial state
    const auto fraction = [](unsigned prime, int power) {
      // The root scaled by 2^32, by bisection in exact integers.
      Uint128 low = 0, high = Uint128(prime) << 32;
      while (high - low > 1) {
        const Uint128 middle = (low + high) / 2;
        // middle^power against prime * 2^(32 power), without overflow: middle < 2^36 for the primes in use.
        const Uint128 square = middle * middle;
        const bool above = power == 2 ? square > (Uint128(prime) << 64) : square > ((Uint128(prime) << 96) / middle);
        (above ? high : low) = middle;
      }
      return uint32_t(low);
    };
    unsigned found = 0;
    for (unsigned n = 2; found < 64; ++n) {
      bool prime = true;
      for (unsigned d = 2; d * d <= n; ++d) prime = prime && n % d != 0;
      if (!prime) continue;
      tables[found] = fraction(n, 3);
      if (found < 8) tables[64 + found] = fraction(n, 2);
      ++found;
    }
    return tables;
  }();

  std::vector<uint8_t> padded(bytes.begin(), bytes.end());
  padded.push_back(0x80);
  while (padded.size() % 64 != 56) padded.push_back(0);
  for (int shift = 56; shift >= 0; shift -= 8) padded.push_back(uint8_t(uint64_t(bytes.size()) * 8 >> shift));

  std::array<uint32_t, 8> state;
  for (int i = 0; i < 8; ++i) state[i] = kTables[64 + i];
  for (size_t block = 0; block < padded.size(); block += 64) {
    std::array<uint32_t, 64> w{};
    for (size_t i = 0; i < 64; ++i) w[i / 4] |= uint32_t(padded[block + i]) << (24 - 8 * (i % 4));
    for (int i = 16; i < 64; ++i) {
      const uint32_t a = w[i - 15], b = w[i - 2];
      w[i] = w[i - 16] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) + w[i - 7] +
             (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
    }
    auto [a, b, c, d, e, f, g, h] = state;
    for (int i = 0; i < 64; ++i) {
      const uint32_t t1 =
          h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + ((e & f) ^ (~e & g)) + kTables[i] + w[i];
      const uint32_t t2 = (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    const std::array<uint32_t, 8> result = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; ++i) state[i] += result[i];
  }
  std::string text;
  for (const uint32_t word : state)
    for (int shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[word >> shift & 15];
  return text;
}

}  // namespace sluice::testing
