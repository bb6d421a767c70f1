// python: an evictor that is written in Python, in a file of the user's. The state is the file's NumPy arrays, in the
// host's memory; each verb makes them anew around that memory, so states move and fork as any other's.
#include <cstdint>
#include <mutex>
#include <string>

#include "interpreter.hpp"
#include "sluice/policy.h"

namespace {

using namespace sluice;
using namespace sluice::python;

struct Python {
  const sluice_host* host;
  Object glue, hosted;
  sluice_signal signal[2];  // [prompt]
  // What first went wrong in a verb that cannot fail; select() says it. No result follows from it.
  mutable std::mutex mutex;
  mutable std::string trouble;
};

enum { FILE_, PARAMETERS, PARAMS };

// State: this, then the arrays.
struct alignas(64) Head {
  uint64_t bytes;    // of the arrays
  uint32_t trouble;  // 1: a verb went wrong, so the arrays mean nothing
};

Head* head_of(void* state) { return static_cast<Head*>(state); }

Object view(const void* memory, size_t bytes, int flags = PyBUF_READ) {
  return Object(PyMemoryView_FromMemory(static_cast<char*>(const_cast<void*>(memory)), Py_ssize_t(bytes), flags));
}

Object arrays_of(const void* state, int flags = PyBUF_WRITE) {
  const Head* head = static_cast<const Head*>(state);
  return view(head + 1, head->bytes, flags);
}

Object tuple(const sluice_lanes& l) {
  return Object(Py_BuildValue("(IIIIII)", l.layer, l.count, l.capacity, l.budget, l.interval, l.prompt));
}

// A verb of glue.py's Hosted; none of the arguments is wanted afterwards.
template <class... Arguments>
Object call(const Python& self, const char* verb, const Arguments&... arguments) {
  const Object name(PyUnicode_FromString(verb));
  if (!name || !(arguments && ...)) throw_exception(self.glue);
  Object result(PyObject_CallMethodObjArgs(self.hosted.get(), name.get(), arguments.get()..., nullptr));
  if (!result) throw_exception(self.glue);
  return result;
}

Object number(uint32_t n) { return Object(PyLong_FromUnsignedLong(n)); }

uint64_t array_bytes(const Python& self, const sluice_lanes& lanes) {
  const Object bytes = call(self, "state_bytes", tuple(lanes));
  const uint64_t number = PyLong_AsUnsignedLongLong(bytes.get());
  if (PyErr_Occurred()) throw_exception(self.glue);
  return number;
}

const Python& of(const void* self) { return *static_cast<const Python*>(self); }

// Runs a verb that returns nothing. What goes wrong is kept for select(), and said at once in case none comes.
template <class Body>
void attempt(const Python& self, void* state, Body&& body) {
  if (head_of(state)->trouble) return;
  try {
    const Locked locked;
    body();
  } catch (const std::exception& error) {
    head_of(state)->trouble = 1;
    const std::lock_guard lock(self.mutex);
    if (!self.trouble.empty()) return;
    self.trouble = error.what();
    self.host->log(self.host, 2, error.what());
  }
}

void read_signals(Python& self) {
  const Object signals(PyObject_GetAttrString(self.hosted.get(), "signals"));
  for (int prompt : {0, 1}) {
    sluice_signal& s = self.signal[prompt];
    if (!signals || !PyArg_ParseTuple(PyList_GetItem(signals.get(), prompt), "IIII", &s.kind, &s.skip_first,
                                      &s.skip_self, &s.window))
      throw_exception(self.glue);
  }
}

void destroy(void* self) {
  const sluice_host* host = of(self).host;
  const Locked locked;
  host_delete(host, static_cast<Python*>(self));
}

sluice_status create(const sluice_host* host, const sluice_geometry* g, const sluice_value* params, void** self) {
  return guard(host, [&] {
    start();
    const Locked locked;
    Python* made = host_new<Python>(host);
    try {
      made->host = host;
      made->glue = run_glue();
      PyObject* load = PyDict_GetItemString(made->glue.get(), "load");
      made->hosted = Object(PyObject_CallFunction(load, "ss(IIIII)", params[FILE_].s, params[PARAMETERS].s, g->layers,
                                                  g->heads, g->kv_heads, g->head_dim, g->max_context));
      if (!made->hosted) throw_exception(made->glue);
      read_signals(*made);
    } catch (...) {
      host_delete(host, made);
      throw;
    }
    *self = made;
  });
}

void wants(const void* self, uint32_t prompt, sluice_signal* wanted) { *wanted = of(self).signal[prompt]; }

// What is wrong with the file's state(), reset() says.
size_t state_size(const void* self, const sluice_lanes* lanes) {
  try {
    const Locked locked;
    return sizeof(Head) + array_bytes(of(self), *lanes);
  } catch (const std::exception&) {
    return sizeof(Head);
  }
}

sluice_status reset(const void* self, void* state, const sluice_lanes* lanes) {
  return guard(of(self).host, [&] {
    const Locked locked;
    head_of(state)->bytes = array_bytes(of(self), *lanes);
    call(of(self), "reset", tuple(*lanes), arrays_of(state));
  });
}

void resize(const void* self, void* state, const sluice_lanes* lanes, const void* old, const sluice_lanes* old_lanes,
            const uint32_t* slots) {
  head_of(state)->trouble = static_cast<const Head*>(old)->trouble;
  attempt(of(self), state, [&] {
    head_of(state)->bytes = array_bytes(of(self), *lanes);
    call(of(self), "resize", tuple(*lanes), arrays_of(state), tuple(*old_lanes), arrays_of(old, PyBUF_READ),
         view(slots, size_t(old_lanes->count) * old_lanes->capacity * sizeof *slots));
  });
}

void insert(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
            const uint32_t* positions) {
  if (n == 0) return;
  attempt(of(self), state, [&] {
    call(of(self), "insert", tuple(*lanes), arrays_of(state), number(n),
         view(slots, size_t(lanes->count) * n * sizeof *slots), view(positions, n * sizeof *positions));
  });
}

void observe(const void* self, void* state, const sluice_lanes* lanes, uint32_t queries, const float* signal) {
  attempt(of(self), state, [&] {
    call(of(self), "observe", tuple(*lanes), arrays_of(state), number(queries),
         view(signal, size_t(lanes->count) * lanes->capacity * sizeof *signal));
  });
}

sluice_status choose(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  return guard(of(self).host, [&] {
    if (head_of(state)->trouble) {
      const std::lock_guard lock(of(self).mutex);
      throw Failure(SLUICE_INVALID, of(self).trouble);
    }
    if (n == 0) return;
    const Locked locked;
    call(of(self), "select", tuple(*lanes), arrays_of(state), number(n),
         view(victims, size_t(lanes->count) * n * sizeof *victims, PyBUF_WRITE));
  });
}

const sluice_evictor table = {create, destroy, wants, state_size, reset, resize, insert, observe, choose};

const sluice_param params[PARAMS] = {
    {"file", "a Python file with a class Evictor", nullptr, SLUICE_PATH, 1, {}, {}, {}},
    {"parameters", "the file's own, as in \"recent = 0.5, sinks = 4\"", nullptr, SLUICE_STRING, 0, {.s = ""}, {}, {}},
};

const sluice_module module = {SLUICE_EVICTOR,
                              &table,
                              SLUICE_EVICTOR_LAYOUT,
                              PARAMS,
                              params,
                              "python",
                              "an evictor of your own, written in Python with NumPy: slow, for trying ideas",
                              "1.0",
                              nullptr,
                              nullptr};
const sluice_module* const modules[] = {&module};
const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, "Python " PY_VERSION};

}  // namespace

const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }
