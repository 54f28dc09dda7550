/* Edge Stack, or Emissary-ingress, as a multicluster gateway: what has to change on a cluster's objects for that, and how it is taken
 * back. Pure: from the cluster's objects as JSON to findings and changes; nothing here asks or writes. What is written, and why, is in
 * docs/edge-stack.md. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define EDGE_STACK_GROUP "getambassador.io"
#define EDGE_STACK_FIELD_MANAGER "svcmirror-edge-stack"
/** On every object that was changed or created: which gateway for, and what to take back. JSON. */
#define EDGE_STACK_RECORD "edge-stack.svcmirror.io/changes"

/** The field that names the instances which read an object; without it, or empty, the default one does. */
#define EDGE_STACK_ID "ambassador_id"
#define EDGE_STACK_DEFAULT_ID "default"

enum edge_stack_kind { EDGE_MODULE, EDGE_HOST, EDGE_LISTENER, EDGE_MAPPING, EDGE_KINDS };

extern const char *const edge_stack_kind_names[EDGE_KINDS];

/** What people say on the command line. NULL and 0: not said. Borrowed. */
struct edge_stack_settings {
    const char *service_namespace; /* NULL: any */
    const char *service_name;      /* NULL: found by its label */
    const char *trust_domain, *linkerd_namespace, *ambassador_id, *probe_path;
    uint16_t probe_port, probe_period_s;
    bool patch_host;
};

/** Whether something is there, as far as that could be found out. */
enum edge_stack_presence { EDGE_UNKNOWN, EDGE_ABSENT, EDGE_PRESENT };

/** With this Secret beside the gateway, and without any Host, cleartext is redirected to https; without both it is routed. */
#define EDGE_STACK_FALLBACK_SECRET "fallback-self-signed-cert"

/** What was read. Arrays of whole objects, with apiVersion and kind. */
struct edge_stack_objects {
    json_t *services, *workloads; /* workloads: Deployments and DaemonSets */
    json_t *of_kind[EDGE_KINDS];
    char api_version[EDGE_KINDS][64];         /* "getambassador.io/v3alpha1"; "" where the kind is not served */
    json_t *linkerd_config;                   /* the ConfigMap; NULL when there is none */
    enum edge_stack_presence fallback_secret; /* asked for only where there is no Host */
};

/** The gateway that was found. All texts are borrowed from the objects, the settings, or constant. */
struct edge_stack_gateway {
    const json_t *service, *workload, *container;
    const char *namespace, *name, *service_account, *ambassador_id;
    const char *only_namespace; /* the one that it watches; NULL: all */
};

enum edge_stack_severity {
    EDGE_NOTE,     /* worth knowing before one says yes */
    EDGE_WARNING,  /* may not do what it should */
    EDGE_OBSTACLE, /* nothing is written while it is there */
};

/** What there is to say and to do. Out of memory is remembered, and told by edge_stack_plan_error(). */
struct edge_stack_plan {
    json_t *findings; /* of {"severity": number, "text"} */
    json_t *
        changes; /* of {"before", "after"}: null where the object is not there before or after; in the order of writing */
    bool out_of_memory;
};

/* ---- edge_stack_find.c ---- */

/** Chooses the version of each kind. @param resources  the APIResourceLists of the group's versions. */
void edge_stack_choose_versions(const json_t *resources, struct edge_stack_objects *objects);
/** @return ERR_OK, ERR_NOT_FOUND or ERR_INVALID with what to do. */
enum err_code edge_stack_find(const struct edge_stack_objects *objects, const struct edge_stack_settings *settings,
                              struct edge_stack_gateway *ret_gateway, struct err *reterr) MUST_USE;
/** Whether the gateway's instance reads this object of its own kinds: by ambassador_id and namespace. @param gateway  NULL: it is not known, and taken to
 *  read all. */
bool edge_stack_reads(const struct edge_stack_gateway *gateway, const json_t *object);
/** Whether the gateway's instance reads a Host at all. */
bool edge_stack_has_host(const struct edge_stack_objects *objects, const struct edge_stack_gateway *gateway);
/** The Host that decides for every name: of several that serve them all the alphabetically last, in whatever namespace it is. @param gateway  as
 *  above. @return borrowed; NULL: there is none. */
const json_t *edge_stack_deciding_host(const struct edge_stack_objects *objects,
                                       const struct edge_stack_gateway *gateway);
/** What a Host does with cleartext: its requestPolicy's action for it. @return borrowed; NULL: not set, which means Redirect. */
const char *edge_stack_insecure_action(const json_t *host);
/** What is at a path of keys, NULL at its end. Borrowed; NULL when absent. */
json_t *edge_stack_at(const json_t *object, ...) __attribute__((sentinel));
/** As edge_stack_at(), a text. */
const char *edge_stack_text_at(const json_t *object, ...) __attribute__((sentinel));
/** @return the number of the pod's port that a Service's port leads to; 0 when its name is not among the container's. */
json_int_t edge_stack_target_port(const struct edge_stack_gateway *gateway, const json_t *port);

/* ---- edge_stack_plan.c, edge_stack_routes.c ---- */

enum err_code edge_stack_plan_new(struct edge_stack_plan *plan, struct err *reterr) MUST_USE;
void edge_stack_plan_done(struct edge_stack_plan *plan);
enum err_code edge_stack_plan_error(const struct edge_stack_plan *plan, struct err *reterr) MUST_USE;
void edge_stack_say(struct edge_stack_plan *plan, enum edge_stack_severity severity, const char *format, ...)
    PRINTF_LIKE(3, 4);
bool edge_stack_has_obstacle(const struct edge_stack_plan *plan);
/** Adds the change unless both are equal. @param before  borrowed, or NULL. @param after  stolen, or NULL. */
void edge_stack_change(struct edge_stack_plan *plan, const json_t *before, json_t *after);

/** Plans all of it. @return ERR_OK (obstacles are among the findings), ERR_NOMEM, ERR_INVALID. */
enum err_code edge_stack_prepare(const struct edge_stack_objects *objects, const struct edge_stack_gateway *gateway,
                                 const struct edge_stack_settings *settings, struct edge_stack_plan *plan,
                                 struct err *reterr) MUST_USE;
/** Plans Module, Listener, Host and Mapping. @param path  the probe's, with its slash. @param target_port  where the probe arrives. */
void edge_stack_plan_routes(const struct edge_stack_objects *objects, const struct edge_stack_gateway *gateway,
                            const struct edge_stack_settings *settings, const char *path, json_int_t target_port,
                            struct edge_stack_plan *plan);
/** Plans taking back what was recorded for the gateway, in the reverse order. */
enum err_code edge_stack_undo(const struct edge_stack_objects *objects, const struct edge_stack_gateway *gateway,
                              struct edge_stack_plan *plan, struct err *reterr) MUST_USE;

/* ---- edge_stack_diff.c ---- */

struct strbuf;
/** Appends the changes as lines for people: what each object gets (+), loses (-). */
void edge_stack_write_diff(const struct edge_stack_plan *plan, struct strbuf *text);
