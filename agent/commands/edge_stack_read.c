#include "agent/commands/edge_stack_read.h"

#include <stdio.h>
#include <string.h>

#include "agent/commands/told.h"
#include "base/mem.h"
#include "base/text.h"

#define SERVICE_LABEL "app.kubernetes.io/component=ambassador-service"

enum { PATH_BYTES = 128 };

/* ---- reading ---- */

struct listing {
    const struct resource *resource;
    json_t *objects;
};

/* Items of a list leave out what the list says for all. */
static enum err_code take(void *context, const json_t *item)
{
    const struct listing *listing = context;
    const struct resource *resource = listing->resource;
    char api_version[PATH_BYTES];
    json_t *copy = json_deep_copy(item);
    (void)snprintf(api_version, sizeof(api_version), "%s%s%s", resource->group, resource->group[0] != '\0' ? "/" : "",
                   resource->version);
    bool good = json_object_set_new(copy, "apiVersion", json_string(api_version)) == 0 &&
                json_object_set_new(copy, "kind", json_string(resource->kind)) == 0;
    if (good)
        return json_array_append_new(listing->objects, copy) == 0 ? ERR_OK : ERR_NOMEM;
    json_decref(copy);
    return ERR_NOMEM;
}

static enum err_code list(struct cluster *cluster, const struct resource *resource, const char *namespace,
                          const char *selector, json_t *objects, struct err *reterr)
{
    struct listing listing = {.resource = resource, .objects = objects};
    return cluster_each(cluster, resource, namespace, selector, take, &listing, reterr);
}

static enum err_code read_services(struct cluster *cluster, const struct edge_stack_settings *settings,
                                   struct edge_stack_objects *objects, struct err *reterr)
{
    json_t *service = NULL;
    if (settings->service_name == NULL)
        return list(cluster, &RESOURCE_SERVICE, settings->service_namespace, SERVICE_LABEL, objects->services, reterr);
    TRY(cluster_get(cluster, &RESOURCE_SERVICE, settings->service_namespace, settings->service_name, &service, reterr));
    return json_array_append_new(objects->services, service) == 0 ? ERR_OK
                                                                  : err_set(reterr, ERR_NOMEM, "out of memory");
}

/* @param[out] versions  the APIResourceLists of the group's versions. */
static enum err_code read_versions(struct cluster *cluster, json_t *versions, struct err *reterr)
{
    char path[PATH_BYTES];
    json_t *group = NULL;
    const json_t *version = NULL;
    size_t index = 0;
    enum err_code code = cluster_get_path(cluster, EDGE_STACK_GROUP, "/apis/" EDGE_STACK_GROUP, &group, reterr);
    if (code == ERR_NOT_FOUND)
        (void)err_context(reterr,
                          "the cluster has no resource types of Edge Stack or Emissary: is it installed there?");
    if (code != ERR_OK)
        return code;
    json_array_foreach(json_object_get(group, "versions"), index, version)
    {
        json_t *resources = NULL;
        const char *name = edge_stack_text_at(version, "version", NULL);
        (void)snprintf(path, sizeof(path), "/apis/" EDGE_STACK_GROUP "/%.60s", name != NULL ? name : "");
        code = cluster_get_path(cluster, EDGE_STACK_GROUP, path, &resources, reterr);
        if (code == ERR_OK && json_array_append_new(versions, resources) != 0)
            code = err_set(reterr, ERR_NOMEM, "out of memory");
        if (code != ERR_OK)
            break;
    }
    json_decref(group);
    return code;
}

static enum err_code read_own_kinds(struct cluster *cluster, struct edge_stack_objects *objects, struct err *reterr)
{
    static const struct resource *const RESOURCES[EDGE_KINDS] = {[EDGE_MODULE] = &RESOURCE_EDGE_MODULE,
                                                                 [EDGE_HOST] = &RESOURCE_EDGE_HOST,
                                                                 [EDGE_LISTENER] = &RESOURCE_EDGE_LISTENER,
                                                                 [EDGE_MAPPING] = &RESOURCE_EDGE_MAPPING};
    json_t *versions = json_array();
    enum err_code code =
        versions != NULL ? read_versions(cluster, versions, reterr) : err_set(reterr, ERR_NOMEM, "out of memory");
    if (code == ERR_OK)
        edge_stack_choose_versions(versions, objects);
    json_decref(versions);
    for (int kind = 0; code == ERR_OK && kind < EDGE_KINDS; kind++) {
        struct resource resource = *RESOURCES[kind];
        if (objects->api_version[kind][0] == '\0')
            continue;
        resource.version = strchr(objects->api_version[kind], '/') + 1;
        code = list(cluster, &resource, NULL, NULL, objects->of_kind[kind], reterr);
    }
    return code;
}

