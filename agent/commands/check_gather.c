#include "agent/commands/check_gather.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/commands/check.h"
#include "agent/commands/check_gather_more.h"
#include "agent/commands/check_targets.h"
#include "agent/commands/gateway_records.h"
#include "agent/kube/base64.h"
#include "base/arena.h"
#include "base/mem.h"

enum {
    CONFIG_BYTES = 8 << 20,
    PATH_BYTES = 384,
    MOST_FACTS = 26, /* of a cluster */
};

#define LIMIT "limit=1000"
#define RBAC "/apis/rbac.authorization.k8s.io/v1/"
#define AMBASSADOR "/apis/getambassador.io/"
#define OF_AGENT "/namespaces/%s/"
#define LINKS "/apis/multicluster.linkerd.io/"
#define PROXY "/api/v1/namespaces/%s/services/svcmirror:admin/proxy/api/v1/"

/* One fact: where it stands in the snapshot, and where the API has it. */
struct wanted {
    const char *key, *resource;
    const char *path; /* "%s" is the namespace */
    bool of_linkerd;  /* which namespace that is: Linkerd's, or the agent's */
    const char *verb; /* NULL: it is read; else whether this verb is allowed on `resource` of `group` is asked */
    const char *group;
};

/* Where either cluster's Linkerd tells whom it trusts, today and in 2.8. */
#define LINKERD_TRUST                                                                                                  \
    {.key = "trustRoots",                                                                                              \
     .resource = "configmaps",                                                                                         \
     .path = "/api/v1" OF_AGENT "configmaps/linkerd-identity-trust-roots",                                             \
     .of_linkerd = true},                                                                                              \
    {                                                                                                                  \
        .key = "linkerdConfig", .resource = "configmaps", .path = "/api/v1" OF_AGENT "configmaps/linkerd-config",      \
        .of_linkerd = true                                                                                             \
    }

static const struct wanted of_source[] = {
    {.key = "links", .resource = "links", .path = LINKS "v1alpha3" OF_AGENT "links?" LIMIT},
    {.key = "linksV1alpha2", .resource = "links", .path = LINKS "v1alpha2" OF_AGENT "links?" LIMIT},
    {.key = "linksV1alpha1", .resource = "links", .path = LINKS "v1alpha1" OF_AGENT "links?" LIMIT},
    {.key = "secrets", .resource = "secrets", .path = "/api/v1" OF_AGENT "secrets?" LIMIT},
    {.key = "services", .resource = "services", .path = "/api/v1/services?" LIMIT},
    {.key = "endpointSlices",
     .resource = "endpointslices",
     .path =
         "/apis/discovery.k8s.io/v1/endpointslices?labelSelector=mirror.linkerd.io%2Fmirrored-service%3Dtrue&" LIMIT},
    {.key = "clusterRoles", .resource = "clusterroles", .path = RBAC "clusterroles?" LIMIT},
    {.key = "clusterRoleBindings", .resource = "clusterrolebindings", .path = RBAC "clusterrolebindings?" LIMIT},
    {.key = "roles", .resource = "roles", .path = RBAC "namespaces/%s/roles?" LIMIT},
    {.key = "roleBindings", .resource = "rolebindings", .path = RBAC "namespaces/%s/rolebindings?" LIMIT},
    {.key = "deployments", .resource = "deployments", .path = "/apis/apps/v1" OF_AGENT "deployments?" LIMIT},
    {.key = "pods", .resource = "pods", .path = "/api/v1" OF_AGENT "pods?" LIMIT},
    {.key = "leases", .resource = "leases", .path = "/apis/coordination.k8s.io/v1" OF_AGENT "leases?" LIMIT},
    {.key = "agentGateways", .resource = "services/proxy", .path = PROXY "gateways"},
    {.key = "agentLinks", .resource = "services/proxy", .path = PROXY "links"},
    {.key = "trafficSplits", .resource = "trafficsplits", .path = "/apis/split.smi-spec.io/v1alpha1/trafficsplits"},
    {.key = "hosts", .resource = "hosts", .path = AMBASSADOR "v3alpha1/hosts?" LIMIT},
    {.key = "hostsV2", .resource = "hosts", .path = AMBASSADOR "v2/hosts?" LIMIT},
    {.key = "mappings", .resource = "mappings", .path = AMBASSADOR "v3alpha1/mappings?" LIMIT},
    {.key = "mappingsV2", .resource = "mappings", .path = AMBASSADOR "v2/mappings?" LIMIT},
    {.key = "modules", .resource = "modules", .path = AMBASSADOR "v3alpha1/modules?" LIMIT},
    {.key = "modulesV2", .resource = "modules", .path = AMBASSADOR "v2/modules?" LIMIT},
    {.key = "listeners", .resource = "listeners", .path = AMBASSADOR "v3alpha1/listeners?" LIMIT},
    LINKERD_TRUST,
};

