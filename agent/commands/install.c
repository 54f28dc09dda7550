/* svcmirror install: the agent in the source cluster, as manifests or applied. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/commands/apply.h"
#include "agent/commands/command.h"
#include "agent/commands/install_objects.h"
#include "agent/commands/output.h"
#include "agent/commands/remains.h"
#include "agent/commands/told.h"
#include "base/mem.h"
#include "base/text.h"

enum { OUTPUT_BYTES = 4 << 20, POLL_MS = 500, STATE_BYTES = 400 };

static enum err_code check_replicas(const char *text, struct err *reterr)
{
    uint64_t replicas = 0;
    if (text_parse_u64(text, 1, 100, "replicas", &replicas, NULL) == ERR_OK)
        return ERR_OK;
    return err_set(reterr, ERR_INVALID, "\"%.40s\" is not a whole number from 1 to 100", text);
}

static const struct option table[] = {
    {.name = "apply", .type = OPTION_BOOL, .help = "apply the manifests to the cluster instead of printing them"},
    {.name = "dry-run",
     .choices = "none|client|server",
     .fallback = "none",
     .help = "client: print what would be applied; server: have the server judge it, and keep nothing"},
    {.name = "wait",
     .letter = 'w',
     .type = OPTION_DURATION,
     .value_name = "DURATION",
     .help = "with --apply: wait until all replicas are available; not longer than this"},
    {.name = "namespace",
     .letter = 'n',
     .value_name = "NAME",
     .fallback = INSTALL_NAMESPACE,
     .help = "namespace of the agent, its Links and their credentials",
     .check = command_check_namespace},
    {.name = "image",
     .value_name = "IMAGE",
     .help = "the agent's image; default: svcmirror of this version",
     .check = install_check_image},
    {.name = "image-pull-policy", .choices = "Always|IfNotPresent|Never", .help = "default: IfNotPresent"},
    {.name = "image-pull-secret",
     .value_name = "NAME",
     .help = "Secret of the namespace with which the image is pulled",
     .check = command_check_object_name},
    {.name = "replicas",
     .type = OPTION_NUMBER,
     .value_name = "NUMBER",
     .fallback = "2",
     .help = "they share the links, and stand in for one another",
     .check = check_replicas},
    {.name = "memory-limit",
     .value_name = "QUANTITY",
     .check = install_check_quantity,
     .help = "of each replica; default: 512Mi"},
    {.name = "agent-flags",
     .value_name = "'--FLAG=VALUE ...'",
     .help = "flags of `run` for the agent, e.g. '--log-level=debug --cluster-name=west'",
     .check = install_check_agent_flags},
    {.name = "link-crd",
     .choices = "auto|always|never",
     .fallback = "auto",
     .help = "the Link resource type; auto: unless it is there from somebody else, Linkerd's extension for one "
             "(where manifests are printed: always)"},
    {.name = "force-conflicts",
     .type = OPTION_BOOL,
     .help = "with --apply: take over fields that another manager, such as kubectl, owns"},
    {.name = "output",
     .letter = 'o',
     .choices = "yaml|json",
     .fallback = "yaml",
     .help = "how manifests are printed; with --apply, how is told what was done (default: a line each)"},
    {.name = "kubeconfig", .value_name = "FILE", .help = "kubeconfig of the source cluster"},
    {.name = "context", .value_name = "NAME", .help = "context of the kubeconfig"},
    /* Linkerd's: of its gateway, its accounts and its chart. */
    {.name = "gateway", .type = OPTION_IGNORED},
    {.name = "gateway-port", .type = OPTION_IGNORED, .value_name = "PORT"},
    {.name = "gateway-probe-port", .type = OPTION_IGNORED, .value_name = "PORT"},
    {.name = "gateway-probe-seconds", .type = OPTION_IGNORED, .value_name = "SECONDS"},
    {.name = "gateway-service-type", .type = OPTION_IGNORED, .value_name = "TYPE"},
    {.name = "gateway-healthcheck-nodeport", .type = OPTION_IGNORED, .value_name = "PORT"},
    {.name = "service-mirror-credentials", .type = OPTION_IGNORED},
    {.name = "ha", .type = OPTION_IGNORED},
    {.name = "ignore-cluster", .type = OPTION_IGNORED},
    {.name = "values", .letter = 'f', .type = OPTION_IGNORED, .value_name = "FILE"},
    {.name = "set", .type = OPTION_IGNORED, .value_name = "KEY=VALUE"},
    {.name = "set-string", .type = OPTION_IGNORED, .value_name = "KEY=VALUE"},
    {.name = "set-file", .type = OPTION_IGNORED, .value_name = "KEY=FILE"},
    /* The same of 2.8; not its --service-mirror=false, which asks for no agent. */
    {.name = "gateway-nginx-image", .type = OPTION_IGNORED, .value_name = "IMAGE"},
    {.name = "gateway-nginx-image-version", .type = OPTION_IGNORED, .value_name = "VERSION"},
    {.name = "service-mirror-retry-limit", .type = OPTION_IGNORED, .value_name = "N"},
    {.name = "log-level", .type = OPTION_IGNORED, .value_name = "LEVEL"},
    {.name = "control-plane-version", .type = OPTION_IGNORED, .value_name = "VERSION"},
    {.name = "registry", .type = OPTION_IGNORED, .value_name = "NAME"},
    {0},
};

