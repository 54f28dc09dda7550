/* What comes back to a probe, put into a struct probe_observation: header lines, the body's beginning, and how it ended.
 * Internal to agent/net. */
#pragma once

#include <curl/curl.h>

#include "health/diagnosis.h"

struct probe_answer {
    struct probe_observation seen;
    bool headers_complete;
    size_t header_bytes;
};

/** Takes one header line as curl gives it. @return false when there are too many of them: no HTTP server does that. */
bool probe_answer_take_header(struct probe_answer *answer, const char *line, size_t bytes);
/** @return false when PROBE_BODY_BYTES are exceeded: enough was seen. */
bool probe_answer_take_body(struct probe_answer *answer, const char *data, size_t bytes);
/** Sets the detail for people, cut at its bound. */
void probe_answer_describe(struct probe_answer *answer, const char *text);
/** @param os_errno  CURLINFO_OS_ERRNO. @param received_bytes  on its connection, as the kernel counts.
 *  @return how a transfer that ended with `result` ended. */
enum probe_end probe_answer_end(const struct probe_answer *answer, CURLcode result, long os_errno,
                                uint64_t received_bytes);
