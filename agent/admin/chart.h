/* A latency chart as small as a word: inline SVG, so that it needs no script, no image and no style of its own. */
#pragma once

#include "agent/admin/html.h"
#include "health/latency.h"

/** Writes the newest good probes of an address, from old to new, and says in words what it shows. Nothing but a dash while there is none.
 *  @param latency  NULL: the address is not probed. */
void chart_write(struct html *html, const struct latency *latency);
