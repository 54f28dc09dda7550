/* One health-check connection to one gateway address: sends a GET when asked, keeps the connection open between probes, and
 * reports news about the transport, which are no verdict but say that a verifying probe is due: the idle connection ended
 * (FIN, RST, or kernel keep-alives unanswered for about a second), or a probe under way is not acknowledged. Knows HTTP and
 * sockets; what an answer means is health/'s business (diagnosis.h), and when to probe too (verdict.h).
 *
 * Bounds: connecting gives up after PROBE_CONNECT_MS, unacknowledged data after PROBE_SILENCE_MS (TCP_USER_TIMEOUT), the
 * answer after the given timeout, its body PROBE_BODY_MS after the headers. At most PROBE_BODY_BYTES of a body are read; a
 * longer or slower one counts as received and its connection is closed. Redirects are not followed. No proxy is used.
 * HTTP/1.1. A kept connection that the server closed just as a probe was sent is no failure: the probe is sent again on a
 * fresh one.
 *
 * Probes of one link may overlap: each further one opens a second connection, of which one is kept in the end. Of more than
 * PROBE_MAX_OVERLAP one in the middle is given up (PROBE_INTERNAL): the oldest are needed to see a hanging gateway fail, the
 * newest to see it recover. */
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
    PROBE_LATE_MS = 400, /* or three round trips, if that is more: unacknowledged for so long is news */
    PROBE_BODY_MS = 1000,
    PROBE_BODY_BYTES = 64 * 1024,
    PROBE_MAX_OVERLAP = 12,
    PROBE_MAX_UNREPORTED = 16, /* with those given up whose result is still to come */
};

struct probe_link;

struct probe_link_config {
    const char *ip; /* literal, either family; copied */
    uint16_t port;
    const char *path;    /* any spelling; sent with exactly one leading slash; copied */
    const char *host;    /* Host header, as probe_host() makes it; copied. "": the address */
    uint32_t timeout_ms; /* for the headers of the answer after the connection stands; 0: 30 s */
};

struct probe_callbacks {
    /* A probe ended; `observation` is borrowed. `id` is what probe_link_send() returned. Never from inside probe_link_send(). */
    void (*on_result)(void *context, uint32_t id, const struct probe_observation *observation);
    /* The idle kept-open connection ended (`how`: constant text "closed", "reset", "silent"), or a probe under way is not
     * acknowledged ("late"; at most once a probe). */
    void (*on_connection_lost)(void *context, const char *how);
    void *context;
};

/** @return ERR_OK, ERR_NOMEM, ERR_INVALID (ip, port, path or host cannot be used). */
enum err_code probe_link_new(struct http *http, const struct probe_link_config *config,
                             const struct probe_callbacks *callbacks, struct probe_link **ret_link, struct err *reterr)
    MUST_USE;
/** Starts one probe. @return ERR_OK, ERR_LIMIT (PROBE_MAX_UNREPORTED results are still to come), ERR_NOMEM. */
enum err_code probe_link_send(struct probe_link *link, uint32_t *ret_id, struct err *reterr) MUST_USE;
/** Ends everything at once, without callbacks; may be called from the callbacks. Takes NULL. */
void probe_link_free(struct probe_link *link);
