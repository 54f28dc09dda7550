/* A client for tests of the admin server: one request over a real socket, on the loop that the server is on too. */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/admin/server.h"
#include "agent/loop/loop.h"
#include "base/strbuf.h"

struct admin_client {
    struct loop *loop;
    struct loop_io *io;
    struct loop_timer *timer;
    struct strbuf reply;
    const char *request;
    size_t sent;
    int fd;
    bool timed_out;
};

enum { ADMIN_CLIENT_MS = 60000 };

static void admin_client_on_timer(void *context)
{
    struct admin_client *client = context;
    client->timed_out = true;
    loop_stop(client->loop);
}

static void admin_client_on_io(void *context, int fd, unsigned events)
{
    struct admin_client *client = context;
    char piece[4096];
    if ((events & LOOP_WRITE) != 0) {
        ssize_t sent = send(fd, client->request + client->sent, strlen(client->request + client->sent), MSG_NOSIGNAL);
        client->sent += sent > 0 ? (size_t)sent : 0;
        if (client->request[client->sent] == '\0' || (sent < 0 && errno != EAGAIN))
            loop_io_start(client->io, fd, LOOP_READ);
    }
    if ((events & LOOP_READ) == 0)
        return;
    ssize_t bytes = recv(fd, piece, sizeof(piece), 0);
    if (bytes > 0)
        strbuf_append_bytes(&client->reply, piece, (size_t)bytes);
    else if (bytes == 0 || errno != EAGAIN)
        loop_stop(client->loop);
}

static int admin_client_connect(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0)
        fail_msg("connect: %s", strerror(errno));
    int nodelay = 1; /* a request in two pieces arrives in two pieces */
    (void)setsockopt(fd, IPPROTO_TCP, 1, &nodelay, sizeof(nodelay));
    return fd;
}

/** Sends `request` as it is and collects what comes until the server closes.
 *  @return the whole reply, new (mem_free); fails the test when the server does not close. */
static inline char *admin_client_send(struct loop *loop, const struct admin_server *server, const char *request)
{
    struct admin_client client = {.loop = loop,
                                  .request = request,
                                  .fd = admin_client_connect(admin_server_port(server))};
    strbuf_init(&client.reply, 64 << 20);
    client.io = loop_io_new(loop, admin_client_on_io, &client);
    client.timer = loop_timer_new(loop, admin_client_on_timer, &client);
    assert_non_null(client.timer);
    loop_io_start(client.io, client.fd, LOOP_READ | LOOP_WRITE);
    loop_timer_start(client.timer, ADMIN_CLIENT_MS);
    loop_run(loop);
    loop_io_free(client.io);
    loop_timer_free(client.timer);
    (void)close(client.fd);
    if (client.timed_out)
        fail_msg("the server did not close the connection; until now it sent: %s", strbuf_text(&client.reply));
    return strbuf_take(&client.reply);
}

static inline char *admin_client_get(struct loop *loop, const struct admin_server *server, const char *path)
{
    char request[512];
    (void)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
    return admin_client_send(loop, server, request);
}

/** @return what follows the headers, borrowed. */
static inline const char *admin_client_body(const char *reply)
{
    const char *end = strstr(reply, "\r\n\r\n");
    if (end == NULL)
        fail_msg("no end of headers in: %s", reply);
    return end + 4;
}
