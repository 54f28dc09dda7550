#include "fake_gateway.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static void end_connection(struct fake_connection *connection, enum fake_end end)
{
    if (connection->fd < 0)
        return;
    if (end == FAKE_RESET)
        (void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
    loop_io_stop(connection->io);
    loop_timer_stop(connection->timer);
    (void)close(connection->fd);
    connection->fd = -1;
}

static void send_repeated(struct fake_connection *connection);

static void after_answer(struct fake_connection *connection)
{
    if (connection->gateway->end != FAKE_KEEP)
        end_connection(connection, connection->gateway->end);
    else
        loop_io_start(connection->io, connection->fd, LOOP_READ);
}

static void send_repeated(struct fake_connection *connection)
{
    struct fake_gateway *gateway = connection->gateway;
    char block[8192];
    memset(block, gateway->answer[strlen(gateway->answer) - 1], sizeof(block));
    while (connection->sent_bytes < gateway->answer_repeat) {
        size_t left = gateway->answer_repeat - connection->sent_bytes;
        ssize_t sent =
            send(connection->fd, block, left < sizeof(block) ? left : sizeof(block), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent <= 0) {
            loop_io_start(connection->io, connection->fd, LOOP_READ | LOOP_WRITE);
            return;
        }
        connection->sent_bytes += (size_t)sent;
    }
    after_answer(connection);
}

static void answer(void *context)
{
    struct fake_connection *connection = context;
    struct fake_gateway *gateway = connection->gateway;
    bool mute = gateway->end_at_request != 0 && connection->requests >= gateway->end_at_request;
    connection->sent_bytes = 0;
    if (mute || gateway->answer == NULL) {
        after_answer(connection);
        return;
    }
    (void)send(connection->fd, gateway->answer, strlen(gateway->answer), MSG_NOSIGNAL);
    send_repeated(connection);
}

static void take_request(struct fake_connection *connection)
{
    struct fake_gateway *gateway = connection->gateway;
    memcpy(gateway->last_request, connection->request, connection->request_bytes + 1);
    gateway->last_port = connection->peer_port;
    gateway->requests++;
    connection->requests++;
    connection->request_bytes = 0;
    if (gateway->delay_ms > 0)
        loop_timer_start(connection->timer, gateway->delay_ms);
    else
        answer(connection);
}

static void on_connection(void *context, int fd, unsigned events)
{
    struct fake_connection *connection = context;
    struct fake_gateway *gateway = connection->gateway;
    char *end = connection->request + connection->request_bytes;
    ssize_t got = recv(fd, end, sizeof(connection->request) - 1 - connection->request_bytes, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        end_connection(connection, FAKE_CLOSE);
        return;
    }
    if (got < 0) {
        if (events & LOOP_WRITE)
            send_repeated(connection);
        return;
    }
    connection->request_bytes += (size_t)got;
    connection->request[connection->request_bytes] = '\0';
    if (connection->request[0] == 0x16 && gateway->to_tls != NULL) {
        (void)send(fd, gateway->to_tls, gateway->to_tls_bytes, MSG_NOSIGNAL);
        end_connection(connection, FAKE_CLOSE);
    } else if (strstr(connection->request, "\r\n\r\n") != NULL) {
        take_request(connection);
    }
}

static uint16_t port_of(const union address *address)
{
    return ntohs(address->any.sa_family == AF_INET6 ? address->v6.sin6_port : address->v4.sin_port);
}

static void on_accept(void *context, int fd, unsigned events)
{
    (void)events;
    struct fake_gateway *gateway = context;
    union address peer = {0};
    socklen_t length = sizeof(peer);
    int accepted = accept4(fd, &peer.any, &length, SOCK_CLOEXEC);
    if (accepted < 0)
        return;
    for (size_t i = 0; i < FAKE_CONNECTIONS; i++) {
        struct fake_connection *connection = &gateway->connections[i];
        if (connection->fd >= 0)
            continue;
        connection->fd = accepted;
        connection->peer_port = port_of(&peer);
        connection->requests = 0;
        connection->request_bytes = 0;
        loop_io_start(connection->io, accepted, LOOP_READ);
        gateway->accepted++;
        if (gateway->greeting != NULL)
            (void)send(accepted, gateway->greeting, strlen(gateway->greeting), MSG_NOSIGNAL);
        return;
    }
    fail_msg("more than %d connections", FAKE_CONNECTIONS);
}

void fake_gateway_start(struct fake_gateway *gateway)
{
    union address address = {0};
    socklen_t length = gateway->v6 ? sizeof(address.v6) : sizeof(address.v4);
    if (gateway->v6)
        address.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
                                           .sin6_port = htons(gateway->port),
                                           .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    else
        address.v4 = (struct sockaddr_in){.sin_family = AF_INET,
                                          .sin_port = htons(gateway->port),
                                          .sin_addr = {htonl(INADDR_LOOPBACK)}};
    gateway->listen_fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)setsockopt(gateway->listen_fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(gateway->listen_fd, &address.any, length) != 0 || listen(gateway->listen_fd, 64) != 0) {
        (void)close(gateway->listen_fd);
        gateway->listen_fd = -1;
        return;
    }
    (void)getsockname(gateway->listen_fd, &address.any, &length);
    gateway->port = port_of(&address);
    loop_io_start(gateway->io, gateway->listen_fd, LOOP_READ);
}

