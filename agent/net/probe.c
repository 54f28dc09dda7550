#include "agent/net/probe.h"

#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/net/curl_loop.h"
#include "base/mem.h"
#include "version.h"

enum {
    KEEPALIVE_IDLE_S = 1,     /* the smallest that the kernel offers */
    KEEPALIVE_INTERVAL_S = 1,
    KEEPALIVE_COUNT = 1,      /* one unanswered probe is news enough: it only brings a verifying probe */
    CONNECTION_AGE_S = 7200,  /* longer than the longest period: curl would not reuse a connection idle for 118 s */
};

struct probe {
    struct curl_transfer base; /* first */
    struct probe_link *link;
    uint32_t id;
    uint64_t started_us;
    struct loop_timer *timer; /* the answer's bound; curl's own would also count the connection's */
    struct probe_observation observation;
    char curl_error[CURL_ERROR_SIZE];
    bool got_headers;
    struct probe *next;
};

struct probe_link {
    struct http *http;
    struct curl_loop *curl;
    struct probe_callbacks callbacks;
    char *url, *tls_url;
    uint32_t timeout_ms;
    struct curl_transfer tls_check; /* easy NULL: none under way */
    bool tls_checked, tls_seen;     /* since the last answered probe */
    struct curl_slist *headers;
    struct probe *under_way;
    unsigned under_way_count;
    uint32_t last_id;
    /* The idle kept-open connection: our own duplicate of its descriptor, watched for its end. -1: none. */
    int idle_fd;
    struct loop_io *idle_io;
};

/* --- the idle connection --- */

static void unwatch_idle(struct probe_link *link) {
    if (link->idle_fd < 0)
        return;
    loop_io_stop(link->idle_io);
    (void)close(link->idle_fd);
    link->idle_fd = -1;
}

