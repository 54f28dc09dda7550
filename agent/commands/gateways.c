/* svcmirror gateways: what the running agent says of its gateways; without an agent, what the API holds. */
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "agent/commands/command.h"
#include "agent/commands/session.h"
#include "base/mem.h"
#include "base/text.h"
#include "mirror/names.h"

static const struct option table[] = {
    {.name = "address", .type = OPTION_TEXT, .value_name = "URL", .help = "the agent's admin address, e.g. http://127.0.0.1:9999; else it is reached through the API server"},
    {.name = "output", .letter = 'o', .type = OPTION_TEXT, .value_name = "FORMAT", .fallback = "table", .help = "table, wide, json or yaml"},
    {.name = "wait", .letter = 'w', .type = OPTION_DURATION, .value_name = "DURATION", .help = "wait until every gateway is alive; exit 1 if that takes longer"},
    {.name = "cluster-name", .type = OPTION_TEXT, .value_name = "NAME", .help = "only the gateways of this target cluster"},
    {.name = "kubeconfig", .type = OPTION_TEXT, .value_name = "FILE", .help = "kubeconfig of the source cluster"},
    {.name = "context", .type = OPTION_TEXT, .value_name = "NAME", .help = "context of the kubeconfig"},
    {.name = "namespace", .letter = 'n', .type = OPTION_TEXT, .value_name = "NAME", .fallback = "linkerd-multicluster", .help = "the agent's namespace"},
    {0},
};

enum { POLL_MS = 500 };

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

/* ---- the API's own record: gateway mirrors and their slices ---- */

static bool slice_is_ready(const json_t *slice) {
    const json_t *endpoints = json_object_get(slice, "endpoints");
    for (size_t i = 0; i < json_array_size(endpoints); i++)
        if (json_is_true(json_object_get(json_object_get(json_array_get(endpoints, i), "conditions"), "ready")))
            return true;
    return false;
}

static const char *label(const json_t *object, const char *key) {
    return text_of(json_object_get(json_object_get(object, "metadata"), "labels"), key);
}

static const char *annotation(const json_t *object, const char *key) {
    return text_of(json_object_get(json_object_get(object, "metadata"), "annotations"), key);
}

static bool is_alive(const json_t *slices, const char *service_name) {
    const json_t *items = json_object_get(slices, "items");
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *slice = json_array_get(items, i);
        if (strcmp(label(slice, K8S_SERVICE_NAME), service_name) == 0 && slice_is_ready(slice))
            return true;
    }
    return false;
}

static unsigned count_services(const json_t *services, const char *cluster, const char *gateway_name) {
    const json_t *items = json_object_get(services, "items");
    unsigned count = 0;
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *service = json_array_get(items, i);
        const char *named = label(service, L5D_REMOTE_GATEWAY_NAME);
        bool of_gateway = named[0] == '\0' || gateway_name[0] == '\0' || strcmp(named, gateway_name) == 0;
        if (strcmp(label(service, L5D_CLUSTER_NAME), cluster) == 0 && label(service, L5D_MIRRORED_GATEWAY)[0] == '\0' && of_gateway)
            count++;
    }
    return count;
}

static json_t *from_objects(const json_t *services, const json_t *slices) {
    const json_t *items = json_object_get(services, "items");
    json_t *gateways = json_array();
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *service = json_array_get(items, i);
        const char *cluster = label(service, L5D_CLUSTER_NAME);
        if (label(service, L5D_MIRRORED_GATEWAY)[0] == '\0')
            continue;
        const char *gateway_name = annotation(service, L5D_MIRRORED_GATEWAY_REMOTE_NAME);
        bool alive = is_alive(slices, text_of(json_object_get(service, "metadata"), "name"));
        json_t *entry = json_pack("{s:s, s:b, s:i, s:n, s:s, s:s, s:s}", "clusterName", cluster, "alive", alive ? 1 : 0, "numberOfServices",
                                  (int)count_services(services, cluster, gateway_name), "latency", "verdict", alive ? "alive" : "dead",
                                  "gatewayNamespace", annotation(service, L5D_MIRRORED_GATEWAY_REMOTE_NAMESPACE), "gatewayName", gateway_name);
        (void)json_array_append_new(gateways, entry);
    }
    return gateways;
}

static enum err_code read_objects(struct session *session, const char *namespace, json_t **ret_gateways, struct err *reterr) {
    json_t *services = NULL, *slices = NULL;
    char path[512];
    enum err_code code =
        session_get(session, "services", "/api/v1/services?labelSelector=mirror.linkerd.io%2Fmirrored-service%3Dtrue", &services, reterr);
    (void)snprintf(path, sizeof(path),
                   "/apis/discovery.k8s.io/v1/namespaces/%s/endpointslices?labelSelector=mirror.linkerd.io%%2Fmirrored-service%%3Dtrue", namespace);
    if (code == ERR_OK)
        code = session_get(session, "endpointslices", path, &slices, reterr);
    if (code == ERR_OK)
        *ret_gateways = from_objects(services, slices);
    json_decref(services);
    json_decref(slices);
    return code;
}

