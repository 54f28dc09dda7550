#include "agent/commands/link_records.h"

#include <stdio.h>
#include <string.h>

#include "agent/commands/record.h"
#include "agent/control/leases.h"
#include "base/map.h"
#include "base/mem.h"
#include "mirror/names.h"

enum { PATH_BYTES = 512 };

struct link_records {
    json_t *links;       /* array of {clusterName, kind, namespace, name, domain, drained} */
    struct map *holders; /* Lease's name -> json_t, text */
    struct map *mirrors; /* cluster -> json_t, how many */
    struct map *secrets; /* name of a Secret whose credentials a Link uses -> json_t */
};

static void free_json(void *value) { json_decref(value); }

struct link_records *link_records_new(void)
{
    struct link_records *records = NEW(struct link_records);
    if (records == NULL)
        return NULL;
    *records = (struct link_records){.links = json_array(),
                                     .holders = map_new(free_json),
                                     .mirrors = map_new(free_json),
                                     .secrets = map_new(free_json)};
    if (records->links != NULL && records->holders != NULL && records->mirrors != NULL && records->secrets != NULL)
        return records;
    link_records_free(records);
    return NULL;
}

void link_records_free(struct link_records *records)
{
    if (records == NULL)
        return;
    json_decref(records->links);
    map_free(records->holders);
    map_free(records->mirrors);
    map_free(records->secrets);
    mem_free(records);
}

/* ---- taking ---- */

static enum err_code put(struct map *map, const char *key, json_t *value)
{
    if (value != NULL && map_put(map, key, value) == ERR_OK)
        return ERR_OK;
    json_decref(value);
    return ERR_NOMEM;
}

static enum err_code add(struct link_records *records, const json_t *object, const char *kind, const char *cluster,
                         const char *domain)
{
    const char *drain = object_meta_entry(object, "annotations", LINK_DRAIN);
    json_t *link = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "clusterName", cluster, "kind", kind, "namespace",
                             object_meta_text(object, "namespace"), "name", object_meta_text(object, "name"), "domain",
                             domain, "drained", drain != NULL && strcmp(drain, "true") == 0);
    return link != NULL && json_array_append_new(records->links, link) == 0 ? ERR_OK : ERR_NOMEM;
}

enum err_code link_records_take_link(void *context, const json_t *link)
{
    struct link_records *records = context;
    const json_t *spec = json_object_get(link, "spec");
    const char *secret = record_text(spec, "clusterCredentialsSecret");
    if (secret[0] != '\0')
        TRY(put(records->secrets, secret, json_true()));
    return add(context, link, "Link", record_text(spec, "targetClusterName"), record_text(spec, "targetClusterDomain"));
}

enum err_code link_records_take_secret(void *context, const json_t *secret)
{
    const char *cluster = object_meta_entry(secret, "annotations", L5D_SECRET_CLUSTER_NAME);
    const char *domain = object_meta_entry(secret, "annotations", L5D_SECRET_CLUSTER_DOMAIN);
    if (cluster == NULL || domain == NULL)
        return ERR_OK; /* the credentials of a Link */
    return add(context, secret, "Secret", cluster, domain);
}

enum err_code link_records_take_lease(void *context, const json_t *lease)
{
    struct link_records *records = context;
    const char *holder = record_text(json_object_get(lease, "spec"), "holderIdentity");
    return holder[0] != '\0' ? put(records->holders, object_meta_text(lease, "name"), json_string(holder)) : ERR_OK;
}

enum err_code link_records_take_mirror(void *context, const json_t *service)
{
    struct link_records *records = context;
    const char *cluster = object_meta_entry(service, "labels", L5D_CLUSTER_NAME);
    if (cluster == NULL || object_meta_entry(service, "labels", L5D_MIRRORED_GATEWAY) != NULL)
        return ERR_OK;
    json_int_t count = json_integer_value(map_get(records->mirrors, cluster));
    return put(records->mirrors, cluster, json_integer(count + 1));
}

/* ---- putting together ---- */

static json_t *holder_of(const struct link_records *records, const json_t *link)
{
    bool secret = strcmp(record_text(link, "kind"), "Secret") == 0;
    char name[LEASES_NAME_BYTES];
    leases_name(record_text(link, secret ? "clusterName" : "name"), name);
    return map_get(records->holders, name);
}

