#include "agent/net/probe.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/net/curl_loop.h"
#include "agent/net/probe_answer.h"
#include "agent/net/probe_socket.h"
#include "agent/net/probe_tls.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/text.h"
#include "version.h"

enum {
    TIMEOUT_MS = 30000,      /* what Link's CRD says */
    CONNECTION_AGE_S = 7200, /* longer than the longest period: curl would not reuse what was idle for 118 s */
    MAX_SOCKETS = 2 * PROBE_MAX_UNREPORTED,
    MAX_PATH_BYTES = TEXT_REQUEST_PATH_MAX + 2,
};

/* Each has its own bound. A probe may go back from WAITING to CONNECTING: when a kept connection turns out to be closed. */
enum phase {
    QUEUED,     /* given to curl */
    CONNECTING, /* a socket was opened */
    WAITING,    /* the request is being sent, on a fresh connection or the kept one */
    BODY,       /* the headers are there */
};

struct probe {
    struct curl_transfer base; /* first */
    struct probe_link *link;
    struct probe *next;
    struct loop_timer *timer;
    uint32_t id;
    int fd;         /* curl's; -1: not known, or closed */
    int open_errno; /* why there was no socket; curl does not pass it on */
    enum phase phase;
    uint64_t started_us, phase_us;
    bool watched;     /* still to be asked in this phase whether it is late */
    bool late;        /* was reported */
    bool last_chance; /* the bound has passed; what waits in the socket is read first */
    bool given_up;
    struct probe_answer answer;
    uint64_t received_before,
        received_bytes; /* on its connection: by earlier probes; by this one, when it was closed */
    char curl_error[CURL_ERROR_SIZE];
};

struct probe_link {
    struct loop *loop;
    struct curl_loop *curl;
    struct probe_callbacks callbacks;
    char *url, *tls_url, *path;
    struct curl_slist *headers; /* "Host: ...", NULL for curl's own */
    uint32_t timeout_ms, rtt_ms;
    struct probe *under_way; /* newest first */
    struct probe *spare;     /* for the next probe, with its handle */
    uint32_t last_id;
    struct probe_tls tls;
    /* Every connection that curl has open, so that one can be found by its local port. */
    int sockets[MAX_SOCKETS];
    size_t socket_count;
    int idle_fd; /* the kept connection while no probe uses it, watched for its end; -1: none */
    struct loop_io *idle_io;
};

static const char no_memory[] = "out of memory";

static uint64_t now_us(const struct probe *probe) { return loop_precise_us(probe->link->loop); }

/* --- the kept connection --- */

static void forget_idle(struct probe_link *link)
{
    loop_io_stop(link->idle_io);
    link->idle_fd = -1;
}

/* curl has no call for closing one connection, but closes what is at its end when it would use it. */
static void retire_idle(struct probe_link *link)
{
    probe_socket_end(link->idle_fd);
    forget_idle(link);
}

static void on_idle_readable(void *context, int fd, unsigned events)
{
    (void)events;
    struct probe_link *link = context;
    const char *how = probe_socket_how_ended(fd);
    retire_idle(link);
    link->callbacks.on_connection_lost(link->callbacks.context, how);
}

static bool is_used(const struct probe_link *link, const struct probe *except, int fd)
{
    for (const struct probe *probe = link->under_way; probe != NULL; probe = probe->next)
        if (probe != except && probe->fd == fd)
            return true;
    return false;
}

/* The connection of a probe that was answered is kept, and not an older one, left from overlapping probes. */
static void keep_idle(struct probe *probe)
{
    struct probe_link *link = probe->link;
    if (probe->fd < 0 || is_used(link, probe, probe->fd))
        return;
    if (link->idle_fd >= 0 && link->idle_fd != probe->fd)
        retire_idle(link);
    link->rtt_ms = probe_socket_rtt_ms(probe->fd);
    link->idle_fd = probe->fd;
    loop_io_start(link->idle_io, link->idle_fd, LOOP_READ);
}

/* --- time --- */

static uint64_t bound_ms(const struct probe *probe)
{
    switch (probe->phase) {
    case CONNECTING:
        return PROBE_CONNECT_MS;
    case WAITING:
        return probe->link->timeout_ms;
    case BODY:
        return PROBE_BODY_MS;
    default: /* curl would have to forget it */
        return (uint64_t)probe->link->timeout_ms + PROBE_CONNECT_MS;
    }
}

