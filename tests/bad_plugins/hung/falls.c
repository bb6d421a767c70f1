/* Does harm when it is first asked who should go, or is loud before; its parameter says which. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common.h"

enum { kCrash, kAbort, kExit, kDeep, kPast, kFail, kTalk };

typedef struct Self {
  const sluice_host* host;
  int64_t how;
} Self;

static sluice_status make(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                          void** self) {
  (void)geometry;
  Self* made = host->alloc(host, sizeof(Self), _Alignof(Self));
  if (!made) return SLUICE_NO_MEMORY;
  made->host = host, made->how = params[0].i;
  *self = made;
  if (made->how == kTalk) printf("hello from a plugin\n");
  return SLUICE_OK;
}
static void unmake(void* self) { ((Self*)self)->host->free(((Self*)self)->host, self); }

static int deep(volatile char* above) {
  volatile char room[4096];
  memset((char*)room, above[0], sizeof room);
  return room[17] == 0 ? 0 : deep(room) + room[17]; /* what is above is 1 */
}

static sluice_status fall(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  (void)state;
  const Self* policy = self;
  volatile int* volatile nowhere = NULL;
  volatile char top = 1;
  switch (policy->how) {
    case kCrash:
      *nowhere = 1;
      break;
    case kAbort:
      abort();
    case kExit:
      exit(0);
    case kDeep:
      return (sluice_status)deep(&top);
    case kPast:
      for (size_t i = 0; i <= (size_t)n * lanes->count; i++) victims[i] = (uint32_t)(i % n);
      return SLUICE_OK;
    default:
      break;
  }
  return policy->host->fail(policy->host, SLUICE_INTERNAL, "lost its way");
}

static const sluice_param params[] = {
    {.name = "how", .doc = "what it does", .choices = "crash|abort|exit|deep|past|fail|talk", .type = SLUICE_CHOICE}};
static const sluice_evictor table = {make, unmake, signal, state_size, reset, resize, insert, observe, fall};
static const sluice_module module = {.interface_id = SLUICE_EVICTOR,
                                     .table = &table,
                                     .layout = SLUICE_EVICTOR_LAYOUT,
                                     .params = params,
                                     .param_count = 1,
                                     .name = "falls",
                                     .summary = "takes the program down",
                                     .version = "1"};
static const sluice_module* const modules[] = {&module};
ENTRY(SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, "test")
