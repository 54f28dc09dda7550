/* svcmirror unlink: takes away what links a target, in the source and, when asked for, the account in the target. */
#include <stdio.h>
#include <string.h>

#include "agent/commands/apply.h"
#include "agent/commands/cluster.h"
#include "agent/commands/command.h"
#include "agent/commands/link_account.h"
#include "agent/commands/link_objects.h"
#include "agent/commands/link_options.h"
#include "agent/commands/link_renewal.h"
#include "agent/commands/link_version.h"
#include "agent/commands/link_wait.h"
#include "agent/commands/told.h"
#include "base/mem.h"
#include "base/text.h"
#include "mirror/names.h"

static const struct option table[] = {
    {.name = "cluster-name",
     .value_name = "NAME",
     .check = link_options_check_cluster,
     .help = "what the target is called. Required"},
    {.name = "namespace",
     .letter = 'n',
     .value_name = "NAME",
     .fallback = "linkerd-multicluster",
     .check = command_check_namespace,
     .help = "namespace of the agent in the source, and of the account in the target"},
    {.name = "linkerd-namespace",
     .letter = 'L',
     .value_name = "NAME",
     .fallback = "linkerd",
     .check = command_check_namespace,
     .help = "namespace of Linkerd's control plane, which has credentials of its own"},
    {.name = "context", .value_name = "NAME", .help = "context of the source cluster, where the agent runs"},
    {.name = "kubeconfig", .value_name = "FILE", .help = "kubeconfig of the source cluster"},
    {.name = "target-context",
     .value_name = "NAME",
     .help = "remove the accounts in this cluster too: every other cluster that links it by them loses it"},
    {.name = "target-kubeconfig", .value_name = "FILE", .help = "kubeconfig of the target cluster, likewise"},
    LINK_ACCOUNT_OPTIONS,
    {.name = "wait",
     .letter = 'w',
     .type = OPTION_DURATION,
     .value_name = "DURATION",
     .help = "wait until the agent has removed the mirrors; not longer than this"},
    {.name = "ignore-not-found", .type = OPTION_BOOL, .help = "a cluster that is not linked is no failure"},
    {.name = "dry-run",
     .choices = "none|client|server",
     .fallback = "none",
     .help = "client: only say what would be deleted; server: have the API servers judge it"},
    TOLD_OPTION(""),
    {.name = "only-controller",
     .type = OPTION_BOOL,
     .help = "Linkerd's, which would keep the Link: refused, as no link has a controller of its own here"},
    {0},
};

struct job {
    const struct options *options;
    struct session *session;
    struct cluster *source, *target;
    const char *cluster_name, *namespace;
    struct resource link_resource; /* as the source serves it; no version: it does not */
    struct cluster_write write;
    json_t *links, *secrets; /* new: what declares the link, and its credentials */
    unsigned deleted;
};

static enum err_code no_memory(struct err *reterr) { return err_set(reterr, ERR_NOMEM, "out of memory"); }

/* ---- finding ---- */

static const char *spec_text(const json_t *link, const char *field)
{
    const char *text = json_string_value(json_object_get(json_object_get(link, "spec"), field));
    return text != NULL ? text : "";
}

static enum err_code take_link(void *context, const json_t *item)
{
    struct job *job = context;
    if (strcmp(spec_text(item, "targetClusterName"), job->cluster_name) != 0)
        return ERR_OK;
    return json_array_append(job->links, mem_unconst(item)) == 0 ? ERR_OK : ERR_NOMEM;
}

/* Whether a Link that goes has its credentials in this Secret, or the Secret is the name's own. */
static bool is_credentials(const struct job *job, const char *name)
{
    char own[LINK_SECRET_NAME_BYTES];
    const json_t *link = NULL;
    size_t index = 0;
    link_objects_secret_name(job->cluster_name, own);
    json_array_foreach(job->links, index, link)
    {
        if (strcmp(spec_text(link, "clusterCredentialsSecret"), name) == 0)
            return true;
    }
    return strcmp(own, name) == 0;
}

