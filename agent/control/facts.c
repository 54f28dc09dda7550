#include "agent/control/facts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FACTS_BYTES = 1 << 20, TEXT_BYTES = 2048, FIRST_CAPACITY = 32 };

void facts_init(struct facts *facts)
{
    *facts = (struct facts){0};
    arena_init(&facts->arena, FACTS_BYTES);
}

void facts_done(struct facts *facts)
{
    arena_done(&facts->arena);
    *facts = (struct facts){0};
}

static bool reserve(struct facts *facts)
{
    if (facts->count < facts->capacity)
        return true;
    size_t capacity = facts->capacity > 0 ? facts->capacity * 2 : FIRST_CAPACITY;
    struct fact *items = arena_array(&facts->arena, capacity, sizeof(*items));
    if (items == NULL)
        return false;
    if (facts->count > 0)
        memcpy(items, facts->items, facts->count * sizeof(*items));
    facts->items = items;
    facts->capacity = capacity;
    return true;
}

/* The text in the facts' own memory, cut at TEXT_BYTES; NULL when there is no room. */
PRINTF_LIKE(2, 0) static const char *text_of(struct facts *facts, const char *format, va_list args)
{
    char text[TEXT_BYTES];
    (void)vsnprintf(text, sizeof(text), format, args);
    return arena_strdup(&facts->arena, text);
}

void facts_add(struct facts *facts, enum fact_mark mark, const char *subject, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *text = text_of(facts, format, args);
    va_end(args);
    if (text != NULL && reserve(facts))
        facts->items[facts->count++] = (struct fact){mark, subject, text, ""};
}

void facts_advise(struct facts *facts, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *text = text_of(facts, format, args);
    va_end(args);
    if (text != NULL && facts->count > 0)
        facts->items[facts->count - 1].advice = text;
}

const char *fact_mark_name(enum fact_mark mark)
{
    static const char *const names[] = {[FACT_GOOD] = "good", [FACT_BAD] = "bad", [FACT_NOTE] = "note"};
    return names[mark];
}
