#include "agent/commands/remains.h"

#include <stdio.h>
#include <string.h>

#include "agent/commands/output.h"
#include "agent/control/finalizers.h"
#include "base/mem.h"
#include "mirror/names.h"
#include "mirror/object.h"

/* ---- judging ---- */

bool remains_is_ours(const json_t *object)
{
    const json_t *managers = json_object_get(json_object_get(object, "metadata"), "managedFields"), *manager = NULL;
    size_t index = 0;
    json_array_foreach(managers, index, manager)
    {
        const char *name = json_string_value(json_object_get(manager, "manager"));
        if (name != NULL && strcmp(name, OBJECT_FIELD_MANAGER) == 0)
            return true;
    }
    return false;
}

static bool is_held(const json_t *link)
{
    const json_t *finalizer = NULL;
    size_t index = 0;
    json_array_foreach(json_object_get(json_object_get(link, "metadata"), "finalizers"), index, finalizer)
    {
        const char *text = json_string_value(finalizer);
        if (text != NULL && strcmp(text, LINK_FINALIZER) == 0)
            return true;
    }
    return false;
}

json_t *remains_release_patch(const json_t *link)
{
    const json_t *finalizers = json_object_get(json_object_get(link, "metadata"), "finalizers"), *finalizer = NULL;
    json_t *left = json_array();
    size_t index = 0;
    json_array_foreach(finalizers, index, finalizer)
    {
        const char *text = json_string_value(finalizer);
        if (text != NULL && strcmp(text, LINK_FINALIZER) != 0 && json_array_append_new(left, json_string(text)) != 0) {
            json_decref(left);
            return NULL;
        }
    }
    /* The version makes the server refuse it when somebody else changed the list meanwhile. */
    return json_pack("{s:{s:s, s:o}}", "metadata", "resourceVersion", object_meta_text(link, "resourceVersion"),
                     "finalizers", left);
}

/* ---- naming ---- */

void remains_names(const json_t *objects, struct strbuf *text)
{
    const json_t *object = NULL;
    size_t index = 0, count = json_array_size(objects);
    json_array_foreach(objects, index, object)
    {
        if (index == REMAINS_NAMED)
            break;
        const char *namespace = object_meta_text(object, "namespace");
        strbuf_append(text, index > 0 ? ", " : "");
        output_text(namespace, text);
        strbuf_append(text, namespace[0] != '\0' ? "/" : "");
        output_text(object_meta_text(object, "name"), text);
    }
    if (count > REMAINS_NAMED)
        strbuf_printf(text, " and %zu more", count - REMAINS_NAMED);
}

/* ---- reading ---- */

static enum err_code keep(json_t *list, const json_t *object)
{
    return json_array_append(list, mem_unconst(object)) == 0 ? ERR_OK : ERR_NOMEM;
}

static enum err_code take_mirror(void *context, const json_t *service)
{
    const struct remains *remains = context;
    return remains_is_ours(service) ? keep(remains->mirrors, service) : ERR_OK;
}

static enum err_code take_link(void *context, const json_t *link)
{
    const struct remains *remains = context;
    TRY(keep(remains->links, link));
    return is_held(link) ? keep(remains->held_links, link) : ERR_OK;
}

static enum err_code read_links(struct cluster *cluster, const char *namespace, struct remains *remains,
                                struct err *reterr)
{
    static const char *const versions[] = {"v1alpha3", "v1alpha2", "v1alpha1"};
    for (size_t i = 0; i < ARRAY_COUNT(versions); i++) {
        remains->link_resource = RESOURCE_LINK;
        remains->link_resource.version = versions[i];
        enum err_code code =
            cluster_each(cluster, &remains->link_resource, namespace, NULL, take_link, remains, reterr);
        if (code != ERR_NOT_FOUND)
            return code;
    }
    return ERR_OK;
}

struct agents {
    const char *namespace;
    char *other;
};

static enum err_code take_agent(void *context, const json_t *deployment)
{
    const struct agents *agents = context;
    const char *namespace = object_meta_text(deployment, "namespace");
    if (strcmp(namespace, agents->namespace) != 0)
        (void)snprintf(agents->other, REMAINS_NAMESPACE_BYTES, "%s", namespace);
    return ERR_OK;
}

enum err_code remains_find_other_agent(struct cluster *cluster, const char *namespace,
                                       char ret_namespace[REMAINS_NAMESPACE_BYTES], struct err *reterr)
{
    struct agents agents = {.namespace = namespace, .other = ret_namespace};
    ret_namespace[0] = '\0';
    return cluster_each(cluster, &RESOURCE_DEPLOYMENT, NULL, "app.kubernetes.io/name=svcmirror", take_agent, &agents,
                        reterr);
}

static enum err_code read_all(struct cluster *cluster, const char *namespace, struct remains *remains,
                              struct err *reterr)
{
    if (remains->mirrors == NULL || remains->links == NULL || remains->held_links == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    /* Federated services name no cluster, but carry this label like every other mirror. */
    TRY(cluster_each(cluster, &RESOURCE_SERVICE, NULL, L5D_MIRRORED_SERVICE "=true", take_mirror, remains, reterr));
    TRY(remains_find_other_agent(cluster, namespace, remains->other_namespace, reterr));
    return read_links(cluster, namespace, remains, reterr);
}

enum err_code remains_read(struct cluster *cluster, const char *namespace, struct remains **ret_remains,
                           struct err *reterr)
{
    struct remains *remains = NEW(struct remains);
    if (remains == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    *remains = (struct remains){.mirrors = json_array(), .links = json_array(), .held_links = json_array()};
    enum err_code code = read_all(cluster, namespace, remains, reterr);
    if (code != ERR_OK) {
        remains_free(remains);
        return code;
    }
    *ret_remains = remains;
    return ERR_OK;
}

void remains_free(struct remains *remains)
{
    if (remains == NULL)
        return;
    json_decref(remains->mirrors);
    json_decref(remains->links);
    json_decref(remains->held_links);
    mem_free(remains);
}
