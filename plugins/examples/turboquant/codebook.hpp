// The scalar codebook of a coordinate of a randomly rotated unit vector: Lloyd's iteration on the density that such a
// coordinate has, until centroids are the means of their cells and cells end half way between centroids.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

// Of 2^bits levels, at most 16, in units in which a coordinate has variance 1; ascending and symmetric about 0.
struct Codebook {
  uint32_t levels = 0;
  float centroids[16], ends[15];  // a cell's end lies between its centroid and the next

  uint8_t nearest(float y) const {
    uint32_t code = 0;
    for (uint32_t i = 0; i + 1 < levels; i++) code += y > ends[i];
    return uint8_t(code);
  }
};

// A coordinate t of a point of the sphere of radius sqrt(d) in d dimensions has the density (1 - t^2 / d)^((d - 3) / 2)
// up to a factor. Its first moment has a closed form, its mass is summed on a grid.
class Coordinate {
 public:
  explicit Coordinate(uint32_t dimensions) : d_(dimensions), step_(std::sqrt(d_) / kCells), mass_(kCells + 1) {
    for (int i = 0; i < kCells; i++) mass_[size_t(i) + 1] = mass_[size_t(i)] + step_ * density((i + 0.5) * step_);
  }
  double most() const { return step_ * kCells; }
  double mean(double from, double to) const { return (moment(to) - moment(from)) / (mass(to) - mass(from)); }

 private:
  static constexpr int kCells = 1 << 14;
  double density(double t) const { return std::pow(std::max(0.0, 1 - t * t / d_), (d_ - 3) / 2); }
  double moment(double t) const { return -d_ / (d_ - 1) * std::pow(std::max(0.0, 1 - t * t / d_), (d_ - 1) / 2); }
  double mass(double t) const {
    const int cell = std::min(int(t / step_), kCells - 1);
    const double start = cell * step_;
    return mass_[size_t(cell)] + (t - start) * density((start + t) / 2);
  }

  double d_, step_;
  std::vector<double> mass_;  // up to the start of a cell
};

inline Codebook make_codebook(uint32_t dimensions, uint32_t bits) {
  const Coordinate coordinate(dimensions);
  const uint32_t half = 1u << (bits - 1);  // the other half mirrors it
  std::vector<double> c(half), end(half + 1);
  for (uint32_t i = 0; i < half; i++) c[i] = 3 * (i + 0.5) / half;
  end[half] = coordinate.most();
  for (double moved = 1; moved > 1e-9;) {
    for (uint32_t i = 1; i < half; i++) end[i] = (c[i - 1] + c[i]) / 2;
    moved = 0;
    for (uint32_t i = 0; i < half; i++) {
      const double mean = coordinate.mean(end[i], end[i + 1]);
      moved = std::max(moved, std::fabs(mean - c[i]));
      c[i] = mean;
    }
  }
  Codebook book;
  book.levels = 2 * half;
  for (uint32_t i = 0; i < half; i++) {
    book.centroids[half + i] = float(c[i]);
    book.centroids[half - 1 - i] = -float(c[i]);
  }
  for (uint32_t i = 0; i + 1 < book.levels; i++) book.ends[i] = (book.centroids[i] + book.centroids[i + 1]) / 2;
  return book;
}
