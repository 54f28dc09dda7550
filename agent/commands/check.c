/* svcmirror check: what is wrong with an installation, where, and what to do. */
#include <stdio.h>
#include <string.h>

#include "agent/commands/check.h"
#include "agent/commands/check_gather.h"
#include "agent/commands/command.h"
#include "agent/commands/output.h"
#include "base/mem.h"

enum {
    POLL_MS = 1000,
    OUTPUT_BYTES = 16 << 20,
    STATE_BYTES = 512,
};

#define HELP_IGNORED "taken as Linkerd's, and ignored"

static const struct option table[] = {
    {.name = "output",
     .letter = 'o',
     .choices = "table|short|json|yaml",
     .fallback = "table",
     .help = "how it is printed; short is only what is not all right, json and yaml are as of "
             "`linkerd check`"},
    {.name = "wait",
     .type = OPTION_DURATION,
     .value_name = "DURATION",
     .fallback = "5m0s",
     .help = "how long what may still become right is waited for: agents, gateways, endpoints"},
    {.name = "timeout",
     .type = OPTION_DURATION,
     .value_name = "DURATION",
     .fallback = "10s",
     .help = "how long each request may take; all targets are asked at the same time"},
    {.name = "cluster-name", .value_name = "NAME", .help = "only what concerns this target cluster"},
    {.name = "kubeconfig", .value_name = "FILE", .help = "kubeconfig of the source cluster"},
    {.name = "context", .value_name = "NAME", .help = "context of the kubeconfig"},
    {.name = "namespace",
     .letter = 'n',
     .value_name = "NAME",
     .fallback = "linkerd-multicluster",
     .help = "namespace of the agent, its Links and their Secrets",
     .check = command_check_namespace},
    {.name = "linkerd-namespace",
     .letter = 'L',
     .value_name = "NAME",
     .fallback = "linkerd",
     .help = "namespace of Linkerd's control plane",
     .check = command_check_namespace},
    {.name = "proxy", .type = OPTION_IGNORED, .help = HELP_IGNORED},
    {.name = "multicluster", .type = OPTION_IGNORED, .help = HELP_IGNORED},
    {.name = "expected-version", .type = OPTION_IGNORED, .value_name = "VERSION", .help = HELP_IGNORED},
    {.name = "cli-version-override",
     .value_name = "VERSION",
     .help = "version of Linkerd's CLI, to compare proxies with; without it that which made the Links"},
    {0},
};

static enum exit_code print_result(json_t *result, const char *format)
{
    struct strbuf text;
    strbuf_init(&text, OUTPUT_BYTES);
    if (strcmp(format, "json") == 0)
        output_json(result, &text);
    else if (strcmp(format, "yaml") == 0)
        output_yaml(result, &text);
    else
        check_write(result, strcmp(format, "short") == 0, &text);
    bool printed = output_print(&text);
    strbuf_done(&text);
    return printed && json_is_true(json_object_get(result, "success")) ? EXIT_DONE : EXIT_FAILED;
}

/* Only the first line: what it is waited for is told in full at the end. */
static void tell_progress(const char *awaited, char told[STATE_BYTES])
{
    char line[STATE_BYTES];
    (void)snprintf(line, sizeof(line), "%.*s", (int)strcspn(awaited, "\n"), awaited);
    if (strcmp(told, line) == 0)
        return;
    command_complain("check", "waiting: %s", line);
    memcpy(told, line, STATE_BYTES);
}

static enum exit_code check_until(struct session *session, struct cluster *cluster, const struct check_query *query,
                                  const struct options *options)
{
    uint64_t deadline_ms = session_now_ms(session) + options_get(options, "wait")->number;
    char told[STATE_BYTES] = "";
    for (;;) {
        json_t *snapshot = NULL, *result = NULL;
        const char *awaited = NULL;
        struct err error = {0};
        enum err_code code = check_gather(session, cluster, query, &snapshot, &error);
        if (code == ERR_OK && check_run(checks, snapshot, &result, &awaited) != ERR_OK)
            code = err_set(&error, ERR_NOMEM, "out of memory");
        json_decref(snapshot);
        if (code != ERR_OK) {
            command_complain("check", "%s", error.text);
            return EXIT_FAILED;
        }
        if (awaited == NULL || session_now_ms(session) >= deadline_ms || session_interrupted(session)) {
            enum exit_code exit_code = print_result(result, options_text(options, "output"));
            json_decref(result);
            return exit_code;
        }
        tell_progress(awaited, told);
        json_decref(result);
        session_sleep(session, POLL_MS);
    }
}

static enum exit_code run(const struct options *options)
{
    const char *wanted = options_text(options, "cluster-name");
    const char *linkerd_cli = options_text(options, "cli-version-override");
    uint64_t timeout_ms = options_get(options, "timeout")->number;
    const struct check_query query = {.namespace = options_text(options, "namespace"),
                                      .linkerd_namespace = options_text(options, "linkerd-namespace"),
                                      .cluster = wanted != NULL ? wanted : "",
                                      .linkerd_cli = linkerd_cli != NULL ? linkerd_cli : "",
                                      .timeout_ms = timeout_ms < 1            ? 1
                                                    : timeout_ms < UINT32_MAX ? (uint32_t)timeout_ms
                                                                              : UINT32_MAX};
    struct session *session = NULL;
    struct cluster *cluster = NULL;
    struct err error = {0};
    enum exit_code result = EXIT_FAILED;
    command_tell_all_ignored("check", options);
    enum err_code code = session_new(&session, &error);
    if (code == ERR_OK)
        code = cluster_open(session, options_text(options, "kubeconfig"), options_text(options, "context"), &cluster,
                            &error);
    if (code == ERR_OK)
        result = check_until(session, cluster, &query, options);
    else
        command_complain("check", "%s", error.text);
    if (session != NULL && session_interrupted(session))
        result = EXIT_INTERRUPTED;
    cluster_free(cluster);
    session_free(session);
    return result;
}

const struct command command_check = {
    .name = "check",
    .group = GROUP_LOOK,
    .summary = "Check the installation: the source cluster, the agent, and every target",
    .about = "Changes nothing. Targets are asked with the credentials that the agent has for them. Names, marks\n"
             "and JSON are those of `linkerd multicluster check`; docs/check.md tells what each check means and\n"
             "what to do.\n",
    .examples = "check\n"
                "check --cluster-name east --wait 0\n"
                "check -o short\n"
                "check -o json | jq -r '.categories[].checks[] | select(.result != \"success\")'\n",
    .exit_codes = "0  all is right, or there are warnings only\n"
                  "1  a check failed, or the source cluster cannot be asked\n"
                  "2  the command line is wrong\n"
                  "130  interrupted\n",
    .options = table,
    .run = run,
};
