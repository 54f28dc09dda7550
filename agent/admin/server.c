#include "agent/admin/server.h"

#include <microhttpd.h>
#include <string.h>
#include <unistd.h>

#include "agent/admin/listener.h"
#include "agent/kube/codec.h"
#include "base/mem.h"

enum {
    MAX_CONNECTIONS = 128,
    MAX_CONNECTIONS_OF_ONE = 96, /* so that one client that leaks connections does not lock out the kubelet's probes */
    IDLE_S = 15,
    REQUEST_BYTES = 32 << 10, /* request line and headers, with what the answer's headers need */
    BODY_BYTES = 256 << 20,   /* /api/v1/services with 100,000 services is about 40 MB */
};

struct admin_server {
    struct loop *loop;
    struct MHD_Daemon *daemon;
    struct loop_io *io;
    struct loop_timer *timer;
    const struct admin_route *routes;
    void *context;
    uint16_t port;
};

struct admin_request {
    struct MHD_Connection *connection;
};

const char *admin_request_query(const struct admin_request *request, const char *name)
{
    const char *value = NULL;
    size_t length = 0;
    if (MHD_lookup_connection_value_n(request->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value,
                                      &length) != MHD_YES)
        return NULL;
    return value != NULL ? value : "";
}

/* ---- answering ---- */

void admin_response_error(struct admin_response *response, unsigned status, const char *error, const char *hint)
{
    strbuf_clear(&response->body);
    response->status = status;
    response->content_type = "application/json";
    response->html = false;
    strbuf_append(&response->body, "{\"error\":");
    codec_write_string(&response->body, error);
    strbuf_append(&response->body, ",\"hint\":");
    codec_write_string(&response->body, hint);
    strbuf_append(&response->body, "}\n");
}

