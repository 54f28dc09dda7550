#include "agent/control/deadlines.h"

#include "base/mem.h"

static void place(struct deadlines *deadlines, size_t position, struct deadline *deadline)
{
    deadlines->heap[position - 1] = deadline;
    deadline->position = position;
}

static struct deadline *at(const struct deadlines *deadlines, size_t position) { return deadlines->heap[position - 1]; }

static void sift_up(struct deadlines *deadlines, struct deadline *deadline)
{
    size_t position = deadline->position;
    while (position > 1 && at(deadlines, position / 2)->due_ms > deadline->due_ms) {
        place(deadlines, position, at(deadlines, position / 2));
        position /= 2;
    }
    place(deadlines, position, deadline);
}

static void sift_down(struct deadlines *deadlines, struct deadline *deadline)
{
    size_t position = deadline->position;
    for (;;) {
        size_t child = position * 2;
        if (child > deadlines->count)
            break;
        if (child < deadlines->count && at(deadlines, child + 1)->due_ms < at(deadlines, child)->due_ms)
            child++;
        if (at(deadlines, child)->due_ms >= deadline->due_ms)
            break;
        place(deadlines, position, at(deadlines, child));
        position = child;
    }
    place(deadlines, position, deadline);
}

static void arm(struct deadlines *deadlines)
{
    if (deadlines->count == 0) {
        loop_timer_stop(deadlines->timer);
        return;
    }
    uint64_t now_ms = loop_now_ms(deadlines->loop), due_ms = at(deadlines, 1)->due_ms;
    loop_timer_start(deadlines->timer, due_ms > now_ms ? due_ms - now_ms : 0);
}

static void on_timer(void *context)
{
    struct deadlines *deadlines = context;
    uint64_t now_ms = loop_now_ms(deadlines->loop);
    /* What is set anew while this runs is due later: the count bounds the work. */
    for (size_t left = deadlines->count; left > 0 && deadlines->count > 0 && at(deadlines, 1)->due_ms <= now_ms;
         left--) {
        struct deadline *due = at(deadlines, 1);
        deadlines_cancel(deadlines, due);
        deadlines->on_due(deadlines->context, due);
    }
    arm(deadlines);
}

enum err_code deadlines_init(struct deadlines *deadlines, struct loop *loop, void (*on_due)(void *, struct deadline *),
                             void *context)
{
    *deadlines = (struct deadlines){.loop = loop, .on_due = on_due, .context = context};
    deadlines->timer = loop_timer_new(loop, on_timer, deadlines);
    return deadlines->timer != NULL ? ERR_OK : ERR_NOMEM;
}

void deadlines_done(struct deadlines *deadlines)
{
    loop_timer_free(deadlines->timer);
    mem_free(deadlines->heap);
    *deadlines = (struct deadlines){0};
}

enum err_code deadlines_set(struct deadlines *deadlines, struct deadline *deadline, uint64_t delay_ms)
{
    deadlines_cancel(deadlines, deadline);
    if (deadlines->count == deadlines->capacity) {
        size_t capacity = deadlines->capacity > 0 ? deadlines->capacity * 2 : 64;
        struct deadline **grown = mem_realloc_array(deadlines->heap, capacity, sizeof(struct deadline *));
        if (grown == NULL)
            return ERR_NOMEM;
        deadlines->heap = grown;
        deadlines->capacity = capacity;
    }
    deadline->due_ms = loop_now_ms(deadlines->loop) + delay_ms;
    deadline->position = ++deadlines->count;
    sift_up(deadlines, deadline);
    if (deadline->position == 1)
        arm(deadlines);
    return ERR_OK;
}

void deadlines_cancel(struct deadlines *deadlines, struct deadline *deadline)
{
    size_t position = deadline->position;
    if (position == 0)
        return;
    deadline->position = 0;
    struct deadline *last = at(deadlines, deadlines->count--);
    if (last == deadline)
        return;
    last->position = position;
    sift_up(deadlines, last);
    sift_down(deadlines, last);
}
