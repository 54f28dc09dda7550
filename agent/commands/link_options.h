/* The flags that `link` and `link-gen` share, with Linkerd's names and defaults, and what they ask for. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/commands/link_account.h"
#include "agent/commands/link_objects.h"
#include "agent/commands/link_target.h"
#include "agent/commands/options.h"
#include "base/arena.h"
#include "base/err.h"

enum err_code link_options_check_cluster(const char *text, struct err *reterr);
enum err_code link_options_check_account(const char *text, struct err *reterr);
enum err_code link_options_check_domain(const char *text, struct err *reterr);
enum err_code link_options_check_name(const char *text, struct err *reterr);
enum err_code link_options_check_service(const char *text, struct err *reterr);
enum err_code link_options_check_addresses(const char *text, struct err *reterr);
enum err_code link_options_check_keys(const char *text, struct err *reterr);
enum err_code link_options_check_namespace(const char *text, struct err *reterr);

#define LINK_ACCOUNT_OPTIONS                                                                                           \
    {.name = "account",                                                                                                \
     .value_name = "NAME",                                                                                             \
     .fallback = "svcmirror-remote",                                                                                   \
     .check = link_options_check_account,                                                                              \
     .help = "service account of the target that agents read it with"},                                                \
    {                                                                                                                  \
        .name = "service-account-name", .value_name = "NAME", .alias_of = "account",                                   \
        .help = "the same, as Linkerd spells it; of the two the last counts"                                           \
    }

#define LINK_OPTIONS                                                                                                   \
    {.name = "cluster-name",                                                                                           \
     .value_name = "NAME",                                                                                             \
     .check = link_options_check_cluster,                                                                              \
     .help = "what the target is called; it ends the names of its mirrors. Required"},                                 \
        {.name = "namespace",                                                                                          \
         .letter = 'n',                                                                                                \
         .value_name = "NAME",                                                                                         \
         .fallback = "linkerd-multicluster",                                                                           \
         .check = link_options_check_namespace,                                                                        \
         .help = "namespace of the agent in the source, and of the account in the target"},                            \
        {.name = "kind",                                                                                               \
         .choices = "link|secret",                                                                                     \
         .fallback = "link",                                                                                           \
         .help = "link: a Link resource with its credentials; secret: the one Secret of Linkerd 2.8, where each "      \
                 "exported service names its gateway"},                                                                \
        {.name = "api-server-address",                                                                                 \
         .value_name = "URL",                                                                                          \
         .help = "the target's API server as the source cluster reaches it; without it that of the kubeconfig"},       \
        LINK_ACCOUNT_OPTIONS,                                                                                          \
        {.name = "gateway",                                                                                            \
         .type = OPTION_BOOL,                                                                                          \
         .fallback = "true",                                                                                           \
         .help = "false: a link without a gateway, for remote discovery and federated services"},                      \
        {.name = "gateway-name",                                                                                       \
         .value_name = "NAME",                                                                                         \
         .check = link_options_check_name,                                                                             \
         .help = "the gateway's Service in the target; without it the only gateway that there is"},                    \
        {.name = "gateway-namespace",                                                                                  \
         .value_name = "NAME",                                                                                         \
         .fallback = "linkerd-multicluster",                                                                           \
         .check = link_options_check_namespace,                                                                        \
         .help = "namespace of that Service"},                                                                         \
        {.name = "gateway-service",                                                                                    \
         .value_name = "[NAMESPACE/]NAME",                                                                             \
         .check = link_options_check_service,                                                                          \
         .help = "have the Link follow this Service of the target live, as Linkerd 2.8 did, in place of writing down " \
                 "what it says now; without a namespace in linkerd-multicluster"},                                     \
        {.name = "gateway-addresses",                                                                                  \
         .value_name = "ADDRESS[,ADDRESS]",                                                                            \
         .help = "where the gateway is reached, in place of its load balancer's addresses",                            \
         .check = link_options_check_addresses},                                                                       \
        {.name = "gateway-port",                                                                                       \
         .type = OPTION_NUMBER,                                                                                        \
         .value_name = "PORT",                                                                                         \
         .fallback = "0",                                                                                              \
         .help = "in place of the port mc-gateway of its Service; 0: that"},                                           \
        {.name = "selector",                                                                                           \
         .letter = 'l',                                                                                                \
         .value_name = "SELECTOR",                                                                                     \
         .fallback = "mirror.linkerd.io/exported=true",                                                                \
         .help = "services to mirror through the gateway"},                                                            \
        {.name = "remote-discovery-selector",                                                                          \
         .value_name = "SELECTOR",                                                                                     \
         .fallback = "mirror.linkerd.io/exported=remote-discovery",                                                    \
         .help = "services to mirror by remote discovery"},                                                            \
        {.name = "federated-service-selector",                                                                         \
         .value_name = "SELECTOR",                                                                                     \
         .fallback = "mirror.linkerd.io/federated=member",                                                             \
         .help = "services that join federated services"},                                                             \
        {.name = "remote-discovery",                                                                                   \
         .type = OPTION_BOOL,                                                                                          \
         .fallback = "true",                                                                                           \
         .help = "false: Linkerd's control plane gets no account in the target and no credentials for it, and cannot " \
                 "resolve services by remote discovery and federated services"},                                       \
        {.name = "excluded-annotations",                                                                               \
         .value_name = "LIST",                                                                                         \
         .help = "annotations that mirrors do not take over: keys and prefix/*, joined by commas",                     \
         .check = link_options_check_keys},                                                                            \
        {.name = "excluded-labels",                                                                                    \
         .value_name = "LIST",                                                                                         \
         .help = "labels likewise",                                                                                    \
         .check = link_options_check_keys},                                                                            \
        {.name = "headless",                                                                                           \
         .type = OPTION_BOOL,                                                                                          \
         .fallback = "true",                                                                                           \
         .help = "false: headless services are mirrored like any other"},                                              \
        {.name = "linkerd-namespace",                                                                                  \
         .letter = 'L',                                                                                                \
         .value_name = "NAME",                                                                                         \
         .fallback = "linkerd",                                                                                        \
         .check = link_options_check_namespace,                                                                        \
         .help = "namespace of Linkerd's control plane, in both clusters"},                                            \
        {.name = "cluster-domain",                                                                                     \
         .value_name = "DOMAIN",                                                                                       \
         .check = link_options_check_domain,                                                                           \
         .help = "DNS domain of the target; without it that of its Linkerd, else cluster.local"},                      \
        {.name = "trust-domain",                                                                                       \
         .value_name = "DOMAIN",                                                                                       \
         .check = link_options_check_domain,                                                                           \
         .help = "trust domain of the target's Linkerd; without it as its Linkerd says. Where there is none, "         \
                 "Linkerd's control plane gets no credentials"},                                                       \
        {.name = "service-mirror-retry-limit", .type = OPTION_IGNORED, .value_name = "N"},                             \
        {.name = "log-level", .type = OPTION_IGNORED, .value_name = "LEVEL"},                                          \
        {.name = "log-format", .type = OPTION_IGNORED, .value_name = "FORMAT"},                                        \
        {.name = "control-plane-version", .type = OPTION_IGNORED, .value_name = "VERSION"},                            \
        {.name = "registry", .type = OPTION_IGNORED, .value_name = "NAME"}, {.name = "ha", .type = OPTION_IGNORED},    \
        {.name = "set", .type = OPTION_IGNORED, .value_name = "VALUE"},                                                \
        {.name = "set-string", .type = OPTION_IGNORED, .value_name = "VALUE"},                                         \
        {.name = "set-file", .type = OPTION_IGNORED, .value_name = "VALUE"},                                           \
    {                                                                                                                  \
        .name = "values", .letter = 'f', .type = OPTION_IGNORED, .value_name = "FILE"                                  \
    }

/* @param secret_fallback, duration_fallback, renew_fallback  "true", NULL, NULL: a token that does not expire, or one that nobody renews; NULL, a duration,
 * "true": one that is renewed. Unless flags say otherwise. */