/* Readable while idle: it ended (FIN, RST, keep-alives unanswered), or the server sent what nobody asked for. */
static void on_idle_readable(void *context, int fd, unsigned events) {
    (void)events;
    struct probe_link *link = context;
    int error = 0;
    socklen_t length = sizeof(error);
    (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    unwatch_idle(link);
    const char *how = error == 0 ? "closed" : error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH ? "silent" : "reset";
    link->callbacks.on_connection_lost(link->callbacks.context, how);
}

static void watch_idle(struct probe_link *link, CURL *easy) {
    curl_socket_t fd = CURL_SOCKET_BAD;
    unwatch_idle(link);
    if (curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK || fd == CURL_SOCKET_BAD)
        return;
    link->idle_fd = dup(fd);
    if (link->idle_fd >= 0) /* without a descriptor to spare the period alone finds a dead gateway */
        loop_io_start(link->idle_io, link->idle_fd, LOOP_READ);
}

/* curl closes a connection: our duplicate must not keep it half alive. Which one it is shows by the peer's and the own address. */
static int on_close(void *context, curl_socket_t fd) {
    struct probe_link *link = context;
    if (link->idle_fd >= 0) {
        struct sockaddr_storage a = {0}, b = {0};
        socklen_t a_length = sizeof(a), b_length = sizeof(b);
        bool known = getsockname(fd, (struct sockaddr *)&a, &a_length) == 0 && getsockname(link->idle_fd, (struct sockaddr *)&b, &b_length) == 0;
        if (!known || (a_length == b_length && memcmp(&a, &b, a_length) == 0))
            unwatch_idle(link);
    }
    return close(fd);
}

static int on_sockopt(void *context, curl_socket_t fd, curlsocktype purpose) {
    (void)context;
    (void)purpose;
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
    for (size_t i = 0; i < ARRAY_COUNT(options); i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
    return CURL_SOCKOPT_OK;
}

/* --- what comes back --- */

static void copy_text(char *buffer, size_t buffer_bytes, const char *text, size_t bytes) {
    size_t length = bytes < buffer_bytes - 1 ? bytes : buffer_bytes - 1;
    memcpy(buffer, text, length);
    buffer[length] = '\0';
}

static void read_header(const char *line, size_t bytes, const char *name, char *buffer, size_t buffer_bytes) {
    size_t name_length = strlen(name);
    if (bytes <= name_length || strncasecmp(line, name, name_length) != 0 || line[name_length] != ':')
        return;
    const char *start = line + name_length + 1, *end = line + bytes;
    while (start < end && *start == ' ')
        start++;
    while (end > start && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' '))
        end--;
    copy_text(buffer, buffer_bytes, start, (size_t)(end - start));
}

static uint32_t elapsed_us(const struct probe *probe) {
    uint64_t now_us = loop_precise_us(http_loop(probe->link->http));
    return (uint32_t)(now_us - probe->started_us);
}

static size_t on_header(char *line, size_t size, size_t count, void *context) {
    struct probe *probe = context;
    struct probe_observation *seen = &probe->observation;
    size_t bytes = size * count;
    char ignored[8] = "";
    read_header(line, bytes, "server", seen->server, sizeof(seen->server));
    read_header(line, bytes, "location", seen->location, sizeof(seen->location));
    read_header(line, bytes, "x-envoy-upstream-service-time", ignored, sizeof(ignored));
    if (ignored[0] != '\0')
        seen->upstream_time_header = true;
    if (bytes <= 2) { /* the empty line: headers are complete (of a 1xx too; the last one counts) */
        long status = 0;
        (void)curl_easy_getinfo(probe->base.easy, CURLINFO_RESPONSE_CODE, &status);
        seen->status = (int)status;
        probe->got_headers = status >= 200;
        seen->latency_us = elapsed_us(probe);
    }
    return bytes;
}

static size_t on_body(char *data, size_t size, size_t count, void *context) {
    struct probe *probe = context;
    struct probe_observation *seen = &probe->observation;
    size_t bytes = size * count, have = strlen(seen->body);
    if (have < sizeof(seen->body) - 1)
        copy_text(seen->body + have, sizeof(seen->body) - have, data, bytes);
    seen->body_bytes += bytes;
    if (seen->body_bytes <= PROBE_BODY_BYTES)
        return bytes;
    seen->body_truncated = true;
    return 0; /* ends the transfer and its connection: the status is known */
}

/* curl shows the first bytes of what is no HTTP only to its debug callback. A TLS peer answers cleartext with an alert record. */
static int on_debug(CURL *easy, curl_infotype type, char *data, size_t bytes, void *context) {
    (void)easy;
    struct probe *probe = context;
    if ((type == CURLINFO_HEADER_IN || type == CURLINFO_DATA_IN) && bytes >= 2 && (data[0] == 0x15 || data[0] == 0x16) && data[1] == 0x03)
        probe->observation.tls_bytes = true;
    return 0;
}

/* --- the end of a probe --- */

static enum probe_end end_of_connect(long os_errno) {
    switch (os_errno) {
    case ECONNREFUSED:
        return PROBE_REFUSED;
    case ETIMEDOUT:
        return PROBE_CONNECT_TIMEOUT;
    case ECONNRESET:
        return PROBE_RESET;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return PROBE_INTERNAL;
    default:
        return PROBE_UNREACHABLE;
    }
}

static enum probe_end end_of_transfer(long os_errno) {
    if (os_errno == ECONNRESET || os_errno == EPIPE)
        return PROBE_RESET;
    return os_errno == ETIMEDOUT || os_errno == EHOSTUNREACH || os_errno == ENETUNREACH ? PROBE_SILENT : PROBE_CLOSED;
}

static enum probe_end end_of(const struct probe *probe, CURLcode result) {
    long os_errno = 0;
    (void)curl_easy_getinfo(probe->base.easy, CURLINFO_OS_ERRNO, &os_errno);
    if (probe->got_headers)
        return PROBE_ANSWERED;
    switch (result) {
    case CURLE_OK:
        return PROBE_ANSWERED;
    case CURLE_COULDNT_CONNECT:
        return end_of_connect(os_errno);
    case CURLE_OPERATION_TIMEDOUT:
        return PROBE_CONNECT_TIMEOUT; /* only connecting is timed by curl */
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
        return PROBE_NOT_HTTP;
    case CURLE_OUT_OF_MEMORY:
        return PROBE_INTERNAL;
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
        return end_of_transfer(os_errno);
    default:
        return PROBE_CLOSED;
    }
}

static void probe_free(struct probe *probe) {
    struct probe_link *link = probe->link;
    curl_loop_remove(&probe->base);
    if (probe->base.easy != NULL)
        curl_easy_cleanup(probe->base.easy);
    loop_timer_free(probe->timer);
    for (struct probe **at = &link->under_way; *at != NULL; at = &(*at)->next) {
        if (*at != probe)
            continue;
        *at = probe->next;
        link->under_way_count--;
        break;
    }
    mem_free(probe);
}

static void report(struct probe *probe, enum probe_end end) {
    struct probe_link *link = probe->link;
    struct probe_observation observation = probe->observation;
    uint32_t id = probe->id;
    observation.end = end;
    if (end != PROBE_ANSWERED)
        observation.latency_us = elapsed_us(probe);
    probe_free(probe);
    link->callbacks.on_result(link->callbacks.context, id, &observation);
}

/* --- is it TLS that listens there? --- */

/* Envoy, like most, closes a TLS port on cleartext without a word. After such an end, one handshake beside the probes tells, so that the next
 * failure can be named; it never delays a verdict. */
static void on_tls_checked(struct curl_transfer *base, CURLcode result) {
    struct probe_link *link = (struct probe_link *)(void *)((char *)base - offsetof(struct probe_link, tls_check));
    curl_off_t handshake_us = 0;
    (void)result; /* whatever came of the request: the handshake tells */
    (void)curl_easy_getinfo(base->easy, CURLINFO_APPCONNECT_TIME_T, &handshake_us);
    link->tls_seen = handshake_us > 0;
    curl_easy_cleanup(base->easy);
    base->easy = NULL;
}

static void check_tls(struct probe_link *link) {
    if (link->tls_check.easy != NULL || link->tls_checked)
        return;
    CURL *easy = curl_easy_init();
    char *url = mem_strdup(link->tls_url);
    bool ok = easy != NULL && url != NULL && curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK && curl_easy_setopt(easy, CURLOPT_NOPROXY, "*") == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK && curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L) == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L) == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)PROBE_CONNECT_MS) == CURLE_OK;
    mem_free(url);
    link->tls_check = (struct curl_transfer){.easy = easy, .on_done = on_tls_checked};
    link->tls_checked = true;
    if (ok && curl_loop_add(link->curl, &link->tls_check) == ERR_OK)
        return;
    curl_easy_cleanup(easy);
    link->tls_check.easy = NULL;
}

