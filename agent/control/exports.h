/* A target's ServiceExports -> the world, for a link that takes them. What is wrong with them stays their own affair: the link's other exports, and
 * what is known of these, stay as they are. */
#pragma once

#include "agent/control/internal.h"

struct exports;

/** Starts following them with the target's client, which must outlive it.
 *  @param on_change  services of the link may be exported now, or not any more. */
enum err_code exports_new(struct control *control, struct kube_client *client, struct world_link *world_link,
                          loop_fn on_change, void *context, struct exports **ret_exports) MUST_USE;
void exports_free(struct exports *exports); /* takes NULL */
/** Why there are none to go by: "" when they are listed, or about to be. */
const char *exports_complaint(const struct exports *exports); /* takes NULL */
