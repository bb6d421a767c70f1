// A backend's operations on one queue, with errors as exceptions: what the graph in llama.cpp is written in.
#pragma once

#include "core/plugins/registry.h"

namespace sluice {

class Ops {
 public:
  // `exact`: matmul with float activations. The backend instance outlives this.
  Ops(const Instance& backend, bool exact) : backend_(&backend), table_(&backend.table<sluice_backend>()) {
    check(table_->queue_create(backend.self(), exact ? 1 : 0, &queue_), "queue_create");
  }
  ~Ops() { table_->queue_destroy(self(), queue_); }
  Ops(const Ops&) = delete;

  const Instance& backend() const { return *backend_; }
  const sluice_backend& table() const { return *table_; }
  void* self() const { return backend_->self(); }
  sluice_queue* queue() const { return queue_; }
  void check(sluice_status status, const char* verb) const { backend_->check(status, verb); }

  void wait() const { check(table_->wait(self(), queue_), "wait"); }
  void write(void* to, const void* host, uint64_t bytes) const {
    check(table_->write(self(), queue_, to, host, bytes), "write");
  }
  void read(const void* from, void* host, uint64_t bytes) const {
    check(table_->read(self(), queue_, from, host, bytes), "read");
  }
  void embed(const sluice_weight* table, const uint32_t* tokens, sluice_mat out) const {
    check(table_->embed(self(), queue_, table, tokens, &out), "embed");
  }
  void gather(sluice_mat x, const uint32_t* rows, sluice_mat out) const {
    check(table_->gather(self(), queue_, &x, rows, &out), "gather");
  }
  void rmsnorm(sluice_mat x, const sluice_weight* gain, float epsilon, sluice_mat out) const {
    check(table_->rmsnorm(self(), queue_, &x, gain, epsilon, &out), "rmsnorm");
  }
  void matmul(sluice_mat x, const sluice_weight* w, sluice_mat out) const {
    check(table_->matmul(self(), queue_, &x, w, &out), "matmul");
  }
  void rope(sluice_mat x, const uint32_t* positions, const float* frequency, uint32_t head_dim) const {
    check(table_->rope(self(), queue_, &x, positions, frequency, head_dim), "rope");
  }
  void silu_mul(sluice_mat gate, sluice_mat up, sluice_mat out) const {
    check(table_->silu_mul(self(), queue_, &gate, &up, &out), "silu_mul");
  }
  void add(sluice_mat a, sluice_mat b, sluice_mat out) const {
    check(table_->add(self(), queue_, &a, &b, &out), "add");
  }

 private:
  const Instance* backend_;
  const sluice_backend* table_;
  sluice_queue* queue_ = nullptr;
};

}  // namespace sluice
