/* One health-check connection to one gateway address: sends a GET when asked, keeps the connection open between probes, and
 * reports when that connection ends (FIN, RST, or kernel keep-alives unanswered for about a second): such an end is not a verdict,
 * only news that a verifying probe is due. Knows HTTP and sockets; what an answer means is health/'s business (diagnosis.h), and when
 * to probe too (verdict.h).
 *
 * Bounds: connecting gives up after PROBE_CONNECT_MS, unacknowledged data after PROBE_SILENCE_MS (TCP_USER_TIMEOUT), the answer after
 * the given timeout. At most PROBE_BODY_BYTES of a body are read; a longer one counts as received and its connection is closed.
 * Redirects are not followed. No proxy is used. HTTP/1.1. Several probes of one connection object may overlap: each further one opens
 * a second connection. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/loop/loop.h"
#include "agent/net/http.h"
#include "base/err.h"
#include "health/diagnosis.h"

enum {
    PROBE_CONNECT_MS = 1000,
    PROBE_SILENCE_MS = 1500,
    PROBE_BODY_BYTES = 64 * 1024,
    PROBE_MAX_OVERLAP = 8,
};

struct probe_link;

struct probe_link_config {
    const char *ip;      /* literal, either family; copied */
    uint16_t port;
    const char *path;    /* any spelling; sent with exactly one leading slash; copied */
    const char *host;    /* Host header without port 80; copied */
    uint32_t timeout_ms; /* for the whole answer after the connection stands */
};

struct probe_callbacks {
    /* A probe ended; `observation` is borrowed. `id` is what probe_link_send() returned. Never from inside probe_link_send(). */
    void (*on_result)(void *context, uint32_t id, const struct probe_observation *observation);
    /* The idle kept-open connection ended (`how`: constant text "closed", "reset", "silent"). */
    void (*on_connection_lost)(void *context, const char *how);
    void *context;
};

/** @return ERR_OK, ERR_NOMEM, ERR_INVALID (ip or path cannot be used). */
enum err_code probe_link_new(struct http *http, const struct probe_link_config *config, const struct probe_callbacks *callbacks,
                             struct probe_link **ret_link, struct err *reterr) MUST_USE;
/** Starts one probe. @return ERR_OK, ERR_LIMIT (PROBE_MAX_OVERLAP under way), ERR_NOMEM. */
enum err_code probe_link_send(struct probe_link *link, uint32_t *ret_id, struct err *reterr) MUST_USE;
/** Ends everything at once, without callbacks; may be called from the callbacks. Takes NULL. */
void probe_link_free(struct probe_link *link);