void fake_gateway_init(struct fake_gateway *gateway, struct loop *loop, bool v6)
{
    *gateway = (struct fake_gateway){.loop = loop, .v6 = v6, .answer = FAKE_OK, .to_tls = ""};
    /* All at once: a test that makes allocations fail means the prober's. */
    for (size_t i = 0; i < FAKE_CONNECTIONS; i++) {
        struct fake_connection *connection = &gateway->connections[i];
        *connection = (struct fake_connection){.gateway = gateway, .fd = -1};
        connection->io = loop_io_new(loop, on_connection, connection);
        connection->timer = loop_timer_new(loop, answer, connection);
    }
    gateway->io = loop_io_new(loop, on_accept, gateway);
    fake_gateway_start(gateway);
}

void fake_gateway_end_connections(struct fake_gateway *gateway, enum fake_end end)
{
    for (size_t i = 0; i < FAKE_CONNECTIONS; i++)
        end_connection(&gateway->connections[i], end);
}

void fake_gateway_stop(struct fake_gateway *gateway, enum fake_end end)
{
    loop_io_stop(gateway->io);
    if (gateway->listen_fd >= 0)
        (void)close(gateway->listen_fd);
    gateway->listen_fd = -1;
    fake_gateway_end_connections(gateway, end);
}

void fake_gateway_done(struct fake_gateway *gateway)
{
    fake_gateway_stop(gateway, FAKE_CLOSE);
    loop_io_free(gateway->io);
    for (size_t i = 0; i < FAKE_CONNECTIONS; i++) {
        loop_io_free(gateway->connections[i].io);
        loop_timer_free(gateway->connections[i].timer);
    }
}

/* A socket filter that lets nothing pass makes the kernel drop segments before TCP sees them: nothing is acknowledged, not
 * even a SYN, and no privilege is needed. */
static void black_hole(int fd, bool on)
{
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {.len = 1, .filter = &nothing};
    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, on ? SO_ATTACH_FILTER : SO_DETACH_FILTER, &program, sizeof(program));
}

void fake_gateway_black_hole(struct fake_gateway *gateway, bool on)
{
    black_hole(gateway->listen_fd, on);
    for (size_t i = 0; i < FAKE_CONNECTIONS; i++)
        black_hole(gateway->connections[i].fd, on);
}

unsigned fake_gateway_open(const struct fake_gateway *gateway)
{
    unsigned open = 0;
    for (size_t i = 0; i < FAKE_CONNECTIONS; i++)
        open += gateway->connections[i].fd >= 0;
    return open;
}

void fake_gateway_blurt(const struct fake_gateway *gateway, const char *text)
{
    for (size_t i = 0; i < FAKE_CONNECTIONS; i++)
        if (gateway->connections[i].fd >= 0)
            (void)send(gateway->connections[i].fd, text, strlen(text), MSG_NOSIGNAL);
}
