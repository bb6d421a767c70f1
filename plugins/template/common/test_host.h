/* test_host.h: as much of a host as a policy needs to run in a test: memory, messages, one thread. What the policy
 * should do is in the test beside this file. */
#ifndef TEST_HOST_H
#define TEST_HOST_H

#include <sluice/policy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char host_message[512]; /* what the last fail() said */

static sluice_status host_fail(const sluice_host* host, sluice_status code, const char* message) {
  (void)host;
  snprintf(host_message, sizeof host_message, "%s", message);
  return code;
}
static void host_log(const sluice_host* host, int32_t level, const char* message) {
  (void)host, (void)level, (void)message;
}
static void* host_alloc(const sluice_host* host, size_t bytes, size_t align) {
  (void)host, (void)align; /* malloc() aligns for all that a policy's instance holds */
  return malloc(bytes);
}
static void host_free(const sluice_host* host, void* memory) {
  (void)host;
  free(memory);
}
static void host_parallel(const sluice_host* host, uint32_t n, void (*job)(void* arg, uint32_t i), void* arg) {
  uint32_t i;
  (void)host;
  for (i = 0; i < n; i++) job(arg, i);
}
static const void* host_extension(const sluice_host* host, const char* id) {
  (void)host, (void)id;
  return NULL; /* a plugin must do without what a host does not have */
}

static const sluice_host test_host = {SLUICE_ABI, sizeof(sluice_host), NULL,          host_fail,     host_log,
                                      host_alloc, host_free,           host_parallel, host_extension};

/* Ends the test with the line, and what the policy said last, if the condition does not hold. */
#define CHECK(condition)                                                                                \
  do {                                                                                                  \
    if (!(condition)) {                                                                                 \
      fprintf(stderr, "%s:%d: does not hold: %s (%s)\n", __FILE__, __LINE__, #condition, host_message); \
      exit(1);                                                                                          \
    }                                                                                                   \
  } while (0)

/* The plugin's first module, and an instance of it with the parameters' defaults. */
static const sluice_module* first_module(void) {
  const sluice_plugin* plugin = sluice_plugin_entry();
  CHECK(plugin && plugin->magic == SLUICE_MAGIC && plugin->module_count > 0);
  return plugin->modules[0];
}
static void default_values(const sluice_module* module, sluice_value values[16]) {
  uint32_t i;
  CHECK(module->param_count <= 16);
  for (i = 0; i < module->param_count; i++) values[i] = module->params[i].initial;
}

/* 64-byte aligned and never given back: a test ends soon. */
static void* aligned(size_t bytes) {
  char* memory = (char*)calloc(1, bytes + 64);
  CHECK(memory);
  return memory + (64 - (uintptr_t)memory % 64) % 64;
}

#endif
