/* agent/loop/loop.h with a clock that moves only when the test says so. Timers fire in the order in which they are due; descriptors are
 * never ready, and there are no signals. */
#pragma once

#include "agent/loop/loop.h"

/** Moves the clock by `ms`, firing what becomes due on the way; 0 fires what is due now. */
void fake_loop_advance(struct loop *loop, uint64_t ms);
/** Moves the clock to the next timer and fires it. @return how far that was; UINT64_MAX when no timer runs. */
uint64_t fake_loop_advance_to_next(struct loop *loop);
