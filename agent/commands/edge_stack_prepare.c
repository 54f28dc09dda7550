/* svcmirror edge-stack prepare: makes the target cluster's Edge Stack or Emissary a gateway for mirrored services, or takes that back. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/commands/command.h"
#include "agent/commands/edge_stack.h"
#include "agent/commands/edge_stack_probe.h"
#include "agent/commands/edge_stack_read.h"
#include "agent/commands/edge_stack_values.h"
#include "agent/commands/output.h"
#include "base/mem.h"
#include "base/text.h"
#include "health/diagnosis.h"

#define NAME "edge-stack prepare"

enum { OUTPUT_BYTES = 4 << 20, NAME_BYTES = 64, PATH_BYTES = 512 };

/* ---- options ---- */

static enum err_code check_service(const char *text, struct err *reterr)
{
    char namespace[NAME_BYTES] = "";
    const char *slash = strchr(text, '/');
    if (slash != NULL && (size_t)(slash - text) < sizeof(namespace))
        (void)snprintf(namespace, sizeof(namespace), "%.*s", (int)(slash - text), text);
    if (text_is_dns1123_label(namespace) && text_is_dns1123_label(slash + 1))
        return ERR_OK;
    return err_set(reterr, ERR_INVALID, "\"%.80s\" is not NAMESPACE/NAME of a Service", text);
}

static enum err_code check_domain(const char *text, struct err *reterr)
{
    if (text_is_dns1123_subdomain(text))
        return ERR_OK;
    return err_set(reterr, ERR_INVALID, "\"%.80s\" is no domain", text);
}

static enum err_code check_path(const char *text, struct err *reterr)
{
    char path[PATH_BYTES];
    if (probe_path_normalise(text, path, sizeof(path)) && strlen(path) > 1 && !text_ends_with(path, "/"))
        return ERR_OK;
    return err_set(reterr, ERR_INVALID,
                   "\"%.80s\" is no path to probe: write one like /ready, with no blank in it and no slash at its end",
                   text);
}

static enum err_code check_port(const char *text, struct err *reterr)
{
    uint64_t port = 0;
    TRY(text_parse_u64(text, 1, 65535, "port", &port, reterr));
    return port != 4143 ? ERR_OK : err_set(reterr, ERR_INVALID, "port 4143 is that of mc-gateway");
}

static enum err_code check_seconds(const char *text, struct err *reterr)
{
    uint64_t seconds = 0;
    return text_parse_u64(text, 1, 3600, "period in seconds", &seconds, reterr);
}

static const struct option table[] = {
    {.name = "undo", .type = OPTION_BOOL, .help = "take back what this command changed, and nothing else"},
    {.name = "yes", .letter = 'y', .type = OPTION_BOOL, .help = "do it without asking"},
    {.name = "dry-run",
     .choices = "none|client|server",
     .fallback = "none",
     .help = "client: only show what would change; server: have the server judge it, and keep nothing"},
    {.name = "gateway-service",
     .value_name = "NAMESPACE/NAME",
     .help = "the Service of Edge Stack or Emissary; default: the one with its label",
     .check = check_service},
    {.name = "namespace",
     .letter = 'n',
     .value_name = "NAME",
     .help = "namespace of Edge Stack or Emissary; default: wherever it is",
     .check = command_check_namespace},
    {.name = "patch-host",
     .type = OPTION_BOOL,
     .help = "let the Host that decides for every name route cleartext, where it redirects or rejects it"},
    {.name = "probe-port",
     .type = OPTION_NUMBER,
     .value_name = "PORT",
     .help = "number of the Service's port mc-probe; default: 4191",
     .check = check_port},
    {.name = "probe-path",
     .value_name = "PATH",
     .help = "path of the health check; default: what the Service is annotated with, else /-/ambassador/ready",
     .check = check_path},
    {.name = "probe-period",
     .type = OPTION_NUMBER,
     .value_name = "SECONDS",
     .help = "of the probes; default: what the Service is annotated with, else 3",
     .check = check_seconds},
    {.name = "trust-domain",
     .value_name = "DOMAIN",
     .help = "of the target's Linkerd; default: what ConfigMap linkerd-config says",
     .check = check_domain},
    {.name = "linkerd-namespace",
     .letter = 'L',
     .value_name = "NAME",
     .fallback = "linkerd",
     .help = "namespace of the target's Linkerd",
     .check = command_check_namespace},
    {.name = "ambassador-id", .value_name = "ID", .help = "default: AMBASSADOR_ID of the container"},
    {.name = "wait",
     .letter = 'w',
     .type = OPTION_DURATION,
     .value_name = "DURATION",
     .fallback = "1m",
     .help = "for an external address, and for an answer to a probe through it; 0: do not probe"},
    {.name = "output",
     .letter = 'o',
     .choices = "diff|json|helm-values",
     .fallback = "diff",
     .help =
         "json: the changes as whole objects before and after; helm-values: values of the chart that give the same; "
         "both change nothing"},
    {.name = "kubeconfig", .value_name = "FILE", .help = "kubeconfig of the target cluster"},
    {.name = "context", .value_name = "NAME", .help = "context of the kubeconfig"},
    {0},
};

