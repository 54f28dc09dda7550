#include "agent/commands/link_options.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "agent/commands/command.h"
#include "agent/commands/link_server.h"
#include "base/text.h"

enum { LEAST_TOKEN_MS = 600000 /* the API server refuses less */ };
enum { ADDRESS_BYTES = 254 /* a host name, or an IP address */ };
enum { KEY_PATTERN_BYTES = 253 + 1 + 63 + 1 /* prefix, slash, name */ };

/* ---- single values ---- */

enum err_code link_options_check_cluster(const char *text, struct err *reterr)
{
    if (strcmp(text, "local") == 0)
        return err_set(reterr, ERR_INVALID, "\"local\" is what metrics call the source cluster: choose another name");
    if (text_is_dns1123_label(text))
        return ERR_OK;
    return err_set(reterr, ERR_INVALID,
                   "\"%.80s\" cannot end the name of a Service: small letters, digits and - are allowed, 63 at most",
                   text);
}

enum err_code link_options_check_account(const char *text, struct err *reterr)
{
    if (text_ends_with(text, LINK_ACCOUNT_LINKERD))
        return err_set(reterr, ERR_INVALID, "\"%.80s\" is what the account of Linkerd's control plane is called", text);
    if (text_is_dns1123_subdomain(text) && strlen(text) <= 200) /* LINK_ACCOUNT_LINKERD and "-token" follow */
        return ERR_OK;
    return err_set(reterr, ERR_INVALID, "\"%.80s\" is no name of a service account", text);
}

enum err_code link_options_check_domain(const char *text, struct err *reterr)
{
    if (text_is_dns1123_subdomain(text))
        return ERR_OK;
    return err_set(reterr, ERR_INVALID, "\"%.80s\" is no DNS domain like cluster.local", text);
}

enum err_code link_options_check_name(const char *text, struct err *reterr)
{
    if (text_is_dns1123_label(text))
        return ERR_OK;
    return err_set(reterr, ERR_INVALID, "\"%.80s\" is no name of a Service", text);
}

/* "ambassador/ambassador", or "linkerd-gateway". */
enum err_code link_options_check_service(const char *text, struct err *reterr)
{
    char namespace[64] = "linkerd-multicluster";
    const char *slash = strchr(text, '/');
    if (slash != NULL)
        (void)snprintf(namespace, sizeof(namespace), "%.*s", (int)(slash - text), text);
    bool fits = slash == NULL || (size_t)(slash - text) < sizeof(namespace);
    if (fits && text_is_dns1123_label(namespace) && text_is_dns1123_label(slash != NULL ? slash + 1 : text))
        return ERR_OK;
    return err_set(reterr, ERR_INVALID, "\"%.80s\" is no Service: write NAMESPACE/NAME, or NAME", text);
}

enum err_code link_options_check_addresses(const char *text, struct err *reterr)
{
    char address[ADDRESS_BYTES], canonical[TEXT_IP_BYTES];
    uint32_t count = 0;
    size_t length = 0;
    for (const char *word = text_next_word(&text, &length); word != NULL; word = text_next_word(&text, &length)) {
        (void)snprintf(address, sizeof(address), "%.*s", length < sizeof(address) ? (int)length : 0, word);
        if (text_parse_ip(address, canonical) == IP_NONE && !text_is_dns1123_subdomain(address))
            return err_set(reterr, ERR_INVALID, "\"%.*s\" is neither an IP address nor a host name",
                           length < 100 ? (int)length : 100, word);
        if (++count > LINK_MAX_GATEWAY_ADDRESSES)
            return err_set(reterr, ERR_INVALID, "more than %d addresses: leave some out", LINK_MAX_GATEWAY_ADDRESSES);
    }
    return ERR_OK;
}