/* ---- the objects ---- */

static enum err_code make_objects(const struct options *options, bool with_link_crd, json_t **ret_objects,
                                  struct err *reterr)
{
    const struct install_settings settings = {.namespace = options_text(options, "namespace"),
                                              .image = options_text(options, "image"),
                                              .pull_policy = options_text(options, "image-pull-policy"),
                                              .pull_secret = options_text(options, "image-pull-secret"),
                                              .memory_limit = options_text(options, "memory-limit"),
                                              .agent_flags = options_text(options, "agent-flags"),
                                              .replicas = (unsigned)options_get(options, "replicas")->number,
                                              .with_link_crd = with_link_crd};
    return install_objects(&settings, ret_objects, reterr);
}

static enum exit_code print_objects(const struct options *options)
{
    struct err error = {0};
    struct strbuf text;
    json_t *objects = NULL;
    if (make_objects(options, strcmp(options_text(options, "link-crd"), "never") != 0, &objects, &error) != ERR_OK) {
        command_complain("install", "%s", error.text);
        return EXIT_FAILED;
    }
    strbuf_init(&text, OUTPUT_BYTES);
    output_manifests(objects, strcmp(options_text(options, "output"), "json") == 0, &text);
    bool printed = output_print(&text);
    strbuf_done(&text);
    json_decref(objects);
    return printed ? EXIT_DONE : EXIT_FAILED;
}

/* ---- applying ---- */

/* Whether the Link type of the cluster was never written by this command. */
static bool is_of_others(const json_t *crd)
{
    const json_t *managers = json_object_get(json_object_get(crd, "metadata"), "managedFields"), *manager = NULL;
    size_t index = 0;
    json_array_foreach(managers, index, manager)
    {
        const char *name = json_string_value(json_object_get(manager, "manager"));
        if (name != NULL && strcmp(name, CLUSTER_FIELD_MANAGER) == 0)
            return false;
    }
    return true;
}

static enum err_code decide_link_crd(struct cluster *cluster, const struct options *options, bool *ret_wanted,
                                     struct err *reterr)
{
    const char *choice = options_text(options, "link-crd");
    json_t *crd = NULL;
    *ret_wanted = strcmp(choice, "never") != 0;
    if (strcmp(choice, "auto") != 0)
        return ERR_OK;
    enum err_code code = cluster_get(cluster, &RESOURCE_CRD, NULL, "links.multicluster.linkerd.io", &crd, reterr);
    if (code == ERR_NOT_FOUND)
        return ERR_OK;
    TRY(code);
    if (is_of_others(crd)) {
        (void)fprintf(stderr, "The Link resource type is there already, made by others: it stays as it is.\n");
        *ret_wanted = false;
    }
    json_decref(crd);
    return ERR_OK;
}

