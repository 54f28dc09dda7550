/* Asking what is: the running agent, through the API server or at its own address; and where no agent answers, the API's own objects, said so on
 * stderr. With several replicas each link's leader answers for it (look_replicas.h), whichever pod a Service would have chosen. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "agent/commands/cluster.h"
#include "agent/commands/options.h"
#include "agent/commands/session.h"

enum { LOOK_COMPLAINT_BYTES = 512 };

enum err_code look_check_address(const char *text, struct err *reterr);

/** For the tables of commands that look. */
#define LOOK_OPTIONS                                                                                                   \
    {.name = "address",                                                                                                \
     .value_name = "URL",                                                                                              \
     .check = look_check_address,                                                                                      \
     .help = "admin address of the agent, e.g. http://127.0.0.1:9999; without it the agent is reached through the "    \
             "API server"},                                                                                            \
        {.name = "kubeconfig", .value_name = "FILE", .help = "kubeconfig of the source cluster"},                      \
    {                                                                                                                  \
        .name = "context", .value_name = "NAME", .help = "context of the kubeconfig"                                   \
    }

/** Where the only namespace that a command knows is the agent's. */
#define LOOK_OPTION_NAMESPACE                                                                                          \
    {                                                                                                                  \
        .name = "namespace", .letter = 'n', .value_name = "NAME", .fallback = "linkerd-multicluster",                  \
        .help = "namespace of the agent", .check = command_check_namespace                                             \
    }

struct look {
    const char *command, *namespace; /* borrowed; the namespace is the agent's */
    const struct options *options;
    struct session *session;
    struct cluster *cluster; /* NULL when the agent is asked at its address */
    bool told_fallback;      /* that no agent answers was said */
};

/** A list of the status API, and what stands in for it. */
struct look_list {
    const char *name; /* "gateways" */
    /* What the API holds of it, with the keys that are known. @param[out] ret_records  new array. */
    enum err_code (*read)(struct cluster *cluster, const char *namespace, json_t **ret_records, struct err *reterr);
    const char *lacks; /* what is not in it, for people: "no latencies, no reasons" */
};

extern const struct look_list LOOK_GATEWAYS, LOOK_LINKS, LOOK_SERVICES;

/** Connects as the options say. @return any code. Free with look_close() in any case. */
enum err_code look_open(struct look *look, struct err *reterr) MUST_USE;
void look_close(struct look *look);

/** Asks once. @param[out] ret_records  new array of objects, of all clusters. @return any code. */
enum err_code look_at(struct look *look, const struct look_list *list, json_t **ret_records, struct err *reterr)
    MUST_USE;