/* ---- asking ---- */

static enum err_code read_gateways(struct session *session, const struct options *options, bool *told_fallback, json_t **ret_gateways,
                                   struct err *reterr) {
    const char *namespace = options_get(options, "namespace")->text;
    char path[512];
    if (options_get(options, "address")->text != NULL)
        return session_get(session, "gateways", "/api/v1/gateways", ret_gateways, reterr);
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/%s/services/svcmirror:admin/proxy/api/v1/gateways", namespace);
    struct err live = {0};
    if (session_get(session, "services/proxy", path, ret_gateways, &live) == ERR_OK)
        return ERR_OK;
    if (!*told_fallback)
        (void)fprintf(stderr, "The agent does not answer (%s).\nShown is what the API holds: no latencies, and as old as the agent's last write.\n",
                      live.text);
    *told_fallback = true;
    return read_objects(session, namespace, ret_gateways, reterr);
}

static json_t *only_cluster(json_t *gateways, const char *cluster) {
    for (size_t i = json_array_size(gateways); i-- > 0;)
        if (cluster != NULL && strcmp(text_of(json_array_get(gateways, i), "clusterName"), cluster) != 0)
            (void)json_array_remove(gateways, i);
    return gateways;
}

static const json_t *first_not_alive(const json_t *gateways) {
    for (size_t i = 0; i < json_array_size(gateways); i++)
        if (!json_is_true(json_object_get(json_array_get(gateways, i), "alive")))
            return json_array_get(gateways, i);
    return NULL;
}

/* ---- printing ---- */

static void format_latency(const json_t *gateway, char *buffer, size_t bytes) {
    const json_t *latency = json_object_get(gateway, "latency");
    if (json_is_integer(latency) && json_is_true(json_object_get(gateway, "alive")))
        (void)snprintf(buffer, bytes, "%" JSON_INTEGER_FORMAT "ms", json_integer_value(latency));
    else
        (void)snprintf(buffer, bytes, "-");
}

static void format_addresses(const json_t *gateway, char *buffer, size_t bytes) {
    const json_t *addresses = json_object_get(gateway, "addresses");
    size_t used = 0;
    (void)snprintf(buffer, bytes, "-");
    for (size_t i = 0; i < json_array_size(addresses) && used < bytes; i++) {
        const json_t *address = json_array_get(addresses, i);
        int length = snprintf(buffer + used, bytes - used, "%s%s(%s)", i > 0 ? "," : "", text_of(address, "ip"), text_of(address, "verdict"));
        used += length > 0 ? (size_t)length : 0;
    }
}

static int longest_cluster(const json_t *gateways) {
    int width = (int)strlen("CLUSTER");
    for (size_t i = 0; i < json_array_size(gateways); i++) {
        int length = (int)strlen(text_of(json_array_get(gateways, i), "clusterName"));
        width = length > width ? length : width;
    }
    return width;
}

/* Linkerd's columns and words. */
static void print_table(const json_t *gateways, bool wide) {
    int width = longest_cluster(gateways);
    (void)printf("%-*s  %-5s  %-7s  %-8s%s\n", width, "CLUSTER", "ALIVE", "NUM_SVC", "LATENCY", wide ? "  GATEWAY  REASON  SINCE  ADDRESSES" : "");
    for (size_t i = 0; i < json_array_size(gateways); i++) {
        const json_t *gateway = json_array_get(gateways, i);
        char latency[32], addresses[512];
        format_latency(gateway, latency, sizeof(latency));
        format_addresses(gateway, addresses, sizeof(addresses));
        (void)printf("%-*s  %-5s  %7" JSON_INTEGER_FORMAT "  %8s", width, text_of(gateway, "clusterName"),
                     json_is_true(json_object_get(gateway, "alive")) ? "True" : "False",
                     json_integer_value(json_object_get(gateway, "numberOfServices")), latency);
        if (wide)
            (void)printf("  %s/%s  %s  %s  %s", text_of(gateway, "gatewayNamespace"), text_of(gateway, "gatewayName"), text_of(gateway, "reason"),
                         text_of(gateway, "since"), addresses);
        (void)printf("\n");
    }
}

static void print_yaml(const json_t *value, int indent);

static void print_yaml_members(const json_t *object, int indent, bool inline_first) {
    const char *key = NULL;
    json_t *member = NULL;
    json_object_foreach((json_t *)(uintptr_t)object, key, member) {
        (void)printf("%*s%s:", inline_first ? 0 : indent, "", key);
        inline_first = false;
        print_yaml(member, indent + 2);
    }
}

