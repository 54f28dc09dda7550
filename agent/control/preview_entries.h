/* The writes that were planned so far in a preview, one for each object and action. Used by preview.c only. */
#pragma once

#include "agent/control/preview.h"
#include "base/arena.h"
#include "base/map.h"

struct preview_entry;

struct preview_entries {
    struct arena texts;
    struct map *last; /* object -> its newest entry */
    struct preview_entry *first;
    struct preview_write **sorted; /* NULL before preview_entries_sort() */
    size_t count;
};

enum err_code preview_entries_init(struct preview_entries *entries) MUST_USE;
void preview_entries_done(struct preview_entries *entries); /* also of a zeroed one */
/** Records a write of a plan for `mirror`. */
enum err_code preview_entries_add(struct preview_entries *entries, const struct mirror *mirror,
                                  const struct write *write) MUST_USE;
/** Records a change of a Link itself. @param reason  constant. */
enum err_code preview_entries_add_link(struct preview_entries *entries, const struct preview_write *write) MUST_USE;
enum err_code preview_entries_sort(struct preview_entries *entries) MUST_USE;

/** "Kind namespace/name". */
enum { PREVIEW_OBJECT_BYTES = OBJECT_KEY_BYTES + 32 };
void preview_object_format(char text[PREVIEW_OBJECT_BYTES], enum write_kind kind, const char *namespace,
                           const char *name);
