/* How the kernel shares the processor among this thread and others. */
#pragma once

#include <stdbool.h>

/** Asks for the processor soon and for a short time, instead of later and for longer: the calling thread's slice becomes 0.1 ms, the least there is
 *  (Linux 6.12 on, sched_setattr(2); it needs no right, and gives no more of the processor than before). So a turn of the loop waits less for what else
 *  runs on the node. Threads that are no ordinary ones (SCHED_BATCH, SCHED_IDLE, real time) stay as they are.
 *  @return whether it was asked for; an older kernel takes it without effect, and it may be refused, by seccomp for one. */
bool slice_shorten(void);
