#include "agent/kube/json_memory.h"

#include <jansson.h>

#include "base/mem.h"

void json_memory_init(void) { json_set_alloc_funcs(mem_alloc, mem_free); }
