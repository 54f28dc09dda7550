/* When certificates and tokens end, for metrics, and in time for people: log and Event, once for each stage (agent/kube/validity.h). */
#pragma once

#include "agent/control/internal.h"

/** Makes the timer. @return ERR_OK or ERR_NOMEM. */
enum err_code expiry_init(struct control *control) MUST_USE;
/** Looks at once, and each minute from then on; also listens to what becomes of the source's files. */
void expiry_start(struct control *control);
/** Something changed: looks at all again, soon. */
void expiry_look_soon(struct control *control);
/** Fills the gauges of one client. @param cluster  its label: "local" for the source. */
void expiry_collect(struct control *control, const struct kube_client *client, const char *cluster);
