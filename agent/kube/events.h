/* Kubernetes Events (events.k8s.io/v1) in the source cluster. Fire and forget: never blocks, never retries for long, dropped when the queue of
 * 1000 is full or the server refuses. The same cause (type, reason, object, note) is one Event with a series count: repeats within 6 minutes
 * are PATCHed (series.count, series.lastObservedTime) at most once each 30 s. */
#pragma once

#include <stdbool.h>

#include "agent/kube/client.h"

struct events;

/** The object an Event is about. `uid` may be "". */
struct event_subject {
    const char *api_version, *kind, *namespace, *name, *uid;
};

/* `events` NULL is a place where nobody is told anything: nothing is emitted, nothing dropped. */

/** @param instance  reportingInstance, e.g. the pod's name. */
struct events *events_new(struct loop *loop, struct kube_client *client, const char *instance);
void events_free(struct events *events);
/** @param warning  type Warning instead of Normal. @param reason CamelCase, constant. @param action CamelCase, constant. Cluster-scoped or
 *  namespace-less subjects are written to namespace "default". Everything is copied. */
void events_emit(struct events *events, const struct event_subject *subject, bool warning, const char *reason,
                 const char *action, const char *note);
uint64_t events_dropped(const struct events *events);
/** Whether an Event waits to be written or is being written. */
bool events_busy(const struct events *events);

/** Calls `fn` for each Event that the server did not take, with why; it may not free the events. */
typedef void (*events_refused_fn)(void *context, const struct err *error);
void events_on_refused(struct events *events, events_refused_fn fn, void *context);
