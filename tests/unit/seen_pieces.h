/* What a splitter gave its owner, as one text; for tests. */
#pragma once

#include <stdio.h>
#include <string.h>

#include "agent/kube/json_split.h"

/* What came out, as "<head>item;item;|rest|": a wrong cut shows at once. */
struct seen {
    char text[2048];
    enum err_code answer; /* of the callback from the `fail_from`-th piece on */
    unsigned fail_from, count;
};

/** Notes a piece. @param value  what stands before and behind one of a stream. */
static inline enum err_code seen_piece(struct seen *seen, const char *text, size_t bytes, enum json_split_piece piece,
                                       const char *const value[2], struct err *reterr)
{
    const char *const around[][2] = {[JSON_SPLIT_VALUE] = {value[0], value[1]},
                                     [JSON_SPLIT_HEAD] = {"<", ">"},
                                     [JSON_SPLIT_ITEM] = {"", ";"},
                                     [JSON_SPLIT_REST] = {"|", "|"}};
    if (++seen->count == seen->fail_from)
        return err_set(reterr, seen->answer, "the owner said so");
    size_t used = strlen(seen->text);
    (void)snprintf(seen->text + used, sizeof(seen->text) - used, "%s%.*s%s", around[piece][0], (int)bytes, text,
                   around[piece][1]);
    return ERR_OK;
}
