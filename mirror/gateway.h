/* What is known of a gateway from its declaration: the gateway Service in the target (2.8), or a Link's fields. Whether it is alive is health/'s
 * business; the world joins both. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "mirror/link.h"
#include "mirror/object.h"

/** One gateway as declared. Texts are borrowed from the Service or Link it was made from, or in the arena. */
struct gateway_spec {
    bool exists;   /* false: nothing declares it (any more); `problem` says what is missing */
    bool unread;   /* the Service that a Link names was not listed yet: nothing else is known */
    bool recalled; /* told by its own mirror: the target was not listed yet. Enough to probe it, and no more */
    bool declared; /* a Link names it, or the Service says of itself that it is a gateway */
    const char *namespace, *name; /* of the gateway Service; the Link's for a Link that names no Service */
    const char *resource_version; /* of the gateway Service, "" for Links */
    const char *const *addresses; /* literals or host names; may be empty: no load balancer address yet */
    uint32_t address_count;
    uint16_t port;        /* mc-gateway */
    const char *identity; /* "" when none */
    struct probe_spec probe;
    const char *
        probe_period_text; /* for the gateway mirror's annotation: whole seconds as a number where possible, as 2.8 wrote */
    bool drain;            /* its mirrors are to be unready */
    const char *problem; /* why mirrors of it have no endpoints, "" when they have */
    const char *warning; /* what is odd but works, "" when nothing */
};

/** Whether a Service of a target says of itself that it is a gateway, by 2.8's annotation. Only such a one has a mirror of its own. */
bool gateway_is_declared(const struct service *service);
/** Whether it can be one that exported services name: it is declared, or has the port. */
bool gateway_is_possible(const struct service *service);
/** Whether it is kept because an exported service may name it: it is possible, or reachable from outside the target, so that whoever names it before it is
 *  prepared is told what it lacks, and not that it is not there. */
bool gateway_is_candidate(const struct service *service);

/** Reads a probe's period as annotations have it. @param[out] ret_ms  set when it is one. @return whether it can be used: from 100 ms to 1 h. */
bool gateway_period_parse(const char *text, uint64_t *ret_ms);

/** Reads a gateway Service: ports by the names mc-gateway and mc-probe, annotations, load balancer addresses. Faults leave `problem` or `warning`.
 *  Failures are the arena's. */
struct gateway_spec gateway_from_service(struct arena *arena, const struct service *service);
/** The gateway that a Link's own fields tell. */
struct gateway_spec gateway_from_link(struct arena *arena, const struct link *link);
/** The gateway whose Service a Link names: what the Link gives itself counts, each field alone, and for the rest the Service. */
struct gateway_spec gateway_from_both(struct arena *arena, const struct link *link, const struct service *service);
/** The same before the Service was listed. */
struct gateway_spec gateway_unread(struct arena *arena, const struct link *link);
/** What the mirror of such a gateway has to tell besides its probe's path, period and port, so that gateway_recalled() knows all that probes need. */
void gateway_note(struct arena *arena, struct kv_builder *annotations, const struct gateway_spec *spec);
/** The gateway as its mirror tells it, which has the annotations GATEWAY_ADDRESSES and the gateway's name and namespace. */
struct gateway_spec gateway_recalled(struct arena *arena, const struct service *mirror);
/** The gateway "namespace/name" that is not there. */
struct gateway_spec gateway_missing(struct arena *arena, const char *namespace, const char *name);
/** Makes `spec` say so in place, for when there is no memory to say it better. */
void gateway_spec_lose(struct gateway_spec *spec);

/** Whether addresses, port, or anything about probing differs. */
bool gateway_probing_equal(const struct gateway_spec *a, const struct gateway_spec *b);
bool gateway_spec_equal(const struct gateway_spec *a, const struct gateway_spec *b);
struct gateway_spec gateway_spec_copy(struct arena *arena, const struct gateway_spec *spec);
