/* svcmirror link: both sides of a link, given two contexts: the account in the target, and what names it in the source. */
#include <stdio.h>
#include <string.h>

#include "agent/commands/apply.h"
#include "agent/commands/cluster.h"
#include "agent/commands/command.h"
#include "agent/commands/link_build.h"
#include "agent/commands/link_linkerd.h"
#include "agent/commands/link_options.h"
#include "agent/commands/link_renewal.h"
#include "agent/commands/link_token.h"
#include "agent/commands/link_version.h"
#include "agent/commands/link_wait.h"
#include "agent/commands/output.h"
#include "agent/commands/told.h"
#include "agent/kube/setup.h"
#include "base/mem.h"
#include "base/text.h"

enum {
    ARENA_BYTES = 16 << 20,
    OUTPUT_BYTES = 16 << 20,
};

static const struct option table[] = {
    {.name = "target-context",
     .value_name = "NAME",
     .help = "context of the target cluster. Required, or --target-kubeconfig"},
    {.name = "target-kubeconfig",
     .value_name = "FILE",
     .help = "kubeconfig of the target cluster, where it is another file than that of the source"},
    {.name = "context", .value_name = "NAME", .help = "context of the source cluster, where the agent runs"},
    {.name = "kubeconfig", .value_name = "FILE", .help = "kubeconfig of the source cluster"},
    LINK_OPTIONS,
    LINK_TOKEN_OPTIONS(NULL, "720h", "true"),
    {.name = "wait",
     .letter = 'w',
     .type = OPTION_DURATION,
     .value_name = "DURATION",
     .help = "wait until the first service is mirrored, or say why none is; not longer than this"},
    {.name = "force-conflicts",
     .type = OPTION_BOOL,
     .help = "take fields over that another program wrote, e.g. of a Link that Linkerd made"},
    {.name = "dry-run",
     .choices = "none|client|server",
     .fallback = "none",
     .help = "client: print what would be sent, without token; server: have both API servers judge it"},
    TOLD_OPTION("; not for --dry-run=client, which prints manifests"),
    {0},
};

struct job {
    const struct options *options;
    struct arena arena;
    struct session *session;
    struct cluster *target, *source;
    struct link_wish wish;
    struct resource link_resource; /* as the source serves it; not for --kind secret */
    struct cluster_write write;
    const char *done; /* what stands already, for who reads of a failure; NULL: nothing */
};

/* ---- before anything is written ---- */

static enum err_code open_clusters(struct job *job, struct err *reterr)
{
    const struct options *options = job->options;
    const char *kubeconfig = options_text(options, "kubeconfig");
    const char *target = options_text(options, "target-kubeconfig");
    if (cluster_open(job->session, kubeconfig_is_chosen(target, NULL) ? target : kubeconfig,
                     options_text(options, "target-context"), &job->target, reterr) != ERR_OK)
        return err_context(reterr, "target");
    if (cluster_open(job->session, kubeconfig, options_text(options, "context"), &job->source, reterr) != ERR_OK)
        return err_context(reterr, "source");
    return ERR_OK;
}

/* @param[out] uid  of the namespace that every cluster has; "" when it may not be read. */
static enum err_code read_identity(struct cluster *cluster, char uid[64], struct err *reterr)
{
    json_t *namespace = NULL;
    uid[0] = '\0';
    enum err_code code = cluster_get(cluster, &RESOURCE_NAMESPACE, NULL, "kube-system", &namespace, reterr);
    if (code == ERR_FORBIDDEN || code == ERR_NOT_FOUND)
        return ERR_OK;
    TRY(code);
    (void)snprintf(uid, 64, "%s", object_meta_text(namespace, "uid"));
    json_decref(namespace);
    return ERR_OK;
}

static enum err_code check_clusters(struct job *job, struct err *reterr)
{
    char target[64], source[64];
    TRY(read_identity(job->target, target, reterr));
    TRY(read_identity(job->source, source, reterr));
    bool same = target[0] != '\0'
                    ? strcmp(target, source) == 0
                    : text_equal(cluster_kubeconfig(job->target)->server, cluster_kubeconfig(job->source)->server);
    if (same)
        return err_set(reterr, ERR_INVALID,
                       "%s and %s are the same cluster: --target-context names the one that exports services, "
                       "--context the one where the mirrors are to be",
                       cluster_name(job->target), cluster_name(job->source));
    return ERR_OK;
}

