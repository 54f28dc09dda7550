/* svcmirror uninstall: takes the agent out of the source cluster, and says what stays behind without it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/commands/apply.h"
#include "agent/commands/command.h"
#include "agent/commands/install_objects.h"
#include "agent/commands/output.h"
#include "agent/commands/remains.h"
#include "base/mem.h"

enum { POLL_MS = 250, GONE_MS = 60000, NAME_BYTES = 128 };

static const struct option table[] = {
    {.name = "yes", .letter = 'y', .type = OPTION_BOOL, .help = "do it without asking"},
    {.name = "dry-run",
     .choices = "none|client|server",
     .fallback = "none",
     .help = "client: only say what would happen; server: have the server judge it, and keep everything"},
    {.name = "remove-mirrors",
     .type = OPTION_BOOL,
     .help = "delete the mirrors that svcmirror made, too; without it they stay as they are, and nobody follows their "
             "gateways any more"},
    {.name = "namespace",
     .letter = 'n',
     .value_name = "NAME",
     .fallback = INSTALL_NAMESPACE,
     .help = "namespace of the agent",
     .check = command_check_namespace},
    {.name = "kubeconfig", .value_name = "FILE", .help = "kubeconfig of the source cluster"},
    {.name = "context", .value_name = "NAME", .help = "context of the kubeconfig"},
    {0},
};

struct removal {
    struct session *session;
    struct cluster *cluster;
    const char *namespace;
    struct cluster_write write;
    bool with_mirrors;
    struct remains *remains;
};

/* ---- saying it ---- */

static void tell(const struct removal *removal)
{
    const struct remains *remains = removal->remains;
    size_t mirrors = json_array_size(remains->mirrors), links = json_array_size(remains->held_links);
    (void)fprintf(stderr, "The agent in namespace %s of cluster %s goes, with its rights.\n", removal->namespace,
                  cluster_name(removal->cluster));
    if (mirrors > 0 && removal->with_mirrors)
        (void)fprintf(stderr, "%zu mirrors that svcmirror made go with their endpoints.\n", mirrors);
    else if (mirrors > 0)
        (void)fprintf(stderr,
                      "%zu mirrors stay with the endpoints that they have now, whatever becomes of their gateways "
                      "(--remove-mirrors deletes them; another agent, or Linkerd's, takes them over).\n",
                      mirrors);
    if (links > 0)
        (void)fprintf(stderr, "%zu Links lose svcmirror's finalizer, so that they can be deleted.\n", links);
    (void)fprintf(stderr, "The namespace, its Links, their credentials and the Link resource type stay.\n");
}

