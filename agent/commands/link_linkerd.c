#include "agent/commands/link_linkerd.h"

#include <stdio.h>
#include <string.h>

#include "agent/commands/apply.h"
#include "agent/commands/command.h"
#include "agent/commands/resource.h"
#include "base/text.h"
#include "mirror/names.h"

enum { KEY_BYTES = 256 };

/* The cluster's Secret in a namespace of the source. */
static enum err_code look_for_secret(const struct link_linkerd *linkerd, const char *namespace, json_t **ret_secret,
                                     struct err *reterr)
{
    char name[LINK_SECRET_NAME_BYTES];
    link_objects_secret_name(linkerd->wish->facts.cluster_name, name);
    return cluster_look_for(linkerd->source, &RESOURCE_SECRET, namespace, name, ret_secret, reterr);
}

static enum err_code read_credentials(const struct link_linkerd *linkerd, const char **ret_data, struct err *reterr)
{
    json_t *secret = NULL;
    TRY(look_for_secret(linkerd, linkerd->wish->facts.linkerd_namespace, &secret, reterr));
    const char *data = json_string_value(json_object_get(json_object_get(secret, "data"), L5D_SECRET_KEY));
    *ret_data = data != NULL ? arena_strdup(linkerd->arena, data) : NULL;
    json_decref(secret);
    return ERR_OK;
}

enum err_code link_linkerd_begin(struct link_linkerd *linkerd, struct err *reterr)
{
    linkerd->before = NULL;
    return linkerd->wish->account.with_linkerd ? read_credentials(linkerd, &linkerd->before, reterr) : ERR_OK;
}

void link_linkerd_tell(const struct link_linkerd *linkerd)
{
    struct err ignored = {0}; /* whatever went wrong before is told */
    const char *after = NULL;
    if (linkerd->before == NULL || linkerd->write->dry_run || read_credentials(linkerd, &after, &ignored) != ERR_OK)
        return;
    if (after != NULL && strcmp(linkerd->before, after) != 0)
        command_complain("link",
                         "the credentials of Linkerd's control plane are new, and it takes them when it starts: "
                         "kubectl rollout restart deployment/linkerd-destination -n %s",
                         linkerd->wish->facts.linkerd_namespace);
}

/* ---- what is left of before ---- */

static enum err_code delete_secret(const struct link_linkerd *linkerd, struct err *reterr)
{
    const struct link_facts *facts = &linkerd->wish->facts;
    char name[LINK_SECRET_NAME_BYTES];
    json_t *secret = NULL;
    bool is_shared = strcmp(facts->namespace, facts->linkerd_namespace) == 0;
    if (is_shared)
        return ERR_OK; /* it is the agent's */
    TRY(look_for_secret(linkerd, facts->linkerd_namespace, &secret, reterr));
    bool is_own = secret != NULL &&
                  text_equal(object_meta_entry(secret, "labels", K8S_APP_MANAGED_BY), LINK_MANAGED_BY) &&
                  object_meta_entry(secret, "labels", L5D_STORE_CLUSTER_NAME) != NULL;
    json_decref(secret);
    link_objects_secret_name(facts->cluster_name, name);
    if (is_own && linkerd->wish->for_linkerd)
        command_complain("link", "what Linkerd's control plane has for cluster %s stays as it is, Secret %s/%s",
                         facts->cluster_name, facts->linkerd_namespace, name);
    return is_own && !linkerd->wish->for_linkerd
               ? apply_delete(linkerd->source, &RESOURCE_SECRET, facts->linkerd_namespace, name, linkerd->write, reterr)
               : ERR_OK;
}

static enum err_code tell_account(const struct link_linkerd *linkerd, struct err *reterr)
{
    char name[LINK_ACCOUNT_NAME_BYTES];
    const struct link_account account = link_account_linkerd(&linkerd->wish->account, name);
    json_t *found = NULL;
    TRY(cluster_look_for(linkerd->target, &RESOURCE_SERVICE_ACCOUNT, account.namespace, account.name, &found, reterr));
    if (found != NULL)
        command_complain("link",
                         "ServiceAccount %s/%s of cluster %s, which may read pods, is still there: delete it when no "
                         "other source's Linkerd uses it",
                         account.namespace, account.name, cluster_name(linkerd->target));
    json_decref(found);
    return ERR_OK;
}

/* Another program applied that annotation; our own goes with the link. */
static enum err_code tell_copy(const struct link_linkerd *linkerd, struct err *reterr)
{
    const struct link_facts *facts = &linkerd->wish->facts;
    char name[LINK_SECRET_NAME_BYTES], place[KEY_BYTES];
    json_t *secret = NULL;
    link_objects_secret_name(facts->cluster_name, name);
    (void)snprintf(place, sizeof(place), "%s/%s", facts->linkerd_namespace, name);
    TRY(look_for_secret(linkerd, facts->namespace, &secret, reterr));
    if (text_equal(object_meta_entry(secret, "annotations", SECRET_COPY), place))
        command_complain("link",
                         "warning: Secret %s/%s has the agent put its own token into %s, with which Linkerd's control "
                         "plane can do nothing: kubectl annotate secret %s -n %s " SECRET_COPY "-",
                         facts->namespace, name, place, name, facts->namespace);
    json_decref(secret);
    return ERR_OK;
}

enum err_code link_linkerd_clear(const struct link_linkerd *linkerd, struct err *reterr)
{
    if (!linkerd->wish->account.with_linkerd) {
        TRY(delete_secret(linkerd, reterr));
        if (!linkerd->wish->for_linkerd)
            TRY(tell_account(linkerd, reterr));
    }
    return linkerd->write->dry_run ? ERR_OK : tell_copy(linkerd, reterr);
}
