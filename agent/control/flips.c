#include "agent/control/flips.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct flip {
    char cluster_name[64];
    uint64_t started_ms;
    struct flip *next;
};

void flips_start(struct flips *flips, const char *cluster_name, uint64_t now_ms)
{
    for (const struct flip *flip = flips->first; flip != NULL; flip = flip->next)
        if (strcmp(flip->cluster_name, cluster_name) == 0)
            return;
    struct flip *flip = NEW(struct flip);
    if (flip == NULL)
        return;
    (void)snprintf(flip->cluster_name, sizeof(flip->cluster_name), "%s", cluster_name);
    flip->started_ms = now_ms;
    flip->next = flips->first;
    flips->first = flip;
}

void flips_finish(struct flips *flips, uint64_t now_ms, bool (*is_busy)(void *context, const char *cluster_name),
                  void *context, struct metric *seconds)
{
    for (struct flip **at = &flips->first; *at != NULL;) {
        struct flip *flip = *at;
        if (is_busy(context, flip->cluster_name)) {
            at = &flip->next;
            continue;
        }
        *at = flip->next;
        metric_observe(metric_get(seconds, flip->cluster_name), (double)(now_ms - flip->started_ms) / 1000.0);
        mem_free(flip);
    }
}

void flips_done(struct flips *flips)
{
    while (flips->first != NULL) {
        struct flip *flip = flips->first;
        flips->first = flip->next;
        mem_free(flip);
    }
}
