#include "agent/commands/check_gather_more.h"

#include <stdio.h>
#include <string.h>

#include "agent/commands/check.h"
#include "agent/commands/resource.h"
#include "base/arena.h"
#include "base/mem.h"
#include "base/text.h"
#include "mirror/names.h"

enum {
    TEXT_BYTES = 1 << 20,
    PATH_BYTES = 768,
    NAME_BYTES = 256,
};

#define LIMIT "limit=1000"

struct reader {
    struct session *session;
    struct cluster *cluster;
    uint32_t timeout_ms;
};

/* Reads one fact into `facts`. */
static enum err_code read_fact(const struct reader *reader, const char *resource, const char *path, json_t *facts,
                               const char *key, struct err *reterr)
{
    struct session_read read = {.client = cluster_client(reader->cluster),
                                .resource = resource,
                                .path = path,
                                .timeout_ms = reader->timeout_ms};
    TRY(session_read_all(reader->session, &read, 1, reterr));
    return json_object_set_new(facts, key, check_gather_fact(&read)) == 0 ? ERR_OK
                                                                          : err_set(reterr, ERR_NOMEM, "out of memory");
}

/* @return borrowed: the facts that stand under this key, none yet; NULL when out of memory. */
static json_t *begin_facts(json_t *source, const char *key)
{
    json_t *facts = json_object();
    return json_object_set_new(source, key, facts) == 0 ? facts : NULL;
}

/* Two kinds of one API group, which are read together. */
struct lists {
    const char *group;
    struct {
        const char *plural, *key;
    } kinds[2];
};

/* Reads both of one namespace into facts of its name. */
static enum err_code read_lists(const struct reader *reader, const struct lists *lists, const char *namespace,
                                json_t *all, struct err *reterr)
{
    char path[PATH_BYTES];
    json_t *facts = begin_facts(all, namespace);
    if (facts == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < ARRAY_COUNT(lists->kinds); i++) {
        const char *plural = lists->kinds[i].plural;
        (void)snprintf(path, sizeof(path), "/apis/%s/v1/namespaces/%s/%s?" LIMIT, lists->group, namespace, plural);
        TRY(read_fact(reader, plural, path, facts, lists->kinds[i].key, reterr));
    }
    return ERR_OK;
}

/* ---- pods of gateways ---- */

/* "a=b,c=d" of a selector, escaped. @return NULL when it selects nothing, or does not fit. */
static const char *selector_text(struct arena *arena, json_t *selector)
{
    const char *key = NULL, *text = NULL;
    json_t *value = NULL;
    json_object_foreach(selector, key, value)
    {
        const char *one = json_string_value(value);
        text = arena_printf(arena, "%s%s%s=%s", text != NULL ? text : "", text != NULL ? "," : "", key,
                            one != NULL ? one : "");
        if (text == NULL)
            return NULL;
    }
    return text != NULL ? kube_query_escape(arena, text) : NULL;
}

static enum err_code read_pods_of(const struct reader *reader, const json_t *service, json_t *facts, struct err *reterr)
{
    struct arena arena;
    char key[PATH_BYTES];
    enum err_code code = ERR_OK;
    arena_init(&arena, TEXT_BYTES);
    const char *selector = selector_text(&arena, json_object_get(json_object_get(service, "spec"), "selector"));
    const char *path = selector != NULL ? arena_printf(&arena, "/api/v1/namespaces/%s/pods?labelSelector=%s&" LIMIT,
                                                       object_meta_text(service, "namespace"), selector)
                                        : NULL;
    (void)snprintf(key, sizeof(key), "%s/%s", object_meta_text(service, "namespace"),
                   object_meta_text(service, "name"));
    if (path != NULL)
        code = read_fact(reader, "pods", path, facts, key, reterr);
    arena_done(&arena);
    return code;
}

