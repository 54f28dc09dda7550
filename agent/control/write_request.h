/* One write of a plan as an API request: path, body, and how its words read. */
#pragma once

#include "base/arena.h"
#include "base/strbuf.h"
#include "mirror/plan.h"

struct write_request {
    const char *verb;         /* "create", "update", "patch", "delete" */
    const char *resource;     /* "services" */
    const char *path;         /* in the arena */
    const char *content_type; /* NULL: application/json */
};

/** Fills `ret_request` and appends the body. Failures are the arena's and the buffer's. */
void write_request_build(struct arena *arena, const struct write *write, struct write_request *ret_request,
                         struct strbuf *body);
/** The resource of a kind, as it stands in paths: "services". */
const char *write_request_resource(enum write_kind kind);
/** The path of one existing object, for GET. @param version  of ServiceImports, as in struct write. */
const char *write_request_object_path(struct arena *arena, enum write_kind kind, const char *version,
                                      const char *namespace, const char *name);
