/* The finalizer of Link resources: a deleted Link stays, marked as being deleted, until its mirrors are gone. So whoever waits for its
 * deletion waits for all of it, and a Link that is deleted while no agent runs still tells the next one what to remove. */
#pragma once

#include "agent/kube/list_watch.h"
#include "base/err.h"

struct control;
struct finalizers;

#define LINK_FINALIZER "svcmirror.io/mirrors"

enum err_code finalizers_new(struct control *control, struct finalizers **ret_finalizers) MUST_USE;
/** Ends what is under way. Takes NULL. */
void finalizers_free(struct finalizers *finalizers);

/** A complete listing of Links starts, and ends: what was not seen in between is gone. */
void finalizers_begin(struct finalizers *finalizers);
void finalizers_end(struct finalizers *finalizers);
/** A Link as the API server has it, or its end. @return ERR_OK or ERR_NOMEM. */
enum err_code finalizers_see(struct finalizers *finalizers, enum change change, const struct json_tree *link) MUST_USE;
/** Something that they depend on may have changed, as the links that are served. */
void finalizers_wake(struct finalizers *finalizers);

/** Once a turn, after the links'. Puts the finalizer on Links that are served, and takes it off those that are being deleted and whose
 *  mirrors are gone; off all when it is not wanted. */
void finalizers_turn(struct finalizers *finalizers);

/** For a preview: what would be done about finalizers, in order of name. @param fn  `puts`: it is put on, else taken off; `reason` is constant. */
void finalizers_each_planned(const struct finalizers *finalizers,
                             void (*fn)(void *context, const char *link, const char *cluster, bool puts,
                                        const char *reason),
                             void *context);
