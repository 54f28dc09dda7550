#include "agent/admin/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"

enum {
    MAX_CONNECTIONS = 128,
    IDLE_S = 15,
    CONNECTION_BYTES = 32 << 10,
    BODY_BYTES = 256 << 20, /* /api/v1/services of very many services */
    BACKLOG = 64,
};

struct admin_server {
    struct loop *loop;
    struct MHD_Daemon *daemon;
    struct loop_io *io;
    struct loop_timer *timer;
    admin_handler_fn handler;
    void *context;
};

/* ---- answering ---- */

static void add_headers(struct MHD_Response *response, const char *content_type) {
    (void)MHD_add_response_header(response, "Content-Type", content_type);
    (void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    (void)MHD_add_response_header(response, "Cache-Control", "no-store");
    (void)MHD_add_response_header(response, "Content-Security-Policy",
                                  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    (void)MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
}

static enum MHD_Result reply(struct MHD_Connection *connection, struct admin_response *answer) {
    if (strbuf_error(&answer->body) != ERR_OK) {
        strbuf_done(&answer->body);
        return MHD_NO; /* closes the connection: nothing true can be said */
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer(answer->body.length, (void *)(uintptr_t)strbuf_text(&answer->body), MHD_RESPMEM_MUST_COPY);
    strbuf_done(&answer->body);
    if (response == NULL)
        return MHD_NO;
    add_headers(response, answer->content_type);
    if (answer->status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(response, "Allow", "GET, HEAD");
    enum MHD_Result result = MHD_queue_response(connection, answer->status, response);
    MHD_destroy_response(response);
    return result;
}

static void refuse(struct admin_response *answer, unsigned status, const char *message) {
    strbuf_clear(&answer->body);
    answer->status = status;
    answer->content_type = "application/json";
    strbuf_printf(&answer->body, "{\"error\":\"%s\"}\n", message);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
                                  const char *upload, size_t *upload_bytes, void **request) {
    (void)version;
    (void)upload;
    static const char seen;
    struct admin_server *server = context;
    if (*request == NULL) { /* headers only: the answer waits for the end of the request */
        *request = (void *)(uintptr_t)&seen;
        return MHD_YES;
    }
    *upload_bytes = 0; /* a body is not wanted and not looked at */
    struct admin_response answer = {.status = MHD_HTTP_OK, .content_type = "text/plain; charset=utf-8"};
    strbuf_init(&answer.body, BODY_BYTES);
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        refuse(&answer, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD are answered here");
    else if (!server->handler(server->context, url, &answer))
        refuse(&answer, MHD_HTTP_NOT_FOUND,
               "no such path: there are /metrics, /live, /ready, /ping, /api/v1/gateways, /api/v1/links, /api/v1/services and /");
    return reply(connection, &answer);
}

/* ---- on the loop ---- */

static void run(struct admin_server *server) {
    (void)MHD_run(server->daemon);
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;
    if (MHD_get_timeout(server->daemon, &wait_ms) == MHD_YES)
        loop_timer_start(server->timer, wait_ms);
    else
        loop_timer_stop(server->timer);
}

static void on_ready(void *context, int fd, unsigned events) {
    (void)fd;
    (void)events;
    run(context);
}

static void on_timer(void *context) {
    run(context);
}

/* ---- listening ---- */

struct endpoint {
    char host[64];
    uint16_t port;
    enum ip_family family; /* IP_NONE: all addresses of both families */
};

static enum err_code parse_address(const char *address, struct endpoint *endpoint, struct err *reterr) {
    const char *colon = strrchr(address, ':');
    uint64_t port = 0;
    struct err ignored = {0};
    char host[64], canonical[TEXT_IP_BYTES];
    size_t length = colon != NULL ? (size_t)(colon - address) : 0;
    if (colon == NULL || length >= sizeof(host) || text_parse_u64(colon + 1, 0, 65535, "port", &port, &ignored) != ERR_OK)
        return err_set(reterr, ERR_INVALID, "\"%.100s\" is not an address: write :9999, 127.0.0.1:9999 or [::1]:9999", address);
    memcpy(host, address, length);
    host[length] = '\0';
    bool bracketed = length > 2 && host[0] == '[' && host[length - 1] == ']';
    if (bracketed) {
        memmove(host, host + 1, length - 2);
        host[length - 2] = '\0';
    }
    *endpoint = (struct endpoint){.port = (uint16_t)port};
    if (length == 0)
        return ERR_OK;
    if (strcmp(host, "localhost") == 0)
        (void)snprintf(host, sizeof(host), "127.0.0.1");
    endpoint->family = text_parse_ip(host, canonical);
    if (endpoint->family == IP_NONE)
        return err_set(reterr, ERR_INVALID, "\"%.100s\" is not an address: write :9999, 127.0.0.1:9999 or [::1]:9999", address);
    (void)snprintf(endpoint->host, sizeof(endpoint->host), "%s", canonical);
    return ERR_OK;
}

static socklen_t fill_socket_address(const struct endpoint *endpoint, bool v6, struct sockaddr_storage *storage) {
    memset(storage, 0, sizeof(*storage));
    if (!v6) {
        struct sockaddr_in *in = (struct sockaddr_in *)storage;
        in->sin_family = AF_INET;
        in->sin_port = htons(endpoint->port);
        if (endpoint->host[0] != '\0')
            (void)inet_pton(AF_INET, endpoint->host, &in->sin_addr);
        return sizeof(*in);
    }
    struct sockaddr_in6 *in = (struct sockaddr_in6 *)storage;
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(endpoint->port);
    if (endpoint->host[0] != '\0')
        (void)inet_pton(AF_INET6, endpoint->host, &in->sin6_addr);
    return sizeof(*in);
}

static int open_socket(const struct endpoint *endpoint, bool v6) {
    const int on = 1, off = 0;
    struct sockaddr_storage address;
    socklen_t length = fill_socket_address(endpoint, v6, &address);
    int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (v6 && endpoint->family == IP_NONE)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, (const struct sockaddr *)&address, length) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int error = errno;
    (void)close(fd);
    errno = error;
    return -1;
}

static enum err_code open_listener(const char *address, int *ret_fd, struct err *reterr) {
    struct endpoint endpoint;
    TRY(parse_address(address, &endpoint, reterr));
    *ret_fd = open_socket(&endpoint, endpoint.family != IP_V4);
    if (*ret_fd < 0 && endpoint.family == IP_NONE && errno != EADDRINUSE && errno != EACCES)
        *ret_fd = open_socket(&endpoint, false); /* a host without IPv6 */
    if (*ret_fd < 0)
        return err_set(reterr, ERR_IO, "cannot listen on %s: %s: choose another with --admin-addr", address, strerror(errno));
    return ERR_OK;
}

enum err_code admin_server_new(struct loop *loop, const char *address, admin_handler_fn handler, void *context,
                               struct admin_server **ret_server, struct err *reterr) {
    int listener = -1;
    TRY(open_listener(address, &listener, reterr));
    struct admin_server *server = NEW(struct admin_server);
    if (server == NULL) {
        (void)close(listener);
        return err_set(reterr, ERR_NOMEM, "out of memory");
    }
    server->loop = loop;
    server->handler = handler;
    server->context = context;
    server->io = loop_io_new(loop, on_ready, server);
    server->timer = loop_timer_new(loop, on_timer, server);
    server->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, server, MHD_OPTION_LISTEN_SOCKET, listener,
                                      MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
                                      MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_END);
    const union MHD_DaemonInfo *info = server->daemon != NULL ? MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (server->daemon == NULL)
        (void)close(listener);
    if (server->io == NULL || server->timer == NULL || info == NULL) {
        admin_server_free(server);
        return err_set(reterr, ERR_NOMEM, "the admin server does not start");
    }
    loop_io_start(server->io, info->epoll_fd, LOOP_READ);
    *ret_server = server;
    return ERR_OK;
}

void admin_server_free(struct admin_server *server) {
    if (server == NULL)
        return;
    loop_io_free(server->io);
    loop_timer_free(server->timer);
    if (server->daemon != NULL)
        MHD_stop_daemon(server->daemon);
    mem_free(server);
}
