/* Which link people mean by a word, and what belongs to it. */
#pragma once

#include <stdbool.h>

#include "mirror/link.h"

struct control;

/* For commands: what to say when it names none; takes the word and the agent's namespace. */
#define LINK_SCOPE_UNKNOWN                                                                                             \
    "no link, credentials Secret or linked cluster is called %s: `kubectl get links,secrets -n %s` lists what there "  \
    "is"

/** Whether the word is the name of the Link, of the credentials Secret, or of its cluster. @param word  NULL: any link. */
bool link_scope_names(const char *word, const struct link *link);
/** Whether the word names a link that has a target, or a declaration that is refused. */
bool link_scope_exists(const struct control *control, const char *word);
/** Whether the word names only declarations that are refused: there is no target. */
bool link_scope_is_refused(const struct control *control, const char *word);
/** Whether the mirror is there because of the link, or is left of its cluster. @param key  of the mirror. */
bool link_scope_covers(const struct control *control, const char *word, const char *key);