#define DISCOVERY "discovery.k8s.io"

static const struct wanted of_target[] = {
    {.key = "version", .resource = "version", .path = "/version"},
    {.key = "services", .resource = "services", .path = "/api/v1/services?" LIMIT},
    LINKERD_TRUST,
    {.key = "get services", .resource = "services", .verb = "get", .group = ""},
    {.key = "list services", .resource = "services", .verb = "list", .group = ""},
    {.key = "watch services", .resource = "services", .verb = "watch", .group = ""},
    {.key = "list endpointslices", .resource = "endpointslices", .verb = "list", .group = DISCOVERY},
    {.key = "watch endpointslices", .resource = "endpointslices", .verb = "watch", .group = DISCOVERY},
    {.key = "list endpoints", .resource = "endpoints", .verb = "list", .group = ""},
    {.key = "watch endpoints", .resource = "endpoints", .verb = "watch", .group = ""},
};

_Static_assert(ARRAY_COUNT(of_source) <= MOST_FACTS && ARRAY_COUNT(of_target) <= MOST_FACTS, "they have room");

/* ---- facts ---- */

struct fact_read {
    const struct wanted *wanted;
    char path[PATH_BYTES];
    char *body; /* of malloc's family, as jansson gives it */
};

static bool prepare(const struct wanted *wanted, const char *namespace, struct kube_client *client, uint32_t timeout_ms,
                    struct fact_read *fact, struct session_read *read)
{
    *fact = (struct fact_read){.wanted = wanted};
    *read = (struct session_read){.client = client, .resource = wanted->resource, .timeout_ms = timeout_ms};
    if (wanted->verb == NULL) {
        /* The formats are those of the tables above, with one %s at most. */
        const char *hole = strstr(wanted->path, "%s");
        size_t head = hole != NULL ? (size_t)(hole - wanted->path) : strlen(wanted->path);
        (void)snprintf(fact->path, sizeof(fact->path), "%.*s%s%s", (int)head, wanted->path,
                       hole != NULL ? namespace : "", hole != NULL ? hole + 2 : "");
    } else {
        json_t *review = json_pack("{s:s, s:s, s:{s:{s:s, s:s, s:s}}}", "apiVersion", "authorization.k8s.io/v1", "kind",
                                   "SelfSubjectAccessReview", "spec", "resourceAttributes", "group", wanted->group,
                                   "resource", wanted->resource, "verb", wanted->verb);
        fact->body = json_dumps(review, JSON_COMPACT);
        json_decref(review);
        (void)snprintf(fact->path, sizeof(fact->path), "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews");
        if (fact->body == NULL)
            return false;
    }
    read->path = fact->path;
    read->body = fact->body;
    return true;
}

json_t *check_gather_fact(struct session_read *read)
{
    return read->value != NULL
               ? json_pack("{s:o}", "value", TAKE(read->value))
               : json_pack("{s:s, s:s}", "error", read->error.text, "code", err_code_name(read->error.code));
}

/* Moves what was read into the side's facts. @return false when memory ran out. */
static bool keep(struct session_read *read, const struct wanted *wanted, json_t *side)
{
    json_t *place = wanted->verb != NULL ? json_object_get(side, "rights") : side;
    return json_object_set_new(place, wanted->key, check_gather_fact(read)) == 0;
}

/* By how much the cluster's clock is ahead of ours. @return false when memory ran out. */
static bool note_clock(const struct session_read *read, json_t *side)
{
    return read->date_s == 0 || json_object_set_new(side, "ahead", json_integer(read->date_s - read->came_s)) == 0;
}

/* A side that is read: a cluster with its facts. */
struct side {
    struct kube_client *client;
    const char *namespace, *linkerd_namespace;
    const struct wanted *wanted;
    size_t count;
    json_t *facts; /* borrowed */
};

