/* svcmirror gateways: what the running agent says of its gateways; without an agent, what the API holds. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "agent/commands/cells.h"
#include "agent/commands/record.h"
#include "agent/commands/view.h"
#include "base/text.h"

enum {
    POLL_MS = 250, /* while waiting; the agent's answer costs it less than a probe */
    CELL_BYTES = 64 << 10,
    STATE_BYTES = 512,
};

static const struct option table[] = {
    LOOK_OPTIONS,
    {.name = "wait",
     .letter = 'w',
     .type = OPTION_DURATION,
     .value_name = "DURATION",
     .help = "wait until all gateways that are asked for, and at least one, are alive; not longer than this"},
    LOOK_OPTION_NAMESPACE,
    VIEW_OPTIONS,
    /* Of Linkerd 2.8, which asked Prometheus. */
    {.name = "time-window", .letter = 't', .type = OPTION_IGNORED, .value_name = "DURATION"},
    {.name = "gateway-namespace", .type = OPTION_IGNORED, .value_name = "NAME"},
    {0},
};

static bool is_alive(const json_t *gateway) { return record_is_true(gateway, "alive"); }

static enum err_code read_gateways(struct look *look, json_t **ret_records, struct err *reterr)
{
    return look_at(look, &LOOK_GATEWAYS, ret_records, reterr);
}

/* ---- the table ---- */

/* Linkerd's columns and words; its "False" is for what is dead, and what is not known yet is neither. */
static const struct output_column columns[] = {
    {"CLUSTER", false}, {"ALIVE", false}, {"NUM_SVC", true}, {"LATENCY", true}, {0}};
static const struct output_column wide_columns[] = {{"CLUSTER", false}, {"ALIVE", false},   {"NUM_SVC", true},
                                                    {"LATENCY", true},  {"GATEWAY", false}, {"ADDRESSES", false},
                                                    {"REASON", false},  {"SINCE", false},   {0}};

static const char *alive_word(const json_t *gateway)
{
    if (strcmp(record_text(gateway, "verdict"), "unknown") == 0)
        return "Unknown";
    return is_alive(gateway) ? "True" : "False";
}

static void add_addresses(struct output_table *out, const json_t *gateway)
{
    const json_t *addresses = json_object_get(gateway, "addresses"), *address = NULL;
    size_t index = 0;
    struct strbuf text;
    strbuf_init(&text, CELL_BYTES);
    json_array_foreach(addresses, index, address)
        strbuf_printf(&text, "%s%s(%s)", index > 0 ? "," : "", record_text(address, "ip"),
                      record_text(address, "verdict"));
    output_table_add(out, strbuf_text(&text));
    strbuf_done(&text);
}

static void add_row(struct output_table *out, const json_t *gateway, bool wide)
{
    output_table_add(out, record_text(gateway, "clusterName"));
    output_table_add(out, alive_word(gateway));
    cell_number(out, gateway, "numberOfServices", "");
    cell_number(out, is_alive(gateway) ? gateway : NULL, "latency", "ms");
    if (!wide)
        return;
    cell_name(out, gateway, "gatewayNamespace", "gatewayName");
    add_addresses(out, gateway);
    output_table_add(out, record_text(gateway, "reason"));
    output_table_add(out, record_text(gateway, "since"));
}

static void tell_empty(const struct options *options)
{
    const char *cluster = options_text(options, "cluster-name");
    if (cluster != NULL)
        command_complain("gateways", "cluster %s has no gateway: is it linked, and exports a service through one?",
                         cluster);
    else
        command_complain("gateways", "there is no gateway: link a target, and export a service through a gateway");
}

static const char *const identity[] = {"clusterName", "gatewayNamespace", "gatewayName", NULL};
static const char *const news[] = {"verdict", "alive", "numberOfServices", "reason", "since", "problem", "warning",
                                   "exists",  "ip",    "addresses",        NULL};

static const struct view view = {.columns = columns,
                                 .wide_columns = wide_columns,
                                 .identity = identity,
                                 .news = news,
                                 .read = read_gateways,
                                 .add_row = add_row,
                                 .tell_empty = tell_empty};

/* ---- waiting ---- */

/* Why it is waited on, in words. @return false when there is nothing to wait for any more. */
static bool describe_missing(const json_t *gateways, char text[STATE_BYTES])
{
    const json_t *gateway = NULL;
    size_t index = 0;
    (void)snprintf(text, STATE_BYTES, "there is no gateway yet");
    json_array_foreach(gateways, index, gateway)
    {
        const char *reason = record_text(gateway, "reason"), *advice = record_text(gateway, "advice");
        if (is_alive(gateway))
            continue;
        (void)snprintf(text, STATE_BYTES, "the gateway of cluster %s is %s%s%s%s%s",
                       record_text(gateway, "clusterName"),
                       strcmp(record_text(gateway, "verdict"), "unknown") == 0 ? "not probed yet" : "dead",
                       reason[0] != '\0' ? ": " : "", reason, advice[0] != '\0' ? ": " : "", advice);
        return true;
    }
    return json_array_size(gateways) == 0;
}

