/* The flags that decide what an agent writes: those of `run`, and of every command that tells what `run` would do. */
#pragma once

#include "agent/commands/command.h"
#include "agent/commands/options.h"
#include "agent/control/control.h"

/** For the tables of commands. */
#define AGENT_OPTION_NAMESPACE                                                                                         \
    {                                                                                                                  \
        .name = "namespace", .letter = 'n', .value_name = "NAME", .fallback = "linkerd-multicluster",                  \
        .help = "namespace of Links, credentials Secrets and gateway mirrors", .check = command_check_namespace        \
    }

#define AGENT_OPTIONS_DECIDING                                                                                         \
    {.name = "enable-namespace-creation",                                                                              \
     .type = OPTION_BOOL,                                                                                              \
     .help = "create the namespace of a mirror when it is missing; default: as Linkerd 2.8 does for its Secrets, "     \
             "not for Links"},                                                                                         \
        {.name = "move-endpoints",                                                                                     \
         .type = OPTION_BOOL,                                                                                          \
         .fallback = "true",                                                                                           \
         .help = "endpoints of mirrors are ready only while their gateway is alive; --move-endpoints=false only "      \
                 "shows the verdict"},                                                                                 \
        {.name = "enable-headless-services",                                                                           \
         .type = OPTION_BOOL,                                                                                          \
         .fallback = "true",                                                                                           \
         .help = "hostnames of headless services get mirrors of their own; off: they are mirrored like any other "     \
                 "service"},                                                                                           \
        {.name = "service-exports",                                                                                    \
         .type = OPTION_BOOL,                                                                                          \
         .fallback = "false",                                                                                          \
         .help = "ServiceExports (multicluster.x-k8s.io) in targets mark exports, and ServiceImports are written: of " \
                 "every link whose Link does not say otherwise by annotation svcmirror.io/service-exports"},           \
        {.name = "federated-service-selector",                                                                         \
         .value_name = "SELECTOR",                                                                                     \
         .fallback = "mirror.linkerd.io/federated=member",                                                             \
         .help = "services of this cluster that are members of federated services; \"\": none",                        \
         .check = agent_options_check_selector},                                                                       \
        {.name = "excluded-annotations",                                                                               \
         .value_name = "KEY,...",                                                                                      \
         .help = "annotations that local members of federated services do not carry along: keys and prefix/*"},        \
        {.name = "excluded-labels", .value_name = "KEY,...", .help = "labels, likewise"},                              \
        {.name = "cluster-name",                                                                                       \
         .value_name = "NAME",                                                                                         \
         .help = "name of this cluster, for services that are exported to named clusters only",                        \
         .check = agent_options_check_cluster_name},                                                                   \
        {.name = "allowed-namespaces",                                                                                 \
         .value_name = "NAME,...",                                                                                     \
         .fallback = "*",                                                                                              \
         .help = "namespaces that an exported service may choose for its mirror by annotation, where its link does "   \
                 "not say: names, beginnings as in team-*; * is all, and \"\" none",                                   \
         .check = agent_options_check_namespaces},                                                                     \
        {.name = "endpoints-api",                                                                                      \
         .value_name = "auto|endpointslice|endpoints",                                                                 \
         .fallback = "auto",                                                                                           \
         .help = "what mirrors get: EndpointSlices (auto: v1 Endpoints where the cluster has none), or v1 Endpoints, " \
                 "which is all that Linkerd 2.8's control plane reads",                                                \
         .check = agent_options_check_endpoints_api},                                                                  \
        {.name = "max-link-memory",                                                                                    \
         .type = OPTION_NUMBER,                                                                                        \
         .value_name = "MIB",                                                                                          \
         .fallback = "64",                                                                                             \
         .help =                                                                                                       \
             "memory for what is kept of one target, some 300 services in a MiB; what exceeds it is left out, and "    \
             "reported; 0: no bound"},                                                                                 \
        {.name = "http-version",                                                                                       \
         .choices = "1.1|2",                                                                                           \
         .fallback = "1.1",                                                                                            \
         .help = "HTTP to speak with API servers; 2 shares one connection among all requests to a server"},            \
        {.name = "remove-unaccounted-mirrors",                                                                         \
         .type = OPTION_BOOL,                                                                                          \
         .fallback = "false",                                                                                          \
         .help = "remove mirrors that others made for clusters that no link names, too; without it they are only "     \
                 "reported"},                                                                                          \
        {.name = "link-finalizer",                                                                                     \
         .value_name = "managed|all|none",                                                                             \
         .fallback = "managed",                                                                                        \
         .help = "which Links a finalizer holds, once deleted, until their mirrors are gone: those labelled "          \
                 "app.kubernetes.io/managed-by: svcmirror, all, or none, which takes it off wherever it is, as "       \
                 "before the agent is uninstalled",                                                                    \
         .check = agent_options_check_link_finalizer},                                                                 \
    {                                                                                                                  \
        .name = "dns-servers", .value_name = "IP[:PORT],...",                                                          \
        .help = "name servers, instead of those of /etc/resolv.conf", .check = agent_options_check_dns_servers         \
    }

enum err_code agent_options_check_selector(const char *text, struct err *reterr);
enum err_code agent_options_check_cluster_name(const char *text, struct err *reterr);
enum err_code agent_options_check_endpoints_api(const char *text, struct err *reterr);
enum err_code agent_options_check_namespaces(const char *text, struct err *reterr);
enum err_code agent_options_check_link_finalizer(const char *text, struct err *reterr);
enum err_code agent_options_check_dns_servers(const char *text, struct err *reterr);
/** Of --http-version. */
bool agent_options_http2(const struct options *options);
/** Fills in what these flags decide; texts are borrowed from the options. */
void agent_options_decide(const struct options *options, struct control_config *config);