/* A key, or "prefix/" followed by "*". The API server judges the key of an annotation in small letters. */
static bool is_key_pattern(const char *word, size_t length)
{
    char pattern[KEY_PATTERN_BYTES];
    if (length >= sizeof(pattern))
        return false;
    for (size_t i = 0; i < length; i++)
        pattern[i] = (char)tolower((unsigned char)word[i]);
    pattern[length] = '\0';
    if (!text_ends_with(pattern, "/*"))
        return text_is_label_key(pattern);
    pattern[length - 2] = '\0';
    return text_is_dns1123_subdomain(pattern);
}

enum err_code link_options_check_keys(const char *text, struct err *reterr)
{
    size_t length = 0;
    for (const char *word = text_next_word(&text, &length); word != NULL; word = text_next_word(&text, &length))
        if (!is_key_pattern(word, length))
            return err_set(reterr, ERR_INVALID,
                           "\"%.*s\" is no key: write NAME, PREFIX/NAME, or PREFIX/* for all of a prefix",
                           length < 80 ? (int)length : 80, word);
    return ERR_OK;
}

enum err_code link_options_check_namespace(const char *text, struct err *reterr)
{
    return command_check_namespace(text, reterr);
}

/* ---- together ---- */

static enum err_code read_selector(const struct options *options, const char *name, struct arena *arena,
                                   struct selector *ret_selector, struct err *reterr)
{
    if (selector_parse(arena, options_text(options, name), ret_selector, reterr) != ERR_OK)
        return err_context(reterr, "--%s", name);
    return ERR_OK;
}

