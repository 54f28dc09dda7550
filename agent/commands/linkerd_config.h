/* What a cluster's ConfigMap linkerd-config tells of its Linkerd: today's keeps its Helm values there, 2.9 had most of them below `global`, and 2.8 has
 * a JSON of its own. Pure. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

struct linkerd_config {
    json_t *settings;           /* owned; NULL: it has none */
    const char *cluster_domain; /* NULL: not told. Borrowed from `settings`, as the next */
    const char *trust_domain;   /* the cluster's where none is told, as Linkerd's own templates have it */
    bool is_2_8;
};

/** @param config_map  NULL: there is none. @param[out] ret_config  end with linkerd_config_done(); empty on failure.
 *  @return ERR_OK, ERR_INVALID or ERR_LIMIT (no YAML, or too much), ERR_NOMEM. */
enum err_code linkerd_config_read(const json_t *config_map, struct linkerd_config *ret_config, struct err *reterr)
    MUST_USE;
void linkerd_config_done(struct linkerd_config *config);