/* Reads all facts of all sides at once. */
static enum err_code read_sides(struct session *session, const struct side *sides, size_t side_count,
                                uint32_t timeout_ms, struct err *reterr)
{
    struct session_read *reads = mem_zalloc(side_count * MOST_FACTS * sizeof(*reads));
    struct fact_read *facts = mem_zalloc(side_count * MOST_FACTS * sizeof(*facts));
    size_t count = 0, at = 0;
    bool whole = reads != NULL && facts != NULL;
    for (size_t i = 0; whole && i < side_count; i++)
        for (size_t k = 0; whole && k < sides[i].count; k++, count++)
            whole = prepare(&sides[i].wanted[k],
                            sides[i].wanted[k].of_linkerd ? sides[i].linkerd_namespace : sides[i].namespace,
                            sides[i].client, timeout_ms, &facts[count], &reads[count]);
    enum err_code code =
        whole ? session_read_all(session, reads, count, reterr) : err_set(reterr, ERR_NOMEM, "out of memory");
    for (size_t i = 0; code == ERR_OK && i < side_count; i++)
        for (size_t k = 0; code == ERR_OK && k < sides[i].count; k++, at++)
            if (!keep(&reads[at], &sides[i].wanted[k], sides[i].facts) || !note_clock(&reads[at], sides[i].facts))
                code = err_set(reterr, ERR_NOMEM, "out of memory");
    for (size_t i = 0; reads != NULL && facts != NULL && i < side_count * MOST_FACTS; i++) {
        json_decref(reads[i].value);
        mem_free(facts[i].body); /* jansson allocates here too */
    }
    mem_free(reads);
    mem_free(facts);
    return code;
}

/* ---- the source ---- */

/* Where today's version of Links is not served, the newest of the older ones, with which the agent works too, stands in its place. */
static enum err_code choose_links(json_t *source)
{
    static const char *const older[][2] = {{"linksV1alpha2", "v1alpha2"}, {"linksV1alpha1", "v1alpha1"}};
    bool whole = true, chosen = !check_fact_is(source, "links", ERR_NOT_FOUND);
    for (size_t i = 0; whole && !chosen && i < ARRAY_COUNT(older); i++) {
        if (check_fact_is(source, older[i][0], ERR_NOT_FOUND))
            continue;
        whole = json_object_set(source, "links", json_object_get(source, older[i][0])) == 0 &&
                json_object_set_new(source, "linksVersion", json_string(older[i][1])) == 0;
        chosen = true;
    }
    return whole ? ERR_OK : ERR_NOMEM;
}

/* Without an agent that answers, what the API holds of its last word. */
static enum err_code complete_gateways(json_t *source, const char *namespace)
{
    const json_t *service = NULL, *slice = NULL;
    size_t index = 0;
    if (json_is_array(check_fact(source, "agentGateways")))
        return ERR_OK;
    struct gateway_records *records = gateway_records_new(namespace);
    enum err_code code = records != NULL ? ERR_OK : ERR_NOMEM;
    json_array_foreach(check_items(source, "services"), index, service)
    {
        if (code == ERR_OK && object_meta_entry(service, "labels", "mirror.linkerd.io/mirrored-service") != NULL)
            code = gateway_records_take_service(records, service);
    }
    json_array_foreach(check_items(source, "endpointSlices"), index, slice)
    {
        if (code == ERR_OK && strcmp(object_meta_text(slice, "namespace"), namespace) == 0)
            code = gateway_records_take_slice(records, slice);
    }
    bool by_mirrors = code == ERR_OK && gateway_records_need_mirrors(records);
    json_array_foreach(check_items(source, "endpointSlices"), index, slice)
    {
        if (code == ERR_OK && by_mirrors)
            code = gateway_records_take_mirror_slice(records, slice);
    }
    json_t *gateways = code == ERR_OK ? gateway_records_json(records) : NULL;
    gateway_records_free(records);
    if (gateways == NULL)
        return ERR_NOMEM;
    return json_object_set_new(source, "agentGateways", json_pack("{s:o}", "value", gateways)) == 0 ? ERR_OK
                                                                                                    : ERR_NOMEM;
}

static enum err_code read_source(struct session *session, struct cluster *cluster, const struct check_query *query,
                                 json_t *source, struct err *reterr)
{
    const struct side side = {.client = cluster_client(cluster),
                              .namespace = query->namespace,
                              .linkerd_namespace = query->linkerd_namespace,
                              .wanted = of_source,
                              .count = ARRAY_COUNT(of_source),
                              .facts = source};
    json_t *version = NULL;
    /* Asked first: when nobody answers, that is told once, and not twenty times. */
    TRY(cluster_get_path(cluster, "version", "/version", &version, reterr));
    json_decref(version);
    TRY(read_sides(session, &side, 1, query->timeout_ms, reterr));
    if (choose_links(source) != ERR_OK || complete_gateways(source, query->namespace) != ERR_OK)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    return check_gather_more(session, cluster, query, source, reterr);
}

/* ---- the targets ---- */

