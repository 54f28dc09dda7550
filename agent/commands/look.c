#include "agent/commands/look.h"

#include <stdio.h>
#include <string.h>

#include "agent/commands/command.h"
#include "agent/commands/gateway_records.h"
#include "agent/commands/link_records.h"
#include "agent/commands/look_replicas.h"
#include "agent/commands/service_records.h"
#include "base/text.h"

enum {
    PATH_BYTES = 512,
    HOST_BYTES = 256,
    MAX_ADDRESS_BYTES = 400, /* session_ask_agent() has a scheme and a path to add */
};

#define AGENT_PODS "app.kubernetes.io/name=svcmirror"

const struct look_list LOOK_GATEWAYS = {"gateways", gateway_records_read, "no latencies, no reasons"};
const struct look_list LOOK_LINKS = {"links", link_records_read, "not whether targets answer, and no problems"};
const struct look_list LOOK_SERVICES = {"services", service_records_read,
                                        "nothing of services that are not mirrored, no reasons"};

/* A name, or an address: one of IPv6 in brackets, with its zone. */
static bool is_host(const char *host)
{
    static const char HOST_CHARACTERS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    char address[HOST_BYTES], ip[TEXT_IP_BYTES];
    size_t length = strlen(host);
    if (host[0] != '[')
        return length > 0 && strspn(host, HOST_CHARACTERS) == length;
    (void)snprintf(address, sizeof(address), "%.*s", (int)strcspn(host + 1, "%]"), host + 1);
    return strchr(host, ']') == host + length - 1 && strchr(address, ':') != NULL &&
           text_parse_ip(address, ip) != IP_NONE;
}

/* HOST or HOST:PORT, in `length` bytes. */
static bool is_place(const char *text, size_t length)
{
    char host[HOST_BYTES];
    uint64_t port = 0;
    if (length >= sizeof(host))
        return false;
    (void)snprintf(host, sizeof(host), "%.*s", (int)length, text);
    char *bracket = strrchr(host, ']'), *colon = strchr(bracket != NULL ? bracket : host, ':');
    if (colon != NULL) {
        *colon = '\0';
        if (text_parse_u64(colon + 1, 1, UINT16_MAX, "port", &port, NULL) != ERR_OK)
            return false;
    }
    return is_host(host);
}

enum err_code look_check_address(const char *text, struct err *reterr)
{
    const char *scheme_end = strstr(text, "://"), *at = scheme_end != NULL ? scheme_end + 3 : text;
    bool known = scheme_end == NULL || text_starts_with(text, "http://") || text_starts_with(text, "https://");
    size_t length = strcspn(at, "/");
    if (known && strlen(text) <= MAX_ADDRESS_BYTES && is_place(at, length) && text_is_request_path(at + length) &&
        strchr(at, '?') == NULL)
        return ERR_OK;
    /* Not shown when it might hold a password. */
    return err_set(reterr, ERR_INVALID, "\"%.80s\" is no address of an agent: write http://HOST:PORT",
                   strchr(text, '@') == NULL ? text : "...@...");
}

enum err_code look_open(struct look *look, struct err *reterr)
{
    const struct options *options = look->options;
    TRY(session_new(&look->session, reterr));
    if (options_text(options, "address") != NULL)
        return ERR_OK;
    return cluster_open(look->session, options_text(options, "kubeconfig"), options_text(options, "context"),
                        &look->cluster, reterr);
}

void look_close(struct look *look)
{
    cluster_free(look->cluster);
    session_free(look->session);
    look->cluster = NULL;
    look->session = NULL;
}

/* ---- the running agent ---- */