static enum err_code choose_version(struct job *job, struct err *reterr)
{
    if (job->wish.as_secret)
        return ERR_OK;
    enum err_code code = link_version_find(job->source, &job->link_resource, reterr);
    if (code == ERR_NOT_FOUND)
        return err_set(reterr, ERR_NOT_FOUND,
                       "cluster %s serves no Link resources: install the agent there first (its manifests bring them), "
                       "or link the way of Linkerd 2.8: --kind secret",
                       cluster_name(job->source));
    TRY(code);
    job->wish.facts.version = job->link_resource.version;
    return ERR_OK;
}

static enum err_code tell_link(void *context, const json_t *link)
{
    const struct job *job = context;
    const char *cluster = json_string_value(json_object_get(json_object_get(link, "spec"), "targetClusterName"));
    if (cluster != NULL && strcmp(cluster, job->wish.facts.cluster_name) == 0)
        command_complain("link",
                         "warning: Link %s/%s links cluster %s too, and svcmirror goes by that as long as it is there: "
                         "the Secret tells Linkerd 2.8 alone",
                         object_meta_text(link, "namespace"), object_meta_text(link, "name"), cluster);
    return ERR_OK;
}

/* A Secret of 2.8 means nothing to the agent beside a Link. Who may not list Links is not told. */
static enum err_code tell_links_beside(struct job *job, struct err *reterr)
{
    struct resource resource;
    if (!job->wish.as_secret)
        return ERR_OK;
    enum err_code code = link_version_find(job->source, &resource, reterr);
    if (code == ERR_OK)
        code = cluster_each(job->source, &resource, job->wish.facts.namespace, NULL, tell_link, job, reterr);
    return code == ERR_NOT_FOUND || code == ERR_FORBIDDEN ? ERR_OK : code;
}

/* Whether a namespace is there. One that may not be read is taken to be. */
static enum err_code has_namespace(struct cluster *cluster, const char *name, bool *ret_there, struct err *reterr)
{
    json_t *namespace = NULL;
    enum err_code code = cluster_get(cluster, &RESOURCE_NAMESPACE, NULL, name, &namespace, reterr);
    json_decref(namespace);
    *ret_there = code != ERR_NOT_FOUND;
    return code == ERR_NOT_FOUND || code == ERR_FORBIDDEN ? ERR_OK : code;
}

static enum err_code check_namespaces(struct job *job, struct err *reterr)
{
    bool there = false;
    struct link_facts *facts = &job->wish.facts;
    TRY(has_namespace(job->source, facts->namespace, &there, reterr));
    if (!there)
        return err_set(reterr, ERR_NOT_FOUND,
                       "cluster %s has no namespace %s: install the agent there first, or name its namespace with -n",
                       cluster_name(job->source), facts->namespace);
    TRY(has_namespace(job->target, facts->namespace, &there, reterr));
    job->wish.account.with_namespace = !there;
    if (facts->trust_domain == NULL)
        return ERR_OK;
    TRY(has_namespace(job->source, facts->linkerd_namespace, &there, reterr));
    if (!there) {
        command_complain("link",
                         "cluster %s has no namespace %s: Linkerd's control plane gets no credentials, and "
                         "cannot resolve services by remote discovery",
                         cluster_name(job->source), facts->linkerd_namespace);
        facts->trust_domain = NULL;
    }
    job->wish.account.with_linkerd = there;
    return ERR_OK;
}

/* A cluster without EndpointSlices is read by its Endpoints. */
static enum err_code choose_rights(struct job *job, struct err *reterr)
{
    json_t *resources = NULL;
    enum err_code code = cluster_get_path(job->target, "apigroups", "/apis/discovery.k8s.io/v1", &resources, reterr);
    json_decref(resources);
    job->wish.account.with_endpoints = code == ERR_NOT_FOUND;
    return code == ERR_NOT_FOUND ? ERR_OK : code;
}

static enum err_code prepare(struct job *job, struct err *reterr)
{
    TRY(open_clusters(job, reterr));
    TRY(link_build_check(job->target, &job->wish, reterr));
    TRY(check_clusters(job, reterr));
    TRY(choose_version(job, reterr));
    TRY(choose_rights(job, reterr));
    TRY(link_build_read("link", job->target, &job->arena, &job->wish, reterr));
    TRY(check_namespaces(job, reterr));
    return tell_links_beside(job, reterr);
}

