/* What the API itself holds of mirrored services: the mirrors and their slices. It is what is left to ask when no agent answers: services that are
 * exported and not mirrored are not in it, nor is any reason. */
#pragma once

#include <jansson.h>

#include "agent/commands/cluster.h"
#include "base/err.h"

struct service_records;

struct service_records *service_records_new(void);          /* new, or NULL */
void service_records_free(struct service_records *records); /* takes NULL */

/** Take a mirror Service, a slice of one; in any order. `context` is the records: these are cluster_item_fn. */
enum err_code service_records_take_mirror(void *context, const json_t *service) MUST_USE;
enum err_code service_records_take_slice(void *context, const json_t *slice) MUST_USE;
/** @return new: an array like that of /api/v1/services, null where it is not known; NULL when out of memory. */
json_t *service_records_json(const struct service_records *records);

/** Lists what is needed and puts it together. @param namespace  the agent's, which is of no interest here. @param[out] ret_services  new. */
enum err_code service_records_read(struct cluster *cluster, const char *namespace, json_t **ret_services,
                                   struct err *reterr);