static enum err_code take_secret(void *context, const json_t *item)
{
    struct job *job = context;
    const char *type = json_string_value(json_object_get(item, "type"));
    const char *named = object_meta_entry(item, "annotations", L5D_SECRET_CLUSTER_NAME);
    bool meant =
        named != NULL ? strcmp(named, job->cluster_name) == 0 : is_credentials(job, object_meta_text(item, "name"));
    if (!meant || type == NULL || strcmp(type, L5D_SECRET_TYPE) != 0)
        return ERR_OK;
    return json_array_append(job->secrets, mem_unconst(item)) == 0 ? ERR_OK : ERR_NOMEM;
}

static enum err_code take_copy(void *context, const json_t *item)
{
    struct job *job = context;
    return json_array_append(job->secrets, mem_unconst(item)) == 0 ? ERR_OK : ERR_NOMEM;
}

static enum err_code find_declarations(struct job *job, struct err *reterr)
{
    char selector[256];
    const char *linkerd = options_text(job->options, "linkerd-namespace");
    job->links = json_array();
    job->secrets = json_array();
    if (job->links == NULL || job->secrets == NULL)
        return no_memory(reterr);
    enum err_code code = link_version_find(job->source, &job->link_resource, reterr);
    if (code == ERR_OK)
        TRY(cluster_each(job->source, &job->link_resource, job->namespace, NULL, take_link, job, reterr));
    else if (code != ERR_NOT_FOUND) /* Links are not served everywhere */
        return code;
    TRY(cluster_each(job->source, &RESOURCE_SECRET, job->namespace, NULL, take_secret, job, reterr));
    (void)snprintf(selector, sizeof(selector), L5D_STORE_CLUSTER_NAME "=%s", job->cluster_name);
    if (strcmp(linkerd, job->namespace) == 0)
        return ERR_OK;
    code = cluster_each(job->source, &RESOURCE_SECRET, linkerd, selector, take_copy, job, reterr);
    if (code != ERR_FORBIDDEN)
        return code;
    command_complain("unlink", "whether Linkerd's control plane has credentials for it is not known: %s", reterr->text);
    return ERR_OK;
}

/* ---- deleting ---- */

static enum err_code delete_one(struct job *job, struct cluster *cluster, const struct resource *resource,
                                const char *namespace, const char *name, struct err *reterr)
{
    if (strcmp(options_text(job->options, "dry-run"), "client") == 0)
        told_would_delete(cluster, resource, namespace, name);
    else
        TRY(apply_delete(cluster, resource, namespace, name, &job->write, reterr));
    job->deleted++;
    return ERR_OK;
}

static enum err_code delete_all(struct job *job, const struct resource *resource, const json_t *objects,
                                struct err *reterr)
{
    const json_t *object = NULL;
    size_t index = 0;
    json_array_foreach(objects, index, object)
        TRY(delete_one(job, job->source, resource, object_meta_text(object, "namespace"),
                       object_meta_text(object, "name"), reterr));
    return ERR_OK;
}

static enum err_code tell_mirrors(struct job *job, struct err *reterr)
{
    struct link_mirrors mirrors = {.cluster_name = job->cluster_name};
    TRY(link_wait_count(job->source, &mirrors, reterr));
    if (mirrors.count + mirrors.federated == 0)
        command_complain("unlink", "cluster %s has no mirrors here", job->cluster_name);
    else if (mirrors.federated == 0)
        command_complain("unlink", "the agent will remove the mirrors of cluster %s, %u: %s", job->cluster_name,
                         mirrors.count, mirrors.names);
    else
        command_complain("unlink",
                         "the agent will remove the mirrors of cluster %s, %u, and take it out of %u federated "
                         "services: %s",
                         job->cluster_name, mirrors.count, mirrors.federated, mirrors.names);
    return ERR_OK;
}

/* Deletes what is called so, if it is svcmirror's: what does not say so is left. */
static enum err_code delete_own(struct job *job, struct cluster *cluster, const struct resource *resource,
                                const char *namespace, const char *name, struct err *reterr)
{
    enum apply_owner owner = APPLY_ABSENT;
    TRY(apply_find_owner(cluster, resource, namespace, name, &owner, reterr));
    if (owner == APPLY_OWN)
        return delete_one(job, cluster, resource, namespace, name, reterr);
    if (owner == APPLY_OTHERS)
        command_complain("unlink", "%s %s of cluster %s was not made by svcmirror, and is left", resource->kind, name,
                         cluster_name(cluster));
    return ERR_OK;
}

