// See sha256.h: OpenSSL does it.
#include "core/base/sha256.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include "core/base/error.h"
#include "core/base/file.h"

namespace sluice {

struct Sha256::Impl {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~Impl() { EVP_MD_CTX_free(context); }
};

namespace {

void check(bool done) {
  if (!done) throw Error("SHA-256: the system's OpenSSL refuses it", kExitFailed);
}

}  // namespace

Sha256::Sha256() : impl_(std::make_unique<Impl>()) {
  check(impl_->context && EVP_DigestInit_ex(impl_->context, EVP_sha256(), nullptr) == 1);
}
Sha256::~Sha256() = default;

Sha256& Sha256::add(std::string_view bytes) {
  check(EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size()) == 1);
  return *this;
}

Sha256& Sha256::add_field(std::string_view bytes) { return add(fmt::format("{}:", bytes.size())).add(bytes); }

std::string Sha256::hex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  check(EVP_DigestFinal_ex(impl_->context, digest, &length) == 1);
  std::string text;
  for (unsigned i = 0; i < length; i++) text += fmt::format("{:02x}", digest[i]);
  return text;
}

std::string sha256_hex(std::string_view bytes) { return Sha256().add(bytes).hex(); }

std::string sha256_of_file(const std::filesystem::path& file) {
  const MappedFile map(file);
  return sha256_hex({reinterpret_cast<const char*>(map.bytes().data()), map.bytes().size()});
}

}  // namespace sluice