/* Agents of two namespaces write with one field manager, and each would remove the other's mirrors as leftovers of its own. */
static enum err_code check_alone(struct cluster *cluster, const char *namespace, struct err *reterr)
{
    char other[REMAINS_NAMESPACE_BYTES];
    TRY(remains_find_other_agent(cluster, namespace, other, reterr));
    if (other[0] == '\0')
        return ERR_OK;
    return err_set(
        reterr, ERR_EXISTS,
        "nothing was applied: namespace %s of cluster %s has an agent already, and one serves all links of a "
        "cluster: move its Links and credentials to namespace %s and uninstall it first "
        "(`svcmirror uninstall -n %s`; its mirrors stay, and are taken over)",
        other, cluster_name(cluster), namespace, other);
}

static enum err_code apply_all(struct cluster *cluster, const struct options *options, bool dry_run, struct err *reterr)
{
    const struct cluster_write write = {.dry_run = dry_run, .force = options_get(options, "force-conflicts")->boolean};
    bool with_link_crd = false;
    json_t *objects = NULL;
    TRY(check_alone(cluster, options_text(options, "namespace"), reterr));
    TRY(decide_link_crd(cluster, options, &with_link_crd, reterr));
    TRY(make_objects(options, with_link_crd, &objects, reterr));
    enum err_code code = apply_objects(cluster, objects, &write, reterr);
    json_decref(objects);
    if (code == ERR_CONFLICT)
        return err_context(reterr, "--force-conflicts takes these fields over");
    return code;
}

/* ---- waiting ---- */

static json_int_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* @return whether all replicas are there, of the newest form; else `state` says how far it is. */
static bool is_available(const json_t *deployment, char state[STATE_BYTES])
{
    const json_t *spec = json_object_get(deployment, "spec"), *status = json_object_get(deployment, "status");
    json_int_t wanted = number(spec, "replicas"), updated = number(status, "updatedReplicas");
    json_int_t available = number(status, "availableReplicas"), all = number(status, "replicas");
    bool seen = number(status, "observedGeneration") >= number(json_object_get(deployment, "metadata"), "generation");
    (void)snprintf(state, STATE_BYTES,
                   "%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " replicas are of the new form, "
                   "%" JSON_INTEGER_FORMAT " are available",
                   seen ? updated : 0, wanted, available);
    return seen && updated == wanted && available >= wanted && all == wanted;
}

struct pod_state {
    char text[STATE_BYTES]; /* why the first pod that does not run does not */
};

static enum err_code take_pod(void *context, const json_t *pod)
{
    struct pod_state *state = context;
    const json_t *status = json_object_get(pod, "status");
    const json_t *container = json_array_get(json_object_get(status, "containerStatuses"), 0);
    const json_t *waiting = json_object_get(json_object_get(container, "state"), "waiting");
    const char *reason = json_string_value(json_object_get(waiting, "reason"));
    const char *message = json_string_value(json_object_get(waiting, "message"));
    const json_t *condition = NULL;
    size_t index = 0;
    json_array_foreach(json_object_get(status, "conditions"), index, condition)
    {
        const char *type = json_string_value(json_object_get(condition, "type"));
        const char *is = json_string_value(json_object_get(condition, "status"));
        if (reason == NULL && type != NULL && is != NULL && strcmp(type, "PodScheduled") == 0 &&
            strcmp(is, "False") == 0) {
            reason = json_string_value(json_object_get(condition, "reason"));
            message = json_string_value(json_object_get(condition, "message"));
        }
    }
    if (reason != NULL && state->text[0] == '\0')
        (void)snprintf(state->text, STATE_BYTES, "pod %.100s: %.60s%s%.200s", object_meta_text(pod, "name"), reason,
                       message != NULL ? ": " : "", message != NULL ? message : "");
    return ERR_OK;
}

