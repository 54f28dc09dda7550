/* Things to do at a time, many of them on one timer: a binary heap of due times. An entry is embedded in its owner, zero-initialised. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/loop/loop.h"

struct deadline {
    uint64_t due_ms;
    size_t position; /* 1-based in the heap; 0: not set */
};

struct deadlines {
    struct deadline **heap;
    size_t count, capacity;
    struct loop *loop;
    struct loop_timer *timer;
    void (*on_due)(void *context, struct deadline *deadline); /* the entry is out of the heap; may set it again */
    void *context;
};

enum err_code deadlines_init(struct deadlines *deadlines, struct loop *loop, void (*on_due)(void *, struct deadline *),
                             void *context) MUST_USE;
void deadlines_done(struct deadlines *deadlines);
/** Sets or moves. @return ERR_OK or ERR_NOMEM (then it is not set). */
enum err_code deadlines_set(struct deadlines *deadlines, struct deadline *deadline, uint64_t delay_ms) MUST_USE;
void deadlines_cancel(struct deadlines *deadlines, struct deadline *deadline); /* idempotent */