/* Three round trips are enough for any acknowledgement; so a distant gateway is not taken for a silent one. */
static uint64_t late_ms(const struct probe *probe)
{
    uint64_t three_ms = (uint64_t)probe->link->rtt_ms * 3;
    return three_ms > PROBE_LATE_MS ? three_ms : PROBE_LATE_MS;
}

static uint64_t due_us(const struct probe *probe)
{
    uint64_t ms = bound_ms(probe);
    if (probe->watched && late_ms(probe) < ms)
        ms = late_ms(probe);
    return probe->phase_us + ms * 1000;
}

static void arm(struct probe *probe)
{
    uint64_t due = due_us(probe), now = now_us(probe);
    loop_timer_start(probe->timer, due > now ? (due - now + 999) / 1000 : 0);
}

static void enter(struct probe *probe, enum phase phase)
{
    probe->phase = phase;
    probe->phase_us = now_us(probe);
    probe->watched = !probe->late && (phase == CONNECTING || phase == WAITING);
    probe->last_chance = false;
    arm(probe);
}

/* Asks the kernel: a slow answer on a sound transport is not late. */
static bool is_late(const struct probe *probe)
{
    if (probe->fd < 0)
        return false;
    return probe->phase == CONNECTING ? probe_socket_connecting(probe->fd) : probe_socket_unacknowledged(probe->fd);
}

/* --- what curl opens and closes --- */

static curl_socket_t open_socket(struct probe_link *link, const struct curl_sockaddr *address)
{
    int fd = probe_socket_open(address->family, address->socktype, address->protocol);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    if (link->socket_count < MAX_SOCKETS) /* one that is not noted works, but its end is not seen */
        link->sockets[link->socket_count++] = fd;
    return fd;
}

static curl_socket_t on_open(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    struct probe *probe = context;
    probe->fd = open_socket(probe->link, address);
    probe->open_errno = probe->fd < 0 ? errno : 0;
    enter(probe, CONNECTING);
    return probe->fd;
}

static curl_socket_t on_open_tls(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    return open_socket(context, address);
}

static int on_close(void *context, curl_socket_t fd)
{
    struct probe_link *link = context;
    for (size_t i = 0; i < link->socket_count; i++)
        if (link->sockets[i] == fd) {
            link->sockets[i] = link->sockets[--link->socket_count];
            break;
        }
    if (link->idle_fd == fd)
        forget_idle(link);
    for (struct probe *probe = link->under_way; probe != NULL; probe = probe->next)
        if (probe->fd == fd) {
            probe->received_bytes = probe_socket_received_bytes(fd) - probe->received_before;
            probe->fd = -1;
        }
    return close(fd);
}

/* A connection stands, and the request is about to be sent: a fresh one, or a kept one, which curl tells by its local port. */
/* NOLINTNEXTLINE(readability-non-const-parameter): curl's type */
static int on_connected(void *context, char *ip, char *local_ip, int port, int local_port)
{
    (void)ip;
    (void)local_ip;
    (void)port;
    struct probe *probe = context;
    struct probe_link *link = probe->link;
    for (size_t i = 0; probe->fd < 0 && i < link->socket_count; i++)
        if (probe_socket_local_port(link->sockets[i]) == local_port)
            probe->fd = link->sockets[i];
    if (probe->fd >= 0 && probe->fd == link->idle_fd)
        forget_idle(link); /* its end is the probe's now */
    if (probe->fd >= 0)
        probe->received_before = probe_socket_received_bytes(probe->fd);
    enter(probe, WAITING);
    return CURL_PREREQFUNC_OK;
}

static size_t on_header(char *line, size_t size, size_t count, void *context)
{
    struct probe *probe = context;
    bool before = probe->answer.headers_complete;
    if (!probe_answer_take_header(&probe->answer, line, size * count))
        return 0;
    if (!before && probe->answer.headers_complete) {
        probe->answer.seen.latency_us = (uint32_t)(now_us(probe) - probe->started_us);
        enter(probe, BODY);
    }
    return size * count;
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    struct probe *probe = context;
    return probe_answer_take_body(&probe->answer, data, size * count) ? size * count : 0;
}

