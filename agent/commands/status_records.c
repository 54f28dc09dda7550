#include "agent/commands/status_records.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "agent/commands/record.h"

enum { SENTENCE_BYTES = 1024 };

/* What is counted of one target. */
struct tally {
    json_int_t gateways, alive, latency; /* latency 0: none is alive */
    json_int_t endpoints, ready, missing;
    const json_t *first_missing;
};

static bool is_of(const json_t *record, const char *cluster)
{
    return strcmp(record_text(record, "clusterName"), cluster) == 0;
}

static bool add_problem(json_t *problems, const char *sentence)
{
    return sentence[0] == '\0' || json_array_append_new(problems, json_string(sentence)) == 0;
}

static bool tell_gateway(json_t *problems, const json_t *gateway)
{
    const char *reason = record_text(gateway, "reason"), *advice = record_text(gateway, "advice");
    const char *name = record_text(gateway, "gatewayName");
    char sentence[SENTENCE_BYTES];
    bool unknown = strcmp(record_text(gateway, "verdict"), "unknown") == 0;
    (void)snprintf(sentence, sizeof(sentence), "gateway%s%s is %s%s%s%s%s", name[0] != '\0' ? " " : "", name,
                   unknown ? "not probed yet" : "dead", reason[0] != '\0' ? ": " : "", reason,
                   advice[0] != '\0' ? ": " : "", advice);
    return add_problem(problems, sentence);
}

/* Whoever drained it may have forgotten. A gateway counts as drained with its link, which has its own sentence. */
static bool tell_drained_gateway(json_t *problems, const json_t *gateway, bool with_link)
{
    char sentence[SENTENCE_BYTES];
    if (with_link || !record_is_true(gateway, "drained"))
        return true;
    (void)snprintf(sentence, sizeof(sentence), "gateway %s is %s", record_text(gateway, "gatewayName"), RECORD_DRAINED);
    return add_problem(problems, sentence);
}

static bool count_gateways(const json_t *gateways, const char *cluster, bool is_drained, struct tally *tally,
                           json_t *problems)
{
    const json_t *gateway = NULL;
    size_t index = 0;
    bool whole = true;
    json_array_foreach(gateways, index, gateway)
    {
        json_int_t latency = record_number(gateway, "latency");
        if (!is_of(gateway, cluster))
            continue;
        tally->gateways++;
        whole = whole && add_problem(problems, record_text(gateway, "problem")) &&
                tell_drained_gateway(problems, gateway, is_drained);
        if (!record_is_true(gateway, "alive")) {
            whole = whole && tell_gateway(problems, gateway);
            continue;
        }
        tally->alive++;
        if (latency > 0 && (tally->latency == 0 || latency < tally->latency))
            tally->latency = latency;
    }
    return whole;
}

static void count_services(const json_t *services, const char *cluster, struct tally *tally)
{
    const json_t *service = NULL;
    size_t index = 0;
    json_array_foreach(services, index, service)
    {
        if (!is_of(service, cluster))
            continue;
        tally->endpoints += record_number(service, "endpoints");
        tally->ready += record_number(service, "readyEndpoints");
        if (!record_is_false(service, "mirrored"))
            continue;
        tally->missing++;
        tally->first_missing = tally->first_missing != NULL ? tally->first_missing : service;
    }
}

static bool tell_missing(const struct tally *tally, json_t *problems)
{
    const json_t *first = tally->first_missing;
    char sentence[SENTENCE_BYTES];
    if (first == NULL)
        return true;
    const char *message = record_text(first, "message");
    (void)snprintf(sentence, sizeof(sentence),
                   "%" JSON_INTEGER_FORMAT " service%s not mirrored, the first of them %s/%s: %s", tally->missing,
                   tally->missing == 1 ? "" : "s", record_text(first, "namespace"), record_text(first, "name"),
                   message[0] != '\0' ? message : record_text(first, "reason"));
    return add_problem(problems, sentence);
}

/* The link's own members, whatever they are. */
static bool copy_members(json_t *record, const json_t *link)
{
    static const char *const keys[][2] = {
        {"clusterName", "clusterName"},
        {"kind", "kind"},
        {"namespace", "namespace"},
        {"name", "name"},
        {"apiReachable", "apiReachable"},
        {"synced", "synced"},
        {"eventAgeMs", "eventAgeMs"},
        {"credentialsExpire", "credentialsExpire"},
        {"leader", "holder"},
        {"exportedServices", "exportedServices"},
        {"mirroredServices", "mirroredServices"},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        json_t *value = json_object_get(link, keys[i][1]);
        if (json_object_set_new(record, keys[i][0], value != NULL ? json_incref(value) : json_null()) != 0)
            return false;
    }
    return true;
}

static bool set_number(json_t *record, const char *key, json_int_t number)
{
    return json_object_set_new(record, key, json_integer(number)) == 0;
}

/* A declaration that is refused has nothing of its own: what is of its cluster belongs to the link that has the name. */
static bool fill(json_t *record, json_t *problems, const json_t *link, const json_t *gateways, const json_t *services)
{
    const char *cluster = record_text(link, "clusterName");
    struct tally tally = {0};
    bool whole = copy_members(record, link) && add_problem(problems, record_text(link, "problem"));
    if (!record_is_true(link, "refused")) {
        bool is_drained = record_is_true(link, "drained");
        whole = whole && (!is_drained || add_problem(problems, RECORD_DRAINED)) &&
                count_gateways(gateways, cluster, is_drained, &tally, problems);
        count_services(services, cluster, &tally);
        whole = whole && tell_missing(&tally, problems);
    }
    whole = whole && set_number(record, "gateways", tally.gateways) && set_number(record, "aliveGateways", tally.alive);
    whole = whole && json_object_set_new(record, "latencyMs",
                                         tally.latency > 0 ? json_integer(tally.latency) : json_null()) == 0;
    whole =
        whole && set_number(record, "endpoints", tally.endpoints) && set_number(record, "readyEndpoints", tally.ready);
    return whole && json_object_set(record, "problems", problems) == 0;
}

json_t *status_records(const json_t *links, const json_t *gateways, const json_t *services)
{
    json_t *list = json_array();
    const json_t *link = NULL;
    size_t index = 0;
    json_array_foreach(links, index, link)
    {
        json_t *record = json_object(), *problems = json_array();
        bool whole = list != NULL && record != NULL && problems != NULL &&
                     fill(record, problems, link, gateways, services) && json_array_append(list, record) == 0;
        json_decref(record);
        json_decref(problems);
        if (whole)
            continue;
        json_decref(list);
        return NULL;
    }
    return list;
}