static json_t *make_record(const struct link_records *records, const json_t *link)
{
    const char *cluster = record_text(link, "clusterName"), *domain = record_text(link, "domain");
    json_t *mirrors = map_get(records->mirrors, cluster);
    return json_pack("{s:s?, s:s, s:s, s:s?, s:n, s:n, s:n, s:n, s:n, s:O?, s:n, s:n, s:n, s:n, s:I, s:s, s:b, s:b}",
                     "clusterName", cluster[0] != '\0' ? cluster : NULL, "kind", record_text(link, "kind"), "name",
                     record_text(link, "name"), "clusterDomain", domain[0] != '\0' ? domain : NULL, "server",
                     "apiReachable", "synced", "problem", "warning", "holder", holder_of(records, link), "held",
                     "eventAgeMs", "credentialsExpire", "exportedServices", "mirroredServices",
                     json_integer_value(mirrors), "namespace", record_text(link, "namespace"), "refused", 0, "drained",
                     record_is_true(link, "drained"));
}

/* A Secret that a Link uses declares nothing, even if it is one that Linkerd 2.8 would take too. */
static bool is_used_by_link(const struct link_records *records, const json_t *link)
{
    return strcmp(record_text(link, "kind"), "Secret") == 0 &&
           map_get(records->secrets, record_text(link, "name")) != NULL;
}

json_t *link_records_json(const struct link_records *records)
{
    json_t *list = json_array();
    const json_t *link = NULL;
    size_t index = 0;
    json_array_foreach(records->links, index, link)
    {
        if (is_used_by_link(records, link))
            continue;
        if (list != NULL && json_array_append_new(list, make_record(records, link)) == 0)
            continue;
        json_decref(list);
        return NULL;
    }
    return list;
}

/* ---- reading ---- */

/* The newest version that the cluster serves; none at all where Linkerd's type is not there. */
static enum err_code read_links(struct cluster *cluster, const char *namespace, struct link_records *records,
                                struct err *reterr)
{
    static const char *const versions[] = {"v1alpha3", "v1alpha2", "v1alpha1"};
    enum err_code code = ERR_NOT_FOUND;
    for (size_t i = 0; i < ARRAY_COUNT(versions) && code == ERR_NOT_FOUND; i++) {
        struct resource resource = RESOURCE_LINK;
        resource.version = versions[i];
        code = cluster_each(cluster, &resource, namespace, NULL, link_records_take_link, records, reterr);
    }
    return code == ERR_NOT_FOUND ? ERR_OK : code;
}

/* Only those of Linkerd's type are asked for. */
static enum err_code read_secrets(struct cluster *cluster, const char *namespace, struct link_records *records,
                                  struct err *reterr)
{
    char path[PATH_BYTES];
    json_t *list = NULL, *secret = NULL;
    size_t index = 0;
    enum err_code code = ERR_OK;
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/%s/secrets?fieldSelector=type%%3D%s", namespace,
                   L5D_SECRET_TYPE);
    TRY(cluster_get_path(cluster, "secrets", path, &list, reterr));
    json_array_foreach(json_object_get(list, "items"), index, secret)
    {
        code = code == ERR_OK ? link_records_take_secret(records, secret) : code;
    }
    json_decref(list);
    return code;
}

static bool is_denied(enum err_code code) { return code == ERR_FORBIDDEN || code == ERR_NOT_FOUND; }

static enum err_code read_all(struct cluster *cluster, const char *namespace, struct link_records *records,
                              struct err *reterr)
{
    struct err optional = {0};
    TRY(read_links(cluster, namespace, records, reterr));
    TRY(cluster_each(cluster, &RESOURCE_SERVICE, NULL, L5D_MIRRORED_SERVICE "=true", link_records_take_mirror, records,
                     reterr));
    enum err_code code =
        cluster_each(cluster, &RESOURCE_LEASE, namespace, NULL, link_records_take_lease, records, &optional);
    if (code == ERR_OK || is_denied(code))
        code = read_secrets(cluster, namespace, records, &optional);
    return code == ERR_OK || is_denied(code) ? ERR_OK : err_set(reterr, code, "%s", optional.text);
}

enum err_code link_records_read(struct cluster *cluster, const char *namespace, json_t **ret_links, struct err *reterr)
{
    struct link_records *records = link_records_new();
    if (records == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    enum err_code code = read_all(cluster, namespace, records, reterr);
    json_t *links = code == ERR_OK ? link_records_json(records) : NULL;
    link_records_free(records);
    if (code == ERR_OK && links == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    *ret_links = code == ERR_OK ? links : *ret_links;
    return code;
}