static enum err_code ask_replica(struct look *look, const struct look_replica *replica, const char *name,
                                 json_t **ret_records, struct err *reterr)
{
    char path[PATH_BYTES];
    json_t *records = NULL;
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/%s/pods/%s:%u/proxy/api/v1/%s", look->namespace,
                   replica->pod, replica->port, name);
    TRY(cluster_get_path(look->cluster, "pods/proxy", path, &records, reterr));
    if (!json_is_array(records)) {
        json_decref(records);
        return err_set(reterr, ERR_PROTOCOL, "pod %s: the answer is no list of %s: is that an agent?", replica->pod,
                       name);
    }
    *ret_records = records;
    return ERR_OK;
}

/* A replica that does not answer is left out: others know everything too. */
static enum err_code ask_replicas(struct look *look, const struct look_list *list, struct look_replicas *replicas,
                                  json_t **ret_records, struct err *reterr)
{
    bool answered = false;
    for (unsigned i = 0; i < replicas->count && !session_interrupted(look->session); i++)
        (void)!ask_replica(look, &replicas->items[i], "links", &replicas->items[i].links, reterr);
    for (unsigned i = 0; i < replicas->count && !session_interrupted(look->session); i++) {
        struct look_replica *replica = &replicas->items[i];
        if (replica->links == NULL || !look_replicas_is_needed(replicas, i))
            continue;
        if (strcmp(list->name, "links") == 0)
            replica->records = json_incref(replica->links);
        else
            (void)!ask_replica(look, replica, list->name, &replica->records, reterr);
        answered = answered || replica->records != NULL;
    }
    if (!answered)
        return reterr->code != ERR_OK ? reterr->code : err_set(reterr, ERR_CANCELLED, "interrupted");
    *ret_records = look_replicas_merge(replicas);
    return *ret_records != NULL ? ERR_OK : err_set(reterr, ERR_NOMEM, "out of memory");
}

/* Several replicas are asked one by one, so that each link's leader can be heard. One, or those that the user may not ask by name, through the
 * Service. */
static enum err_code ask_agent(struct look *look, const struct look_list *list, json_t **ret_records,
                               struct err *reterr)
{
    char path[PATH_BYTES];
    struct err ignored = {0};
    struct look_replicas replicas = {.count = 0};
    enum err_code code = cluster_each(look->cluster, &RESOURCE_POD, look->namespace, AGENT_PODS, look_replicas_take_pod,
                                      &replicas, &ignored);
    bool done =
        code == ERR_OK && replicas.count > 1 && ask_replicas(look, list, &replicas, ret_records, &ignored) == ERR_OK;
    look_replicas_done(&replicas);
    if (done)
        return ERR_OK;
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/%s/services/svcmirror:admin/proxy/api/v1/%s",
                   look->namespace, list->name);
    return cluster_get_path(look->cluster, "services/proxy", path, ret_records, reterr);
}

/* ---- one or the other ---- */

static enum err_code ask_anybody(struct look *look, const struct look_list *list, json_t **ret_records,
                                 struct err *reterr)
{
    const char *address = options_text(look->options, "address");
    char path[PATH_BYTES];
    struct err live = {0};
    (void)snprintf(path, sizeof(path), "/api/v1/%s", list->name);
    if (address != NULL)
        return session_ask_agent(look->session, address, path, ret_records, reterr);
    if (ask_agent(look, list, ret_records, &live) == ERR_OK) {
        look->told_fallback = false;
        return ERR_OK;
    }
    TRY(list->read(look->cluster, look->namespace, ret_records, reterr));
    if (!look->told_fallback) {
        command_complain(look->command, "no agent answers: %s", live.text);
        (void)fprintf(stderr, "This is what the API holds: %s, as old as the agent's last write.\n", list->lacks);
    }
    look->told_fallback = true;
    return ERR_OK;
}

enum err_code look_at(struct look *look, const struct look_list *list, json_t **ret_records, struct err *reterr)
{
    json_t *records = NULL;
    TRY(ask_anybody(look, list, &records, reterr));
    if (!json_is_array(records)) {
        json_decref(records);
        return err_set(reterr, ERR_PROTOCOL, "the answer is no list of %s: is that an agent?", list->name);
    }
    *ret_records = records;
    return ERR_OK;
}
