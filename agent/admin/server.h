/* The admin HTTP server: libmicrohttpd without threads, on our loop. Knows HTTP and its bounds; what is served is the
 * business of routes.h. Answers GET and HEAD, nothing else: what it serves cannot be changed through it. */
#pragma once

#include <stdint.h>

#include "agent/loop/loop.h"
#include "base/err.h"
#include "base/strbuf.h"

struct admin_server;
struct admin_request;

/** @return the value of a parameter of the query ("" when it has none), borrowed for the handler; NULL when absent. */
const char *admin_request_query(const struct admin_request *request, const char *name);

/** What a handler answers. It comes as status 200, text/plain and an empty body; texts are constants. */
struct admin_response {
    unsigned status;
    const char *content_type;
    bool
        html; /* gets the Content-Security-Policy of a page with style and script of this server instead of the one of data */
    struct strbuf body;
};

/** Fills `response`. Must not wait: the agent's probes and watches are on the same loop. */
typedef void (*admin_handler_fn)(void *context, const struct admin_request *request, struct admin_response *response);

struct admin_route {
    const char *path; /* exact */
    admin_handler_fn serve;
};

/** Answers with `status` and {"error": ..., "hint": ...}. */
void admin_response_error(struct admin_response *response, unsigned status, const char *error, const char *hint);

/** Listens, and serves from now on whenever the loop runs.
 *  @param address  see listener_parse(). @param routes  ended by a NULL path; borrowed, like `context`.
 *  @return ERR_OK, ERR_INVALID (the address), ERR_IO (names address and cause), ERR_NOMEM. */
enum err_code admin_server_new(struct loop *loop, const char *address, const struct admin_route *routes, void *context,
                               struct admin_server **ret_server, struct err *reterr) MUST_USE;
/** Closes all connections. Takes NULL. */
void admin_server_free(struct admin_server *server);
/** The port that it listens on. */
uint16_t admin_server_port(const struct admin_server *server);
