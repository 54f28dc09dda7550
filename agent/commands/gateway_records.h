/* What the API itself holds of gateways: each gateway has a mirror Service in the agent's namespace whose endpoints are ready while
 * the gateway is alive. Where Linkerd's charts have that name for a Service of their own, which tells nothing of that, the mirrors through
 * the gateway stand in for it. It is what is left to ask when no agent answers: no latencies, no reasons, and as old as the agent's last
 * write. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "agent/commands/cluster.h"
#include "base/err.h"

struct gateway_records;

/** @param namespace  the agent's; borrowed. @return new, or NULL. */
struct gateway_records *gateway_records_new(const char *namespace);
void gateway_records_free(struct gateway_records *records); /* takes NULL */

/** Takes a mirror Service (of any namespace), a slice of the agent's namespace; in any order. `context` is the records: these are
 *  cluster_item_fn. */
enum err_code gateway_records_take_service(void *context, const json_t *service) MUST_USE;
enum err_code gateway_records_take_slice(void *context, const json_t *slice) MUST_USE;
/** Whether a gateway is known by a Service of Linkerd's charts alone: only then are the slices of mirrors looked at. */
bool gateway_records_need_mirrors(const struct gateway_records *records);
/** Takes a slice of a mirror, of any namespace. */
enum err_code gateway_records_take_mirror_slice(void *context, const json_t *slice) MUST_USE;
/** @return new: an array like that of /api/v1/gateways, with the keys that are known; NULL when out of memory. */
json_t *gateway_records_json(const struct gateway_records *records);

/** Lists what is needed and puts it together. @param[out] ret_gateways  new reference. */
enum err_code gateway_records_read(struct cluster *cluster, const char *namespace, json_t **ret_gateways,
                                   struct err *reterr) MUST_USE;
