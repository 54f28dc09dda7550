/* svcmirror uninstall: takes the agent out of the source cluster, and says what stays behind without it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/commands/apply.h"
#include "agent/commands/command.h"
#include "agent/commands/install_objects.h"
#include "agent/commands/output.h"
#include "agent/commands/remains.h"
#include "agent/commands/told.h"
#include "base/mem.h"

enum { POLL_MS = 250, GONE_MS = 60000, NAME_BYTES = 128, LINE_BYTES = 16 << 10 };

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
    TOLD_OPTION(""),
    {.name = "kubeconfig", .value_name = "FILE", .help = "kubeconfig of the source cluster"},
    {.name = "context", .value_name = "NAME", .help = "context of the kubeconfig"},
    {0},
};

struct removal {
    struct session *session;
    struct cluster *cluster;
    const char *namespace;
    struct cluster_write write;
    bool only_tell; /* a client's dry run: nothing is sent that changes anything */
    bool with_mirrors;
    bool has_agent; /* its Deployment is there */
    struct remains *remains;
};

/* ---- saying it ---- */

/* A line of how many there are, what becomes of them, and their names; nothing where there are none. */
static void tell_objects(const json_t *objects, const char *what)
{
    struct strbuf line;
    if (json_array_size(objects) == 0)
        return;
    strbuf_init(&line, LINE_BYTES);
    strbuf_printf(&line, "%zu %s: ", json_array_size(objects), what);
    remains_names(objects, &line);
    (void)fprintf(stderr, "%s.\n", strbuf_text(&line));
    strbuf_done(&line);
}

static void tell(const struct removal *removal)
{
    const struct remains *remains = removal->remains;
    (void)fprintf(stderr,
                  removal->has_agent ? "The agent in namespace %s of cluster %s goes, with its rights.\n"
                                     : "Namespace %s of cluster %s has no agent; what is left of one goes.\n",
                  removal->namespace, cluster_name(removal->cluster));
    tell_objects(remains->mirrors, removal->with_mirrors
                                       ? "mirrors that svcmirror made go with their endpoints"
                                       : "mirrors stay with the endpoints that they have now, whatever becomes of "
                                         "their gateways (--remove-mirrors deletes them; another agent, or Linkerd's, "
                                         "takes them over)");
    tell_objects(remains->links, "Links stay, and nobody mirrors what they name");
    tell_objects(remains->held_links, "Links lose svcmirror's finalizer, so that they can be deleted");
    (void)fprintf(stderr, "The namespace, the credentials of links and the Link resource type stay.\n");
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

/* Deletes one object of the installation, or says that it would if it is there. */
static enum err_code remove_object(const struct removal *removal, const struct resource *resource, const char *name,
                                   struct err *reterr)
{
    json_t *object = NULL;
    if (!removal->only_tell)
        return apply_delete(removal->cluster, resource, removal->namespace, name, &removal->write, reterr);
    enum err_code code = cluster_get(removal->cluster, resource, removal->namespace, name, &object, reterr);
    json_decref(object);
    if (code == ERR_OK)
        told_would_delete(removal->cluster, resource, removal->namespace, name);
    return code == ERR_NOT_FOUND ? ERR_OK : code;
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
        if (removal->only_tell) { /* it was just read */
            told_would_delete(removal->cluster, &RESOURCE_SERVICE, object_meta_text(mirror, "namespace"),
                              object_meta_text(mirror, "name"));
            continue;
        }
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
        TRY(remove_object(removal, objects[i].resource, objects[i].name, reterr));
    return ERR_OK;
}

static enum err_code remove_all(const struct removal *removal, struct err *reterr)
{
    TRY(remove_object(removal, &RESOURCE_DEPLOYMENT, "svcmirror", reterr));
    if (!removal->write.dry_run && !removal->only_tell)
        TRY(wait_until_stopped(removal, reterr));
    if (!removal->only_tell)
        TRY(release_links(removal, reterr));
    if (removal->with_mirrors)
        TRY(remove_mirrors(removal, reterr));
    return remove_installation(removal, reterr);
}

/* ---- the command ---- */

/* Asks where that is wanted. @return whether it is to be done. */
static bool may_begin(const struct removal *removal, const struct options *options)
{
    if (options_get(options, "yes")->boolean || removal->write.dry_run || removal->only_tell)
        return true;
    if (isatty(STDIN_FILENO) && ask())
        return true;
    command_complain("uninstall", "nothing was removed%s",
                     isatty(STDIN_FILENO) ? "" : ": say --yes, as nobody can be asked here");
    return false;
}

static enum err_code read_what_is_there(struct removal *removal, struct err *reterr)
{
    json_t *deployment = NULL;
    enum err_code code =
        cluster_get(removal->cluster, &RESOURCE_DEPLOYMENT, removal->namespace, "svcmirror", &deployment, reterr);
    removal->has_agent = deployment != NULL;
    json_decref(deployment);
    if (code != ERR_OK && code != ERR_NOT_FOUND)
        return code;
    return remains_read(removal->cluster, removal->namespace, &removal->remains, reterr);
}

static enum exit_code decide(struct removal *removal, const struct options *options)
{
    struct err error = {0};
    if (read_what_is_there(removal, &error) != ERR_OK) {
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
    if (!may_begin(removal, options))
        return EXIT_FAILED;
    enum err_code code = remove_all(removal, &error);
    if (code == ERR_OK && told_count() == 0)
        command_complain("uninstall", "nothing was there to remove: namespace %s of cluster %s has no agent",
                         removal->namespace, cluster_name(removal->cluster));
    if (code == ERR_OK)
        return EXIT_DONE;
    command_complain("uninstall", "%s%s", error.text,
                     removal->only_tell ? "" : " (what is gone is on stdout; run again to go on)");
    return EXIT_FAILED;
}

static enum exit_code run(const struct options *options)
{
    struct removal removal = {.namespace = options_text(options, "namespace"),
                              .write = {.dry_run = strcmp(options_text(options, "dry-run"), "server") == 0},
                              .only_tell = strcmp(options_text(options, "dry-run"), "client") == 0,
                              .with_mirrors = options_get(options, "remove-mirrors")->boolean};
    struct err error = {0};
    enum exit_code result = EXIT_FAILED;
    told_begin(options);
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
    .about =
        "Says first what stays behind without an agent, by name. Mirrors stay unless --remove-mirrors is given; of\n"
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