static enum err_code wait_available(struct session *session, struct cluster *cluster, const char *namespace,
                                    uint64_t wait_ms, struct err *reterr)
{
    uint64_t deadline_ms = session_now_ms(session) + wait_ms;
    char state[STATE_BYTES], told[STATE_BYTES] = "", waited[32];
    struct pod_state pods = {0};
    session_set_deadline(session, deadline_ms);
    for (;;) {
        json_t *deployment = NULL;
        TRY(cluster_get(cluster, &RESOURCE_DEPLOYMENT, namespace, "svcmirror", &deployment, reterr));
        bool available = is_available(deployment, state);
        json_decref(deployment);
        if (available)
            return ERR_OK;
        if (session_now_ms(session) >= deadline_ms || session_interrupted(session))
            break;
        if (strcmp(told, state) != 0)
            command_complain("install", "waiting: %s", state);
        memcpy(told, state, sizeof(told));
        session_sleep(session, POLL_MS);
    }
    session_set_deadline(session, 0);
    text_format_duration_ms(wait_ms, waited, sizeof(waited));
    if (cluster_each(cluster, &RESOURCE_POD, namespace, "app.kubernetes.io/name=svcmirror", take_pod, &pods, NULL) !=
        ERR_OK)
        pods.text[0] = '\0'; /* what is known is told all the same */
    return err_set(reterr, ERR_TIMEOUT, "applied, but after %s %s%s%s", waited, state, pods.text[0] != '\0' ? ": " : "",
                   pods.text);
}

/* ---- the command ---- */

static enum exit_code apply_and_wait(struct session *session, const struct options *options, bool dry_run)
{
    const struct option_value *wait = options_get(options, "wait");
    const char *namespace = options_text(options, "namespace");
    struct err error = {0};
    struct cluster *cluster = NULL;
    told_begin(options);
    enum err_code code =
        cluster_open(session, options_text(options, "kubeconfig"), options_text(options, "context"), &cluster, &error);
    if (code == ERR_OK)
        code = apply_all(cluster, options, dry_run, &error);
    if (code == ERR_OK && wait->given)
        code = wait_available(session, cluster, namespace, wait->number, &error);
    cluster_free(cluster);
    if (code != ERR_OK)
        command_complain("install", "%s", error.text);
    return session_interrupted(session) ? EXIT_INTERRUPTED : code == ERR_OK ? EXIT_DONE : EXIT_FAILED;
}

/* @return what contradicts what among the flags, or NULL. */
static const char *objection(const struct options *options)
{
    const char *dry_run = options_text(options, "dry-run");
    bool apply = options_get(options, "apply")->boolean, wait = options_get(options, "wait")->given;
    if (options_get(options, "force-conflicts")->boolean && !apply && strcmp(dry_run, "server") != 0)
        return "--force-conflicts is about fields in the cluster, and manifests are only printed: add --apply";
    if (wait && strcmp(dry_run, "none") != 0)
        return "--wait and --dry-run contradict each other: nothing will happen to wait for";
    return wait && !apply ? "--wait waits for what was applied: add --apply" : NULL;
}

static enum exit_code run(const struct options *options)
{
    const char *dry_run = options_text(options, "dry-run");
    bool apply = options_get(options, "apply")->boolean, on_server = strcmp(dry_run, "server") == 0;
    struct err error = {0};
    struct session *session = NULL;
    command_tell_all_ignored("install", options);
    if (objection(options) != NULL) {
        command_complain("install", "%s", objection(options));
        return EXIT_USAGE;
    }
    if (!on_server && (!apply || strcmp(dry_run, "client") == 0))
        return print_objects(options);
    if (session_new(&session, &error) != ERR_OK) {
        command_complain("install", "%s", error.text);
        return EXIT_FAILED;
    }
    enum exit_code result = apply_and_wait(session, options, on_server);
    session_free(session);
    return result;
}

const struct command command_install = {
    .name = "install",
    .group = GROUP_SET_UP,
    .summary = "Install the agent in the source cluster, or upgrade it",
    .about = "Prints the manifests; with --apply it applies them by server-side apply. Applied again it changes\n"
             "what differs, and mirrors stay as they are: they need no agent to go on, and a new one writes\n"
             "nothing where all is right.\n",
    .examples = "install | kubectl apply -f -\n"
                "install --apply --wait 2m --image registry.example/svcmirror:0.1.0\n"
                "install --apply --dry-run=server\n"
                "install --agent-flags='--cluster-name=west --log-format=json' > svcmirror.yaml\n",
    .exit_codes = "0  printed, or applied; with --wait, all replicas are available\n"
                  "1  it did not work; what was applied until then is on stdout\n"
                  "2  the command line is wrong\n"
                  "130  interrupted; what was applied until then is on stdout\n",
    .options = table,
    .run = run,
};
