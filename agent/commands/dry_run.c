#include "agent/commands/dry_run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/commands/cluster.h"
#include "agent/commands/command.h"
#include "agent/commands/remedy.h"
#include "agent/kube/setup.h"
#include "agent/observe/log.h"
#include "base/mem.h"

enum {
    CONFIG_BYTES = 8 << 20,
    WHY_BYTES = 64 << 10,
    PROGRESS_MS = 2000, /* who waits longer is told for what */
};

struct dry_run {
    struct dry_run_config config;
    struct arena arena; /* of the credentials' texts */
    struct loop *loop;
    struct loop_timer *progress;
    const char *context_name; /* of the source's credentials */
    struct dns *dns;
    struct http *http;
    struct metrics *metrics;
    struct control *control;
    struct preview *preview;
    char waited_for[256]; /* what the waiting person read last */
    struct err error;
    bool in_time, complete;
    bool interrupted; /* by a signal: nothing more is waited for */
};

enum err_code dry_run_check_level(const char *text, struct err *reterr)
{
    enum log_level level;
    return log_parse_level(text, &level, reterr);
}

/* ---- waiting ---- */

static void on_progress(void *context)
{
    struct dry_run *run = context;
    struct strbuf why;
    char line[sizeof(run->waited_for)];
    strbuf_init(&why, WHY_BYTES);
    (void)preview_settled(run->preview, &why);
    (void)snprintf(line, sizeof(line), "%.*s", (int)strcspn(strbuf_text(&why), "\n"), strbuf_text(&why));
    strbuf_done(&why);
    if (line[0] != '\0' && strcmp(line, run->waited_for) != 0)
        command_complain(run->config.command, "waiting: %s", line);
    (void)snprintf(run->waited_for, sizeof(run->waited_for), "%s", line);
    loop_timer_start(run->progress, PROGRESS_MS);
}

/* What is still missing when the time is over, a line each. */
static void tell_late(struct dry_run *run)
{
    struct strbuf why;
    char waited[32];
    strbuf_init(&why, WHY_BYTES);
    (void)preview_settled(run->preview, &why);
    text_format_duration_ms(options_get(run->config.options, "timeout")->number, waited, sizeof(waited));
    for (const char *at = strbuf_text(&why); *at != '\0';) {
        size_t length = strcspn(at, "\n");
        command_complain(run->config.command, "after %s (--timeout): %.*s", waited, (int)length, at);
        at += length + (at[length] == '\n' ? 1 : 0);
    }
    strbuf_done(&why);
}

static void on_interrupt(void *context)
{
    struct dry_run *run = context;
    run->interrupted = true;
    loop_stop(run->loop);
}

/* Tells what was waited for, when it was anything. */
static enum err_code say_interrupted(struct dry_run *run, struct err *reterr)
{
    struct strbuf why;
    strbuf_init(&why, WHY_BYTES);
    (void)preview_settled(run->preview, &why);
    const char *text = strbuf_text(&why);
    int length = (int)strcspn(text, "\n");
    enum err_code code =
        err_set(reterr, ERR_CANCELLED, "interrupted%s%.*s", length > 0 ? " while waiting: " : "", length, text);
    strbuf_done(&why);
    return code;
}

static void on_settled(void *context, bool in_time)
{
    struct dry_run *run = context;
    loop_timer_stop(run->progress);
    run->in_time = in_time;
    if (!in_time)
        tell_late(run);
    if (run->config.on_settled != NULL)
        run->config.on_settled(run->config.context);
    else
        preview_collect(run->preview);
}

static bool wants(void *context, const char *mirror_key)
{
    const struct dry_run *run = context;
    return run->config.wants == NULL || run->config.wants(run->config.context, mirror_key);
}

static void on_collected(void *context, const struct err *error)
{
    struct dry_run *run = context;
    if (error != NULL)
        run->error = *error;
    loop_stop(run->loop);
}

/* ---- coming and going ---- */

static enum err_code no_memory(struct err *reterr) { return err_set(reterr, ERR_NOMEM, "out of memory"); }

static enum err_code open_network(struct dry_run *run, struct err *reterr)
{
    struct err error = {0};
    run->loop = loop_new();
    run->progress = run->loop != NULL ? loop_timer_new(run->loop, on_progress, run) : NULL;
    run->metrics = metrics_new();
    if (run->progress == NULL || run->metrics == NULL)
        return no_memory(reterr);
    TRY(loop_on_signal(run->loop, SIGINT, on_interrupt, run));
    TRY(loop_on_signal(run->loop, SIGTERM, on_interrupt, run));
    run->dns = dns_new(run->loop, options_text(run->config.options, "dns-servers"), &error);
    run->http = run->dns != NULL ? http_new(run->loop, run->dns, &error) : NULL;
    if (run->http == NULL)
        return err_set(reterr, error.code, "%s", error.text);
    http_set_http2(run->http, agent_options_http2(run->config.options));
    return ERR_OK;
}

