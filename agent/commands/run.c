/* svcmirror run: the agent. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/admin/routes.h"
#include "agent/admin/server.h"
#include "agent/commands/command.h"
#include "agent/control/control.h"
#include "agent/kube/setup.h"
#include "agent/observe/log.h"
#include "base/mem.h"
#include "version.h"

enum { CONFIG_BYTES = 8 << 20 };

static const struct option table[] = {
    {.name = "kubeconfig", .type = OPTION_TEXT, .value_name = "FILE", .help = "kubeconfig of the source cluster; without it the pod's service account is used"},
    {.name = "context", .type = OPTION_TEXT, .value_name = "NAME", .help = "context of the kubeconfig"},
    {.name = "namespace", .letter = 'n', .type = OPTION_TEXT, .value_name = "NAME", .fallback = "linkerd-multicluster",
     .help = "namespace of Links, credentials Secrets and gateway mirrors"},
    {.name = "admin-addr", .type = OPTION_TEXT, .value_name = "ADDRESS", .fallback = ":9999", .help = "where metrics, status API and status page listen"},
    {.name = "metrics-addr", .type = OPTION_TEXT, .value_name = "ADDRESS", .alias_of = "admin-addr"},
    {.name = "log-level", .type = OPTION_TEXT, .value_name = "LEVEL", .fallback = "info", .help = "debug, info, warn or error"},
    {.name = "log-format", .type = OPTION_TEXT, .value_name = "FORMAT", .fallback = "logfmt", .help = "logfmt or json"},
    {.name = "enable-namespace-creation", .type = OPTION_BOOL, .value_name = "BOOL",
     .help = "create a mirror's namespace when it is missing (default: for 2.8 Secrets yes, for Links no)"},
    {.name = "move-endpoints", .type = OPTION_BOOL, .value_name = "BOOL", .fallback = "true",
     .help = "make mirrors' endpoints unready while their gateway is dead; false only shows the verdict"},
    {.name = "max-in-flight", .type = OPTION_NUMBER, .value_name = "N", .fallback = "0", .help = "parallel writes; 0 is automatic"},
    {.name = "dns-servers", .type = OPTION_TEXT, .value_name = "LIST", .help = "resolvers ip[:port],... instead of /etc/resolv.conf"},
    /* Linkerd's controller has these; they mean nothing here. */
    {.name = "event-requeue-limit", .type = OPTION_IGNORED, .value_name = "N"},
    {.name = "endpoint-refresh-period", .type = OPTION_IGNORED, .value_name = "DURATION"},
    {.name = "enable-headless-services", .type = OPTION_IGNORED},
    {.name = "enable-pprof", .type = OPTION_IGNORED},
    {.name = "probe-service", .type = OPTION_IGNORED, .value_name = "NAME"},
    {0},
};

struct agent {
    struct loop *loop;
    struct dns *dns;
    struct http *http;
    struct metrics *metrics;
    struct control *control;
    struct admin_server *server;
    struct routes_context routes;
    struct arena arena;
    bool stopping;
};

static void on_stopped(void *context) {
    struct agent *agent = context;
    loop_stop(agent->loop);
}

static void on_signal(void *context) {
    struct agent *agent = context;
    if (agent->stopping) {
        loop_stop(agent->loop); /* the second time: at once */
        return;
    }
    agent->stopping = true;
    log_info("stopping", "finishing the writes under way", NULL);
    control_stop(agent->control, on_stopped, agent);
}

static const char *instance_name(void) {
    static char name[256];
    const char *given = getenv("HOSTNAME");
    if (given != NULL && given[0] != '\0')
        return given;
    return gethostname(name, sizeof(name) - 1) == 0 ? name : "svcmirror";
}

static enum err_code load_credentials(struct agent *agent, const struct options *options, struct kubeconfig *config, struct err *reterr) {
    const char *file = options_get(options, "kubeconfig")->text, *context = options_get(options, "context")->text;
    if (file == NULL && context == NULL && getenv("KUBERNETES_SERVICE_HOST") != NULL)
        return kubeconfig_in_cluster(&agent->arena, config, reterr);
    return kubeconfig_load(&agent->arena, file, context, config, reterr);
}