/* ---- writing ---- */

static enum err_code print_all(struct job *job, json_t *account, struct err *reterr)
{
    const struct link_tokens tokens = {.agent = NULL};
    json_t *objects = NULL;
    TRY(link_build_objects("link", job->target, &job->wish, &tokens, &objects, reterr));
    struct strbuf text;
    strbuf_init(&text, OUTPUT_BYTES);
    strbuf_printf(&text, "# to the target cluster, %s\n", cluster_name(job->target));
    output_manifests(account, false, &text);
    strbuf_printf(&text, "---\n# to the source cluster, %s\n", cluster_name(job->source));
    output_manifests(objects, false, &text);
    bool whole = output_print(&text);
    strbuf_done(&text);
    json_decref(objects);
    return whole ? ERR_OK : err_set(reterr, ERR_IO, "the output could not be written");
}

/* Whether a failure is about what only Linkerd's control plane needs. */
static bool is_for_linkerd(const struct job *job, const struct cluster *cluster, const char *text)
{
    const struct link_wish *wish = &job->wish;
    char name[LINK_ACCOUNT_NAME_BYTES], place[LINK_ACCOUNT_NAME_BYTES];
    if (!wish->account.with_linkerd)
        return false;
    (void)snprintf(place, sizeof(place), " %s/", wish->facts.linkerd_namespace);
    return cluster == job->target ? strstr(text, link_account_linkerd(&wish->account, name).name) != NULL
                                  : strstr(text, place) != NULL;
}

static enum err_code apply_to(struct job *job, struct cluster *cluster, const char *side, const json_t *objects,
                              struct err *reterr)
{
    command_complain("link", "in the %s cluster, %s:", side, cluster_name(cluster));
    enum err_code code = apply_objects(cluster, objects, &job->write, reterr);
    if (code == ERR_CONFLICT)
        return err_context(reterr, "--force-conflicts takes over what another program wrote");
    if (code == ERR_FORBIDDEN && is_for_linkerd(job, cluster, reterr->text))
        return err_context(reterr, "Linkerd's control plane needs an account that may read pods of all namespaces, and "
                                   "a Secret in its own; --remote-discovery=false links without");
    if (code == ERR_FORBIDDEN && job->wish.facts.renew_token != NULL &&
        (strstr(reterr->text, " Role ") != NULL || strstr(reterr->text, " RoleBinding ") != NULL))
        return err_context(reterr, "links whose token the agent renews need Roles, --token-secret or "
                                   "--renew-token=false does without");
    return code;
}

/* Fields that another program wrote stay when this one leaves them out, and go before what the Service says. */
static enum err_code tell_fields_of_others(struct job *job, struct err *reterr)
{
    static const char *const fields[] = {"gatewayAddress", "gatewayPort", "gatewayIdentity", "probeSpec"};
    const struct link_facts *facts = &job->wish.facts;
    const bool ours[] = {job->wish.gateway.addresses != NULL, job->wish.gateway.port != 0, false, false};
    json_t *link = NULL;
    if (facts->gateway_service == NULL || job->write.dry_run)
        return ERR_OK;
    TRY(cluster_get(job->source, &job->link_resource, facts->namespace, facts->cluster_name, &link, reterr));
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++)
        if (!ours[i] && json_object_get(json_object_get(link, "spec"), fields[i]) != NULL)
            command_complain(
                "link",
                "warning: another program wrote spec.%s of Link %s, which goes before what Service %s says: "
                "kubectl patch link %s -n %s --type=merge -p '{\"spec\":{\"%s\":null}}'",
                fields[i], facts->cluster_name, facts->gateway_service, facts->cluster_name, facts->namespace,
                fields[i]);
    json_decref(link);
    return ERR_OK;
}

/* One that is fresh stays: running the command again changes nothing then. In a dry run those that would be made are NULL. */
static enum err_code get_tokens(struct job *job, struct link_tokens *tokens, struct err *reterr)
{
    const struct link_token_place place = {
        .command = "link", .session = job->session, .target = job->target, .source = job->source, .arena = &job->arena};
    bool dry_run = job->write.dry_run;
    TRY(link_token_find(&place, &job->wish, &tokens->agent, reterr));
    if (tokens->agent == NULL && !dry_run)
        TRY(link_token_make(&place, &job->wish, &tokens->agent, reterr));
    if (!job->wish.account.with_linkerd)
        return ERR_OK;
    return link_token_linkerd(&place, &job->wish.account, !dry_run, &tokens->linkerd, reterr);
}