static void note_tls(struct probe *probe, enum probe_end end) {
    struct probe_link *link = probe->link;
    if (end == PROBE_ANSWERED) {
        link->tls_seen = link->tls_checked = false;
        return;
    }
    if (end != PROBE_CLOSED && end != PROBE_RESET && end != PROBE_NOT_HTTP)
        return;
    probe->observation.tls_bytes = probe->observation.tls_bytes || link->tls_seen;
    check_tls(link);
}

static void on_finished(struct curl_transfer *base, CURLcode result) {
    struct probe *probe = (struct probe *)base;
    enum probe_end end = end_of(probe, result);
    const char *text = probe->curl_error[0] != '\0' ? probe->curl_error : curl_easy_strerror(result);
    if (end != PROBE_ANSWERED)
        if (end != PROBE_ANSWERED)
        copy_text(probe->observation.detail, sizeof(probe->observation.detail), text, strlen(text));
    note_tls(probe, end);
    if (result == CURLE_OK)
        watch_idle(probe->link, probe->base.easy);
    report(probe, end);
}

static void on_answer_timeout(void *context) {
    struct probe *probe = context;
    (void)snprintf(probe->observation.detail, sizeof(probe->observation.detail), "no complete answer within %u ms", probe->link->timeout_ms);
    report(probe, probe->got_headers ? PROBE_ANSWERED : PROBE_ANSWER_TIMEOUT);
}

/* --- sending --- */

#define SET(option, value) (ok = ok && curl_easy_setopt(easy, (option), (value)) == CURLE_OK)

static bool set_options(struct probe *probe) {
    struct probe_link *link = probe->link;
    CURL *easy = probe->base.easy;
    bool ok = true;
    SET(CURLOPT_URL, link->url);
    SET(CURLOPT_HTTPHEADER, link->headers);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_USERAGENT, "svcmirror/" SVCMIRROR_VERSION);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)PROBE_CONNECT_MS);
    SET(CURLOPT_MAXAGE_CONN, (long)CONNECTION_AGE_S);
    SET(CURLOPT_SOCKOPTFUNCTION, on_sockopt);
    SET(CURLOPT_CLOSESOCKETFUNCTION, on_close);
    SET(CURLOPT_CLOSESOCKETDATA, (void *)link);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, (void *)probe);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, (void *)probe);
    SET(CURLOPT_DEBUGFUNCTION, on_debug);
    SET(CURLOPT_DEBUGDATA, (void *)probe);
    SET(CURLOPT_VERBOSE, 1L);
    SET(CURLOPT_ERRORBUFFER, probe->curl_error);
    return ok;
}
#undef SET