/* Flags of the gateway, when there is to be none. */
static enum err_code check_without_gateway(const struct options *options, const char *why, struct err *reterr)
{
    static const char *const names[] = {"gateway-name",      "gateway-namespace", "gateway-service",
                                        "gateway-addresses", "gateway-port",      "selector"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (options_get(options, names[i])->given)
            return err_set(reterr, ERR_INVALID, "--%s contradicts %s: leave one of them out", names[i], why);
    return ERR_OK;
}

static enum err_code check_of_link_alone(const struct options *options, struct err *reterr)
{
    static const char *const names[] = {"remote-discovery-selector",
                                        "federated-service-selector",
                                        "excluded-annotations",
                                        "excluded-labels",
                                        "headless",
                                        "remote-discovery",
                                        "trust-domain"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (options_get(options, names[i])->given)
            return err_set(reterr, ERR_INVALID, "--%s is about Links, and --kind secret makes none", names[i]);
    return check_without_gateway(options, "--kind secret, where each exported service names its gateway", reterr);
}

/* A Service that is followed is named by one option alone. */
static enum err_code read_followed(const struct options *options, struct arena *arena, struct link_wish *wish,
                                   struct err *reterr)
{
    const char *service = options_text(options, "gateway-service");
    if (service == NULL)
        return ERR_OK;
    if (options_get(options, "gateway-name")->given || options_get(options, "gateway-namespace")->given)
        return err_set(reterr, ERR_INVALID,
                       "--gateway-service and --%s contradict each other: the first follows a Service, the other "
                       "writes down what it says now",
                       options_get(options, "gateway-name")->given ? "gateway-name" : "gateway-namespace");
    const char *key = strchr(service, '/') != NULL
                          ? service
                          : arena_printf(arena, "%s/%s", options_text(options, "gateway-namespace"), service);
    if (key == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    wish->facts.gateway_service = key;
    wish->gateway.followed = key;
    return ERR_OK;
}

static enum err_code read_gateway(const struct options *options, struct arena *arena, struct link_wish *wish,
                                  struct err *reterr)
{
    uint64_t port = options_get(options, "gateway-port")->number;
    const char *addresses = options_text(options, "gateway-addresses"); /* "" is none, as for Linkerd's tool */
    wish->as_secret = strcmp(options_text(options, "kind"), "secret") == 0;
    wish->wants_gateway = options_get(options, "gateway")->boolean && !wish->as_secret;
    if (wish->as_secret)
        return check_of_link_alone(options, reterr);
    if (!wish->wants_gateway)
        return check_without_gateway(options, "--gateway=false", reterr);
    if (port > 65535)
        return err_set(reterr, ERR_INVALID, "--gateway-port: a port is a number up to 65535");
    wish->gateway =
        (struct link_gateway_wish){.name = options_text(options, "gateway-name"),
                                   .namespace = options_text(options, "gateway-namespace"),
                                   .addresses = addresses != NULL && addresses[0] != '\0' ? addresses : NULL,
                                   .port = (uint16_t)port};
    TRY(read_followed(options, arena, wish, reterr));
    if (wish->gateway.name == NULL && options_get(options, "gateway-namespace")->given)
        return err_set(reterr, ERR_INVALID, "--gateway-namespace says where --gateway-name is: give that too");
    return ERR_OK;
}

static enum err_code read_token(const struct options *options, struct link_wish *wish, struct err *reterr)
{
    const struct option_value *duration = options_get(options, "token-duration");
    const struct option_value *renews = options_get(options, "renew-token"),
                              *secret = options_get(options, "token-secret");
    bool expires = secret->given ? !secret->boolean : duration->given || !secret->boolean;
    if (!expires && duration->given)
        return err_set(reterr, ERR_INVALID,
                       "--token-duration and --token-secret contradict each other: a token bound to a Secret does not "
                       "expire");
    if (!expires && secret->given && renews->given && renews->boolean)
        return err_set(reterr, ERR_INVALID,
                       "--renew-token and --token-secret contradict each other: a token bound to a Secret does not "
                       "expire");
    if (!expires && renews->given && renews->boolean)
        return err_set(reterr, ERR_INVALID, "--renew-token is about tokens that expire: give --token-duration too");
    if (!expires)
        return ERR_OK;
    if (duration->text == NULL)
        return err_set(reterr, ERR_INVALID, "how long is the token to be good? Give --token-duration DURATION");
    if (duration->number < LEAST_TOKEN_MS)
        return err_set(reterr, ERR_INVALID, "--token-duration: API servers give no token for less than 10m");
    wish->token_ms = duration->number;
    wish->facts.renew_token = renews->boolean ? duration->text : NULL;
    return ERR_OK;
}

static enum err_code read_facts(const struct options *options, struct arena *arena, struct link_facts *facts,
                                struct err *reterr)
{
    facts->cluster_name = options_text(options, "cluster-name");
    facts->namespace = options_text(options, "namespace");
    facts->cluster_domain = options_text(options, "cluster-domain");
    facts->trust_domain = options_text(options, "trust-domain");
    facts->linkerd_namespace = options_text(options, "linkerd-namespace");
    facts->excluded_annotations = options_text(options, "excluded-annotations");
    facts->excluded_labels = options_text(options, "excluded-labels");
    facts->headless = options_get(options, "headless")->boolean;
    facts->version = "v1alpha3";
    TRY(read_selector(options, "selector", arena, &facts->selector, reterr));
    TRY(read_selector(options, "remote-discovery-selector", arena, &facts->remote_discovery_selector, reterr));
    return read_selector(options, "federated-service-selector", arena, &facts->federated_selector, reterr);
}

enum err_code link_options_read(const char *command, const struct options *options, struct arena *arena,
                                struct link_wish *ret_wish, struct err *reterr)
{
    struct link_wish wish = {.server = options_text(options, "api-server-address")};
    if (options_text(options, "cluster-name") == NULL)
        return err_set(reterr, ERR_INVALID, "what is the target called? Give --cluster-name NAME");
    if (wish.server != NULL)
        TRY(link_server_check(wish.server, "--api-server-address", reterr));
    TRY(read_gateway(options, arena, &wish, reterr));
    TRY(read_token(options, &wish, reterr));
    TRY(read_facts(options, arena, &wish.facts, reterr));
    wish.for_linkerd = options_get(options, "remote-discovery")->boolean && !wish.as_secret;
    wish.account = (struct link_account){.name = options_text(options, "account"),
                                         .namespace = wish.facts.namespace,
                                         .with_token = wish.token_ms == 0,
                                         .with_renewal = wish.facts.renew_token != NULL};
    command_tell_all_ignored(command, options);
    *ret_wish = wish;
    return ERR_OK;
}