/* The right to renew its token. Before the Secrets: as long as they are there, running the command again comes here. */
static enum err_code delete_renewal(struct job *job, struct err *reterr)
{
    const char *namespaces[] = {job->namespace, options_text(job->options, "linkerd-namespace")};
    char name[LINK_RENEWAL_NAME_BYTES];
    link_renewal_name(job->cluster_name, name);
    for (size_t i = 0; i < ARRAY_COUNT(namespaces); i++) {
        if (i > 0 && strcmp(namespaces[0], namespaces[i]) == 0)
            break;
        enum err_code code = delete_own(job, job->source, &RESOURCE_ROLE_BINDING, namespaces[i], name, reterr);
        if (code == ERR_OK)
            code = delete_own(job, job->source, &RESOURCE_ROLE, namespaces[i], name, reterr);
        if (code != ERR_OK && code != ERR_FORBIDDEN)
            return code;
        if (code == ERR_FORBIDDEN)
            command_complain("unlink", "Role and RoleBinding %s in namespace %s are left, if they are there: %s", name,
                             namespaces[i], reterr->text);
    }
    return ERR_OK;
}

static enum err_code unlink_source(struct job *job, struct err *reterr)
{
    TRY(find_declarations(job, reterr));
    if (json_array_size(job->links) + json_array_size(job->secrets) == 0) {
        bool is_failure = job->target == NULL && !options_get(job->options, "ignore-not-found")->boolean;
        if (is_failure)
            return err_set(reterr, ERR_NOT_FOUND, "cluster %s is not linked in namespace %s of cluster %s",
                           job->cluster_name, job->namespace, cluster_name(job->source));
        command_complain("unlink", "cluster %s is not linked in namespace %s of cluster %s", job->cluster_name,
                         job->namespace, cluster_name(job->source));
        return ERR_OK;
    }
    TRY(tell_mirrors(job, reterr));
    /* The Link first: without its credentials it would be a fault for a moment. */
    TRY(delete_all(job, &job->link_resource, job->links, reterr));
    TRY(delete_renewal(job, reterr));
    return delete_all(job, &RESOURCE_SECRET, job->secrets, reterr);
}

/* ---- the target ---- */

static enum err_code delete_account(struct job *job, const struct link_account *account, struct err *reterr)
{
    char token[LINK_ACCOUNT_NAME_BYTES], cluster_wide[512];
    link_account_token_name(account, token, sizeof(token));
    link_account_cluster_name(account, cluster_wide, sizeof(cluster_wide));
    const struct {
        const struct resource *resource;
        const char *name;
    } objects[] = {{&RESOURCE_CLUSTER_ROLE_BINDING, cluster_wide},
                   {&RESOURCE_CLUSTER_ROLE, cluster_wide},
                   {&RESOURCE_ROLE_BINDING, account->name},
                   {&RESOURCE_ROLE, account->name},
                   {&RESOURCE_SECRET, token},
                   {&RESOURCE_SERVICE_ACCOUNT, account->name}};
    for (size_t i = 0; i < ARRAY_COUNT(objects); i++)
        TRY(delete_own(job, job->target, objects[i].resource, job->namespace, objects[i].name, reterr));
    return ERR_OK;
}

static enum err_code unlink_target(struct job *job, struct err *reterr)
{
    char name[LINK_ACCOUNT_NAME_BYTES];
    const struct link_account account = {.name = options_text(job->options, "account"), .namespace = job->namespace};
    const struct link_account linkerd = link_account_linkerd(&account, name);
    if (job->target == NULL)
        return ERR_OK;
    TRY(delete_account(job, &account, reterr));
    return delete_account(job, &linkerd, reterr);
}