static enum err_code start(struct dry_run *run, struct err *reterr)
{
    struct kubeconfig source = {0};
    TRY(cluster_credentials(&run->arena, options_text(run->config.options, "kubeconfig"),
                            options_text(run->config.options, "context"), &source, reterr));
    run->context_name = source.context_name;
    TRY(open_network(run, reterr));
    struct control_config config = {.loop = run->loop,
                                    .http = run->http,
                                    .dns = run->dns,
                                    .metrics = run->metrics,
                                    .source = &source,
                                    .instance = "",
                                    .dry_run = true};
    agent_options_decide(run->config.options, &config);
    TRY(control_new(&config, &run->control, reterr));
    const struct preview_config preview = {.control = run->control,
                                           .timeout_ms = options_get(run->config.options, "timeout")->number,
                                           .on_settled = on_settled,
                                           .on_collected = on_collected,
                                           .wants = wants,
                                           .link = run->config.link,
                                           .context = run};
    return preview_new(&preview, &run->preview) == ERR_OK ? ERR_OK : no_memory(reterr);
}

static void set_up_log(const struct options *options)
{
    const char *text = options_text(options, "log-level");
    enum log_level level = LOG_OFF;
    if (text != NULL && log_parse_level(text, &level, NULL) != ERR_OK)
        abort(); /* checked with the command line */
    log_setup(level, LOG_LOGFMT);
}

enum err_code dry_run_new(const struct dry_run_config *config, struct dry_run **ret_run, struct err *reterr)
{
    struct dry_run *run = NEW(struct dry_run);
    if (run == NULL)
        return no_memory(reterr);
    run->config = *config;
    set_up_log(config->options);
    (void)signal(SIGPIPE, SIG_IGN); /* a peer that is gone shows as an error of the request */
    kube_setup();
    arena_init(&run->arena, CONFIG_BYTES);
    enum err_code code = start(run, reterr);
    if (code != ERR_OK) {
        dry_run_free(run);
        return code;
    }
    *ret_run = run;
    return ERR_OK;
}

void dry_run_free(struct dry_run *run)
{
    if (run == NULL)
        return;
    preview_free(run->preview);
    control_free(run->control);
    metrics_free(run->metrics);
    http_free(run->http);
    dns_free(run->dns);
    loop_timer_free(run->progress);
    loop_free(run->loop);
    arena_done(&run->arena);
    mem_free(run);
}

enum err_code dry_run_wait(struct dry_run *run, struct err *reterr)
{
    loop_timer_start(run->progress, PROGRESS_MS);
    loop_run(run->loop);
    if (run->interrupted)
        return say_interrupted(run, reterr);
    if (run->error.code == ERR_OK)
        return ERR_OK;
    (void)err_set(reterr, run->error.code, "%s", run->error.text);
    if (run->error.code != ERR_FORBIDDEN) /* it has its own */
        remedy_add(reterr, run->context_name);
    return run->error.code;
}

bool dry_run_interrupted(const struct dry_run *run) { return run != NULL && run->interrupted; }

struct preview *dry_run_preview(struct dry_run *run) { return run->preview; }

struct control *dry_run_control(struct dry_run *run) { return run->control; }

struct loop *dry_run_loop(struct dry_run *run) { return run->loop; }

/* ---- what is missing ---- */

static void tell_link(void *context, const struct link_info *info)
{
    struct dry_run *run = context;
    const char *link = run->config.link;
    if (info->refused || (info->api_reachable && info->synced))
        return; /* what is refused is told as a complaint */
    if (link != NULL && strcmp(link, info->name) != 0 && strcmp(link, info->cluster) != 0)
        return;
    run->complete = false;
    command_complain(run->config.command,
                     "cluster %s (%s %s) cannot be read, so the mirrors of its services stay as they are: %s",
                     info->cluster, info->kind, info->name,
                     info->problem[0] != '\0' ? info->problem : "it is not listed yet");
}

static void tell_complaint(void *context, const char *object, const char *text)
{
    const struct dry_run *run = context;
    command_complain(run->config.command, "%s: %s", object, text);
}

void dry_run_tell_complaints(struct dry_run *run) { preview_each_complaint(run->preview, tell_complaint, run); }

bool dry_run_tell_missing(struct dry_run *run)
{
    const struct admin_source *source = control_source(run->control);
    run->complete = run->in_time;
    source->each_link(source->context, tell_link, run);
    return run->complete;
}
