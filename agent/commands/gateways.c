/* svcmirror gateways: what the running agent says of its gateways; without an agent, what the API holds. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "agent/commands/cluster.h"
#include "agent/commands/command.h"
#include "agent/commands/gateway_records.h"
#include "agent/commands/output.h"
#include "agent/commands/session.h"
#include "base/mem.h"
#include "base/text.h"

enum {
    POLL_MS = 250, /* while waiting; the agent's answer costs it less than a probe */
    OUTPUT_BYTES = 64 << 20,
    STATE_BYTES = 512,
};

static enum err_code check_address(const char *text, struct err *reterr)
{
    if (text_starts_with(text, "http://") || text_starts_with(text, "https://"))
        return ERR_OK;
    if (text[0] != '\0' && strstr(text, "://") == NULL)
        return ERR_OK; /* host:port */
    return err_set(reterr, ERR_INVALID, "\"%.80s\" is no address of an agent: write http://HOST:PORT", text);
}

static const struct option table[] = {
    {.name = "address",
     .value_name = "URL",
     .check = check_address,
     .help = "admin address of the agent, e.g. http://127.0.0.1:9999; without it the agent is reached through the API "
             "server"},
    {.name = "output",
     .letter = 'o',
     .choices = "table|wide|json|yaml",
     .fallback = "table",
     .help = "how it is printed"},
    {.name = "wait",
     .letter = 'w',
     .type = OPTION_DURATION,
     .value_name = "DURATION",
     .help = "wait until all gateways that are asked for, and at least one, are alive; not longer than this"},
    {.name = "cluster-name", .value_name = "NAME", .help = "only the gateways of this target cluster"},
    {.name = "kubeconfig", .value_name = "FILE", .help = "kubeconfig of the source cluster"},
    {.name = "context", .value_name = "NAME", .help = "context of the kubeconfig"},
    {.name = "namespace",
     .letter = 'n',
     .value_name = "NAME",
     .fallback = "linkerd-multicluster",
     .help = "namespace of the agent",
     .check = command_check_namespace},
    {0},
};

struct query {
    struct session *session;
    struct cluster *cluster; /* NULL when the agent is asked directly */
    const struct options *options;
    bool told_fallback;         /* that no agent answers was said */
    char progress[STATE_BYTES]; /* what the waiting person read last */
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static bool is_alive(const json_t *gateway) { return json_is_true(json_object_get(gateway, "alive")); }

/* ---- asking ---- */

static enum err_code read_gateways(struct query *query, json_t **ret_gateways, struct err *reterr)
{
    const char *address = options_text(query->options, "address");
    const char *namespace = options_text(query->options, "namespace");
    char path[256];
    struct err live = {0};
    if (address != NULL)
        return session_ask_agent(query->session, address, "/api/v1/gateways", ret_gateways, reterr);
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/%s/services/svcmirror:admin/proxy/api/v1/gateways",
                   namespace);
    if (cluster_get_path(query->cluster, "services/proxy", path, ret_gateways, &live) == ERR_OK)
        return ERR_OK;
    if (gateway_records_read(query->cluster, namespace, ret_gateways, reterr) != ERR_OK)
        return reterr->code;
    if (!query->told_fallback) {
        command_complain("gateways", "no agent answers: %s", live.text);
        (void)fprintf(stderr,
                      "This is what the API holds: no latencies, no reasons, as old as the agent's last write.\n");
    }
    query->told_fallback = true;
    return ERR_OK;
}

static int compare(const json_t *a, const json_t *b)
{
    static const char *const keys[] = {"clusterName", "gatewayNamespace", "gatewayName"};
    int order = 0;
    for (size_t i = 0; i < ARRAY_COUNT(keys) && order == 0; i++)
        order = strcmp(text_of(a, keys[i]), text_of(b, keys[i]));
    return order;
}

/* @return new: those that are asked for, in order; NULL when `gateways` is no list of them, or memory ran out. */
static json_t *select_gateways(json_t *gateways, const char *cluster)
{
    json_t *gateway = NULL;
    size_t index = 0;
    json_t *selected = json_is_array(gateways) ? json_array() : NULL;
    json_array_foreach(gateways, index, gateway)
    {
        size_t at = json_array_size(selected);
        if (cluster != NULL && strcmp(text_of(gateway, "clusterName"), cluster) != 0)
            continue;
        while (at > 0 && compare(json_array_get(selected, at - 1), gateway) > 0)
            at--;
        if (json_array_insert(selected, at, gateway) != 0) {
            json_decref(selected);
            return NULL;
        }
    }
    return selected;
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
    if (strcmp(text_of(gateway, "verdict"), "unknown") == 0)
        return "Unknown";
    return is_alive(gateway) ? "True" : "False";
}

