/* svcmirror run: the agent. Makes the parts, lets the loop turn, and takes them apart again. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/admin/listener.h"
#include "agent/admin/routes.h"
#include "agent/admin/server.h"
#include "agent/commands/agent_options.h"
#include "agent/commands/command.h"
#include "agent/commands/run.h"
#include "agent/control/control.h"
#include "agent/kube/proto_tree.h"
#include "agent/kube/setup.h"
#include "agent/loop/slice.h"
#include "agent/observe/log.h"
#include "agent/observe/process.h"
#include "base/mem.h"
#include "base/text.h"
#include "version.h"

enum {
    CONFIG_BYTES = 8 << 20,
    MIN_RETRY_MS = 100,
    MIN_LEASE_MS = 1000, /* a Lease counts in seconds */
    MAX_LEASE_MS = 24 * 60 * 60 * 1000,
    STOP_MS = 4000, /* a pod's end is awaited for 30 s, a person's Ctrl-C for less */
};

/* ---- the command line ---- */

static enum err_code check_level(const char *text, struct err *reterr)
{
    enum log_level level;
    return log_parse_level(text, &level, reterr);
}

static enum err_code check_format(const char *text, struct err *reterr)
{
    enum log_format format;
    return log_parse_format(text, &format, reterr);
}

static enum err_code check_address(const char *text, struct err *reterr)
{
    struct listener_address address;
    return listener_parse(text, &address, reterr);
}

#define CONTENT_TYPE_JSON "application/json"

static enum err_code check_content_type(const char *text, struct err *reterr)
{
    if (strcmp(text, PROTO_MEDIA_TYPE) == 0 || strcmp(text, CONTENT_TYPE_JSON) == 0)
        return ERR_OK;
    return err_set(reterr, ERR_INVALID, "\"%.100s\" is neither " PROTO_MEDIA_TYPE " nor " CONTENT_TYPE_JSON, text);
}

/* A program of whatever folder the agent happens to be in is never meant. */
static enum err_code check_plugins(const char *text, struct err *reterr)
{
    size_t length = 0;
    for (const char *word = text_next_word(&text, &length); word != NULL; word = text_next_word(&text, &length))
        if (word[0] != '/' && memchr(word, '/', length) != NULL)
            return err_set(reterr, ERR_INVALID, "\"%.*s\" is a relative path: write the whole path, or a name in PATH",
                           length < 120 ? (int)length : 120, word);
    return ERR_OK;
}

static const struct option table[] = {
    {.name = "kubeconfig",
     .value_name = "FILE",
     .help = "kubeconfig of the source cluster; without it the service account of the pod is used"},
    {.name = "context", .value_name = "NAME", .help = "context of the kubeconfig, instead of its current one"},
    {.name = "exec-allow",
     .value_name = "NAME,...",
     .help = "credential plugins that the kubeconfig may have run: names in PATH and absolute paths; default: none",
     .check = check_plugins},
    AGENT_OPTION_NAMESPACE,
    {.name = "admin-addr",
     .value_name = "ADDRESS",
     .fallback = ":9999",
     .help = "where metrics, health, the status API and the status page are served (also spelled --metrics-addr)",
     .check = check_address},
    {.name = "metrics-addr", .value_name = "ADDRESS", .alias_of = "admin-addr"},
    {.name = "log-level",
     .value_name = "debug|info|warn|error",
     .fallback = "info",
     .help = "what is worth a line",
     .check = check_level},
    {.name = "log-format",
     .value_name = "logfmt|json",
     .fallback = "logfmt",
     .help = "how a line is written",
     .check = check_format},
    AGENT_OPTIONS_DECIDING,
    {.name = "only-link",
     .value_name = "NAME",
     .help =
         "serve only this Link, as each of Linkerd's controllers does: no other Link, no 2.8 Secret, no local members",
     .check = command_check_object_name},
    {.name = "local-mirror",
     .type = OPTION_BOOL,
     .fallback = "false",
     .help = "serve only the local members of federated services, as Linkerd's Deployment of its own for them does"},
    {.name = "leader-elect",
     .type = OPTION_BOOL,
     .fallback = "true",
     .help = "replicas agree by Leases on who writes the mirrors of which link; --leader-elect=false is for a single "
             "replica, and nothing "
             "keeps two of them apart"},
    {.name = "lease-duration",
     .type = OPTION_DURATION,
     .value_name = "DURATION",
     .fallback = "15s",
     .help = "how long a Lease stays with a replica that is not heard of any more"},
    {.name = "renew-deadline",
     .type = OPTION_DURATION,
     .value_name = "DURATION",
     .fallback = "10s",
     .help = "how long a replica writes after the last renewal that succeeded; shorter than --lease-duration"},
    {.name = "retry-period",
     .type = OPTION_DURATION,
     .value_name = "DURATION",
     .fallback = "2s",
     .help =
         "from one renewal to the next, and to the next try when one fails. A replica with more links than fit into "
         "it at 300 ms each renews each less often, up to half of --renew-deadline. 1.2 times this period is shorter "
         "than --renew-deadline"},
    {.name = "max-in-flight",
     .type = OPTION_NUMBER,
     .value_name = "N",
     .fallback = "0",
     .help = "parallel writes; 0: as many as the API server gains from, found by how long they take"},
    {.name = "streaming-lists",
     .type = OPTION_BOOL,
     .fallback = "false",
     .help = "ask for lists as streams (WatchList) where an API server offers that"},
    {.name = "kube-api-content-type",
     .value_name = "TYPE",
     .check = check_content_type,
     .fallback = PROTO_MEDIA_TYPE,
     .help = "how objects are asked for: this, or " CONTENT_TYPE_JSON
             ". Protobuf costs API servers half; what they do not have in it comes in JSON all the same"},
    /* Flags of Linkerd's controller that have no meaning here, so that its Deployment need not be rewritten. */
    {.name = "event-requeue-limit", .type = OPTION_IGNORED, .value_name = "N"},
    {.name = "endpoint-refresh-period", .type = OPTION_IGNORED, .value_name = "DURATION"},
    {.name = "probe-service", .type = OPTION_IGNORED, .value_name = "NAME"},
    {.name = "enable-pprof", .type = OPTION_IGNORED},
    {0},
};

