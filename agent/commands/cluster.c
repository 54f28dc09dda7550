#include "agent/commands/cluster.h"

#include <stdio.h>
#include <string.h>

#include "agent/commands/globals.h"
#include "agent/commands/remedy.h"
#include "agent/kube/client.h"
#include "base/arena.h"
#include "base/mem.h"
#include "base/strbuf.h"

enum {
    CONFIG_BYTES = 8 << 20,
    PATH_BYTES = 8192, /* with a continue token, which the server makes as long as it likes; in practice below 1 KiB */
    PAGE_ITEMS = 500,
};

struct cluster {
    struct arena arena;
    struct session *session;
    struct kubeconfig config;
    struct kube_client *client;
};

/* ---- coming and going ---- */

enum err_code cluster_credentials(struct arena *arena, const char *kubeconfig, const char *context,
                                  struct kubeconfig *ret_config, struct err *reterr)
{
    if (kubeconfig_is_of_pod(kubeconfig, context))
        TRY(kubeconfig_in_cluster(arena, ret_config, reterr));
    else
        TRY(kubeconfig_load(arena, kubeconfig, context, ret_config, reterr));
    ret_config->exec_permission =
        EXEC_TERMINAL; /* a person's own kubeconfig, as for kubectl; a pod's account has no plugin */
    return globals_act(arena, ret_config, reterr);
}

static enum err_code connect_to(struct cluster *cluster, const char *kubeconfig, const char *context,
                                struct err *reterr)
{
    TRY(cluster_credentials(&cluster->arena, kubeconfig, context, &cluster->config, reterr));
    return session_connect(cluster->session, &cluster->config, cluster_name(cluster), &cluster->client, reterr);
}