enum err_code probe_link_send(struct probe_link *link, uint32_t *ret_id, struct err *reterr) {
    if (link->under_way_count >= PROBE_MAX_OVERLAP)
        return err_set(reterr, ERR_LIMIT, "%d probes are under way", PROBE_MAX_OVERLAP);
    struct loop *loop = http_loop(link->http);
    struct probe *probe = NEW(struct probe);
    if (probe == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    probe->link = link;
    probe->base.on_done = on_finished;
    probe->started_us = loop_precise_us(loop);
    probe->timer = loop_timer_new(loop, on_answer_timeout, probe);
    probe->base.easy = curl_easy_init();
    unwatch_idle(link); /* curl takes the connection for this probe; its end now shows as the probe's result */
    if (probe->timer == NULL || probe->base.easy == NULL || !set_options(probe) || curl_loop_add(link->curl, &probe->base) != ERR_OK) {
        probe_free(probe);
        return err_set(reterr, ERR_NOMEM, "out of memory");
    }
    loop_timer_start(probe->timer, (uint64_t)link->timeout_ms + PROBE_CONNECT_MS);
    probe->next = link->under_way;
    link->under_way = probe;
    link->under_way_count++;
    probe->id = ++link->last_id;
    *ret_id = probe->id;
    return ERR_OK;
}

/* --- links --- */

static enum err_code fill(struct probe_link *link, const struct probe_link_config *config, struct err *reterr) {
    char path[1024], canonical[TEXT_IP_BYTES], line[512];
    enum ip_family family = text_parse_ip(config->ip, canonical);
    if (family == IP_NONE)
        return err_set(reterr, ERR_INVALID, "\"%.100s\" is not an IP address", config->ip);
    if (!probe_path_normalise(config->path, path, sizeof(path)))
        return err_set(reterr, ERR_INVALID, "probe path \"%.100s\" cannot stand in a request: no spaces, control characters or #",
                       config->path);
    struct strbuf url;
    strbuf_init(&url, 2048);
    strbuf_printf(&url, family == IP_V6 ? "http://[%s]:%u%s" : "http://%s:%u%s", canonical, config->port, path);
    link->url = strbuf_take(&url);
    strbuf_init(&url, 128);
    strbuf_printf(&url, family == IP_V6 ? "https://[%s]:%u/" : "https://%s:%u/", canonical, config->port);
    link->tls_url = strbuf_take(&url);
    int length = snprintf(line, sizeof(line), "Host: %s", config->host);
    if (length < 0 || (size_t)length >= sizeof(line) || strpbrk(config->host, "\r\n ") != NULL)
        return err_set(reterr, ERR_INVALID, "\"%.100s\" is not a host name", config->host);
    link->headers = curl_slist_append(NULL, line);
    return link->url != NULL && link->tls_url != NULL && link->headers != NULL ? ERR_OK : err_set(reterr, ERR_NOMEM, "out of memory");
}

enum err_code probe_link_new(struct http *http, const struct probe_link_config *config, const struct probe_callbacks *callbacks,
                             struct probe_link **ret_link, struct err *reterr) {
    struct probe_link *link = NEW(struct probe_link);
    if (link == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    link->http = http;
    link->callbacks = *callbacks;
    link->timeout_ms = config->timeout_ms;
    link->idle_fd = -1;
    link->idle_io = loop_io_new(http_loop(http), on_idle_readable, link);
    link->curl = curl_loop_new(http_loop(http));
    enum err_code code =
        link->idle_io != NULL && link->curl != NULL ? fill(link, config, reterr) : err_set(reterr, ERR_NOMEM, "out of memory");
    if (code != ERR_OK) {
        probe_link_free(link);
        return code;
    }
    /* One connection is kept; those of overlapping probes close after use. */
    (void)curl_multi_setopt(curl_loop_multi(link->curl), CURLMOPT_MAXCONNECTS, 1L);
    *ret_link = link;
    return ERR_OK;
}

static void destroy(void *context) {
    struct probe_link *link = context;
    unwatch_idle(link);
    loop_io_free(link->idle_io);
    curl_slist_free_all(link->headers);
    mem_free(link->url);
    mem_free(link->tls_url);
    mem_free(link);
}

void probe_link_free(struct probe_link *link) {
    if (link == NULL)
        return;
    while (link->under_way != NULL)
        probe_free(link->under_way);
    if (link->tls_check.easy != NULL) {
        curl_loop_remove(&link->tls_check);
        curl_easy_cleanup(link->tls_check.easy);
        link->tls_check.easy = NULL;
    }
    unwatch_idle(link);
    /* Connections in curl's cache call on_close() as they go, which needs the link. */
    curl_loop_free_then(link->curl, destroy, link);
}
