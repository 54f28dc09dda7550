/* What the API itself holds of links: Link resources, credentials Secrets of Linkerd 2.8, who has their Leases, and how many mirrors there are of each
 * cluster. It is what is left to ask when no agent answers: not whether a target can be reached, nor what is wrong. */
#pragma once

#include <jansson.h>

#include "agent/commands/cluster.h"
#include "base/err.h"

struct link_records;

struct link_records *link_records_new(void);          /* new, or NULL */
void link_records_free(struct link_records *records); /* takes NULL */

/** Take what the agent's namespace has, and mirror Services of any; in any order. Of a Secret only its metadata is looked at. */
enum err_code link_records_take_link(void *context, const json_t *link) MUST_USE;
enum err_code link_records_take_secret(void *context, const json_t *secret) MUST_USE;
enum err_code link_records_take_lease(void *context, const json_t *lease) MUST_USE;
enum err_code link_records_take_mirror(void *context, const json_t *service) MUST_USE;
/** @return new: an array like that of /api/v1/links, null where it is not known; NULL when out of memory. */
json_t *link_records_json(const struct link_records *records);

/** Lists what is needed and puts it together. What of it may not be read, Links or mirrors excepted, is left out. @param[out] ret_links  new. */
enum err_code link_records_read(struct cluster *cluster, const char *namespace, json_t **ret_links, struct err *reterr);
