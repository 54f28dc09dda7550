/* One record for each target, put together from the lists of the status API: is it followed, is it alive, is everything mirrored. Pure. */
#pragma once

#include <jansson.h>

/** @param links, gateways, services  arrays as of /api/v1, or what stands in for them.
 *  @return new: an array; NULL when out of memory. Keys: clusterName, kind, name, apiReachable, synced, eventAgeMs, credentialsExpire and leader as of
 *  the link; gateways, aliveGateways; latencyMs of the fastest one alive, or null; exportedServices, mirroredServices; endpoints, readyEndpoints of
 *  the mirrors; problems, an array of sentences. */
json_t *status_records(const json_t *links, const json_t *gateways, const json_t *services);