/* Deletes what is called so in the source, if it is svcmirror's. Who may not look for it has not made it. */
static enum err_code delete_own(struct job *job, const struct resource *resource, const char *namespace,
                                const char *name, struct err *reterr)
{
    enum apply_owner owner = APPLY_ABSENT;
    enum err_code code = apply_find_owner(job->source, resource, namespace, name, &owner, reterr);
    if (code == ERR_FORBIDDEN)
        return ERR_OK;
    TRY(code);
    return owner == APPLY_OWN ? apply_delete(job->source, resource, namespace, name, &job->write, reterr) : ERR_OK;
}

/* The account may serve other sources: its right is told. */
static enum err_code tell_right_of_account(struct job *job, struct err *reterr)
{
    const struct link_account *account = &job->wish.account;
    json_t *binding = NULL;
    TRY(cluster_look_for(job->target, &RESOURCE_ROLE_BINDING, account->namespace, account->name, &binding, reterr));
    if (binding != NULL)
        command_complain("link",
                         "RoleBinding %s/%s of cluster %s still lets the account make tokens of its own: delete it "
                         "when no other source renews the account's token",
                         account->namespace, account->name, cluster_name(job->target));
    json_decref(binding);
    return ERR_OK;
}

/* Where the agent does not renew the token any more; in Linkerd's namespace always, as its Secret is no longer the agent's to write. */
static enum err_code take_rights_back(struct job *job, struct err *reterr)
{
    const struct link_facts *facts = &job->wish.facts;
    const char *namespaces[] = {facts->namespace, facts->linkerd_namespace};
    bool is_renewed = facts->renew_token != NULL;
    char name[LINK_RENEWAL_NAME_BYTES];
    link_renewal_name(facts->cluster_name, name);
    for (size_t i = 0; i < ARRAY_COUNT(namespaces); i++) {
        if (is_renewed && strcmp(namespaces[i], facts->namespace) == 0)
            continue;
        TRY(delete_own(job, &RESOURCE_ROLE_BINDING, namespaces[i], name, reterr));
        TRY(delete_own(job, &RESOURCE_ROLE, namespaces[i], name, reterr));
    }
    return is_renewed ? ERR_OK : tell_right_of_account(job, reterr);
}

static enum err_code write_source(struct job *job, const struct link_tokens *tokens, struct err *reterr)
{
    struct link_linkerd linkerd = {
        .source = job->source, .target = job->target, .wish = &job->wish, .write = &job->write, .arena = &job->arena};
    json_t *objects = NULL;
    TRY(link_linkerd_begin(&linkerd, reterr));
    TRY(link_build_objects("link", job->target, &job->wish, tokens, &objects, reterr));
    enum err_code code = apply_to(job, job->source, "source", objects, reterr);
    json_decref(objects);
    link_linkerd_tell(&linkerd);
    TRY(code);
    if (!job->write.dry_run)
        job->done = "the link is there";
    TRY(take_rights_back(job, reterr));
    return link_linkerd_clear(&linkerd, reterr);
}

static enum err_code write_all(struct job *job, json_t *account, struct err *reterr)
{
    struct link_tokens tokens = {.agent = NULL};
    if (!job->write.dry_run)
        job->done = "stdout names what stands already";
    TRY(apply_to(job, job->target, "target", account, reterr));
    if (!job->write.dry_run)
        job->done = "the account in the target is there";
    TRY(get_tokens(job, &tokens, reterr));
    TRY(write_source(job, &tokens, reterr));
    return tell_fields_of_others(job, reterr);
}

static enum err_code wait_for_mirrors(const struct job *job, struct err *reterr)
{
    char secret[LINK_SECRET_NAME_BYTES];
    const struct option_value *duration = options_get(job->options, "wait");
    const struct link_facts *facts = &job->wish.facts;
    link_objects_secret_name(facts->cluster_name, secret);
    const struct link_wait wait = {.command = "link",
                                   .session = job->session,
                                   .source = job->source,
                                   .namespace = facts->namespace,
                                   .cluster_name = facts->cluster_name,
                                   .link_resource = job->wish.as_secret ? NULL : &job->link_resource,
                                   .declared_by = job->wish.as_secret ? &RESOURCE_SECRET : &job->link_resource,
                                   .name = job->wish.as_secret ? secret : facts->cluster_name};
    return duration->given ? link_wait_mirrored(&wait, duration->number, reterr) : ERR_OK;
}