/* The pods of this cluster's own gateways, which may be anywhere. */
static enum err_code read_gateway_pods(const struct reader *reader, json_t *source, struct err *reterr)
{
    const json_t *service = NULL;
    size_t index = 0;
    json_t *facts = begin_facts(source, "gatewayPods");
    if (facts == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    json_array_foreach(check_items(source, "services"), index, service)
    {
        if (check_is_gateway(service))
            TRY(read_pods_of(reader, service, facts, reterr));
    }
    return ERR_OK;
}

/* ---- endpoints of gateways ---- */

/* As EndpointSlices, or where the API server is older than those, as Endpoints. @param key  "namespace/name". */
static enum err_code read_endpoints_of(const struct reader *reader, const char *key, json_t *facts, struct err *reterr)
{
    char path[PATH_BYTES], namespace[NAME_BYTES];
    const char *name = strchr(key, '/') + 1;
    (void)snprintf(namespace, sizeof(namespace), "%.*s", (int)(name - 1 - key), key);
    (void)snprintf(path, sizeof(path),
                   "/apis/discovery.k8s.io/v1/namespaces/%s/endpointslices?labelSelector="
                   "kubernetes.io%%2Fservice-name%%3D%s&" LIMIT,
                   namespace, name);
    TRY(read_fact(reader, "endpointslices", path, facts, key, reterr));
    if (!check_fact_is(facts, key, ERR_NOT_FOUND))
        return ERR_OK;
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/%s/endpoints/%s", namespace, name);
    return read_fact(reader, "endpoints", path, facts, key, reterr);
}

static enum err_code read_gateway_endpoints(const struct reader *reader, json_t *source, struct err *reterr)
{
    json_t *facts = begin_facts(source, "gatewayEndpoints"), *is_there = NULL;
    json_t *names = check_gateway_names(check_items(source, "services"));
    const char *key = NULL;
    enum err_code code = facts != NULL && names != NULL ? ERR_OK : err_set(reterr, ERR_NOMEM, "out of memory");
    json_object_foreach(names, key, is_there)
    {
        if (code == ERR_OK && json_is_true(is_there))
            code = read_endpoints_of(reader, key, facts, reterr);
    }
    json_decref(names);
    return code;
}

/* ---- what runs Edge Stack ---- */

static enum err_code read_workloads(const struct reader *reader, json_t *source, struct err *reterr)
{
    static const struct lists workloads = {"apps", {{"deployments", "deployments"}, {"daemonsets", "daemonSets"}}};
    const json_t *service = NULL;
    size_t index = 0;
    json_t *all = begin_facts(source, "workloadsIn");
    if (all == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    json_array_foreach(check_items(source, "services"), index, service)
    {
        const char *namespace = object_meta_text(service, "namespace");
        if (check_is_edge_stack_gateway(service) && json_object_get(all, namespace) == NULL)
            TRY(read_lists(reader, &workloads, namespace, all, reterr));
    }
    return ERR_OK;
}

/* ---- rights where copies of credentials are ---- */

static const struct lists rights = {"rbac.authorization.k8s.io",
                                    {{"roles", "roles"}, {"rolebindings", "roleBindings"}}};

/* Of the Secrets whose token the agent renews. */
static enum err_code read_rights(const struct reader *reader, const char *agent_namespace, json_t *source,
                                 struct err *reterr)
{
    const json_t *secret = NULL;
    size_t index = 0;
    json_t *all = begin_facts(source, "rightsIn");
    if (all == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    json_array_foreach(check_items(source, "secrets"), index, secret)
    {
        char namespace[NAME_BYTES];
        const char *copy = object_meta_entry(secret, "annotations", SECRET_COPY);
        const char *slash = copy != NULL ? strchr(copy, '/') : NULL;
        if (slash == NULL || object_meta_entry(secret, "annotations", SECRET_RENEW_TOKEN) == NULL)
            continue;
        (void)snprintf(namespace, sizeof(namespace), "%.*s", (int)(slash - copy), copy);
        /* It becomes a part of a path. */
        if (text_is_dns1123_label(namespace) && strcmp(namespace, agent_namespace) != 0 &&
            json_object_get(all, namespace) == NULL)
            TRY(read_lists(reader, &rights, namespace, all, reterr));
    }
    return ERR_OK;
}

enum err_code check_gather_more(struct session *session, struct cluster *cluster, const struct check_query *query,
                                json_t *source, struct err *reterr)
{
    const struct reader reader = {.session = session, .cluster = cluster, .timeout_ms = query->timeout_ms};
    TRY(read_gateway_pods(&reader, source, reterr));
    TRY(read_gateway_endpoints(&reader, source, reterr));
    TRY(read_workloads(&reader, source, reterr));
    return read_rights(&reader, query->namespace, source, reterr);
}