static void add_number(struct output_table *out, const json_t *number, const char *unit)
{
    char text[32] = "";
    if (json_is_integer(number))
        (void)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT "%s", json_integer_value(number), unit);
    output_table_add(out, text);
}

static void add_gateway_name(struct output_table *out, const json_t *gateway)
{
    char text[STATE_BYTES] = "";
    if (text_of(gateway, "gatewayName")[0] != '\0')
        (void)snprintf(text, sizeof(text), "%s/%s", text_of(gateway, "gatewayNamespace"),
                       text_of(gateway, "gatewayName"));
    output_table_add(out, text);
}

static void add_addresses(struct output_table *out, const json_t *gateway)
{
    const json_t *addresses = json_object_get(gateway, "addresses"), *address = NULL;
    size_t index = 0;
    struct strbuf text;
    strbuf_init(&text, OUTPUT_BYTES);
    json_array_foreach(addresses, index, address)
        strbuf_printf(&text, "%s%s(%s)", index > 0 ? "," : "", text_of(address, "ip"), text_of(address, "verdict"));
    output_table_add(out, strbuf_text(&text));
    strbuf_done(&text);
}

static void add_row(struct output_table *out, const json_t *gateway, bool wide)
{
    output_table_add(out, text_of(gateway, "clusterName"));
    output_table_add(out, alive_word(gateway));
    add_number(out, json_object_get(gateway, "numberOfServices"), "");
    add_number(out, is_alive(gateway) ? json_object_get(gateway, "latency") : NULL, "ms");
    if (!wide)
        return;
    add_gateway_name(out, gateway);
    add_addresses(out, gateway);
    output_table_add(out, text_of(gateway, "reason"));
    output_table_add(out, text_of(gateway, "since"));
}

static void write_table(const json_t *gateways, bool wide, struct strbuf *text)
{
    const json_t *gateway = NULL;
    size_t index = 0;
    struct output_table out;
    output_table_init(&out, wide ? wide_columns : columns);
    json_array_foreach(gateways, index, gateway) add_row(&out, gateway, wide);
    output_table_write(&out, text);
    output_table_done(&out);
}

static bool print_gateways(json_t *gateways, const struct options *options)
{
    const char *format = options_text(options, "output"), *cluster = options_text(options, "cluster-name");
    struct strbuf text;
    strbuf_init(&text, OUTPUT_BYTES);
    if (strcmp(format, "json") == 0)
        output_json(gateways, &text);
    else if (strcmp(format, "yaml") == 0)
        output_yaml(gateways, &text);
    else
        write_table(gateways, strcmp(format, "wide") == 0, &text);
    bool printed = output_print(&text);
    strbuf_done(&text);
    if (json_array_size(gateways) == 0 && cluster != NULL)
        command_complain("gateways", "cluster %s has no gateway: is it linked, and exports a service through one?",
                         cluster);
    else if (json_array_size(gateways) == 0)
        command_complain("gateways", "there is no gateway: link a target, and export a service through a gateway");
    return printed;
}

/* ---- waiting ---- */

/* Why it is waited on, in words. @return false when there is nothing to wait for any more. */
static bool describe_missing(const json_t *gateways, char text[STATE_BYTES])
{
    const json_t *gateway = NULL;
    size_t index = 0;
    (void)snprintf(text, STATE_BYTES, "there is no gateway yet");
    json_array_foreach(gateways, index, gateway)
    {
        const char *reason = text_of(gateway, "reason"), *advice = text_of(gateway, "advice");
        if (is_alive(gateway))
            continue;
        (void)snprintf(text, STATE_BYTES, "the gateway of cluster %s is %s%s%s%s%s", text_of(gateway, "clusterName"),
                       strcmp(text_of(gateway, "verdict"), "unknown") == 0 ? "not probed yet" : "dead",
                       reason[0] != '\0' ? ": " : "", reason, advice[0] != '\0' ? ": " : "", advice);
        return true;
    }
    return json_array_size(gateways) == 0;
}

static void tell_progress(struct query *query, const char *state)
{
    if (strcmp(query->progress, state) == 0)
        return;
    command_complain("gateways", "waiting: %s", state);
    (void)snprintf(query->progress, sizeof(query->progress), "%s", state);
}

