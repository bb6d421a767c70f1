// SHA-256 of texts and files, for identities of runs and for data whose hash is known.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace sluice {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& add(std::string_view bytes);
  // With its length before it, so that fields that follow one another cannot be taken for others.
  Sha256& add_field(std::string_view bytes);
  std::string hex();  // once, at the end: 64 digits, lower case

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

std::string sha256_hex(std::string_view bytes);
std::string sha256_of_file(const std::filesystem::path& file);

}  // namespace sluice
