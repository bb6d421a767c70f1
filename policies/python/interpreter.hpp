// CPython inside this process: started once, never ended, entered with its lock from any thread. What is called there
// is python.cpp's and glue.py's business.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <utility>

#include "sluice/guard.hpp"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

namespace sluice::python {

// Starts the interpreter unless somebody has. Throws Failure.
void start();

// While this lives, what the thread allocates is no leak: an interpreter that never ends keeps much.
struct Unwatched {
#ifdef __SANITIZE_ADDRESS__
  Unwatched() { __lsan_disable(); }
  ~Unwatched() { __lsan_enable(); }
#else
  Unwatched() {}  // of its own, so that nobody takes it for unused
#endif
  Unwatched(const Unwatched&) = delete;
};

// The interpreter's lock, for as long as this lives. [any thread]
class Locked {
 public:
  Locked();
  ~Locked();
  Locked(const Locked&) = delete;

 private:
  Unwatched unwatched_;
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
