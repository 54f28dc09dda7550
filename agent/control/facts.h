/* What was found out about one thing, as a list of facts that a person reads from the top to the bottom. */
#pragma once

#include <stddef.h>

#include "base/arena.h"

enum fact_mark {
    FACT_GOOD, /* it is as it must be */
    FACT_BAD,  /* it stands in the way */
    FACT_NOTE, /* neither */
};

struct fact {
    enum fact_mark mark;
    const char *subject; /* constant, one word: "link", "export", "gateway" */
    const char *text;    /* a sentence without full stop */
    const char *advice;  /* what to do about it; "" when nothing */
};

/** Failures are sticky, and the arena's. */
struct facts {
    struct arena arena; /* of the texts too */
    struct fact *items;
    size_t count, capacity;
};

void facts_init(struct facts *facts);
void facts_done(struct facts *facts);
/** @param subject  constant. */
void facts_add(struct facts *facts, enum fact_mark mark, const char *subject, const char *format, ...)
    PRINTF_LIKE(4, 5);
/** Of the newest fact. */
void facts_advise(struct facts *facts, const char *format, ...) PRINTF_LIKE(2, 3);
const char *fact_mark_name(enum fact_mark mark); /* "good", "bad", "note" */