/* ---- the parts ---- */

struct agent {
    const struct options *options;
    struct arena arena; /* of the credentials' texts */
    struct loop *loop;
    struct loop_timer *stop_timer;
    struct dns *dns;
    struct http *http;
    struct metrics *metrics;
    struct process_metrics *process;
    struct routes_context routes_context;
    struct admin_server *server;
    struct control *control;
    bool stopping, interrupted;
};

static enum err_code no_memory(struct err *reterr) { return err_set(reterr, ERR_NOMEM, "out of memory"); }

/* Events name the replica that wrote them. */
static const char *instance_name(void)
{
    static char name[256];
    const char *given = getenv("HOSTNAME"); /* in a pod: its name */
    if (given != NULL && given[0] != '\0')
        return given;
    return gethostname(name, sizeof(name) - 1) == 0 ? name : "svcmirror";
}

/* Whoever can write the kubeconfig would choose what runs beside the agent's rights: who starts the agent does. */
static enum err_code permit_plugin(const struct options *options, struct kubeconfig *config, struct err *reterr)
{
    const char *allowed = options_text(options, "exec-allow");
    if (config->exec == NULL)
        return ERR_OK;
    if (config->exec->mode == EXEC_ALWAYS_ASKS)
        return err_set(
            reterr, ERR_UNSUPPORTED,
            "credential plugin %.120s always asks somebody (interactiveMode: Always), and the agent has nobody "
            "to ask: use one that does not, or a token",
            config->exec->command);
    if (exec_config_allowed(config->exec, allowed != NULL ? allowed : ""))
        config->exec_permission = EXEC_ALONE;
    return ERR_OK; /* the client refuses what is not permitted, and says how to permit it */
}

/* An agent that writes must be told where to: it does not take whatever context ~/.kube/config happens to be at. An empty name is none, as
 * for Linkerd's controller. */
static enum err_code load_credentials(struct agent *agent, struct kubeconfig *config, struct err *reterr)
{
    const char *file = options_text(agent->options, "kubeconfig"), *context = options_text(agent->options, "context");
    if (!kubeconfig_is_chosen(file, context))
        return kubeconfig_in_cluster(&agent->arena, config, reterr);
    TRY(kubeconfig_load(&agent->arena, file, context, config, reterr));
    return permit_plugin(agent->options, config, reterr);
}

/* ---- stopping ---- */

static void on_stopped(void *context) { loop_stop(((const struct agent *)context)->loop); }

static void on_stop_timer(void *context)
{
    log_warn("stop_slow",
             "writes under way did not end in time; they are conditional and are made again after the next start",
             NULL);
    on_stopped(context);
}

