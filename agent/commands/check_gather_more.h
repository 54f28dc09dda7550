/* Facts of the source cluster that can only be asked for when others are known: what belongs to its own gateways,
 * and the rights where copies of credentials are. */
#pragma once

#include <jansson.h>

#include "agent/commands/check_gather.h"

/** Adds them to `source`, whose Services were read. @return ERR_OK, ERR_NOMEM, ERR_CANCELLED; what cannot be read is a failed fact. */
enum err_code check_gather_more(struct session *session, struct cluster *cluster, const struct check_query *query,
                                json_t *source, struct err *reterr) MUST_USE;