static bool add_headers(struct MHD_Response *response, const struct admin_response *answer)
{
    /* Names of services and clusters come from elsewhere: whatever they hold, nothing of it is run, fetched or framed. */
    const char *policy = answer->html ? "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                                        "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
                                        "require-trusted-types-for 'script'; trusted-types 'none'"
                                      : "default-src 'none'; frame-ancestors 'none'";
    const struct {
        const char *name, *value;
    } headers[] = {
        {"Content-Type", answer->content_type},          {"Content-Security-Policy", policy},
        {"X-Content-Type-Options", "nosniff"},           {"Cache-Control", "no-store"},
        {"Cross-Origin-Resource-Policy", "same-origin"}, {"Referrer-Policy", "no-referrer"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(headers); i++)
        if (MHD_add_response_header(response, headers[i].name, headers[i].value) != MHD_YES)
            return false;
    return answer->status != MHD_HTTP_METHOD_NOT_ALLOWED ||
           MHD_add_response_header(response, "Allow", "GET, HEAD") == MHD_YES;
}

/* Takes the text of the answer's body out of it. */
static struct MHD_Response *make_response(struct admin_response *answer)
{
    size_t bytes = answer->body.length;
    char *body = strbuf_take(&answer->body);
    if (body == NULL) { /* half of an answer would be taken for a whole one */
        static char failure[] = "{\"error\":\"out of memory\",\"hint\":\"ask for less: ?cluster=NAME\"}\n";
        answer->status = MHD_HTTP_INTERNAL_SERVER_ERROR;
        answer->content_type = "application/json";
        return MHD_create_response_from_buffer(sizeof(failure) - 1, failure, MHD_RESPMEM_PERSISTENT);
    }
    struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback(bytes, body, mem_free);
    if (response == NULL)
        mem_free(body);
    return response;
}

/* MHD_NO closes the connection: there is not even memory to say what is wrong. */
static enum MHD_Result send_answer(struct MHD_Connection *connection, struct admin_response *answer)
{
    struct MHD_Response *response = make_response(answer);
    if (response == NULL)
        return MHD_NO;
    enum MHD_Result result = MHD_NO;
    if (add_headers(response, answer))
        result = MHD_queue_response(connection, answer->status, response);
    MHD_destroy_response(response);
    return result;
}

static const struct admin_route *find_route(const struct admin_server *server, const char *path)
{
    for (const struct admin_route *route = server->routes; route->path != NULL; route++)
        if (strcmp(route->path, path) == 0)
            return route;
    return NULL;
}

static void answer_not_found(const struct admin_server *server, struct admin_response *answer)
{
    struct strbuf hint;
    strbuf_init(&hint, 1024);
    strbuf_append(&hint, "there are");
    for (const struct admin_route *route = server->routes; route->path != NULL; route++)
        strbuf_printf(&hint, "%s %s", route == server->routes ? "" : ",", route->path);
    admin_response_error(answer, MHD_HTTP_NOT_FOUND, "no such path", strbuf_text(&hint));
    strbuf_done(&hint);
}

static enum MHD_Result answer_get(struct admin_server *server, struct MHD_Connection *connection, const char *path)
{
    const struct admin_request request = {connection};
    const struct admin_route *route = find_route(server, path);
    struct admin_response answer = {.status = MHD_HTTP_OK, .content_type = "text/plain; charset=utf-8"};
    strbuf_init(&answer.body, BODY_BYTES);
    if (route == NULL)
        answer_not_found(server, &answer);
    else
        route->serve(server->context, &request, &answer);
    enum MHD_Result result = send_answer(connection, &answer);
    strbuf_done(&answer.body);
    return result;
}

static enum MHD_Result answer_method(struct MHD_Connection *connection)
{
    struct admin_response answer = {0};
    strbuf_init(&answer.body, 1024);
    admin_response_error(&answer, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD are answered",
                         "nothing can be changed here: change the Link, or the annotations of the exported service");
    enum MHD_Result result = send_answer(connection, &answer);
    strbuf_done(&answer.body);
    return result;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_bytes, void **request)
{
    static char seen; /* only its address means something */
    (void)version;
    (void)upload;
    bool reads = strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
    if (*request == NULL) { /* the headers are there */
        *request = &seen;
        return reads ? MHD_YES : answer_method(connection); /* before its body, which nobody reads */
    }
    if (*upload_bytes > 0) {
        *upload_bytes = 0; /* a GET with a body: it says nothing to us */
        return MHD_YES;
    }
    return answer_get(context, connection, url);
}

/* ---- on the loop ---- */

static void run(struct admin_server *server)
{
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;
    (void)MHD_run(server->daemon);
    if (MHD_get_timeout(server->daemon, &wait_ms) == MHD_YES)
        loop_timer_start(server->timer, wait_ms);
    else
        loop_timer_stop(server->timer);
}

static void on_ready(void *context, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    run(context);
}

static void on_timer(void *context) { run(context); }

/* ---- coming and going ---- */

/* @return the daemon's own epoll set, -1 when it does not start. Takes `fd` on success. */
static int start_daemon(struct admin_server *server, int fd)
{
    server->daemon =
        MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, server, MHD_OPTION_LISTEN_SOCKET, fd,
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_CONNECTIONS, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
                         (unsigned)MAX_CONNECTIONS_OF_ONE, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_BYTES, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        server->daemon != NULL ? MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (server->daemon == NULL)
        (void)close(fd);
    return info != NULL ? info->epoll_fd : -1;
}

enum err_code admin_server_new(struct loop *loop, const char *address, const struct admin_route *routes, void *context,
                               struct admin_server **ret_server, struct err *reterr)
{
    struct listener_address where;
    int fd = -1;
    TRY(listener_parse(address, &where, reterr));
    TRY(listener_open(&where, &fd, reterr));
    struct admin_server *server = NEW(struct admin_server);
    if (server == NULL) {
        (void)close(fd);
        return err_set(reterr, ERR_NOMEM, "out of memory");
    }
    *server = (struct admin_server){.loop = loop, .routes = routes, .context = context, .port = listener_port(fd)};
    server->io = loop_io_new(loop, on_ready, server);
    server->timer = loop_timer_new(loop, on_timer, server);
    int epoll_fd = start_daemon(server, fd);
    if (server->io == NULL || server->timer == NULL || epoll_fd < 0) {
        admin_server_free(server);
        return err_set(reterr, ERR_NOMEM, "the admin server does not start: out of memory or of file descriptors");
    }
    loop_io_start(server->io, epoll_fd, LOOP_READ);
    *ret_server = server;
    return ERR_OK;
}

void admin_server_free(struct admin_server *server)
{
    if (server == NULL)
        return;
    loop_io_free(server->io);
    loop_timer_free(server->timer);
    if (server->daemon != NULL)
        MHD_stop_daemon(server->daemon);
    mem_free(server);
}

uint16_t admin_server_port(const struct admin_server *server) { return server->port; }
