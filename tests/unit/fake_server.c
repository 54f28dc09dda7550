#include "fake_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* --- certificates --- */

static void take_text(BIO *bio, char *buffer, size_t bytes)
{
    char *data = NULL;
    long length = BIO_get_mem_data(bio, &data);
    assert_true(length > 0 && (size_t)length < bytes);
    memcpy(buffer, data, (size_t)length);
    buffer[length] = '\0';
    (void)BIO_free(bio);
}

static X509 *read_certificate(const struct fake_certificate *from)
{
    BIO *bio = BIO_new_mem_buf(from->certificate, -1);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    (void)BIO_free(bio);
    assert_non_null(certificate);
    return certificate;
}

static EVP_PKEY *read_key(const struct fake_certificate *from)
{
    BIO *bio = BIO_new_mem_buf(from->key, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    (void)BIO_free(bio);
    assert_non_null(key);
    return key;
}

static void add_extension(X509 *certificate, X509 *issuer, int what, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, what, value);
    assert_non_null(extension);
    (void)X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

static X509 *new_certificate(EVP_PKEY *key, const char *name, int days)
{
    static long serial = 1;
    X509 *certificate = X509_new();
    (void)X509_set_version(certificate, X509_VERSION_3);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    (void)X509_gmtime_adj(X509_getm_notBefore(certificate), -3600L * 24 * 30);
    (void)X509_gmtime_adj(X509_getm_notAfter(certificate), 3600L * 24 * days);
    (void)X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                                     (const unsigned char *)name, -1, -1, 0);
    (void)X509_set_pubkey(certificate, key);
    return certificate;
}

static void write_pem(struct fake_certificate *made, X509 *certificate, EVP_PKEY *key)
{
    BIO *text = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_X509(text, certificate), 1);
    take_text(text, made->certificate, sizeof(made->certificate));
    text = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey(text, key, NULL, NULL, 0, NULL, NULL), 1);
    take_text(text, made->key, sizeof(made->key));
}

void fake_certificate_root(struct fake_certificate *root, const char *name)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = new_certificate(key, name, 30);
    (void)X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(certificate, certificate, NID_subject_key_identifier, "hash");
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    write_pem(root, certificate, key);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

void fake_certificate_sign(const struct fake_certificate *root, const char *name, const char *names, int days,
                           struct fake_certificate *made)
{
    X509 *issuer = read_certificate(root);
    EVP_PKEY *issuer_key = read_key(root), *key = EVP_EC_gen("P-256");
    X509 *certificate = new_certificate(key, name, days);
    (void)X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
    add_extension(certificate, issuer, NID_basic_constraints, "CA:FALSE");
    if (names != NULL)
        add_extension(certificate, issuer, NID_subject_alt_name, names);
    assert_true(X509_sign(certificate, issuer_key, EVP_sha256()) > 0);
    write_pem(made, certificate, key);
    X509_free(certificate);
    X509_free(issuer);
    EVP_PKEY_free(key);
    EVP_PKEY_free(issuer_key);
}

/* --- connections --- */

