/* How tests write down what the owner of a list_watch is told of its state: "up", "up,synced", "down(code)". */
#pragma once

#include <stdio.h>

#include "agent/kube/list_watch.h"

enum { LIST_WATCH_WORD_BYTES = 64 };

static inline const char *list_watch_word(const struct list_watch_state *state, char word[LIST_WATCH_WORD_BYTES])
{
    if (state->healthy)
        (void)snprintf(word, LIST_WATCH_WORD_BYTES, "%s", state->synced ? "up,synced" : "up");
    else
        (void)snprintf(word, LIST_WATCH_WORD_BYTES, "down(%s)", err_code_name(state->error.code));
    return word;
}
