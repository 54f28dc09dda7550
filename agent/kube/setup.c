#include "agent/kube/setup.h"

#include <jansson.h>

#include "base/mem.h"

void kube_setup(void) { json_set_alloc_funcs(mem_alloc, mem_free); }