void fake_server_end(struct fake_server_connection *connection, bool reset)
{
    if (connection->fd < 0)
        return;
    if (reset)
        (void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
    else if (connection->handshaken)
        (void)SSL_shutdown(connection->ssl);
    SSL_free(connection->ssl);
    connection->ssl = NULL;
    loop_io_stop(connection->io);
    (void)close(connection->fd);
    connection->fd = -1;
    free(connection->request);
    connection->request = NULL;
}

static bool wants_more(const struct fake_server_connection *connection, int result)
{
    if (connection->ssl == NULL)
        return result < 0 && errno == EAGAIN;
    int error = SSL_get_error(connection->ssl, result);
    ERR_clear_error();
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static void flush(struct fake_server_connection *connection)
{
    while (connection->unsent_bytes > 0) {
        int count = connection->unsent_bytes < 16384 ? (int)connection->unsent_bytes : 16384;
        int sent = connection->ssl != NULL
                       ? SSL_write(connection->ssl, connection->unsent, count)
                       : (int)send(connection->fd, connection->unsent, (size_t)count, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent <= 0) {
            if (!wants_more(connection, sent))
                fake_server_end(connection, true);
            break;
        }
        connection->unsent += sent;
        connection->unsent_bytes -= (size_t)sent;
    }
    if (connection->fd >= 0)
        loop_io_start(connection->io, connection->fd, LOOP_READ | (connection->unsent_bytes > 0 ? LOOP_WRITE : 0u));
}

void fake_server_send_bytes(struct fake_server_connection *connection, const char *bytes, size_t count)
{
    assert_int_equal(connection->unsent_bytes, 0);
    connection->unsent = bytes;
    connection->unsent_bytes = count;
    flush(connection);
}

void fake_server_send(struct fake_server_connection *connection, const char *text)
{
    fake_server_send_bytes(connection, text, strlen(text));
}

/* --- requests --- */

static size_t content_length(const char *head)
{
    const char *line = strcasestr(head, "\r\nContent-Length:");
    return line != NULL ? strtoul(line + 17, NULL, 10) : 0;
}

static void serve(struct fake_server_connection *connection)
{
    struct fake_server *server = connection->server;
    if (server->on_request != NULL)
        server->on_request(connection, server->context);
    else if (server->answer != NULL)
        fake_server_send(connection, server->answer);
}

/* @return whether a whole request was there. */
static bool take_request(struct fake_server_connection *connection)
{
    struct fake_server *server = connection->server;
    const char *end = connection->request_bytes > 0 ? strstr(connection->request, "\r\n\r\n") : NULL;
    if (end == NULL)
        return false;
    size_t head_bytes = (size_t)(end - connection->request) + 4, body_bytes = content_length(connection->request);
    if (connection->request_bytes < head_bytes + body_bytes)
        return false;
    (void)snprintf(server->last_request, sizeof(server->last_request), "%s", connection->request);
    server->last_body_bytes = body_bytes;
    server->requests++;
    connection->requests++;
    connection->request_bytes -= head_bytes + body_bytes;
    memmove(connection->request, connection->request + head_bytes + body_bytes, connection->request_bytes + 1);
    serve(connection);
    return true;
}

static int receive(struct fake_server_connection *connection, void *buffer, size_t bytes)
{
    if (connection->ssl != NULL)
        return SSL_read(connection->ssl, buffer, (int)bytes);
    return (int)recv(connection->fd, buffer, bytes, MSG_DONTWAIT);
}

static void read_requests(struct fake_server_connection *connection)
{
    while (connection->fd >= 0) {
        size_t room = FAKE_SERVER_REQUEST_BYTES - 1 - connection->request_bytes;
        int got = receive(connection, connection->request + connection->request_bytes, room);
        if (got <= 0) {
            if (!wants_more(connection, got))
                fake_server_end(connection, false);
            return;
        }
        connection->request_bytes += (size_t)got;
        connection->request[connection->request_bytes] = '\0';
        while (connection->fd >= 0 && take_request(connection))
            continue;
    }
}

/* --- proxies --- */

static bool read_some(struct fake_server_connection *connection, uint8_t *buffer, size_t bytes, size_t *ret_count)
{
    ssize_t got = recv(connection->fd, buffer, bytes, MSG_DONTWAIT);
    if (got == 0)
        fake_server_end(connection, false);
    *ret_count = got > 0 ? (size_t)got : 0;
    return got > 0;
}

/* @return whether the tunnel stands. The client sends nothing more until it is answered: no bytes of others are read. */
static bool step_http_proxy(struct fake_server_connection *connection)
{
    struct fake_server *server = connection->server;
    uint8_t text[2048];
    size_t count;
    if (!read_some(connection, text, sizeof(text) - 1, &count))
        return false;
    text[count] = '\0';
    (void)snprintf(server->proxy_request, sizeof(server->proxy_request), "%s", (const char *)text);
    if (sscanf((const char *)text, "CONNECT %255s", server->proxy_target) != 1)
        fail_msg("no CONNECT: %s", (const char *)text);
    static const char established[] = "HTTP/1.1 200 Connection established\r\nWarning: 299 - \"proxy\"\r\n\r\n";
    (void)send(connection->fd, established, strlen(established), MSG_NOSIGNAL);
    return true;
}

static bool step_socks_proxy(struct fake_server_connection *connection)
{
    struct fake_server *server = connection->server;
    uint8_t bytes[512];
    size_t count;
    if (!read_some(connection, bytes, sizeof(bytes), &count))
        return false;
    if (connection->proxy_step++ == 0) {
        (void)send(connection->fd, "\x05\x00", 2, MSG_NOSIGNAL);
        return false;
    }
    if (bytes[3] == 3)
        (void)snprintf(server->proxy_target, sizeof(server->proxy_target), "%.*s:%u", bytes[4], (const char *)bytes + 5,
                       (unsigned)bytes[5 + bytes[4]] << 8 | bytes[6 + bytes[4]]);
    else
        (void)snprintf(server->proxy_target, sizeof(server->proxy_target), "an address");
    (void)send(connection->fd, "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00", 10, MSG_NOSIGNAL);
    return true;
}

static bool pass_proxy(struct fake_server_connection *connection)
{
    struct fake_server *server = connection->server;
    if (connection->proxy_step == UINT32_MAX || server->proxy == FAKE_NO_PROXY)
        return true;
    bool stands = server->proxy == FAKE_HTTP_PROXY ? step_http_proxy(connection) : step_socks_proxy(connection);
    if (stands)
        connection->proxy_step = UINT32_MAX;
    return stands;
}

/* --- TLS --- */

static void note_peer(const struct fake_server_connection *connection)
{
    struct fake_server *server = connection->server;
    const char *name = SSL_get_servername(connection->ssl, TLSEXT_NAMETYPE_host_name);
    (void)snprintf(server->server_name, sizeof(server->server_name), "%s", name != NULL ? name : "");
    server->client_name[0] = '\0';
    X509 *client = SSL_get1_peer_certificate(connection->ssl);
    if (client != NULL)
        (void)X509_NAME_get_text_by_NID(X509_get_subject_name(client), NID_commonName, server->client_name,
                                        sizeof(server->client_name));
    X509_free(client);
    server->resumed += SSL_session_reused(connection->ssl) == 1;
}

static bool pass_handshake(struct fake_server_connection *connection)
{
    if (connection->server->tls == NULL || connection->handshaken)
        return true;
    if (connection->ssl == NULL) {
        connection->ssl = SSL_new(connection->server->tls);
        (void)SSL_set_fd(connection->ssl, connection->fd);
    }
    int result = SSL_accept(connection->ssl);
    if (result != 1) {
        if (!wants_more(connection, result))
            fake_server_end(connection, false);
        return false;
    }
    connection->handshaken = true;
    note_peer(connection);
    return true;
}

static void on_connection(void *context, int fd, unsigned events)
{
    (void)fd;
    struct fake_server_connection *connection = context;
    if (connection->server->deaf && !connection->handshaken) {
        loop_io_stop(connection->io);
        return;
    }
    if (events & LOOP_WRITE)
        flush(connection);
    if (connection->fd >= 0 && pass_proxy(connection) && pass_handshake(connection))
        read_requests(connection);
}

/* --- listening --- */

static void on_accept(void *context, int fd, unsigned events)
{
    (void)events;
    struct fake_server *server = context;
    int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (accepted < 0)
        return;
    for (size_t i = 0; i < FAKE_SERVER_CONNECTIONS; i++) {
        struct fake_server_connection *connection = &server->connections[i];
        if (connection->fd >= 0)
            continue;
        struct loop_io *io = connection->io;
        *connection = (struct fake_server_connection){.server = server, .fd = accepted, .io = io};
        connection->request = malloc(FAKE_SERVER_REQUEST_BYTES);
        assert_non_null(connection->request);
        loop_io_start(io, accepted, LOOP_READ);
        server->accepted++;
        if (server->greeting != NULL)
            (void)send(accepted, server->greeting, strlen(server->greeting), MSG_NOSIGNAL);
        return;
    }
    fail_msg("more than %d connections", FAKE_SERVER_CONNECTIONS);
}

void fake_server_start(struct fake_server *server)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET,
                             .sin_port = htons(server->port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                              .sin6_port = htons(server->port),
                              .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr *address = server->v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
    socklen_t length = server->v6 ? sizeof(v6) : sizeof(v4);
    server->listen_fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)setsockopt(server->listen_fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(server->listen_fd, address, length) != 0 || listen(server->listen_fd, 256) != 0) {
        (void)close(server->listen_fd);
        server->listen_fd = -1;
        return;
    }
    (void)getsockname(server->listen_fd, address, &length);
    server->port = ntohs(server->v6 ? v6.sin6_port : v4.sin_port);
    loop_io_start(server->io, server->listen_fd, LOOP_READ);
}

void fake_server_init(struct fake_server *server, struct loop *loop, bool v6)
{
    memset(server, 0, sizeof(*server));
    server->loop = loop;
    server->v6 = v6;
    server->answer = FAKE_SERVER_OK;
    /* All at once: a test that makes allocations fail means the client's. */
    for (size_t i = 0; i < FAKE_SERVER_CONNECTIONS; i++) {
        server->connections[i].fd = -1;
        server->connections[i].io = loop_io_new(loop, on_connection, &server->connections[i]);
    }
    server->io = loop_io_new(loop, on_accept, server);
    fake_server_start(server);
}

void fake_server_use_tls(struct fake_server *server, const struct fake_certificate *own,
                         const struct fake_certificate *clients)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    X509 *certificate = read_certificate(own);
    EVP_PKEY *key = read_key(own);
    assert_int_equal(SSL_CTX_use_certificate(tls, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(tls, key), 1);
    (void)SSL_CTX_set_session_id_context(tls, (const unsigned char *)"fake", 4);
    (void)SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (clients != NULL) {
        X509 *root = read_certificate(clients);
        assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(tls), root), 1);
        SSL_CTX_set_verify(tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        X509_free(root);
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
    SSL_CTX_free(server->tls);
    server->tls = tls;
}

void fake_server_end_connections(struct fake_server *server, bool reset)
{
    for (size_t i = 0; i < FAKE_SERVER_CONNECTIONS; i++)
        fake_server_end(&server->connections[i], reset);
}

void fake_server_stop(struct fake_server *server, bool reset)
{
    loop_io_stop(server->io);
    if (server->listen_fd >= 0)
        (void)close(server->listen_fd);
    server->listen_fd = -1;
    fake_server_end_connections(server, reset);
}

void fake_server_done(struct fake_server *server)
{
    fake_server_stop(server, false);
    loop_io_free(server->io);
    for (size_t i = 0; i < FAKE_SERVER_CONNECTIONS; i++)
        loop_io_free(server->connections[i].io);
    SSL_CTX_free(server->tls);
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

void fake_server_black_hole(struct fake_server *server, bool on)
{
    black_hole(server->listen_fd, on);
    for (size_t i = 0; i < FAKE_SERVER_CONNECTIONS; i++)
        black_hole(server->connections[i].fd, on);
}

unsigned fake_server_open(const struct fake_server *server)
{
    unsigned open = 0;
    for (size_t i = 0; i < FAKE_SERVER_CONNECTIONS; i++)
        open += server->connections[i].fd >= 0;
    return open;
}