/* --- the end of a probe --- */

static void probe_free(struct probe *probe)
{
    if (probe->base.easy != NULL)
        curl_easy_cleanup(probe->base.easy);
    loop_timer_free(probe->timer);
    mem_free(probe);
}

/* Takes it out of everything, and keeps it for the next probe. */
static void release(struct probe *probe)
{
    struct probe_link *link = probe->link;
    curl_loop_remove(&probe->base);
    loop_timer_stop(probe->timer);
    for (struct probe **at = &link->under_way; *at != NULL; at = &(*at)->next)
        if (*at == probe) {
            *at = probe->next;
            break;
        }
    if (link->spare == NULL)
        link->spare = probe;
    else
        probe_free(probe);
}

static bool setup_tls(CURL *easy, void *context)
{
    return curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_tls) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, context) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, context) == CURLE_OK;
}

static void note_tls(struct probe_link *link, struct probe_observation *seen)
{
    if (seen->end == PROBE_ANSWERED)
        probe_tls_forget(&link->tls);
    if (seen->end != PROBE_CLOSED && seen->end != PROBE_RESET && seen->end != PROBE_NOT_HTTP)
        return;
    probe_tls_check(&link->tls, link->curl, link->tls_url, setup_tls, link);
    seen->tls_bytes = link->tls.seen;
}

static void report(struct probe *probe, enum probe_end end)
{
    struct probe_link *link = probe->link;
    struct probe_observation seen = probe->answer.seen;
    uint32_t id = probe->id;
    seen.end = end;
    if (end != PROBE_ANSWERED) {
        seen.latency_us = (uint32_t)(now_us(probe) - probe->started_us);
        seen.status = 0;
    }
    note_tls(link, &seen);
    release(probe);
    link->callbacks.on_result(link->callbacks.context, id, &seen);
}

static void on_finished(struct curl_transfer *base, CURLcode result)
{
    struct probe *probe = (struct probe *)base;
    long os_errno = 0;
    (void)curl_easy_getinfo(base->easy, CURLINFO_OS_ERRNO, &os_errno);
    if (probe->open_errno != 0) {
        os_errno = probe->open_errno;
        (void)snprintf(probe->curl_error, sizeof(probe->curl_error), "socket: %s", strerrordesc_np(probe->open_errno));
    }
    enum probe_end end = probe_answer_end(&probe->answer, result, os_errno, probe->received_bytes);
    if (result == CURLE_OK && end == PROBE_ANSWERED)
        keep_idle(probe);
    if (end != PROBE_ANSWERED)
        probe_answer_describe(&probe->answer,
                              probe->curl_error[0] != '\0' ? probe->curl_error : curl_easy_strerror(result));
    report(probe, end);
}

/* Whether the kernel knows more than curl: then curl could not watch the socket, for want of memory. */
static bool is_stuck(const struct probe *probe)
{
    if (probe->fd < 0)
        return probe->phase != WAITING; /* a kept connection may be one that was not found again */
    return probe->phase == CONNECTING ? !probe_socket_connecting(probe->fd) : probe_socket_readable(probe->fd);
}

static void end_by_time(struct probe *probe)
{
    struct probe_observation *seen = &probe->answer.seen;
    if (probe->phase == BODY) {
        report(probe, PROBE_ANSWERED);
    } else if (is_stuck(probe)) {
        probe_answer_describe(&probe->answer, "the probe's connection could not be watched");
        report(probe, PROBE_INTERNAL);
    } else if (probe->phase == CONNECTING) {
        (void)snprintf(seen->detail, sizeof(seen->detail), "no connection within %d ms", PROBE_CONNECT_MS);
        report(probe, PROBE_CONNECT_TIMEOUT);
    } else {
        (void)snprintf(seen->detail, sizeof(seen->detail), "no answer within %u ms", probe->link->timeout_ms);
        report(probe, PROBE_ANSWER_TIMEOUT);
    }
}

