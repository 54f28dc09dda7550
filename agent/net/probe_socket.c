#include "agent/net/probe_socket.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h> /* glibc's own lacks the newer fields of struct tcp_info */
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "agent/net/probe.h"
#include "base/mem.h"

enum {
    KEEPALIVE_IDLE_S = 1, /* the smallest that the kernel offers */
    KEEPALIVE_INTERVAL_S = 1,
    /* One unanswered is news enough: it only brings a verifying probe. With TCP_USER_TIMEOUT set, Linux goes by that
     * instead and ends the connection at the second keep-alive, 2 s after the peer went silent. */
    KEEPALIVE_COUNT = 1,
};

int probe_socket_open(int family, int type, int protocol)
{
    const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, PROBE_SILENCE_MS},
        {IPPROTO_TCP, TCP_NODELAY, 1},
    };
    int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    /* A kernel without one of them finds a silent peer later, by the period. */
    for (size_t i = 0; fd >= 0 && i < ARRAY_COUNT(options); i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
    return fd;
}

static bool is_ready(int fd, short events)
{
    struct pollfd wish = {.fd = fd, .events = events};
    return poll(&wish, 1, 0) > 0;
}

bool probe_socket_connecting(int fd) { return !is_ready(fd, POLLOUT); }

bool probe_socket_readable(int fd) { return is_ready(fd, POLLIN); }

bool probe_socket_unacknowledged(int fd)
{
    int bytes = 0;
    return ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0;
}

/* Fields that an older kernel does not know stay 0. */
static struct tcp_info info_of(int fd)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof(info);
    (void)getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
    return info;
}

uint32_t probe_socket_rtt_ms(int fd) { return info_of(fd).tcpi_rtt / 1000; }

uint64_t probe_socket_received_bytes(int fd) { return info_of(fd).tcpi_bytes_received; }

uint16_t probe_socket_local_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {0};
    socklen_t length = sizeof(address);
    if (getsockname(fd, &address.any, &length) != 0)
        return 0;
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

const char *probe_socket_how_ended(int fd)
{
    int error = 0;
    socklen_t length = sizeof(error);
    (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    switch (error) {
    case 0:
        return "closed";
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return "silent";
    default:
        return "reset";
    }
}

void probe_socket_end(int fd)
{
    char waste[4096];
    (void)shutdown(fd, SHUT_RDWR);
    /* Bytes that wait would be taken for the next answer. The bound is that of a default receive buffer. */
    for (unsigned i = 0; i < 64 && recv(fd, waste, sizeof(waste), MSG_DONTWAIT) > 0; i++)
        ;
}