static void on_signal(void *context)
{
    struct agent *agent = context;
    if (agent->stopping) {
        agent->interrupted = true;
        loop_stop(agent->loop);
        return;
    }
    agent->stopping = true;
    log_info("stopping", "no more writes are begun; those under way end", NULL);
    loop_timer_start(agent->stop_timer, STOP_MS);
    control_stop(agent->control, on_stopped, agent);
}

/* ---- starting ---- */

static enum err_code make_loop(struct agent *agent, struct err *reterr)
{
    errno = 0;
    agent->loop = loop_new();
    agent->stop_timer = agent->loop != NULL ? loop_timer_new(agent->loop, on_stop_timer, agent) : NULL;
    if (agent->stop_timer != NULL && loop_on_signal(agent->loop, SIGTERM, on_signal, agent) == ERR_OK &&
        loop_on_signal(agent->loop, SIGINT, on_signal, agent) == ERR_OK)
        return ERR_OK;
    if (errno == EMFILE || errno == ENFILE)
        return err_set(reterr, ERR_IO, "the event loop: %s", strerror(errno));
    return no_memory(reterr);
}

static enum err_code make_network(struct agent *agent, struct err *reterr)
{
    struct err error = {0};
    agent->dns = dns_new(agent->loop, options_text(agent->options, "dns-servers"), &error);
    agent->http = agent->dns != NULL ? http_new(agent->loop, agent->dns, &error) : NULL;
    if (agent->http == NULL)
        return err_set(reterr, error.code, "%s", error.text);
    http_set_http2(agent->http, agent_options_http2(agent->options));
    return ERR_OK;
}

/* Before the control: a port that is taken is found out before anything is watched or written. */
static enum err_code make_admin(struct agent *agent, struct err *reterr)
{
    agent->metrics = metrics_new();
    if (agent->metrics == NULL || process_metrics_new(agent->metrics, SVCMIRROR_VERSION, &agent->process) != ERR_OK)
        return no_memory(reterr);
    agent->routes_context = (struct routes_context){.loop = agent->loop, .metrics = agent->metrics};
    return admin_server_new(agent->loop, options_text(agent->options, "admin-addr"), routes, &agent->routes_context,
                            &agent->server, reterr);
}

/* Linkerd runs a controller for each Link, and one for the local members. */
static void serve_part(const struct options *options, struct control_config *config)
{
    if (options_get(options, "local-mirror")->boolean)
        config->only_link = "";
    else
        config->only_link = options_text(options, "only-link");
    if (config->only_link != NULL && config->only_link[0] != '\0')
        config->federated_selector = "";
}

static enum err_code make_control(struct agent *agent, const struct kubeconfig *source, struct err *reterr)
{
    struct control_config config = {
        .loop = agent->loop,
        .http = agent->http,
        .dns = agent->dns,
        .metrics = agent->metrics,
        .source = source,
        .instance = instance_name(),
        .max_in_flight = (uint32_t)options_get(agent->options, "max-in-flight")->number,
        .stream_lists = options_get(agent->options, "streaming-lists")->boolean,
        .ask_for_json = strcmp(options_text(agent->options, "kube-api-content-type"), CONTENT_TYPE_JSON) == 0,
        .leader_elect = options_get(agent->options, "leader-elect")->boolean,
        .lease_duration_ms = options_get(agent->options, "lease-duration")->number,
        .renew_deadline_ms = options_get(agent->options, "renew-deadline")->number,
        .retry_period_ms = options_get(agent->options, "retry-period")->number,
    };
    agent_options_decide(agent->options, &config);
    serve_part(agent->options, &config);
    TRY(control_new(&config, &agent->control, reterr));
    agent->routes_context.source = control_source(agent->control);
    return ERR_OK;
}

/* The address as it was given, with the port that a 0 came to. */
static const char *admin_address(struct agent *agent)
{
    const char *given = options_text(agent->options, "admin-addr");
    const char *colon = strrchr(given, ':');
    const char *address = arena_printf(&agent->arena, "%.*s:%u", colon == NULL ? 0 : (int)(colon - given), given,
                                       (unsigned)admin_server_port(agent->server));
    return address != NULL ? address : given;
}

