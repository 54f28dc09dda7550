/* What a run would write to Links themselves, beside the mirrors: their finalizers and their statuses. Used by preview.c only. */
#pragma once

#include "agent/control/internal.h"
#include "agent/control/preview_entries.h"
#include "base/err.h"

/** Once all other writes are pretended. @param word  which links, as in link_scope.h; NULL: all. @return ERR_OK or ERR_NOMEM. */
enum err_code preview_links_add(struct control *control, const char *word, struct preview_entries *entries) MUST_USE;