struct waiting {
    struct look *look;
    char progress[STATE_BYTES]; /* what the waiting person read last */
};

static void tell_progress(struct waiting *waiting, const char *state)
{
    if (strcmp(waiting->progress, state) == 0)
        return;
    command_complain("gateways", "waiting: %s", state);
    (void)snprintf(waiting->progress, sizeof(waiting->progress), "%s", state);
}

/* @param[out] ret_gateways  new: what was seen last. @return whether all are alive; else `missing` says what is not. */
static enum err_code ask_once(const struct waiting *waiting, json_t **ret_gateways, bool *ret_alive,
                              char missing[STATE_BYTES])
{
    struct err error = {0};
    if (view_read(&view, waiting->look, ret_gateways, &error) != ERR_OK) {
        (void)snprintf(missing, STATE_BYTES, "%s", error.text);
        return error.code;
    }
    *ret_alive = !describe_missing(*ret_gateways, missing);
    return ERR_OK;
}

/* The time is over. @param gateways  of the last answer; NULL when there was none. */
static void give_up(const struct look *look, json_t *gateways, uint64_t wait_ms, const char *missing)
{
    char waited[32];
    if (gateways != NULL)
        (void)view_print(&view, gateways, look->options);
    text_format_duration_ms(wait_ms, waited, sizeof(waited));
    command_complain("gateways", "after %s: %s", waited, missing);
}

static enum exit_code show_when_alive(struct look *look, uint64_t wait_ms)
{
    struct session *session = look->session;
    struct waiting waiting = {.look = look};
    uint64_t deadline_ms = session_now_ms(session) + wait_ms;
    char missing[STATE_BYTES] = "";
    json_t *seen = NULL; /* in the last answer */
    enum exit_code result = EXIT_FAILED;
    session_set_deadline(session, deadline_ms);
    for (;;) {
        bool alive = false;
        char state[STATE_BYTES];
        json_t *gateways = NULL;
        enum err_code code = ask_once(&waiting, &gateways, &alive, state);
        uint64_t now_ms = session_now_ms(session);
        bool interrupted = session_interrupted(session);
        bool over = interrupted || now_ms >= deadline_ms;
        /* A question that the end of the wait cut short says nothing that the last answer does not say better. */
        if (code == ERR_OK || !over || seen == NULL) {
            json_decref(seen);
            seen = gateways;
            (void)snprintf(missing, sizeof(missing), "%s", state);
        }
        if (alive && !interrupted) {
            result = view_print(&view, seen, look->options) ? EXIT_DONE : EXIT_FAILED;
            break;
        }
        if (interrupted) {
            command_complain("gateways", "interrupted: %s",
                             waiting.progress[0] != '\0' ? waiting.progress : "nothing answered yet");
            break; /* run() knows */
        }
        if (over) {
            give_up(look, seen, wait_ms, missing);
            break;
        }
        tell_progress(&waiting, missing);
        session_sleep(session, deadline_ms - now_ms < POLL_MS ? deadline_ms - now_ms : POLL_MS);
    }
    json_decref(seen);
    return result;
}

static enum exit_code run(const struct options *options)
{
    const struct option_value *wait = options_get(options, "wait");
    struct look look = {.command = "gateways", .namespace = options_text(options, "namespace"), .options = options};
    struct err error = {0};
    enum exit_code result = EXIT_FAILED;
    if (wait->given && options_get(options, "watch")->boolean) {
        command_complain("gateways", "--wait ends when all are alive, --watch never: choose one");
        return EXIT_USAGE;
    }
    command_tell_all_ignored("gateways", options);
    if (look_open(&look, &error) != ERR_OK)
        command_complain("gateways", "%s", error.text);
    else
        result = wait->given ? show_when_alive(&look, wait->number) : view_show(&view, &look);
    if (look.session != NULL && session_interrupted(look.session))
        result = EXIT_INTERRUPTED;
    look_close(&look);
    return result;
}

const struct command command_gateways = {
    .name = "gateways",
    .group = GROUP_LOOK,
    .summary = "Show the gateways of the target clusters, and whether they are alive",
    .about = "Asks the running agent, of several replicas the one that leads each link. When none answers, it shows\n"
             "what the API holds of the agent's last word, and says so.\n"
             "Table and JSON begin with the columns and keys of `linkerd multicluster gateways`.\n",
    .examples = "gateways\n"
                "gateways --address http://127.0.0.1:9999 -o wide\n"
                "gateways --cluster-name east --wait 30s\n"
                "gateways --watch\n"
                "gateways -o json | jq -r '.[] | select(.alive | not) | .clusterName'\n",
    .exit_codes = "0  shown; with --wait, all are alive\n"
                  "1  neither the agent nor the API could be asked; with --wait, the time is over\n"
                  "2  the command line is wrong\n"
                  "130  interrupted\n",
    .options = table,
    .run = run,
};
