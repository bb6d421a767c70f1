/* sluice/plugin.h - the part of the boundary that every plugin shares: entry point, host services,
 * errors and typed parameters. What a policy or a backend is stands in policy.h and backend.h.
 *
 * The contract, whole:
 *  1. Plain C crosses the boundary, nothing else: no exceptions, no C++ types, no errno, no exit.
 *  2. What was published under an id ("sluice.evictor/1") is frozen. A change gets a new id ("/2"),
 *     and one plugin may publish several. (Until docs/abi.md declares the freeze, "/1" is a draft.)
 *  3. The host owns all memory that grows with the context. Whoever allocates something frees it.
 *  4. After create() a module's `self` never changes. Everything that does lives in state passed in
 *     by the host, so calls on different state may run on any threads at the same time.
 *  5. A function that can fail returns a sluice_status and explains itself through host->fail().
 *  6. Plugins stay loaded until the process ends.
 */
#ifndef SLUICE_PLUGIN_H
#define SLUICE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define SLUICE_EXPORT __declspec(dllexport)
#else
#define SLUICE_EXPORT __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define SLUICE_VERSION "0.1.0"   /* of the headers; CMake reads it from here */
#define SLUICE_MAGIC 0x45434C53u /* the bytes S L C E */
#define SLUICE_ABI 1u            /* the shape of the structs in this file */

/* ---- errors --------------------------------------------------------------------------------- */

typedef int32_t sluice_status;
enum {
  SLUICE_OK = 0,
  SLUICE_INVALID = 1,     /* the caller passed something wrong: a parameter, a size, a budget */
  SLUICE_UNSUPPORTED = 2, /* a sensible request that this module cannot serve */
  SLUICE_NO_MEMORY = 3,
  SLUICE_DEVICE = 4,  /* the accelerator failed; its queue cannot be used any more */
  SLUICE_INTERNAL = 5 /* the plugin found a bug of its own */
};

/* ---- host services -------------------------------------------------------------------------- */

/* Given to create() and valid as long as the instance lives. No member is ever NULL. */
typedef struct sluice_host {
  uint32_t abi;  /* SLUICE_ABI */
  uint32_t size; /* sizeof(sluice_host) */
  void* ctx;     /* belongs to the host */

  /* Keeps a copy of `message` for the call now running on this thread and returns `code`:
   * `return host->fail(host, SLUICE_INVALID, "rank exceeds head_dim");` [any thread] */
  sluice_status (*fail)(const struct sluice_host* host, sluice_status code, const char* message);
  /* level: 0 debug, 1 information, 2 warning. Not on the step path. [any thread] */
  void (*log)(const struct sluice_host* host, int32_t level, const char* message);
  /* Memory that does not grow with the context (self, tables). NULL when there is none. Counted in the
   * ledger as `plugin`. `align` is a power of two. [any thread, not on the step path] */
  void* (*alloc)(const struct sluice_host* host, size_t bytes, size_t align);
  void (*free)(const struct sluice_host* host, void* memory);
  /* Runs job(arg, i) for every i below n on the host's threads, this one included, and returns when all
   * are done. Which thread runs which i is open. Policies start no threads of their own. [any thread;
   * inside a job it runs serially] */
  void (*parallel)(const struct sluice_host* host, uint32_t n, void (*job)(void* arg, uint32_t i), void* arg);
  /* Services added after ABI 1, by id; NULL when this host has no such service. [any thread] */
  const void* (*extension)(const struct sluice_host* host, const char* id);
} sluice_host;

/* Host extension: counters that a module wants to see in reports, each a ratio of two sums. The host
 * adds up per instance and prints numerator / denominator under `name`. Counters are no state: they
 * never influence a result. */
#define SLUICE_HOST_STATS "sluice.host.stats/1" /* draft */
typedef struct sluice_host_stats {
  uint32_t layout; /* SLUICE_HOST_STATS_LAYOUT */
  uint32_t reserved;
  /* `name` is a string literal of the plugin. [any thread; once per call of a verb, not per row] */
  void (*add)(const sluice_host* host, const char* name, double numerator, double denominator);
} sluice_host_stats;
#define SLUICE_HOST_STATS_TEXT 0x6F4D06BAu
#define SLUICE_HOST_STATS_LAYOUT (SLUICE_HOST_STATS_TEXT ^ (uint32_t)sizeof(sluice_host_stats))

