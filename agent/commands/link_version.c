#include "agent/commands/link_version.h"

#include "base/mem.h"
#include "base/text.h"

static const char *const known[] = {"v1alpha3", "v1alpha2", "v1alpha1"};

/* @return the first of the known ones that the group has, or NULL. */
static const char *newest(const json_t *group)
{
    const json_t *versions = json_object_get(group, "versions"), *version = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
        size_t index = 0;
        json_array_foreach(versions, index, version)
        {
            if (text_equal(json_string_value(json_object_get(version, "version")), known[i]))
                return known[i];
        }
    }
    return NULL;
}

enum err_code link_version_find(struct cluster *cluster, struct resource *ret_resource, struct err *reterr)
{
    json_t *group = NULL;
    TRY(cluster_get_path(cluster, "apigroups", "/apis/multicluster.linkerd.io", &group, reterr));
    const char *version = newest(group);
    json_decref(group);
    if (version == NULL)
        return err_set(reterr, ERR_UNSUPPORTED, "cluster %s serves Link resources of no version that is known here",
                       cluster_name(cluster));
    *ret_resource = RESOURCE_LINK;
    ret_resource->version = version;
    return ERR_OK;
}
