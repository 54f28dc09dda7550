/* How long it takes from a gateway's change of verdict to the last endpoint that follows it: one measurement a cluster at a time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/observe/metrics.h"

struct flip;

/** Zero-initialised: none is under way. */
struct flips {
    struct flip *first;
};

/** A verdict changed. While one of the cluster is measured already, that one goes on. Without memory only a measurement is lost. */
void flips_start(struct flips *flips, const char *cluster_name, uint64_t now_ms);
/** Ends the measurements of clusters for which `is_busy` says that nothing is to be written any more.
 *  @param seconds  the histogram, by cluster name. */
void flips_finish(struct flips *flips, uint64_t now_ms, bool (*is_busy)(void *context, const char *cluster_name),
                  void *context, struct metric *seconds);
void flips_done(struct flips *flips);