enum err_code cluster_open(struct session *session, const char *kubeconfig, const char *context,
                           struct cluster **ret_cluster, struct err *reterr)
{
    struct cluster *cluster = NEW(struct cluster);
    if (cluster == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    cluster->session = session;
    arena_init(&cluster->arena, CONFIG_BYTES);
    enum err_code code = connect_to(cluster, kubeconfig, context, reterr);
    if (code != ERR_OK) {
        cluster_free(cluster);
        return code;
    }
    *ret_cluster = cluster;
    return ERR_OK;
}

void cluster_free(struct cluster *cluster)
{
    if (cluster == NULL)
        return;
    kube_client_free(cluster->client);
    arena_done(&cluster->arena);
    mem_free(cluster);
}

const char *cluster_name(const struct cluster *cluster)
{
    return cluster->config.context_name != NULL ? cluster->config.context_name : cluster->config.server;
}

const struct kubeconfig *cluster_kubeconfig(const struct cluster *cluster) { return &cluster->config; }

struct kube_client *cluster_client(const struct cluster *cluster) { return cluster->client; }

/* Every request goes this way: one that fails says what may be done about it. */
static enum err_code ask(struct cluster *cluster, struct kube_request *request, json_t **ret_value, struct err *reterr)
{
    enum err_code code = session_request(cluster->session, cluster->client, request, ret_value, reterr);
    if (code != ERR_OK)
        remedy_add(reterr, cluster_name(cluster));
    return code;
}

/* ---- reading ---- */

enum err_code cluster_get_path(struct cluster *cluster, const char *label, const char *path, json_t **ret_value,
                               struct err *reterr)
{
    struct kube_request request = {.verb = "get", .resource = label, .path = path};
    json_t *value = NULL;
    TRY(ask(cluster, &request, &value, reterr));
    if (value == NULL)
        return err_set(reterr, ERR_PROTOCOL, "get %s in cluster %s: the answer is empty", path, cluster_name(cluster));
    *ret_value = value;
    return ERR_OK;
}

enum err_code cluster_get_text(struct cluster *cluster, const char *label, const char *path, char **ret_text,
                               size_t *ret_bytes, struct err *reterr)
{
    struct kube_request request = {.verb = "get", .resource = label, .path = path, .is_text = true};
    enum err_code code = session_request_text(cluster->session, cluster->client, &request, ret_text, ret_bytes, reterr);
    if (code != ERR_OK)
        remedy_add(reterr, cluster_name(cluster));
    return code;
}

enum err_code cluster_get(struct cluster *cluster, const struct resource *resource, const char *namespace,
                          const char *name, json_t **ret_object, struct err *reterr)
{
    char path[RESOURCE_PATH_BYTES];
    resource_path(resource, namespace, name, path);
    return cluster_get_path(cluster, resource->plural, path, ret_object, reterr);
}

enum err_code cluster_look_for(struct cluster *cluster, const struct resource *resource, const char *namespace,
                               const char *name, json_t **ret_object, struct err *reterr)
{
    *ret_object = NULL;
    enum err_code code = cluster_get(cluster, resource, namespace, name, ret_object, reterr);
    return code == ERR_NOT_FOUND || code == ERR_FORBIDDEN ? ERR_OK : code;
}

/* @return an escaped copy of the page's continue token in `arena`, "" on the last page, NULL when out of memory. */
static const char *next_page(struct arena *arena, const json_t *page)
{
    const char *token = json_string_value(json_object_get(json_object_get(page, "metadata"), "continue"));
    return token != NULL && token[0] != '\0' ? kube_query_escape(arena, token) : "";
}

static enum err_code call_for_each(const json_t *page, const struct resource *resource, cluster_item_fn fn,
                                   void *context, struct err *reterr)
{
    const json_t *items = json_object_get(page, "items"), *item = NULL;
    size_t index = 0;
    json_array_foreach(items, index, item)
    {
        enum err_code code = fn(context, item);
        if (code != ERR_OK)
            return err_set(reterr, code, "list %s: %s %s cannot be taken: %s", resource->plural, resource->kind,
                           object_meta_text(item, "name"), err_code_name(code));
    }
    return ERR_OK;
}

static enum err_code list_pages(struct cluster *cluster, struct arena *arena, const struct resource *resource,
                                const char *collection, cluster_item_fn fn, void *context, struct err *reterr)
{
    const char *token = "";
    do {
        char path[PATH_BYTES];
        json_t *page = NULL;
        int length = snprintf(path, sizeof(path), "%s%s%s", collection, token[0] != '\0' ? "&continue=" : "", token);
        if (length < 0 || (size_t)length >= sizeof(path))
            return err_set(reterr, ERR_PROTOCOL, "list %s in cluster %s: the continue token is too long",
                           resource->plural, cluster_name(cluster));
        struct kube_request request = {.verb = "list", .resource = resource->plural, .path = path};
        TRY(ask(cluster, &request, &page, reterr));
        enum err_code code = call_for_each(page, resource, fn, context, reterr);
        token = code == ERR_OK ? next_page(arena, page) : "";
        json_decref(page);
        TRY(code);
        if (token == NULL)
            return err_set(reterr, ERR_NOMEM, "out of memory");
    } while (token[0] != '\0');
    return ERR_OK;
}

enum err_code cluster_each(struct cluster *cluster, const struct resource *resource, const char *namespace,
                           const char *selector, cluster_item_fn fn, void *context, struct err *reterr)
{
    char path[RESOURCE_PATH_BYTES];
    struct arena arena;
    arena_init(&arena, CONFIG_BYTES);
    resource_path(resource, namespace, NULL, path);
    const char *escaped = selector != NULL ? kube_query_escape(&arena, selector) : "";
    const char *collection = escaped != NULL ? arena_printf(&arena, "%s?limit=%d%s%s", path, PAGE_ITEMS,
                                                            selector != NULL ? "&labelSelector=" : "", escaped)
                                             : NULL;
    enum err_code code = collection != NULL ? list_pages(cluster, &arena, resource, collection, fn, context, reterr)
                                            : err_set(reterr, ERR_NOMEM, "out of memory");
    arena_done(&arena);
    return code;
}

/* ---- writing ---- */

static void write_path(const struct cluster_write *write, const char *where, char path[PATH_BYTES])
{
    (void)snprintf(path, PATH_BYTES, "%s?fieldManager=%s%s%s", where,
                   write->field_manager != NULL ? write->field_manager : CLUSTER_FIELD_MANAGER,
                   write->dry_run ? "&dryRun=All" : "", write->force ? "&force=true" : "");
}

/* Sends `body`; what comes back goes to `ret_object`, when somebody wants it. */
static enum err_code send(struct cluster *cluster, struct kube_request *request, const json_t *body,
                          json_t **ret_object, struct err *reterr)
{
    json_t *answer = NULL;
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    if (body != NULL && text == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    request->body = text;
    request->body_bytes = text != NULL ? strlen(text) : 0;
    enum err_code code = ask(cluster, request, &answer, reterr);
    mem_free(text); /* jansson allocates here too */
    if (code == ERR_OK && ret_object != NULL)
        *ret_object = TAKE(answer);
    json_decref(answer);
    return code;
}

/* Creates, applies or replaces a whole object at the place that it names itself. */
static enum err_code send_object(struct cluster *cluster, const char *verb, const char *content_type,
                                 const json_t *object, const struct cluster_write *write, json_t **ret_object,
                                 struct err *reterr)
{
    char where[RESOURCE_PATH_BYTES], path[PATH_BYTES];
    struct resource resource;
    const char *namespace = object_meta_text(object, "namespace"), *name = object_meta_text(object, "name");
    TRY(resource_of(object, &resource, reterr));
    if (name[0] == '\0' || (resource.namespaced && namespace[0] == '\0'))
        return err_set(reterr, ERR_INVALID, "a %s without %s cannot be written", resource.kind,
                       name[0] == '\0' ? "a name" : "a namespace");
    resource_path(&resource, namespace, strcmp(verb, "create") == 0 ? NULL : name, where);
    write_path(write, where, path);
    struct kube_request request = {.verb = verb,
                                   .resource = resource.plural,
                                   .path = path,
                                   .content_type = content_type};
    return send(cluster, &request, object, ret_object, reterr);
}

enum err_code cluster_create(struct cluster *cluster, const json_t *object, const struct cluster_write *write,
                             json_t **ret_object, struct err *reterr)
{
    return send_object(cluster, "create", NULL, object, write, ret_object, reterr);
}

enum err_code cluster_apply(struct cluster *cluster, const json_t *object, const struct cluster_write *write,
                            json_t **ret_object, struct err *reterr)
{
    /* JSON is YAML; the API has no type of its own for applied JSON before 1.32. */
    return send_object(cluster, "patch", "application/apply-patch+yaml", object, write, ret_object, reterr);
}

enum err_code cluster_update(struct cluster *cluster, const json_t *object, const struct cluster_write *write,
                             json_t **ret_object, struct err *reterr)
{
    return send_object(cluster, "update", NULL, object, write, ret_object, reterr);
}

enum err_code cluster_patch(struct cluster *cluster, const struct resource *resource, const char *namespace,
                            const char *name, const json_t *patch, const struct cluster_write *write,
                            json_t **ret_object, struct err *reterr)
{
    char where[RESOURCE_PATH_BYTES], path[PATH_BYTES];
    resource_path(resource, namespace, name, where);
    write_path(write, where, path);
    struct kube_request request = {.verb = "patch",
                                   .resource = resource->plural,
                                   .path = path,
                                   .content_type = "application/merge-patch+json"};
    return send(cluster, &request, patch, ret_object, reterr);
}

enum err_code cluster_delete(struct cluster *cluster, const struct resource *resource, const char *namespace,
                             const char *name, const struct cluster_write *write, struct err *reterr)
{
    char path[RESOURCE_PATH_BYTES];
    resource_path(resource, namespace, name, path);
    json_t *body =
        json_pack("{s:s, s:s, s:s, s:o*, s:o*}", "apiVersion", "v1", "kind", "DeleteOptions", "propagationPolicy",
                  "Background", "dryRun", write->dry_run ? json_pack("[s]", "All") : NULL, "preconditions",
                  write->uid != NULL || write->resource_version != NULL
                      ? json_pack("{s:s*, s:s*}", "uid", write->uid, "resourceVersion", write->resource_version)
                      : NULL);
    if (body == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    struct kube_request request = {.verb = "delete", .resource = resource->plural, .path = path};
    enum err_code code = send(cluster, &request, body, NULL, reterr);
    json_decref(body);
    return code;
}

enum err_code cluster_post(struct cluster *cluster, const struct resource *resource, const char *namespace,
                           const char *name, const char *subresource, const json_t *body, json_t **ret_object,
                           struct err *reterr)
{
    char where[RESOURCE_PATH_BYTES], path[PATH_BYTES];
    resource_path(resource, namespace, name, where);
    (void)snprintf(path, sizeof(path), "%s%s%s", where, subresource != NULL ? "/" : "",
                   subresource != NULL ? subresource : "");
    struct kube_request request = {.verb = "create", .resource = resource->plural, .path = path};
    return send(cluster, &request, body, ret_object, reterr);
}
