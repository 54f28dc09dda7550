/* The admin HTTP server: libmicrohttpd without threads, on our loop. Knows HTTP; what is served is routes.h' business. GET and HEAD only. */
#pragma once

#include "agent/loop/loop.h"
#include "base/err.h"
#include "base/strbuf.h"

struct admin_server;

/** What a route answers; filled by it. Texts are constants. */
struct admin_response {
    unsigned status;
    const char *content_type;
    struct strbuf body;
};

/** Fills the response for a path; @return false when there is no such path. */
typedef bool (*admin_handler_fn)(void *context, const char *path, struct admin_response *response);

/** @param address  "host:port", ":port" (both families), "[::1]:port". @return ERR_OK, ERR_INVALID, ERR_IO (names address and cause), ERR_NOMEM. */
enum err_code admin_server_new(struct loop *loop, const char *address, admin_handler_fn handler, void *context,
                               struct admin_server **ret_server, struct err *reterr) MUST_USE;
void admin_server_free(struct admin_server *server); /* takes NULL */