static enum err_code start(struct agent *agent, const struct options *options, struct err *reterr) {
    struct kubeconfig source;
    const struct option_value *namespaces = options_get(options, "enable-namespace-creation");
    TRY(load_credentials(agent, options, &source, reterr));
    agent->loop = loop_new();
    if (agent->loop == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    agent->dns = dns_new(agent->loop, options_get(options, "dns-servers")->text, reterr);
    agent->http = agent->dns != NULL ? http_new(agent->loop, agent->dns, reterr) : NULL;
    if (agent->http == NULL)
        return reterr->code;
    agent->metrics = metrics_new();
    if (agent->metrics == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    const struct control_config config = {
        .loop = agent->loop,
        .http = agent->http,
        .dns = agent->dns,
        .metrics = agent->metrics,
        .source = &source,
        .namespace = options_get(options, "namespace")->text,
        .instance = instance_name(),
        .create_namespaces_for_secrets = !namespaces->given || namespaces->boolean,
        .create_namespaces_for_links = namespaces->given && namespaces->boolean,
        .move_endpoints = options_get(options, "move-endpoints")->boolean,
        .max_in_flight = (uint32_t)options_get(options, "max-in-flight")->number,
    };
    TRY(control_new(&config, &agent->control, reterr));
    agent->routes = (struct routes_context){agent->loop, agent->metrics, control_source(agent->control)};
    TRY(admin_server_new(agent->loop, options_get(options, "admin-addr")->text, routes, &agent->routes, &agent->server, reterr));
    TRY(loop_on_signal(agent->loop, SIGTERM, on_signal, agent));
    TRY(loop_on_signal(agent->loop, SIGINT, on_signal, agent));
    log_info("started", "svcmirror " SVCMIRROR_VERSION " runs", "server", source.server, "namespace", options_get(options, "namespace")->text,
             "admin", options_get(options, "admin-addr")->text, NULL);
    return ERR_OK;
}

static void stop(struct agent *agent) {
    admin_server_free(agent->server);
    control_free(agent->control);
    metrics_free(agent->metrics);
    http_free(agent->http);
    dns_free(agent->dns);
    loop_free(agent->loop);
    arena_done(&agent->arena);
}

static enum err_code set_up_log(const struct options *options, struct err *reterr) {
    enum log_level level;
    enum log_format format;
    TRY(log_parse_level(options_get(options, "log-level")->text, &level, reterr));
    TRY(log_parse_format(options_get(options, "log-format")->text, &format, reterr));
    log_setup(level, format);
    for (unsigned i = 0; i < options->ignored_count; i++)
        log_warn("flag_ignored", "this flag of Linkerd's controller has no meaning here", "flag", options->ignored[i], NULL);
    return ERR_OK;
}

static int run(const struct options *options) {
    struct agent agent = {0};
    struct err error = {0};
    if (set_up_log(options, &error) != ERR_OK) {
        (void)fprintf(stderr, "svcmirror run: %s; see `svcmirror run --help`\n", error.text);
        return EXIT_USAGE;
    }
    (void)signal(SIGPIPE, SIG_IGN); /* a peer that is gone shows as an error of the write */
    kube_setup();
    arena_init(&agent.arena, CONFIG_BYTES);
    enum err_code code = start(&agent, options, &error);
    if (code == ERR_OK)
        loop_run(agent.loop);
    else
        log_error("start_failed", "the agent cannot start", "error", error.text, NULL);
    stop(&agent);
    if (code == ERR_OK)
        log_info("stopped", "svcmirror ended", NULL);
    return code == ERR_OK ? EXIT_DONE : EXIT_FAILED;
}

const struct command command_run = {
    .name = "run",
    .summary = "Run the agent in the source cluster",
    .usage = "svcmirror run [flags]",
    .text = "Links are declared by Link resources (multicluster.linkerd.io) or by Secrets of type mirror.linkerd.io/remote-kubeconfig in the\n"
            "agent's namespace; they come, change and go while it runs. SIGTERM finishes the writes under way and exits 0.\n\n"
            "Example:\n  svcmirror run --kubeconfig ~/.kube/west --admin-addr 127.0.0.1:9999 --log-format json\n",
    .options = table,
    .run = run,
};
