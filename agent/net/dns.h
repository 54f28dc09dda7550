/* Names to addresses, asynchronously (c-ares on the loop), with the answer's TTL. libcurl never resolves by itself: http.c and
 * the gateways ask here. Answers are cached until their TTL ends (at least 1 s, at most 5 min; failures 1 s), and equal
 * questions under way are asked once. /etc/hosts and /etc/resolv.conf (with search domains) are honoured and read again when
 * they change. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/loop/loop.h"
#include "base/err.h"
#include "base/text.h"

struct dns;

enum { DNS_MAX_ADDRESSES = 64 };

/** A resolved set: canonical literals, IPv4 before IPv6, each family in byte order; no duplicates. */
struct dns_answer {
    uint32_t count;
    uint32_t ttl_ms; /* how long the answer may be used, from now */
    char addresses[DNS_MAX_ADDRESSES][TEXT_IP_BYTES];
};

/** One question; embedded in its owner, zero-initialised before first use. */
struct dns_query {
    /* private */
    struct dns *dns;
    struct dns_query *next;
    void *entry;
    /* Exactly one call per dns_start(), never from inside it, unless cancelled. `answer` is NULL on failure, then `error` says
     * why (ERR_RESOLVE, ERR_TIMEOUT, ERR_NOMEM, ERR_IO: no descriptor for a socket); both are borrowed for the call. */
    void (*on_done)(struct dns_query *query, const struct dns_answer *answer, const struct err *error);
    void *context;
};

/** @param servers  comma-separated "ip[:port]" list that replaces the system's, or NULL. */
struct dns *dns_new(struct loop *loop, const char *servers, struct err *reterr);
/** Not from a query's callback. Queries that still wait are never answered; cancelling them is fine. Takes NULL. */
void dns_free(struct dns *dns);
/** Starts resolving `host` (A and AAAA); literals answer themselves. Set on_done and context before; `host` is
 *  copied. @return ERR_OK, ERR_NOMEM, ERR_LIMIT (4096 names in use). */
enum err_code dns_start(struct dns *dns, struct dns_query *query, const char *host, struct err *reterr) MUST_USE;
void dns_cancel(struct dns_query *query); /* idempotent */
