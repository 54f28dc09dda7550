/* Which proxy to use for a URL: golang.org/x/net/http/httpproxy's rules, as kubectl follows them. Internal to agent/net. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** The environment's proxy for a host: HTTPS_PROXY or HTTP_PROXY (also lower case) unless NO_PROXY names it by suffix, IP, CIDR or "*".
 *  @return borrowed from the environment, or NULL. */
const char *proxy_from_environment(bool https, const char *host, uint16_t port);
/** Whether a NO_PROXY list covers host:port. */
bool proxy_is_excepted(const char *list, const char *host, uint16_t port);