static void on_timer(void *context)
{
    struct probe *probe = context;
    struct probe_link *link = probe->link;
    uint64_t now = now_us(probe);
    if (probe->given_up) {
        report(probe, PROBE_INTERNAL);
    } else if (now >= probe->phase_us + bound_ms(probe) * 1000) {
        if (probe->last_chance) {
            end_by_time(probe);
            return;
        }
        /* The loop may have been busy while the answer came: descriptors have their turn before this fires again. */
        probe->last_chance = true;
        loop_timer_start(probe->timer, 0);
    } else if (now < due_us(probe) || !probe->watched) {
        arm(probe);
    } else {
        probe->watched = false;
        probe->late = is_late(probe);
        arm(probe);
        if (probe->late)
            link->callbacks.on_connection_lost(link->callbacks.context, "late");
    }
}

/* --- sending --- */

#define SET(option, value) (ok = ok && curl_easy_setopt(easy, (option), (value)) == CURLE_OK)

/* Once per handle: nothing differs between the probes of a link. */
static bool set_options(struct probe *probe)
{
    struct probe_link *link = probe->link;
    CURL *easy = probe->base.easy;
    bool ok = true;
    SET(CURLOPT_URL, link->url);
    SET(CURLOPT_REQUEST_TARGET, link->path); /* as it is, not as curl would write it */
    SET(CURLOPT_HTTPHEADER, link->headers);
    SET(CURLOPT_USERAGENT, "svcmirror/" SVCMIRROR_VERSION);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_MAXAGE_CONN, (long)CONNECTION_AGE_S);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open);
    SET(CURLOPT_OPENSOCKETDATA, (void *)probe);
    SET(CURLOPT_CLOSESOCKETFUNCTION, on_close);
    SET(CURLOPT_CLOSESOCKETDATA, (void *)link); /* a connection may outlive the probe that opened it */
    SET(CURLOPT_PREREQFUNCTION, on_connected);
    SET(CURLOPT_PREREQDATA, (void *)probe);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, (void *)probe);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, (void *)probe);
    SET(CURLOPT_ERRORBUFFER, probe->curl_error);
    return ok;
}
#undef SET

static struct probe *probe_new(struct probe_link *link)
{
    struct probe *probe = NEW(struct probe);
    if (probe == NULL)
        return NULL;
    probe->link = link;
    probe->timer = loop_timer_new(link->loop, on_timer, probe);
    probe->base.easy = curl_easy_init();
    probe->base.on_done = on_finished;
    if (probe->timer != NULL && probe->base.easy != NULL && set_options(probe))
        return probe;
    probe_free(probe);
    return NULL;
}

/* Makes room for one more. The result of what is given up comes from the loop, like any other. */
static enum err_code make_room(struct probe_link *link, struct err *reterr)
{
    unsigned unreported = 0, active = 0;
    struct probe *middle = NULL;
    for (struct probe *probe = link->under_way; probe != NULL; probe = probe->next) {
        unreported++;
        active += !probe->given_up;
        if (!probe->given_up && active == PROBE_MAX_OVERLAP / 2 + 1)
            middle = probe;
    }
    if (unreported >= PROBE_MAX_UNREPORTED)
        return err_set(reterr, ERR_LIMIT, "%u probes are under way", unreported);
    if (active < PROBE_MAX_OVERLAP)
        return ERR_OK;
    curl_loop_remove(&middle->base);
    middle->given_up = true;
    probe_answer_describe(&middle->answer, "given up for a newer probe");
    loop_timer_start(middle->timer, 0);
    return ERR_OK;
}

enum err_code probe_link_send(struct probe_link *link, uint32_t *ret_id, struct err *reterr)
{
    TRY(make_room(link, reterr));
    struct probe *probe = link->spare != NULL ? TAKE(link->spare) : probe_new(link);
    if (probe == NULL)
        return err_set(reterr, ERR_NOMEM, no_memory);
    probe->answer = (struct probe_answer){0};
    probe->curl_error[0] = '\0';
    probe->late = probe->given_up = false;
    probe->received_before = probe->received_bytes = 0;
    probe->fd = -1;
    probe->open_errno = 0;
    probe->id = ++link->last_id;
    probe->started_us = now_us(probe);
    probe->next = link->under_way;
    link->under_way = probe;
    enter(probe, QUEUED);
    if (curl_loop_add(link->curl, &probe->base) != ERR_OK) {
        release(probe);
        return err_set(reterr, ERR_NOMEM, no_memory);
    }
    *ret_id = probe->id;
    return ERR_OK;
}

