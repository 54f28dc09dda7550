#include "agent/commands/agent_options.h"

#include <stdio.h>
#include <string.h>

#include "agent/admin/listener.h"
#include "base/mem.h"
#include "base/text.h"
#include "mirror/naming.h"
#include "mirror/selector.h"

enum { SELECTOR_BYTES = 1 << 20 };

/* An address, with or without port; no name, which would have to be resolved first. */
static bool is_name_server(const char *text)
{
    char ip[TEXT_IP_BYTES];
    struct listener_address address;
    if (text_parse_ip(text, ip) != IP_NONE)
        return true;
    return listener_parse(text, &address, NULL) == ERR_OK && address.host[0] != '\0' && address.port > 0 &&
           !text_starts_with(text, "localhost");
}

enum err_code agent_options_check_dns_servers(const char *text, struct err *reterr)
{
    char server[TEXT_IP_BYTES + 16];
    for (const char *at = text;; at++) {
        size_t length = strcspn(at, ",");
        (void)snprintf(server, sizeof(server), "%.*s", (int)length, at);
        if (length >= sizeof(server) || !is_name_server(server))
            return err_set(reterr, ERR_INVALID,
                           "\"%.60s\" is no name server: write 10.0.0.10, 10.0.0.10:53 or [fd00::a]:53", server);
        at += length;
        if (*at == '\0')
            return ERR_OK;
    }
}

enum err_code agent_options_check_selector(const char *text, struct err *reterr)
{
    struct arena arena;
    struct selector selector;
    arena_init(&arena, SELECTOR_BYTES);
    enum err_code code = selector_parse(&arena, text, &selector, reterr);
    arena_done(&arena);
    return code;
}

enum err_code agent_options_check_namespaces(const char *text, struct err *reterr)
{
    return naming_check_allowed(text, reterr);
}

enum err_code agent_options_check_cluster_name(const char *text, struct err *reterr)
{
    if (text_is_dns1123_label(text))
        return ERR_OK;
    return err_set(reterr, ERR_INVALID,
                   "\"%.80s\" is no name of a cluster: small letters, digits and - are allowed, 63 at most", text);
}

static const char *const endpoints_apis[] = {
    [ENDPOINTS_API_AUTO] = "auto", [ENDPOINTS_API_SLICES] = "endpointslice", [ENDPOINTS_API_ENDPOINTS] = "endpoints"};

enum err_code agent_options_check_endpoints_api(const char *text, struct err *reterr)
{
    for (size_t i = 0; i < ARRAY_COUNT(endpoints_apis); i++)
        if (strcmp(text, endpoints_apis[i]) == 0)
            return ERR_OK;
    return err_set(reterr, ERR_INVALID, "\"%.60s\" is none of auto, endpointslice and endpoints", text);
}

static enum endpoints_api endpoints_api_of(const char *text)
{
    size_t i = 0;
    while (i + 1 < ARRAY_COUNT(endpoints_apis) && strcmp(text, endpoints_apis[i]) != 0)
        i++;
    return (enum endpoints_api)i;
}

static const char *const link_finalizers[] = {
    [LINK_FINALIZER_NONE] = "none", [LINK_FINALIZER_MANAGED] = "managed", [LINK_FINALIZER_ALL] = "all"};

static enum link_finalizer link_finalizer_of(const char *text)
{
    size_t i = ARRAY_COUNT(link_finalizers) - 1;
    while (i > 0 && strcmp(text, link_finalizers[i]) != 0)
        i--;
    return (enum link_finalizer)i;
}

enum err_code agent_options_check_link_finalizer(const char *text, struct err *reterr)
{
    if (strcmp(text, link_finalizers[link_finalizer_of(text)]) == 0)
        return ERR_OK;
    return err_set(reterr, ERR_INVALID, "\"%.60s\" is none of managed, all and none", text);
}

static const char *text_or_empty(const struct options *options, const char *name)
{
    const char *text = options_text(options, name);
    return text != NULL ? text : "";
}

bool agent_options_http2(const struct options *options)
{
    return strcmp(options_text(options, "http-version"), "2") == 0;
}

void agent_options_decide(const struct options *options, struct control_config *config)
{
    const struct option_value *creation = options_get(options, "enable-namespace-creation");
    config->namespace = options_text(options, "namespace");
    config->create_namespaces_for_secrets = !creation->given || creation->boolean;
    config->create_namespaces_for_links = creation->given && creation->boolean;
    config->move_endpoints = options_get(options, "move-endpoints")->boolean;
    config->mirror_headless = options_get(options, "enable-headless-services")->boolean;
    config->take_exports = options_get(options, "service-exports")->boolean;
    config->endpoints_api = endpoints_api_of(options_text(options, "endpoints-api"));
    config->link_finalizer = link_finalizer_of(options_text(options, "link-finalizer"));
    config->max_link_bytes = (size_t)options_get(options, "max-link-memory")->number << 20;
    config->remove_unaccounted = options_get(options, "remove-unaccounted-mirrors")->boolean;
    config->cluster_name = text_or_empty(options, "cluster-name");
    config->allowed_namespaces = text_or_empty(options, "allowed-namespaces");
    config->federated_selector = text_or_empty(options, "federated-service-selector");
    config->excluded_annotations = text_or_empty(options, "excluded-annotations");
    config->excluded_labels = text_or_empty(options, "excluded-labels");
}