static enum err_code start(struct agent *agent, struct err *reterr)
{
    struct kubeconfig source = {0};
    TRY(load_credentials(agent, &source, reterr));
    TRY(make_loop(agent, reterr));
    TRY(make_network(agent, reterr));
    TRY(make_admin(agent, reterr));
    TRY(make_control(agent, &source, reterr));
    log_info("started", "svcmirror runs", "version", SVCMIRROR_VERSION, "server", source.server, "namespace",
             options_text(agent->options, "namespace"), "admin", admin_address(agent), NULL);
    return ERR_OK;
}

static void take_apart(struct agent *agent)
{
    admin_server_free(agent->server);
    control_free(agent->control);
    metrics_free(agent->metrics);
    process_metrics_free(agent->process);
    http_free(agent->http);
    dns_free(agent->dns);
    loop_timer_free(agent->stop_timer);
    loop_free(agent->loop);
    arena_done(&agent->arena);
}

/* ---- the command ---- */

static void set_up_log(const struct options *options)
{
    enum log_level level = LOG_INFO;
    enum log_format format = LOG_LOGFMT;
    /* Both were checked with the command line. */
    if (log_parse_level(options_text(options, "log-level"), &level, NULL) != ERR_OK ||
        log_parse_format(options_text(options, "log-format"), &format, NULL) != ERR_OK)
        abort();
    log_setup(level, format);
    for (const char *name = options_ignored(options, NULL); name != NULL; name = options_ignored(options, name))
        log_warn("flag_ignored", "this flag of Linkerd's controller has no meaning here", "flag", name, NULL);
}

/* Between two that wait for one another there has to be time for one request at least. @return what is wrong, or NULL. */
static const char *objection_to_times(const struct options *options)
{
    uint64_t lease_ms = options_get(options, "lease-duration")->number;
    uint64_t renew_ms = options_get(options, "renew-deadline")->number;
    uint64_t retry_ms = options_get(options, "retry-period")->number;
    if (retry_ms < MIN_RETRY_MS)
        return "--retry-period must be 100ms at least";
    if (renew_ms <= retry_ms + retry_ms / 5)
        return "--renew-deadline must be more than 1.2 times --retry-period";
    if (lease_ms < MIN_LEASE_MS || lease_ms > MAX_LEASE_MS)
        return "--lease-duration must be from 1s to 24h";
    return lease_ms <= renew_ms ? "--lease-duration must be longer than --renew-deadline" : NULL;
}

const char *run_objection(const struct options *options)
{
    if (options_get(options, "only-link")->given && options_get(options, "local-mirror")->boolean)
        return "--only-link and --local-mirror contradict each other: the one serves a Link and no local members, the "
               "other local members and no Link; run an agent for each, or without both flags one for all";
    return objection_to_times(options);
}

static enum exit_code run(const struct options *options)
{
    struct agent agent = {.options = options};
    struct err error = {0};
    if (run_objection(options) != NULL) {
        command_complain("run", "%s", run_objection(options));
        return EXIT_USAGE;
    }
    set_up_log(options);
    (void)signal(SIGPIPE, SIG_IGN); /* a peer that is gone shows as an error of the write */
    kube_setup();
    if (!slice_shorten())
        log_debug("slice_refused", "the kernel shares the processor as by default", NULL);
    arena_init(&agent.arena, CONFIG_BYTES);
    enum err_code code = start(&agent, &error);
    if (code == ERR_OK)
        loop_run(agent.loop);
    else
        log_error("start_failed", "the agent cannot start", "error", error.text, NULL);
    take_apart(&agent);
    if (code != ERR_OK)
        return EXIT_FAILED;
    log_info("stopped", agent.interrupted ? "svcmirror ended at once, as it was told to" : "svcmirror ended", NULL);
    return agent.interrupted ? EXIT_FAILED : EXIT_DONE;
}

const struct command command_run = {
    .name = "run",
    .group = GROUP_AGENT,
    .summary = "Run the agent in the source cluster",
    .about =
        "Targets are declared by Link resources (multicluster.linkerd.io) or by Secrets of type\n"
        "mirror.linkerd.io/remote-kubeconfig, in the namespace of the agent. They come, change and go while it runs.\n"
        "SIGTERM and SIGINT end it within 5 s, when the writes under way are done; a second one ends it at once.\n",
    .examples = "run\n"
                "run --kubeconfig ~/.kube/west --admin-addr 127.0.0.1:9999 --log-format json\n",
    .exit_codes = "0  ended by a signal\n"
                  "1  it could not start, or a second signal ended it\n"
                  "2  the command line is wrong\n",
    .options = table,
    .run = run,
};