static enum err_code run_job(struct job *job, struct err *reterr)
{
    const char *dry_run = options_text(job->options, "dry-run");
    TRY(session_new(&job->session, reterr));
    TRY(prepare(job, reterr));
    json_t *account = link_account_objects(&job->wish.account);
    if (account == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    enum err_code code =
        strcmp(dry_run, "client") == 0 ? print_all(job, account, reterr) : write_all(job, account, reterr);
    json_decref(account);
    return code == ERR_OK && strcmp(dry_run, "none") == 0 ? wait_for_mirrors(job, reterr) : code;
}

/* ---- the command ---- */

static enum err_code check_usage(const struct options *options, struct err *reterr)
{
    if (!kubeconfig_is_chosen(options_text(options, "target-kubeconfig"), options_text(options, "target-context")))
        return err_set(reterr, ERR_INVALID,
                       "which cluster is the target? Give --target-context NAME, or --target-kubeconfig FILE");
    if (options_get(options, "wait")->given && strcmp(options_text(options, "dry-run"), "none") != 0)
        return err_set(reterr, ERR_INVALID,
                       "--wait and --dry-run contradict each other: nothing will happen to wait for");
    if (options_get(options, "output")->given && strcmp(options_text(options, "dry-run"), "client") == 0)
        return err_set(reterr, ERR_INVALID,
                       "--output and --dry-run=client contradict each other: that prints manifests (`link-gen -o json` "
                       "prints them in JSON)");
    return ERR_OK;
}

static enum exit_code report(const struct job *job, enum err_code code, const struct err *error)
{
    bool interrupted = job->session != NULL && session_interrupted(job->session);
    if (code == ERR_OK)
        return EXIT_DONE;
    if (job->done != NULL && told_count() > 0)
        command_complain("link", "%s (%s; run it again to go on, or `unlink` to take it back)", error->text, job->done);
    else
        command_complain("link", "%s", error->text);
    return interrupted ? EXIT_INTERRUPTED : EXIT_FAILED;
}

static enum exit_code run(const struct options *options)
{
    struct err error = {0};
    struct job job = {.options = options};
    kube_setup();
    arena_init(&job.arena, ARENA_BYTES);
    enum exit_code result = EXIT_USAGE;
    if (check_usage(options, &error) != ERR_OK ||
        link_options_read("link", options, &job.arena, &job.wish, &error) != ERR_OK) {
        command_complain("link", "%s", error.text);
    } else {
        job.write = (struct cluster_write){.dry_run = strcmp(options_text(options, "dry-run"), "server") == 0,
                                           .force = options_get(options, "force-conflicts")->boolean};
        told_begin(options);
        result = report(&job, run_job(&job, &error), &error);
    }
    cluster_free(job.source);
    cluster_free(job.target);
    session_free(job.session);
    arena_done(&job.arena);
    return result;
}

const struct command command_link = {
    .name = "link",
    .group = GROUP_SET_UP,
    .summary = "Link a target cluster to this one: the account there, the link here",
    .about = "Makes the account in the target that the agent reads it with (as `allow` does), gets its token,\n"
             "finds the gateway, and makes the Link with its credentials in the source (as `link-gen` prints\n"
             "them). The token expires; the agent renews it at half of its life. Where both clusters have\n"
             "Linkerd, its control plane gets an account of its own, which may read pods and whose token does\n"
             "not expire. Running it again brings both sides up to date, and changes nothing that is right already.\n",
    .examples = "link --target-context east --context west --cluster-name east --wait 1m\n"
                "link --target-context east --context west --cluster-name east --kind secret\n"
                "link --target-context east --context west --cluster-name east --token-secret\n"
                "link --target-context eu --cluster-name eu --gateway-name emissary "
                "--gateway-namespace emissary\n"
                "link --target-context east --cluster-name east --gateway-service ambassador/ambassador\n"
                "link --target-context east --context west --cluster-name east --gateway=false --dry-run=server\n",
    .exit_codes = "0  linked; with --wait, a service is mirrored\n"
                  "1  it did not work; stderr says what stands already. With --wait, no service is mirrored, and why\n"
                  "2  the command line is wrong\n"
                  "130  interrupted; stderr says what stands already\n",
    .options = table,
    .run = run,
};