/* --- links --- */

static char *format_url(const char *scheme, enum ip_family family, const char *ip, uint16_t port)
{
    struct strbuf url;
    strbuf_init(&url, 128);
    strbuf_printf(&url, family == IP_V6 ? "%s://[%s]:%u/" : "%s://%s:%u/", scheme, ip, port);
    return strbuf_take(&url);
}

static bool is_host(const char *host)
{
    for (; *host != '\0'; host++)
        if (*host <= ' ' || *host > '~')
            return false;
    return true;
}

static enum err_code set_host(struct probe_link *link, const char *host, struct err *reterr)
{
    char line[512];
    if (host[0] == '\0')
        return ERR_OK;
    int length = snprintf(line, sizeof(line), "Host: %s", host);
    if (length < 0 || (size_t)length >= sizeof(line) || !is_host(host))
        return err_set(reterr, ERR_INVALID, "\"%.100s\" is not a host name", host);
    link->headers = curl_slist_append(NULL, line);
    return link->headers != NULL ? ERR_OK : err_set(reterr, ERR_NOMEM, no_memory);
}

static enum err_code set_target(struct probe_link *link, const struct probe_link_config *config, struct err *reterr)
{
    char path[MAX_PATH_BYTES], ip[TEXT_IP_BYTES];
    enum ip_family family = text_parse_ip(config->ip, ip);
    if (family == IP_NONE)
        return err_set(reterr, ERR_INVALID, "\"%.100s\" is not an IP address", config->ip);
    if (config->port == 0)
        return err_set(reterr, ERR_INVALID, "there is no port 0");
    if (!probe_path_normalise(config->path, path, sizeof(path)))
        return err_set(reterr, ERR_INVALID,
                       "probe path \"%.100s\" cannot be sent: at most %d characters of ASCII without spaces and #",
                       config->path, TEXT_REQUEST_PATH_MAX);
    TRY(set_host(link, config->host, reterr));
    link->path = mem_strdup(path);
    link->url = format_url("http", family, ip, config->port);
    link->tls_url = format_url("https", family, ip, config->port);
    bool ok = link->path != NULL && link->url != NULL && link->tls_url != NULL;
    return ok ? ERR_OK : err_set(reterr, ERR_NOMEM, no_memory);
}

enum err_code probe_link_new(struct http *http, const struct probe_link_config *config,
                             const struct probe_callbacks *callbacks, struct probe_link **ret_link, struct err *reterr)
{
    struct probe_link *link = NEW(struct probe_link);
    if (link == NULL)
        return err_set(reterr, ERR_NOMEM, no_memory);
    link->loop = http_loop(http);
    link->callbacks = *callbacks;
    link->timeout_ms = config->timeout_ms > 0 ? config->timeout_ms : TIMEOUT_MS;
    link->idle_fd = -1;
    link->idle_io = loop_io_new(link->loop, on_idle_readable, link);
    link->curl = curl_loop_new(link->loop);
    bool ok = link->idle_io != NULL && link->curl != NULL;
    enum err_code code = ok ? set_target(link, config, reterr) : err_set(reterr, ERR_NOMEM, no_memory);
    if (code != ERR_OK) {
        probe_link_free(link);
        return code;
    }
    /* Room for all that overlap: with less curl would close the connection of the one that just ended. */
    (void)curl_multi_setopt(curl_loop_multi(link->curl), CURLMOPT_MAXCONNECTS, (long)MAX_SOCKETS);
    *ret_link = link;
    return ERR_OK;
}

static void destroy(void *context)
{
    struct probe_link *link = context;
    loop_io_free(link->idle_io);
    curl_slist_free_all(link->headers);
    mem_free(link->path);
    mem_free(link->url);
    mem_free(link->tls_url);
    mem_free(link);
}

void probe_link_free(struct probe_link *link)
{
    if (link == NULL)
        return;
    while (link->under_way != NULL)
        release(link->under_way);
    if (link->spare != NULL)
        probe_free(TAKE(link->spare));
    probe_tls_cancel(&link->tls);
    /* Connections in curl's cache call on_close() as they go, which needs the link. */
    curl_loop_free_then(link->curl, destroy, link);
}
