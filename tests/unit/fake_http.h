/* agent/net/http.h without a network: what is asked waits here until the test answers it. Deadlines run on the (fake) loop. The contract of
 * a call is kept to the letter, and asserted where the caller could break it. */
#pragma once

#include "agent/net/http.h"

/** An engine for http_origin_new(); free with http_free(). NULL when out of memory. */
struct http *fake_http_new(struct loop *loop);

/** From the n-th call on (1: the next) so many find no descriptor for a socket: as with the real engine they fail in a later turn of the loop.
 *  Nobody has to take them. */
void fake_http_refuse_at(struct http *http, unsigned n, unsigned calls);
/** How many calls were started so far. */
unsigned fake_http_started(const struct http *http);

/** The oldest call that was not taken yet; fails the test when there is none or its request line is another, e.g.
 *  "GET /api/v1/services?resourceVersion=0". A pattern that ends in "*" matches the beginning. */
struct http_call *fake_http_take(struct http *http, const char *pattern);
/** Whether fake_http_take() would find what it wants. */
bool fake_http_is_next(const struct http *http, const char *pattern);
/** The request line of the oldest call that was not taken yet; until the next such question. */
const char *fake_http_next(const struct http *http);
/** Whether nothing is waiting to be taken. */
bool fake_http_is_idle(const struct http *http);
/** Of a call under way. @return NULL when absent. */
const char *fake_http_header(const struct http_call *call, const char *name);
const char *fake_http_path(const struct http_call *call);
/** The client certificate and CA of the origin that the call was started on. */
const char *fake_http_certificate(const struct http_call *call);
const char *fake_http_ca(const struct http_call *call);

/* The answer, in parts. A function that returns false has ended the call, or the call was cancelled in it: it is not to be touched. */
bool fake_http_head(struct http_call *call, int status, const char *content_type);
bool fake_http_data(struct http_call *call, const char *text);
bool fake_http_bytes(struct http_call *call, const char *bytes, size_t length);
void fake_http_finish(struct http_call *call);
void fake_http_fail(struct http_call *call, enum err_code code, const char *text);
/** Head, body and end. */
void fake_http_answer(struct http_call *call, int status, const char *body);
/** The same with a Retry-After header (-1: none) and a Warning header (NULL: none). */
void fake_http_answer_with(struct http_call *call, int status, const char *body, int64_t retry_after_ms,
                           const char *warning);