static bool ask(void)
{
    char answer[8] = "";
    (void)fprintf(stderr, "Go on? [y/N] ");
    return fgets(answer, sizeof(answer), stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

/* ---- doing it ---- */

static enum err_code note_pod(void *context, const json_t *pod)
{
    (void)pod;
    ++*(unsigned *)context;
    return ERR_OK;
}

/* An agent that still runs would make its mirrors and finalizers again. */
static enum err_code wait_until_stopped(const struct removal *removal, struct err *reterr)
{
    uint64_t deadline_ms = session_now_ms(removal->session) + GONE_MS;
    for (bool told = false;; told = true) {
        unsigned pods = 0;
        TRY(cluster_each(removal->cluster, &RESOURCE_POD, removal->namespace, "app.kubernetes.io/name=svcmirror",
                         note_pod, &pods, reterr));
        if (pods == 0)
            return ERR_OK;
        if (session_now_ms(removal->session) >= deadline_ms)
            return err_set(reterr, ERR_TIMEOUT,
                           "%u pods of the agent in namespace %s are still there after 60 s; see what holds them, and "
                           "run this again",
                           pods, removal->namespace);
        if (!told)
            command_complain("uninstall", "waiting for %u pods to end", pods);
        session_sleep(removal->session, POLL_MS);
    }
}

static enum err_code release_links(const struct removal *removal, struct err *reterr)
{
    json_t *link = NULL;
    size_t index = 0;
    json_array_foreach(removal->remains->held_links, index, link)
    {
        json_t *patch = remains_release_patch(link);
        if (patch == NULL)
            return err_set(reterr, ERR_NOMEM, "out of memory");
        enum err_code code = cluster_patch(removal->cluster, &removal->remains->link_resource, removal->namespace,
                                           object_meta_text(link, "name"), patch, &removal->write, NULL, reterr);
        json_decref(patch);
        if (code != ERR_OK && code != ERR_NOT_FOUND)
            return code;
    }
    return ERR_OK;
}

static enum err_code remove_mirrors(const struct removal *removal, struct err *reterr)
{
    const json_t *mirror = NULL;
    size_t index = 0;
    json_array_foreach(removal->remains->mirrors, index, mirror)
    {
        struct cluster_write write = removal->write;
        write.uid = object_meta_text(mirror, "uid"); /* this very object: somebody may have made another of its name */
        TRY(apply_delete(removal->cluster, &RESOURCE_SERVICE, object_meta_text(mirror, "namespace"),
                         object_meta_text(mirror, "name"), &write, reterr));
    }
    return ERR_OK;
}

static enum err_code remove_installation(const struct removal *removal, struct err *reterr)
{
    char name[NAME_BYTES];
    install_cluster_name(removal->namespace, name, sizeof(name));
    const struct {
        const struct resource *resource;
        const char *name;
    } objects[] = {{&RESOURCE_SERVICE, "svcmirror"}, {&RESOURCE_ROLE_BINDING, "svcmirror"},
                   {&RESOURCE_ROLE, "svcmirror"},    {&RESOURCE_CLUSTER_ROLE_BINDING, name},
                   {&RESOURCE_CLUSTER_ROLE, name},   {&RESOURCE_SERVICE_ACCOUNT, "svcmirror"}};
    for (size_t i = 0; i < ARRAY_COUNT(objects); i++)
        TRY(apply_delete(removal->cluster, objects[i].resource, removal->namespace, objects[i].name, &removal->write,
                         reterr));
    return ERR_OK;
}

static enum err_code remove_all(const struct removal *removal, struct err *reterr)
{
    TRY(apply_delete(removal->cluster, &RESOURCE_DEPLOYMENT, removal->namespace, "svcmirror", &removal->write, reterr));
    if (!removal->write.dry_run)
        TRY(wait_until_stopped(removal, reterr));
    TRY(release_links(removal, reterr));
    if (removal->with_mirrors)
        TRY(remove_mirrors(removal, reterr));
    return remove_installation(removal, reterr);
}

/* ---- the command ---- */

static enum exit_code decide(struct removal *removal, const struct options *options)
{
    struct err error = {0};
    bool only_tell = strcmp(options_text(options, "dry-run"), "client") == 0;
    if (remains_read(removal->cluster, removal->namespace, &removal->remains, &error) != ERR_OK) {
        command_complain("uninstall", "nothing was removed: %s", error.text);
        return EXIT_FAILED;
    }
    if (removal->with_mirrors && removal->remains->other_namespace[0] != '\0') {
        command_complain("uninstall",
                         "nothing was removed: --remove-mirrors would take the mirrors of the agent in namespace %s, "
                         "too: remove the links of this one first (its mirrors go with them), then uninstall without "
                         "it",
                         removal->remains->other_namespace);
        return EXIT_FAILED;
    }
    tell(removal);
    if (only_tell)
        return EXIT_DONE;
    if (!options_get(options, "yes")->boolean && !removal->write.dry_run) {
        if (!isatty(STDIN_FILENO)) {
            command_complain("uninstall", "nothing was removed: say --yes, as nobody can be asked here");
            return EXIT_FAILED;
        }
        if (!ask()) {
            command_complain("uninstall", "nothing was removed");
            return EXIT_FAILED;
        }
    }
    if (remove_all(removal, &error) == ERR_OK)
        return EXIT_DONE;
    command_complain("uninstall", "%s (what is gone is on stdout; run again to go on)", error.text);
    return EXIT_FAILED;
}

static enum exit_code run(const struct options *options)
{
    struct removal removal = {.namespace = options_text(options, "namespace"),
                              .write = {.dry_run = strcmp(options_text(options, "dry-run"), "server") == 0},
                              .with_mirrors = options_get(options, "remove-mirrors")->boolean};
    struct err error = {0};
    enum exit_code result = EXIT_FAILED;
    enum err_code code = session_new(&removal.session, &error);
    if (code == ERR_OK)
        code = cluster_open(removal.session, options_text(options, "kubeconfig"), options_text(options, "context"),
                            &removal.cluster, &error);
    if (code == ERR_OK)
        result = decide(&removal, options);
    else
        command_complain("uninstall", "%s", error.text);
    if (removal.session != NULL && session_interrupted(removal.session))
        result = EXIT_INTERRUPTED;
    remains_free(removal.remains);
    cluster_free(removal.cluster);
    session_free(removal.session);
    return result;
}

const struct command command_uninstall = {
    .name = "uninstall",
    .group = GROUP_SET_UP,
    .summary = "Remove the agent from the source cluster",
    .about = "Says first what stays behind without an agent. Mirrors stay unless --remove-mirrors is given; of\n"
             "those only what svcmirror made is deleted. Links and credentials stay in any case: `unlink` removes\n"
             "them while the agent runs.\n",
    .examples = "uninstall --dry-run=client\n"
                "uninstall --yes\n"
                "uninstall --remove-mirrors\n",
    .exit_codes = "0  removed\n"
                  "1  it did not work, or was not wanted; what is gone is on stdout\n"
                  "2  the command line is wrong\n"
                  "130  interrupted; what is gone is on stdout\n",
    .options = table,
    .run = run,
};
