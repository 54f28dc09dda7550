/* What has the names of objects that a preview would create: the agent learns it from the answer to its write, a preview has to look. Objects with a
 * mirror's labels are watched and need no look. Used by preview.c only. */
#pragma once

#include "agent/control/control.h"
#include "mirror/plan.h"

struct preview_names;

enum preview_name {
    PREVIEW_NAME_UNKNOWN, /* nobody has looked yet */
    PREVIEW_NAME_FREE,
    PREVIEW_NAME_TAKEN, /* by an object that is not ours */
};

/** Called when a look-up has ended and its mirror was marked again; `error` NULL: well. */
typedef void (*preview_looked_fn)(void *context, const struct err *error);

/** @return new, NULL when out of memory. */
struct preview_names *preview_names_new(struct control *control, preview_looked_fn on_looked, void *context);
void preview_names_free(struct preview_names *names); /* takes NULL */
enum preview_name preview_names_get(const struct preview_names *names, const struct write *write);
/** Whether Linkerd's own Service for probing a gateway has the name of the mirror. */
bool preview_names_are_charts(const struct preview_names *names, const struct mirror *mirror);
/** Whether so many look-ups are under way that no more may be started. */
bool preview_names_full(const struct preview_names *names);
unsigned preview_names_in_flight(const struct preview_names *names);
/** Looks for the object that `write` creates; the mirror is held until then. An object of ours that lost its labels is taken into the world.
 *  @return any code of kube_start(), ERR_NOMEM, ERR_LIMIT (full). */
enum err_code preview_names_look(struct preview_names *names, struct mirror *mirror, const struct write *write)
    MUST_USE;
/** The write was pretended: what it deletes, and the slices that go with it, is there when one looks, and will not be; in a namespace that it creates
 *  there is nothing. Before the world is changed. */
enum err_code preview_names_pretend(struct preview_names *names, const struct mirror *mirror, const struct write *write)
    MUST_USE;