static void print_yaml(const json_t *value, int indent) {
    if (json_is_array(value) && json_array_size(value) > 0) {
        (void)printf("\n");
        for (size_t i = 0; i < json_array_size(value); i++) {
            (void)printf("%*s- ", indent - 2, "");
            print_yaml_members(json_array_get(value, i), indent, true);
        }
        return;
    }
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT); /* scalars and [] are the same in both */
    (void)printf(" %s\n", text != NULL ? text : "");
    mem_free(text);
}

static void print_json(const json_t *gateways) {
    char *text = json_dumps(gateways, JSON_INDENT(2));
    (void)printf("%s\n", text != NULL ? text : "[]");
    mem_free(text);
}

static void print_gateways(const json_t *gateways, const char *format) {
    if (strcmp(format, "json") == 0) {
        print_json(gateways);
    } else if (strcmp(format, "yaml") == 0) {
        if (json_array_size(gateways) == 0)
            (void)printf("[]\n");
        for (size_t i = 0; i < json_array_size(gateways); i++) {
            (void)printf("- ");
            print_yaml_members(json_array_get(gateways, i), 2, true);
        }
    } else {
        print_table(gateways, strcmp(format, "wide") == 0);
        if (json_array_size(gateways) == 0)
            (void)fprintf(stderr, "No gateway is known: link a target, and export a service through a gateway.\n");
    }
}

/* ---- the command ---- */

static void report_timeout(const json_t *gateways) {
    const json_t *dead = first_not_alive(gateways);
    if (dead == NULL)
        (void)fprintf(stderr, "svcmirror gateways: timed out: no gateway is known\n");
    else
        (void)fprintf(stderr, "svcmirror gateways: timed out: the gateway of cluster %s is not alive: %s: %s\n", text_of(dead, "clusterName"),
                      text_of(dead, "reason"), text_of(dead, "advice"));
}

static int show(struct session *session, const struct options *options) {
    const struct option_value *wait = options_get(options, "wait");
    const char *format = options_get(options, "output")->text;
    uint64_t deadline_ms = session_now_ms(session) + wait->number;
    bool told_fallback = false;
    for (;;) {
        json_t *gateways = NULL;
        struct err error = {0};
        enum err_code code = read_gateways(session, options, &told_fallback, &gateways, &error);
        bool expired = !wait->given || session_now_ms(session) >= deadline_ms;
        if (code != ERR_OK && expired) {
            (void)fprintf(stderr, "svcmirror gateways: %s\n", error.text);
            return EXIT_FAILED;
        }
        if (code == ERR_OK) {
            gateways = only_cluster(gateways, options_get(options, "cluster-name")->text);
            bool good = json_array_size(gateways) > 0 && first_not_alive(gateways) == NULL;
            if (good || expired) {
                print_gateways(gateways, format);
                if (wait->given && !good)
                    report_timeout(gateways);
                json_decref(gateways);
                return wait->given && !good ? EXIT_FAILED : EXIT_DONE;
            }
            json_decref(gateways);
        }
        session_sleep(session, POLL_MS);
    }
}

static bool is_known_format(const char *format) {
    static const char *const formats[] = {"table", "wide", "json", "yaml"};
    for (size_t i = 0; i < ARRAY_COUNT(formats); i++)
        if (strcmp(formats[i], format) == 0)
            return true;
    return false;
}

static int run(const struct options *options) {
    const char *format = options_get(options, "output")->text;
    struct err error = {0};
    struct session *session = NULL;
    if (!is_known_format(format)) {
        (void)fprintf(stderr, "svcmirror gateways: -o %s is unknown: use table, wide, json or yaml\n", format);
        return EXIT_USAGE;
    }
    if (options->argument_count > 0) {
        (void)fprintf(stderr, "svcmirror gateways: unexpected argument \"%s\"; see `svcmirror gateways --help`\n", options->arguments[0]);
        return EXIT_USAGE;
    }
    if (session_new(options_get(options, "address")->text, options_get(options, "kubeconfig")->text, options_get(options, "context")->text,
                    &session, &error) != ERR_OK) {
        (void)fprintf(stderr, "svcmirror gateways: %s\n", error.text);
        return EXIT_FAILED;
    }
    int code = show(session, options);
    session_free(session);
    return code;
}

const struct command command_gateways = {
    .name = "gateways",
    .summary = "Show the target clusters' gateways and whether they are alive",
    .usage = "svcmirror gateways [flags]",
    .text = "Asks the running agent, directly (--address) or through the API server's service proxy; when no agent answers it shows what the\n"
            "API holds, and says so. The JSON keys begin with those of `linkerd multicluster gateways -o json`.\n\n"
            "Examples:\n  svcmirror gateways\n  svcmirror gateways --address http://127.0.0.1:9999 -o wide\n"
            "  svcmirror gateways --cluster-name east --wait 30s\n\n"
            "Exit codes: 0 shown (and alive, with --wait), 1 nobody could be asked or --wait ran out, 2 the command line is wrong.\n",
    .options = table,
    .run = run,
};
