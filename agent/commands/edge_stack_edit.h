/* Changes of one object that can be taken back exactly: what was at each place before is recorded in an annotation of the object itself, so
 * that neither a file nor a second object has to be kept. Taking back restores only what is still as it was written: what somebody else
 * changed since stays, and is told. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "agent/commands/edge_stack.h"

enum { EDIT_MAX_DEPTH = 8 };

struct edit {
    json_t *after;   /* a copy, which is changed */
    json_t *record;  /* what was changed, also by earlier runs */
    bool failed;     /* out of memory */
    bool unreadable; /* there was a record that nobody can read */
};

/** @param object  borrowed. */
void edit_begin(struct edit *edit, const json_t *object);
/** Sets what is at a path of keys, NULL at its end; nothing happens where it is so already. @param value  stolen. */
void edit_set(struct edit *edit, const char *const *path, json_t *value);
/** Appends a port to a Service. @param port  stolen. */
void edit_add_port(struct edit *edit, json_t *port);
/** Ends it: adds the change to the plan. @param before  what edit_begin() got. */
void edit_finish(struct edit *edit, const struct edge_stack_gateway *gateway, const json_t *before,
                 struct edge_stack_plan *plan);

/** Adds a new object to the plan, so marked that it can be taken back. @param object  stolen. */
void edit_create(const struct edge_stack_gateway *gateway, json_t *object, struct edge_stack_plan *plan);
/** Plans taking back what is recorded on the object for this gateway, if anything. */
void edit_take_back(const struct edge_stack_gateway *gateway, const json_t *object, struct edge_stack_plan *plan);