static enum err_code make_lists(struct edge_stack_objects *objects, struct err *reterr)
{
    *objects = (struct edge_stack_objects){.services = json_array(), .workloads = json_array()};
    bool good = objects->services != NULL && objects->workloads != NULL;
    for (int kind = 0; kind < EDGE_KINDS; kind++) {
        objects->of_kind[kind] = json_array();
        good = good && objects->of_kind[kind] != NULL;
    }
    return good ? ERR_OK : err_set(reterr, ERR_NOMEM, "out of memory");
}

enum err_code edge_stack_read(struct cluster *cluster, const struct edge_stack_settings *settings,
                              struct edge_stack_objects *objects, struct err *reterr)
{
    TRY(make_lists(objects, reterr));
    TRY(read_services(cluster, settings, objects, reterr));
    if (json_array_size(objects->services) ==
        1) { /* else it is not known where to look, and edge_stack_find() says why */
        const char *namespace = object_meta_text(json_array_get(objects->services, 0), "namespace");
        TRY(list(cluster, &RESOURCE_DEPLOYMENT, namespace, NULL, objects->workloads, reterr));
        TRY(list(cluster, &RESOURCE_DAEMON_SET, namespace, NULL, objects->workloads, reterr));
    }
    enum err_code code = cluster_get(cluster, &RESOURCE_CONFIG_MAP, settings->linkerd_namespace, "linkerd-config",
                                     &objects->linkerd_config, reterr);
    if (code != ERR_OK && code != ERR_NOT_FOUND)
        return code;
    return read_own_kinds(cluster, objects, reterr);
}

enum err_code edge_stack_read_fallback(struct cluster *cluster, const struct edge_stack_gateway *gateway,
                                       struct edge_stack_objects *objects, struct err *reterr)
{
    json_t *secret = NULL;
    struct err error = {0};
    if (objects->api_version[EDGE_HOST][0] == '\0' || edge_stack_has_host(objects, gateway))
        return ERR_OK;
    enum err_code code =
        cluster_get(cluster, &RESOURCE_SECRET, gateway->namespace, EDGE_STACK_FALLBACK_SECRET, &secret, &error);
    json_decref(secret); /* that it is there is enough */
    if (code == ERR_OK)
        objects->fallback_secret = EDGE_PRESENT;
    else if (code == ERR_NOT_FOUND)
        objects->fallback_secret = EDGE_ABSENT;
    else if (code != ERR_FORBIDDEN)
        return err_set(reterr, code, "%s", error.text);
    return ERR_OK;
}

void edge_stack_read_done(struct edge_stack_objects *objects)
{
    json_decref(objects->services);
    json_decref(objects->workloads);
    json_decref(objects->linkerd_config);
    for (int kind = 0; kind < EDGE_KINDS; kind++)
        json_decref(objects->of_kind[kind]);
}

/* ---- writing ---- */

static enum err_code write_one(struct cluster *cluster, const json_t *change, bool dry_run, struct err *reterr)
{
    const json_t *before = json_object_get(change, "before"), *after = json_object_get(change, "after");
    const json_t *object = json_is_null(after) ? before : after;
    struct cluster_write write = {.field_manager = EDGE_STACK_FIELD_MANAGER, .dry_run = dry_run};
    struct resource resource;
    TRY(resource_of(object, &resource, reterr));
    const char *name = object_meta_text(object, "name"), *outcome = "configured";
    if (json_is_null(after)) {
        write.uid = object_meta_text(before, "uid");
        write.resource_version = object_meta_text(before, "resourceVersion");
        outcome = "deleted";
        TRY(cluster_delete(cluster, &resource, object_meta_text(before, "namespace"), name, &write, reterr));
    } else if (json_is_null(before)) {
        outcome = "created";
        TRY(cluster_create(cluster, after, &write, NULL, reterr));
    } else {
        TRY(cluster_update(cluster, after, &write, NULL, reterr));
    }
    const struct told what = {.cluster = cluster,
                              .resource = &resource,
                              .namespace = object_meta_text(object, "namespace"),
                              .name = name,
                              .outcome = outcome,
                              .run = dry_run ? TOLD_DRY_SERVER : TOLD_DONE};
    told(&what);
    return ERR_OK;
}

enum err_code edge_stack_write(struct cluster *cluster, const struct edge_stack_plan *plan, bool dry_run,
                               struct err *reterr)
{
    const json_t *change = NULL;
    size_t index = 0;
    json_array_foreach(plan->changes, index, change) TRY(write_one(cluster, change, dry_run, reterr));
    return ERR_OK;
}
