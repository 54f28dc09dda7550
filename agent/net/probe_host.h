/* What a probe names as its Host: one rule for the agent and for commands that probe as it does. Pure. */
#pragma once

#include <stdint.h>

#include "base/arena.h"

/** What the gateway's own people would use: the address or name as declared; the port only where it is not 80.
 *  @return in the arena; NULL when that is full. */
const char *probe_host(struct arena *arena, const char *declared, uint16_t port);