static enum err_code parse_kubeconfig(struct arena *arena, const json_t *target, const json_t *source,
                                      struct kubeconfig *ret_config, struct err *reterr)
{
    const json_t *secrets = check_items(source, "secrets");
    const char *encoded = target_kubeconfig(target, secrets), *text = NULL;
    size_t bytes = 0;
    if (secrets == NULL)
        return err_set(reterr, ERR_FORBIDDEN, "cannot be read: %s", check_fact_error(source, "secrets"));
    if (encoded == NULL)
        return err_set(reterr, ERR_NOT_FOUND, "there is no such Secret, or it has no key kubeconfig");
    if (base64_decode(arena, encoded, &text, &bytes, reterr) != ERR_OK)
        return err_context(reterr, "kubeconfig");
    return kubeconfig_parse(arena, text, bytes, NULL, KUBECONFIG_TARGET, "", ret_config, reterr);
}

static bool note_validity(json_t *target, const struct kube_client *client)
{
    json_t *list = json_array();
    bool whole = json_object_set_new(target, "credentials", list) == 0;
    for (unsigned kind = 0; whole && kind < KUBE_CREDENTIAL_KINDS; kind++) {
        struct validity validity = kube_client_validity(client, kind);
        whole = json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "kind", kube_credential_name(kind), "from",
                                                      (json_int_t)validity.from_us, "until",
                                                      (json_int_t)validity.until_us)) == 0;
    }
    return whole;
}

/* @param[out] ret_client  new; NULL when the credentials cannot be used, which is the target's "problem" then. */
static enum err_code connect(struct session *session, json_t *target, const json_t *source,
                             struct kube_client **ret_client)
{
    struct arena arena;
    struct kubeconfig config = {0};
    struct err error = {0};
    arena_init(&arena, CONFIG_BYTES);
    enum err_code code = parse_kubeconfig(&arena, target, source, &config, &error);
    if (code == ERR_OK)
        code = session_connect(session, &config, check_text(target, "cluster"), ret_client, &error);
    arena_done(&arena); /* the client has copied what it needs */
    bool whole = json_object_set_new(target, "rights", json_object()) == 0;
    if (whole && code == ERR_OK)
        whole = note_validity(target, *ret_client);
    else if (whole && code != ERR_NOMEM)
        whole = json_object_set_new(target, "problem", json_string(error.text)) == 0;
    return whole && code != ERR_NOMEM ? ERR_OK : ERR_NOMEM;
}

static enum err_code read_targets(struct session *session, const struct check_query *query, json_t *targets,
                                  const json_t *source, struct err *reterr)
{
    size_t count = json_array_size(targets), used = 0;
    struct side *sides = mem_zalloc(count * sizeof(*sides));
    enum err_code code = sides != NULL ? ERR_OK : ERR_NOMEM;
    for (size_t i = 0; code == ERR_OK && i < count; i++) {
        json_t *target = json_array_get(targets, i);
        struct side *side = &sides[used];
        if (!target_concerns(target))
            continue;
        code = connect(session, target, source, &side->client);
        side->namespace = query->namespace;
        side->linkerd_namespace = check_text(target, "linkerdNamespace");
        side->wanted = of_target;
        side->count = ARRAY_COUNT(of_target);
        side->facts = target;
        used += side->client != NULL ? 1 : 0;
    }
    if (code == ERR_OK)
        code = read_sides(session, sides, used, query->timeout_ms, reterr);
    else
        (void)err_set(reterr, code, "out of memory");
    for (size_t i = 0; sides != NULL && i < count; i++)
        kube_client_free(sides[i].client);
    mem_free(sides);
    return code;
}

/* ---- both ---- */

static enum err_code fill(struct session *session, struct cluster *cluster, const struct check_query *query,
                          json_t *snapshot, struct err *reterr)
{
    json_t *source = json_object_get(snapshot, "source");
    TRY(read_source(session, cluster, query, source, reterr));
    json_t *targets = targets_declared(check_items(source, "links"), check_items(source, "secrets"), query->namespace,
                                       query->linkerd_namespace, query->cluster);
    if (json_object_set_new(snapshot, "targets", targets) != 0)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    return read_targets(session, query, targets, source, reterr);
}

enum err_code check_gather(struct session *session, struct cluster *cluster, const struct check_query *query,
                           json_t **ret_snapshot, struct err *reterr)
{
    json_t *snapshot = json_pack("{s:s, s:s, s:s, s:s, s:I, s:{}}", "namespace", query->namespace, "linkerdNamespace",
                                 query->linkerd_namespace, "cluster", query->cluster, "linkerdCli", query->linkerd_cli,
                                 "now", (json_int_t)(session_wall_us(session) / 1000000), "source");
    enum err_code code = snapshot != NULL ? fill(session, cluster, query, snapshot, reterr)
                                          : err_set(reterr, ERR_NOMEM, "out of memory");
    if (code != ERR_OK) {
        json_decref(snapshot);
        return code;
    }
    *ret_snapshot = snapshot;
    return ERR_OK;
}
