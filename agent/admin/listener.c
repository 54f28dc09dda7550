#include "agent/admin/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 64 };

static enum err_code refuse(const char *text, struct err *reterr)
{
    return err_set(reterr, ERR_INVALID,
                   "\"%.100s\" is not an address to listen on: write :9999, 127.0.0.1:9999 or [::1]:9999", text);
}

enum err_code listener_parse(const char *text, struct listener_address *ret_address, struct err *reterr)
{
    const char *colon = strrchr(text, ':');
    uint64_t port = 0;
    char host[TEXT_IP_BYTES + 2];
    struct listener_address address = {0};
    if (colon == NULL || text_parse_u64(colon + 1, 0, UINT16_MAX, "port", &port, NULL) != ERR_OK)
        return refuse(text, reterr);
    size_t length = (size_t)(colon - text);
    if (length >= sizeof(host))
        return refuse(text, reterr);
    memcpy(host, text, length);
    host[length] = '\0';
    bool bracketed = length > 2 && host[0] == '[' && host[length - 1] == ']';
    if (bracketed) {
        host[length - 1] = '\0';
        memmove(host, host + 1, length - 1);
    }
    address.port = (uint16_t)port;
    if (strcmp(host, "localhost") == 0) {
        (void)snprintf(address.host, sizeof(address.host), "127.0.0.1");
    } else if (host[0] != '\0') {
        enum ip_family family = text_parse_ip(host, address.host);
        /* ::1:80 could mean two things: IPv6 wants its brackets, and only IPv6. */
        if (family == IP_NONE || bracketed != (strchr(host, ':') != NULL))
            return refuse(text, reterr);
    }
    *ret_address = address;
    return ERR_OK;
}

/* ---- sockets ---- */

union socket_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage storage;
};

static socklen_t fill(const struct listener_address *address, bool v6, union socket_address *to)
{
    *to = (union socket_address){0};
    if (v6) {
        to->v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(address->port)};
        (void)inet_pton(AF_INET6, address->host, &to->v6.sin6_addr); /* "" leaves in6addr_any */
        return sizeof(to->v6);
    }
    to->v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(address->port)};
    (void)inet_pton(AF_INET, address->host, &to->v4.sin_addr);
    return sizeof(to->v4);
}

/* @return a listening socket, or -1 with errno. */
static int open_socket(const struct listener_address *address, bool v6)
{
    const int on = 1, off = 0;
    union socket_address name;
    socklen_t length = fill(address, v6, &name);
    int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    /* A restart must not wait for the connections of the process before. */
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (v6 && address->host[0] == '\0')
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)); /* whatever bindv6only says */
    if (bind(fd, &name.any, length) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int error = errno;
    (void)close(fd);
    errno = error;
    return -1;
}

static const char *remedy(int error)
{
    switch (error) {
    case EADDRINUSE:
        return "another process listens there; choose another address with --admin-addr, or end that process";
    case EADDRNOTAVAIL:
        return "this host does not have that address; :PORT listens on all that it has";
    case EACCES:
        return "ports below 1024 need a privilege; choose a higher one with --admin-addr";
    default:
        return "choose another address with --admin-addr";
    }
}

enum err_code listener_open(const struct listener_address *address, int *ret_fd, struct err *reterr)
{
    bool all = address->host[0] == '\0';
    int fd = open_socket(address, all || strchr(address->host, ':') != NULL);
    if (fd < 0 && all && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL))
        fd = open_socket(address, false);
    if (fd < 0) {
        int error = errno;
        bool v6 = strchr(address->host, ':') != NULL;
        return err_set(reterr, ERR_IO, "cannot listen on %s%s%s:%u: %s: %s", v6 ? "[" : "", address->host,
                       v6 ? "]" : "", address->port, strerror(error), remedy(error));
    }
    *ret_fd = fd;
    return ERR_OK;
}

uint16_t listener_port(int fd)
{
    union socket_address name = {0};
    socklen_t length = sizeof(name);
    if (getsockname(fd, &name.any, &length) != 0)
        return 0;
    return ntohs(name.any.sa_family == AF_INET6 ? name.v6.sin6_port : name.v4.sin_port);
}
