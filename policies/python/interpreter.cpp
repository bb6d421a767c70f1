// See interpreter.hpp.
#include "interpreter.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <mutex>
#include <string>

#include "glue.hpp"

namespace sluice::python {
namespace {

// An extension module such as NumPy's does not name libpython as what it needs, but looks for it in the process.
void show_symbols() {
  Dl_info found;
  if (dladdr(reinterpret_cast<void*>(&Py_IsInitialized), &found) && found.dli_fname)
    dlopen(found.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL);
}

// An active virtual environment's interpreter, or the one that this was built with. The library finds its modules
// from there; it would take whatever python3 comes first in PATH otherwise.
std::string executable() {
  if (const char* environment = std::getenv("VIRTUAL_ENV"); environment && *environment) {
    const std::string own = std::string(environment) + "/bin/python3";
    if (access(own.c_str(), X_OK) == 0) return own;
  }
  return access(SLUICE_PYTHON, X_OK) == 0 ? SLUICE_PYTHON : "";
}

void require(const PyStatus& status) {
  if (PyStatus_Exception(status))
    throw Failure(SLUICE_INVALID, std::string("Python ") + PY_VERSION +
                                      " does not start: " + (status.err_msg ? status.err_msg : "it does not say why"));
}

void initialize() {
  PyPreConfig before;
  PyPreConfig_InitPythonConfig(&before);
  before.configure_locale = before.coerce_c_locale = 0;  // the program's own stays
  before.utf8_mode = 1;
  require(Py_PreInitialize(&before));
  PyConfig config;
  PyConfig_InitPythonConfig(&config);
  struct Clear {
    PyConfig* config;
    ~Clear() { PyConfig_Clear(config); }
  } clear{&config};
  config.install_signal_handlers = 0;  // the program's own stay
  config.parse_argv = 0;
  if (const std::string path = executable(); !path.empty())
    require(PyConfig_SetBytesString(&config, &config.executable, path.c_str()));
  require(Py_InitializeFromConfig(&config));
  // What a file prints must not end up among results.
  if (PyRun_SimpleString("import sys\nsys.stdout = sys.stderr\n") != 0) PyErr_Clear();
  PyEval_SaveThread();
}

}  // namespace

void start() {
  static std::once_flag once;
  std::call_once(once, [] {
    const Unwatched unwatched;
    show_symbols();
    if (!Py_IsInitialized()) initialize();
  });
}

Locked::Locked() : state_(PyGILState_Ensure()) {}
Locked::~Locked() { PyGILState_Release(state_); }

Object run_glue() {
  Object names(PyDict_New());
  const Object code(Py_CompileString(kGlue, "<sluice>", Py_file_input));
  if (!names || !code || PyDict_SetItemString(names.get(), "__builtins__", PyEval_GetBuiltins()) != 0 ||
      PyDict_SetItemString(names.get(), "__name__", Object(PyUnicode_FromString("sluice_glue")).get()) != 0)
    throw_exception(names);
  if (!Object(PyEval_EvalCode(code.get(), names.get(), names.get()))) throw_exception(names);
  return names;
}

void throw_exception(const Object& glue) {
  PyObject *type = nullptr, *value = nullptr, *trace = nullptr;
  PyErr_Fetch(&type, &value, &trace);
  PyErr_NormalizeException(&type, &value, &trace);
  if (trace) PyException_SetTraceback(value, trace);
  const Object kind(type), error(value), frames(trace);
  const sluice_status status = PyErr_GivenExceptionMatches(type, PyExc_MemoryError) ? SLUICE_NO_MEMORY : SLUICE_INVALID;
  PyObject* explain = glue ? PyDict_GetItemString(glue.get(), "explain") : nullptr;
  const Object text(explain && value ? PyObject_CallOneArg(explain, value) : nullptr);
  const char* said = text ? PyUnicode_AsUTF8(text.get()) : nullptr;
  PyErr_Clear();
  throw Failure(status, said ? said : "Python failed and cannot say why");
}

}  // namespace sluice::python