/* @param[out] ret_gateways  new: what was seen last. @return whether all are alive; else `missing` says what is not. */
static enum err_code ask_once(struct query *query, json_t **ret_gateways, bool *ret_alive, char missing[STATE_BYTES])
{
    struct err error = {0};
    json_t *all = NULL, *gateways = NULL;
    enum err_code code = read_gateways(query, &all, &error);
    if (code == ERR_OK) {
        gateways = select_gateways(all, options_text(query->options, "cluster-name"));
        if (gateways == NULL)
            code = err_set(&error, ERR_PROTOCOL, "the answer is no list of gateways: is that an agent?");
    }
    json_decref(all);
    if (code != ERR_OK) {
        (void)snprintf(missing, STATE_BYTES, "%s", error.text);
        return code;
    }
    *ret_alive = !describe_missing(gateways, missing);
    *ret_gateways = gateways;
    return ERR_OK;
}

static enum exit_code show_once(struct query *query)
{
    bool alive = false;
    char missing[STATE_BYTES];
    json_t *gateways = NULL;
    if (ask_once(query, &gateways, &alive, missing) != ERR_OK) {
        command_complain("gateways", "%s", missing);
        return EXIT_FAILED;
    }
    bool printed = print_gateways(gateways, query->options);
    json_decref(gateways);
    return printed ? EXIT_DONE : EXIT_FAILED;
}

/* The time is over. @param gateways  of the last answer; NULL when there was none. */
static void give_up(const struct query *query, json_t *gateways, uint64_t wait_ms, const char *missing)
{
    char waited[32];
    if (gateways != NULL)
        (void)print_gateways(gateways, query->options);
    text_format_duration_ms(wait_ms, waited, sizeof(waited));
    command_complain("gateways", "after %s: %s", waited, missing);
}

static enum exit_code show_when_alive(struct query *query, uint64_t wait_ms)
{
    uint64_t deadline_ms = session_now_ms(query->session) + wait_ms;
    char missing[STATE_BYTES] = "";
    json_t *seen = NULL; /* in the last answer */
    enum exit_code result = EXIT_FAILED;
    session_set_deadline(query->session, deadline_ms);
    for (;;) {
        bool alive = false;
        char state[STATE_BYTES];
        json_t *gateways = NULL;
        enum err_code code = ask_once(query, &gateways, &alive, state);
        uint64_t now_ms = session_now_ms(query->session);
        bool interrupted = session_interrupted(query->session);
        bool over = interrupted || now_ms >= deadline_ms;
        /* A question that the end of the wait cut short says nothing that the last answer does not say better. */
        if (code == ERR_OK || !over || seen == NULL) {
            json_decref(seen);
            seen = gateways;
            (void)snprintf(missing, sizeof(missing), "%s", state);
        }
        if (alive && !interrupted) {
            result = print_gateways(seen, query->options) ? EXIT_DONE : EXIT_FAILED;
            break;
        }
        if (interrupted) {
            command_complain("gateways", "interrupted: %s",
                             query->progress[0] != '\0' ? query->progress : "nothing answered yet");
            break; /* run() knows */
        }
        if (over) {
            give_up(query, seen, wait_ms, missing);
            break;
        }
        tell_progress(query, missing);
        session_sleep(query->session, deadline_ms - now_ms < POLL_MS ? deadline_ms - now_ms : POLL_MS);
    }
    json_decref(seen);
    return result;
}

static enum exit_code run(const struct options *options)
{
    const struct option_value *wait = options_get(options, "wait");
    struct err error = {0};
    struct query query = {.options = options};
    enum exit_code result = EXIT_FAILED;
    enum err_code code = session_new(&query.session, &error);
    if (code == ERR_OK && options_text(options, "address") == NULL)
        code = cluster_open(query.session, options_text(options, "kubeconfig"), options_text(options, "context"),
                            &query.cluster, &error);
    if (code != ERR_OK)
        command_complain("gateways", "%s", error.text);
    else
        result = wait->given ? show_when_alive(&query, wait->number) : show_once(&query);
    if (query.session != NULL && session_interrupted(query.session))
        result = EXIT_INTERRUPTED;
    cluster_free(query.cluster);
    session_free(query.session);
    return result;
}

const struct command command_gateways = {
    .name = "gateways",
    .group = GROUP_LOOK,
    .summary = "Show the gateways of the target clusters, and whether they are alive",
    .about = "Asks the running agent. When none answers, it shows what the API holds of the agent's last word, and "
             "says so.\n"
             "Table and JSON begin with the columns and keys of `linkerd multicluster gateways`.\n",
    .examples = "gateways\n"
                "gateways --address http://127.0.0.1:9999 -o wide\n"
                "gateways --cluster-name east --wait 30s\n"
                "gateways -o json | jq -r '.[] | select(.alive | not) | .clusterName'\n",
    .exit_codes = "0  shown; with --wait, all are alive\n"
                  "1  neither the agent nor the API could be asked; with --wait, the time is over\n"
                  "2  the command line is wrong\n"
                  "130  interrupted\n",
    .options = table,
    .run = run,
};
