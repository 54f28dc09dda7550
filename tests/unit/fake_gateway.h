/* A gateway for tests: an HTTP server on the test's own loop that answers, or fails, as it is told. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/loop/loop.h"

enum { FAKE_CONNECTIONS = 64 };

enum fake_end {
    FAKE_KEEP,  /* the connection stays open after the answer */
    FAKE_CLOSE, /* FIN after the answer */
    FAKE_RESET, /* RST after the answer */
};

struct fake_connection {
    struct fake_gateway *gateway;
    int fd; /* -1: free */
    struct loop_io *io;
    struct loop_timer *timer;
    unsigned requests;
    uint16_t peer_port;
    char request[2048]; /* as far as it came; the next one starts at 0 */
    size_t request_bytes, sent_bytes;
};

struct fake_gateway {
    struct loop *loop;
    int listen_fd; /* -1: nothing listens */
    bool v6;
    uint16_t port;
    struct loop_io *io;
    /* What it does; may be changed at any time. */
    const char *answer;   /* NULL: none */
    size_t answer_repeat; /* the last byte of the answer is sent so many more times */
    uint32_t delay_ms;    /* before it answers or ends */
    enum fake_end end;
    const char *greeting;    /* sent to each new connection */
    unsigned end_at_request; /* from this request of a connection on: no answer, only `end`; 0: off */
    const char *to_tls;      /* what a connection that begins with a TLS handshake gets, before FIN; "": nothing */
    size_t to_tls_bytes;
    /* What it saw. */
    unsigned accepted, requests;
    uint16_t last_port; /* the prober's */
    char last_request[2048];
    struct fake_connection connections[FAKE_CONNECTIONS];
};

#define FAKE_OK                                                                                                        \
    "HTTP/1.1 200 OK\r\nserver: envoy\r\nx-envoy-upstream-service-time: 1\r\ncontent-length: 32\r\n\r\n"               \
    "Ambassador is ready and waiting\n"

/** Listens on a free port of the loopback address. */
void fake_gateway_init(struct fake_gateway *gateway, struct loop *loop, bool v6);
void fake_gateway_done(struct fake_gateway *gateway);
/** The process ends: nothing listens, all connections get FIN or RST. */
void fake_gateway_stop(struct fake_gateway *gateway, enum fake_end end);
/** Listens on the same port again. */
void fake_gateway_start(struct fake_gateway *gateway);
/** The network swallows every packet to it (and so what it answers); and lets them through again. */
void fake_gateway_black_hole(struct fake_gateway *gateway, bool on);
/** Connections that nobody closed. */
unsigned fake_gateway_open(const struct fake_gateway *gateway);
/** Sends bytes that nobody asked for over every connection. */
void fake_gateway_blurt(const struct fake_gateway *gateway, const char *text);
void fake_gateway_end_connections(struct fake_gateway *gateway, enum fake_end end);
