// CPython inside this process: started once, never ended, entered with its lock from any thread. What is called there
// is python.cpp's and glue.py's business.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <utility>

#include "sluice/guard.hpp"

namespace sluice::python {

// Starts the interpreter unless somebody has. Throws Failure.
void start();

// The interpreter's lock, for as long as this lives. [any thread]
class Locked {
 public:
  Locked();
  ~Locked();
  Locked(const Locked&) = delete;

 private:
  PyGILState_STATE state_;
};

// A reference that is counted. Only under the lock.
class Object {
 public:
  Object() = default;
  explicit Object(PyObject* owned) : pointer_(owned) {}
  Object(Object&& other) noexcept : pointer_(std::exchange(other.pointer_, nullptr)) {}
  Object& operator=(Object&& other) noexcept {
    std::swap(pointer_, other.pointer_);
    return *this;
  }
  ~Object() { Py_XDECREF(pointer_); }
  PyObject* get() const { return pointer_; }
  explicit operator bool() const { return pointer_ != nullptr; }

 private:
  PyObject* pointer_ = nullptr;
};

// glue.py, run: its names. A namespace per instance, so that nothing is shared.
Object run_glue();

// The exception that is now set, as a Failure of one line; `glue` explains it. Clears it.
[[noreturn]] void throw_exception(const Object& glue);

}  // namespace sluice::python