static enum err_code open_clusters(struct job *job, struct err *reterr)
{
    const char *kubeconfig = options_text(job->options, "kubeconfig");
    const char *target_file = options_text(job->options, "target-kubeconfig");
    const char *target_context = options_text(job->options, "target-context");
    if (cluster_open(job->session, kubeconfig, options_text(job->options, "context"), &job->source, reterr) != ERR_OK)
        return err_context(reterr, "source");
    if (!kubeconfig_is_chosen(target_file, target_context))
        return ERR_OK;
    if (cluster_open(job->session, kubeconfig_is_chosen(target_file, NULL) ? target_file : kubeconfig, target_context,
                     &job->target, reterr) != ERR_OK)
        return err_context(reterr, "target");
    return ERR_OK;
}

static enum err_code wait_until_gone(const struct job *job, struct err *reterr)
{
    const struct option_value *duration = options_get(job->options, "wait");
    const struct link_wait wait = {.command = "unlink",
                                   .session = job->session,
                                   .source = job->source,
                                   .namespace = job->namespace,
                                   .cluster_name = job->cluster_name,
                                   .link_resource = job->link_resource.version != NULL ? &job->link_resource : NULL};
    return duration->given ? link_wait_gone(&wait, duration->number, reterr) : ERR_OK;
}

static enum err_code run_job(struct job *job, struct err *reterr)
{
    TRY(session_new(&job->session, reterr));
    TRY(open_clusters(job, reterr));
    TRY(unlink_source(job, reterr));
    TRY(wait_until_gone(job, reterr)); /* with the account still there */
    return unlink_target(job, reterr);
}

/* Contradictions among the flags are told. */
static bool is_possible(const struct options *options)
{
    const char *wrong = NULL;
    if (options_text(options, "cluster-name") == NULL)
        wrong = "which cluster? Give --cluster-name NAME";
    else if (options_get(options, "only-controller")->boolean)
        wrong = "--only-controller would keep the Link, and there is no controller for it alone: one agent serves all "
                "links (`uninstall` removes it, and keeps Links and mirrors). Nothing was deleted";
    else if (options_get(options, "wait")->given && strcmp(options_text(options, "dry-run"), "none") != 0)
        wrong = "--wait and --dry-run contradict each other: nothing will happen to wait for";
    if (wrong != NULL)
        command_complain("unlink", "%s", wrong);
    return wrong == NULL;
}

static enum exit_code run(const struct options *options)
{
    struct err error = {0};
    struct job job = {.options = options,
                      .cluster_name = options_text(options, "cluster-name"),
                      .namespace = options_text(options, "namespace"),
                      .write = {.dry_run = strcmp(options_text(options, "dry-run"), "server") == 0}};
    if (!is_possible(options))
        return EXIT_USAGE;
    told_begin(options);
    enum err_code code = run_job(&job, &error);
    bool interrupted = job.session != NULL && session_interrupted(job.session);
    if (code != ERR_OK)
        command_complain("unlink", "%s%s", error.text, job.deleted > 0 ? " (run it again to go on)" : "");
    json_decref(job.secrets);
    json_decref(job.links);
    cluster_free(job.target);
    cluster_free(job.source);
    session_free(job.session);
    return code == ERR_OK ? EXIT_DONE : interrupted ? EXIT_INTERRUPTED : EXIT_FAILED;
}

const struct command command_unlink = {
    .name = "unlink",
    .group = GROUP_SET_UP,
    .summary = "Take the link of a target cluster away; the agent removes its mirrors",
    .about = "Deletes the Link and the Secrets of that cluster name, whoever made them, in the namespace of the\n"
             "agent, and that of Linkerd's control plane. With --target-context also the accounts that `link` or\n"
             "`allow` made in the target. Namespaces stay.\n",
    .examples = "unlink --cluster-name east --context west --wait 1m\n"
                "unlink --cluster-name east --context west --target-context east\n"
                "unlink --cluster-name east --context west --dry-run=client\n",
    .exit_codes = "0  gone; with --wait, the mirrors too\n"
                  "1  it did not work, or that cluster is not linked. With --wait, mirrors are left, and which\n"
                  "2  the command line is wrong\n"
                  "130  interrupted; stdout says what was deleted before\n",
    .options = table,
    .run = run,
};