struct preparation {
    const struct options *options;
    struct session *session;
    struct cluster *cluster;
    struct edge_stack_settings settings;
    char service_namespace[NAME_BYTES];
    struct edge_stack_objects objects;
    struct edge_stack_gateway gateway;
    struct edge_stack_plan plan;
};

static void read_settings(struct preparation *work)
{
    const struct options *options = work->options;
    const char *service = options_text(options, "gateway-service");
    work->settings = (struct edge_stack_settings){
        .trust_domain = options_text(options, "trust-domain"),
        .linkerd_namespace = options_text(options, "linkerd-namespace"),
        .ambassador_id = options_text(options, "ambassador-id"),
        .probe_path = options_text(options, "probe-path"),
        .probe_port = (uint16_t)options_get(options, "probe-port")->number,
        .probe_period_s = (uint16_t)options_get(options, "probe-period")->number,
        .patch_host = options_get(options, "patch-host")->boolean,
    };
    work->settings.service_namespace = options_text(options, "namespace");
    if (service == NULL)
        return;
    const char *slash = strchr(service, '/');
    (void)snprintf(work->service_namespace, NAME_BYTES, "%.*s", (int)(slash - service), service);
    work->settings.service_namespace = work->service_namespace;
    work->settings.service_name = slash + 1;
}

/* ---- saying it ---- */

static void tell_findings(const struct edge_stack_plan *plan)
{
    static const char *const WORDS[] = {[EDGE_NOTE] = "note", [EDGE_WARNING] = "warning", [EDGE_OBSTACLE] = "obstacle"};
    const json_t *finding = NULL;
    size_t index = 0;
    json_array_foreach(plan->findings, index, finding)
        command_complain(NAME, "%s: %s", WORDS[json_integer_value(json_object_get(finding, "severity"))],
                         edge_stack_text_at(finding, "text", NULL));
}

static bool print_plan(const struct preparation *work)
{
    struct strbuf text;
    const char *output = options_text(work->options, "output");
    strbuf_init(&text, OUTPUT_BYTES);
    if (strcmp(output, "json") == 0)
        output_json(work->plan.changes, &text);
    else if (strcmp(output, "helm-values") == 0)
        edge_stack_write_values(&work->gateway, &work->plan, &text);
    else
        edge_stack_write_diff(&work->plan, &text);
    bool whole = output_print(&text);
    strbuf_done(&text);
    return whole;
}

