/* The name and the namespace of a mirror: what a link's declaration makes of those of the exported service. What the service itself asks for by
 * annotation, and whether it may, is decided by world_target.c and plan_name.c. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/kv.h"
#include "mirror/object.h"

enum { NAMING_MAX_WORDS = 256 }; /* of a map or a list: each exported service is looked up in them */

/** Three annotations of a Link or Secret; each NULL when absent. */
struct naming {
    const char *name; /* LINK_MIRROR_NAME: a template; NULL or "": "{name}-{cluster}" */
    const char
        *namespaces;     /* LINK_NAMESPACE_MAP: "prod=prod-west, *=other"; what it does not name keeps its namespace */
    const char *allowed; /* LINK_ALLOWED_NAMESPACES: "shared, team-*"; NULL: the agent's own list holds */
};

/** Borrows from the list. */
struct naming naming_of(const struct kv_list *annotations);
struct naming naming_copy(struct arena *arena, const struct naming *naming);
bool naming_equal(const struct naming *a, const struct naming *b);

/** Judges all three. @return ERR_OK, ERR_INVALID (text names the annotation, what is wrong and the remedy). */
enum err_code naming_check(const struct naming *naming, const char *cluster, struct err *reterr) MUST_USE;
/** Judges a list of namespaces: names, and beginnings of names followed by a star. @return ERR_OK, ERR_INVALID. */
enum err_code naming_check_allowed(const char *list, struct err *reterr) MUST_USE;

/** The name of the mirror of a service, or of the hostname of a headless one, of that namespace. Not judged: it may be too long for a Service. */
void naming_name(const struct naming *naming, const char *cluster, const char *namespace, const char *name,
                 char ret_name[OBJECT_KEY_BYTES]);
/** The namespace in the source cluster for mirrors of a namespace of the target. */
void naming_namespace(const struct naming *naming, const char *namespace, char ret_namespace[OBJECT_KEY_BYTES]);
/** Whether such a list names the namespace. NULL or "" names none. */
bool naming_allows(const char *list, const char *namespace);

/** The way back: the namespaces of the target that are known to have their mirrors in that one, by index from 0.
 *  @return false when there are no more. */
bool naming_origin_namespace(const struct naming *naming, const char *mirror_namespace, uint32_t index,
                             char ret_namespace[OBJECT_KEY_BYTES]);
/** The name of the service of that namespace whose mirror would have the name. @return whether there can be one. */
bool naming_origin_name(const struct naming *naming, const char *cluster, const char *namespace,
                        const char *mirror_name, char ret_name[OBJECT_KEY_BYTES]);