/* ---- parameters ------------------------------------------------------------------------------- */

/* The host reads TOML and the command line, checks names, types and ranges against the module's list,
 * and hands create() one value per parameter in the order of that list. A plugin parses nothing. */
typedef union sluice_value {
  int64_t i;     /* SLUICE_INT, SLUICE_BOOL (0, 1), SLUICE_CHOICE (index), SLUICE_TOKENS */
  double f;      /* SLUICE_FLOAT */
  const char* s; /* SLUICE_STRING, SLUICE_PATH: UTF-8, readable during create() only */
} sluice_value;

enum {
  SLUICE_INT = 0,
  SLUICE_FLOAT = 1,
  SLUICE_BOOL = 2,
  SLUICE_STRING = 3,
  SLUICE_CHOICE = 4,
  SLUICE_TOKENS = 5, /* a number of tokens, or a share of the budget such as "50%" */
  SLUICE_PATH = 6    /* a file or folder; where TOML names it, relative to the file that does */
};

/* A share arrives in create() as a negative count of hundredths of a percent, because budgets differ by
 * sequence; the module resolves it where it knows the budget. Shares round down. */
#define SLUICE_PERCENT(p) (-100 * (p))
static inline uint32_t sluice_tokens(int64_t amount, uint32_t budget) {
  return amount >= 0 ? (uint32_t)amount : (uint32_t)((int64_t)budget * -amount / 10000);
}

typedef struct sluice_param {
  const char* name;
  const char* doc;     /* one line for `plugin describe` and the configuration reference */
  const char* choices; /* SLUICE_CHOICE: "a|b|c", each of A-Z, a-z, 0-9, _ and -; NULL otherwise */
  int32_t type;
  int32_t required;               /* 1: there is no default */
  sluice_value initial, min, max; /* SLUICE_TOKENS: min and max bound counts; shares are 0 to 100 % */
} sluice_param;

/* ---- modules and the entry point -------------------------------------------------------------- */

typedef struct sluice_module {
  const char* interface_id; /* such as SLUICE_EVICTOR */
  const void* table;        /* the struct that interface_id names */
  uint32_t layout;          /* such as SLUICE_EVICTOR_LAYOUT; the host loads a module only if it is equal to its own */
  uint32_t param_count;
  const sluice_param* params;
  const char* name;      /* what TOML calls it: name = "h2o" */
  const char* summary;   /* one line */
  const char* version;   /* the module's own */
  const char* reference; /* paper or page; NULL if there is none */
  /* Optional tables by id, NULL for an unknown id. Each begins with `uint32_t layout`. The member itself
   * may be NULL. [any thread] */
  const void* (*extension)(const char* id);
} sluice_module;

typedef struct sluice_plugin {
  uint32_t magic; /* SLUICE_MAGIC */
  uint32_t abi;   /* SLUICE_ABI */
  uint32_t size;  /* sizeof(sluice_plugin) */
  uint32_t module_count;
  const sluice_module* const* modules;
  const char* build; /* for people: compiler, CUDA version, commit */
} sluice_plugin;

/* The one symbol a plugin exports. It returns the same static struct every time and does nothing else.
 * [any thread] */
SLUICE_EXPORT const sluice_plugin* sluice_plugin_entry(void);

/* A layout number is the hash of the published text of an interface's structs (which notices reordered
 * or retyped members) folded with the sizes the compiler gives them (which notices another packing). */
#define SLUICE_FOLD2(a, b) ((uint32_t)(a)*31u + (uint32_t)(b))
#define SLUICE_FOLD3(a, b, c) SLUICE_FOLD2(SLUICE_FOLD2(a, b), c)
#define SLUICE_FOLD4(a, b, c, d) SLUICE_FOLD2(SLUICE_FOLD3(a, b, c), d)
#define SLUICE_FOLD5(a, b, c, d, e) SLUICE_FOLD2(SLUICE_FOLD4(a, b, c, d), e)

#ifdef __cplusplus
}
#endif
#endif