static bool ask(void)
{
    char answer[8] = "";
    (void)fprintf(stderr, "Change it so? [y/N] ");
    return fgets(answer, sizeof(answer), stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

/* @return whether to go on. */
static bool is_wanted(const struct preparation *work)
{
    if (options_get(work->options, "yes")->boolean || strcmp(options_text(work->options, "dry-run"), "server") == 0)
        return true;
    if (!isatty(STDIN_FILENO)) {
        command_complain(NAME, "nothing was changed: say --yes, as nobody can be asked here");
        return false;
    }
    if (ask())
        return true;
    command_complain(NAME, "nothing was changed");
    return false;
}

/* ---- doing it ---- */

static enum err_code make_plan(struct preparation *work, struct err *reterr)
{
    TRY(edge_stack_plan_new(&work->plan, reterr));
    TRY(edge_stack_read(work->cluster, &work->settings, &work->objects, reterr));
    TRY(edge_stack_find(&work->objects, &work->settings, &work->gateway, reterr));
    if (options_get(work->options, "undo")->boolean)
        return edge_stack_undo(&work->objects, &work->gateway, &work->plan, reterr);
    TRY(edge_stack_read_fallback(work->cluster, &work->gateway, &work->objects, reterr));
    return edge_stack_prepare(&work->objects, &work->gateway, &work->settings, &work->plan, reterr);
}

static enum exit_code write_plan(const struct preparation *work)
{
    bool on_server = strcmp(options_text(work->options, "dry-run"), "server") == 0;
    struct err error = {0};
    enum err_code code = edge_stack_write(work->cluster, &work->plan, on_server, &error);
    if (code == ERR_OK)
        return EXIT_DONE;
    command_complain(NAME, "%s%s (what was done is on stdout; run again to go on, or --undo takes it back)",
                     code == ERR_CONFLICT ? "somebody changed it meanwhile: " : "", error.text);
    return EXIT_FAILED;
}

static enum exit_code probe(const struct preparation *work)
{
    uint64_t wait_ms = options_get(work->options, "wait")->number;
    struct err error = {0};
    if (wait_ms == 0 || options_get(work->options, "undo")->boolean ||
        strcmp(options_text(work->options, "dry-run"), "none") != 0)
        return EXIT_DONE;
    if (edge_stack_probe(work->session, work->cluster, &work->gateway, wait_ms, &error) == ERR_OK)
        return EXIT_DONE;
    command_complain(NAME, "the objects are as they should be, but %s", error.text);
    return EXIT_FAILED;
}

static enum exit_code carry_out(struct preparation *work)
{
    bool undo = options_get(work->options, "undo")->boolean;
    bool only_shown = strcmp(options_text(work->options, "output"), "diff") != 0 ||
                      strcmp(options_text(work->options, "dry-run"), "client") == 0;
    tell_findings(&work->plan);
    if (edge_stack_has_obstacle(&work->plan)) {
        command_complain(NAME, "nothing was changed: remove the obstacles first");
        return EXIT_FAILED;
    }
    if (!only_shown && json_array_size(work->plan.changes) == 0) {
        (void)printf("%s/%s: %s\n", work->gateway.namespace, work->gateway.name,
                     undo ? "nothing to take back" : "nothing to change");
        return probe(work);
    }
    if (!print_plan(work))
        return EXIT_FAILED;
    if (only_shown)
        return EXIT_DONE;
    if (!is_wanted(work))
        return EXIT_FAILED;
    enum exit_code result = write_plan(work);
    return result == EXIT_DONE ? probe(work) : result;
}

static enum err_code check_undo(const struct options *options, struct err *reterr)
{
    static const char *const of_preparing[] = {"patch-host", "probe-port", "probe-path", "probe-period",
                                               "trust-domain"};
    if (strcmp(options_text(options, "output"), "helm-values") == 0)
        return err_set(reterr, ERR_INVALID, "--undo has no Helm values: leave -o helm-values out");
    for (size_t i = 0; i < ARRAY_COUNT(of_preparing); i++)
        if (options_get(options, of_preparing[i])->given)
            return err_set(reterr, ERR_INVALID,
                           "--undo takes back what was recorded, and --%s is what to set: leave it out",
                           of_preparing[i]);
    return ERR_OK;
}

static enum err_code check_usage(const struct options *options, struct err *reterr)
{
    const char *namespace = options_text(options, "namespace"), *service = options_text(options, "gateway-service");
    const char *output = options_text(options, "output"), *dry_run = options_text(options, "dry-run");
    bool yes = options_get(options, "yes")->boolean, only_prints = strcmp(output, "diff") != 0;
    if (options_get(options, "undo")->boolean)
        TRY(check_undo(options, reterr));
    if (only_prints && (yes || strcmp(dry_run, "server") == 0))
        return err_set(reterr, ERR_INVALID, "-o %s only prints, and %s asks for more: leave one of them out", output,
                       yes ? "--yes" : "--dry-run=server");
    if (namespace != NULL && service != NULL &&
        (!text_starts_with(service, namespace) || service[strlen(namespace)] != '/'))
        return err_set(reterr, ERR_INVALID,
                       "--namespace and --gateway-service contradict each other: the latter is enough");
    return ERR_OK;
}

static enum exit_code run(const struct options *options)
{
    struct preparation work = {.options = options};
    struct err error = {0};
    enum exit_code result = EXIT_FAILED;
    if (check_usage(options, &error) != ERR_OK) {
        command_complain(NAME, "%s", error.text);
        return EXIT_USAGE;
    }
    read_settings(&work);
    enum err_code code = session_new(&work.session, &error);
    if (code == ERR_OK)
        code = cluster_open(work.session, options_text(options, "kubeconfig"), options_text(options, "context"),
                            &work.cluster, &error);
    if (code == ERR_OK)
        code = make_plan(&work, &error);
    if (code == ERR_OK)
        result = carry_out(&work);
    else
        command_complain(NAME, "nothing was changed: %s", error.text);
    if (work.session != NULL && session_interrupted(work.session))
        result = EXIT_INTERRUPTED;
    edge_stack_plan_done(&work.plan);
    edge_stack_read_done(&work.objects);
    cluster_free(work.cluster);
    session_free(work.session);
    return result;
}

const struct command command_edge_stack_prepare = {
    .name = NAME,
    .group = GROUP_SET_UP,
    .summary = "Make the target's Edge Stack or Emissary a gateway",
    .about = "Finds Edge Stack or Emissary in the target cluster, shows what its Service, its Deployment and its\n"
             "Module, Listener, Host and Mapping need for being a gateway, and asks before it changes them. What\n"
             "stands in the way is said before anything is written. At the end it probes the gateway through its\n"
             "external address. --undo takes back exactly what was changed.\n",
    .examples = "edge-stack prepare --context east\n"
                "edge-stack prepare --context east --dry-run=server\n"
                "edge-stack prepare --context east --yes --wait=5m\n"
                "edge-stack prepare --context east -o helm-values > values.yaml\n"
                "edge-stack prepare --context east --undo\n",
    .exit_codes = "0  it is so, and the gateway answers its probe (--wait=0: not asked)\n"
                  "1  it did not work, or was not wanted; what was done until then is on stdout\n"
                  "2  the command line is wrong\n"
                  "130  interrupted; what was done until then is on stdout\n",
    .options = table,
    .run = run,
};
