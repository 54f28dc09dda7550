/* An HTTP server for tests, plain or TLS, on the test's own loop. It reads requests whole and answers them as the test says;
 * it can also pretend to be a proxy that leads to itself. */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/loop/loop.h"

enum { FAKE_SERVER_CONNECTIONS = 128, FAKE_SERVER_REQUEST_BYTES = 128 << 10 };

/* --- certificates --- */

struct fake_certificate {
    char certificate[4096], key[1024];
};

/** A root that signs others. */
void fake_certificate_root(struct fake_certificate *root, const char *name);
/** @param names  as OpenSSL writes a subjectAltName: "DNS:a,IP:127.0.0.1"; NULL: a client's. @param days  from now that it
 *  is valid; negative: expired. */
void fake_certificate_sign(const struct fake_certificate *root, const char *name, const char *names, int days,
                           struct fake_certificate *made);

/* --- the server --- */

struct fake_server_connection {
    struct fake_server *server;
    int fd; /* -1: free */
    struct loop_io *io;
    SSL *ssl;
    bool handshaken;
    unsigned proxy_step;
    unsigned requests;
    char *request; /* as far as it came */
    size_t request_bytes;
    const char *unsent;
    size_t unsent_bytes;
};

enum fake_server_proxy { FAKE_NO_PROXY, FAKE_HTTP_PROXY, FAKE_SOCKS_PROXY };

struct fake_server {
    struct loop *loop;
    struct loop_io *io;
    int listen_fd; /* -1: nothing listens */
    bool v6;
    uint16_t port;
    SSL_CTX *tls; /* NULL: plain */
    struct fake_server_connection connections[FAKE_SERVER_CONNECTIONS];
    /* What it does; may be changed at any time. */
    void (*on_request)(struct fake_server_connection *connection, void *context); /* NULL: sends `answer` */
    void *context;
    const char *answer;
    enum fake_server_proxy proxy;
    const char *greeting; /* sent to each new connection, in the clear; NULL: none */
    bool deaf;            /* accepts, and says nothing to a TLS handshake or to a proxy's client */
    /* What it saw. */
    unsigned accepted, requests, resumed;
    char last_request[4096]; /* its beginning */
    size_t last_body_bytes;
    char server_name[256], client_name[256], proxy_target[256], proxy_request[2048];
};

#define FAKE_SERVER_OK "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"

/** Listens on a free port of the loopback address. */
void fake_server_init(struct fake_server *server, struct loop *loop, bool v6);
/** From now on TLS. @param clients  who must have signed the client's certificate; NULL: none is asked for. */
void fake_server_use_tls(struct fake_server *server, const struct fake_certificate *own,
                         const struct fake_certificate *clients);
void fake_server_done(struct fake_server *server);
/** The process ends, and its connections with it. */
void fake_server_stop(struct fake_server *server, bool reset);
/** Listens on the same port again. */
void fake_server_start(struct fake_server *server);
/** The network swallows every packet to it. */
void fake_server_black_hole(struct fake_server *server, bool on);
unsigned fake_server_open(const struct fake_server *server);

/** Sends now, or as soon as the client reads; `bytes` must stay. One at a time for each connection. */
void fake_server_send_bytes(struct fake_server_connection *connection, const char *bytes, size_t count);
void fake_server_send(struct fake_server_connection *connection, const char *text);
void fake_server_end(struct fake_server_connection *connection, bool reset);
/** All open ones. */
void fake_server_end_connections(struct fake_server *server, bool reset);
