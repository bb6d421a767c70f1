// A backend's operations on one queue, with errors as exceptions: what the graph in llama.cpp is written in.
#pragma once

#include "core/plugins/registry.h"

namespace sluice {

class Ops {
 public:
  // `exact`: matmul with float activations. The backend instance outlives this.
  Ops(const Instance& backend, bool exact) : backend_(&backend), table_(&backend.table<sluice_backend>()) {
    backend.call("queue_create", table_->queue_create, exact ? 1 : 0, &queue_);
  }
  ~Ops() { table_->queue_destroy(self(), queue_); }
  Ops(const Ops&) = delete;

  const Instance& backend() const { return *backend_; }
  const sluice_backend& table() const { return *table_; }
  void* self() const { return backend_->self(); }
  sluice_queue* queue() const { return queue_; }
  void check(sluice_status status, const char* verb) const { backend_->check(status, verb); }
  // Enqueues `function`, named `verb`, with self and the queue before the other arguments.
  template <class Function, class... Arguments>
  void run(const char* verb, Function function, Arguments&&... arguments) const {
    backend_->call(verb, function, queue_, std::forward<Arguments>(arguments)...);
  }

  void wait() const { run("wait", table_->wait); }
  void write(void* to, const void* host, uint64_t bytes) const { run("write", table_->write, to, host, bytes); }
  void read(const void* from, void* host, uint64_t bytes) const { run("read", table_->read, from, host, bytes); }
  void embed(const sluice_weight* table, const uint32_t* tokens, sluice_mat out) const {
    run("embed", table_->embed, table, tokens, &out);
  }
  void gather(sluice_mat x, const uint32_t* rows, sluice_mat out) const { run("gather", table_->gather, &x, rows, &out); }
  void rmsnorm(sluice_mat x, const sluice_weight* gain, float epsilon, sluice_mat out) const {
    run("rmsnorm", table_->rmsnorm, &x, gain, epsilon, &out);
  }
  void matmul(sluice_mat x, const sluice_weight* w, sluice_mat out) const { run("matmul", table_->matmul, &x, w, &out); }
  void rope(sluice_mat x, const uint32_t* positions, const float* frequency, uint32_t head_dim) const {
    run("rope", table_->rope, &x, positions, frequency, head_dim);
  }
  void silu_mul(sluice_mat gate, sluice_mat up, sluice_mat out) const { run("silu_mul", table_->silu_mul, &gate, &up, &out); }
  void add(sluice_mat a, sluice_mat b, sluice_mat out) const { run("add", table_->add, &a, &b, &out); }

 private:
  const Instance* backend_;
  const sluice_backend* table_;
  sluice_queue* queue_ = nullptr;
};

}  // namespace sluice