#define LINK_TOKEN_OPTIONS(secret_fallback, duration_fallback, renew_fallback)                                         \
    {.name = "token-duration",                                                                                         \
     .type = OPTION_DURATION,                                                                                          \
     .value_name = "DURATION",                                                                                         \
     .fallback = (duration_fallback),                                                                                  \
     .help = "a token that expires after this"},                                                                       \
        {.name = "renew-token",                                                                                        \
         .type = OPTION_BOOL,                                                                                          \
         .fallback = (renew_fallback),                                                                                 \
         .help = "the agent renews that token at half of its life, and gets the right to; without it the command has " \
                 "to be run again before the token expires"},                                                          \
    {                                                                                                                  \
        .name = "token-secret", .type = OPTION_BOOL, .fallback = (secret_fallback),                                    \
        .help = "in its place a token that does not expire, bound to a Secret of the target"                           \
    }

/** What the flags ask for. Texts are borrowed from the options, or in the arena. */
struct link_wish {
    struct link_facts facts; /* what flags alone decide of it; domains are NULL unless given */
    struct link_gateway_wish gateway;
    struct link_account account;
    bool wants_gateway, as_secret;
    bool for_linkerd;   /* its control plane gets credentials, where it can */
    const char *server; /* --api-server-address, judged; NULL: not given */
    uint64_t token_ms;  /* 0: one that does not expire */
};

/** Reads and judges them, and tells on stderr which flags have no meaning here. @param command  for texts.
 *  @return ERR_OK, ERR_INVALID (one line, with what would be right), ERR_NOMEM. */
enum err_code link_options_read(const char *command, const struct options *options, struct arena *arena,
                                struct link_wish *ret_wish, struct err *reterr) MUST_USE;
