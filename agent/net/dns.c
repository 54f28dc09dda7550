#include "agent/net/dns.h"

#include <ares.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/map.h"
#include "base/mem.h"

enum {
    MIN_TTL_MS = 1000,
    MAX_TTL_MS = 5 * 60 * 1000,
    FAILURE_TTL_MS = 1000,
    QUERY_TIMEOUT_MS = 2000, /* per server and try */
    QUERY_TRIES = 2,
    MAX_ENTRIES = 4096,
    MAX_WATCHES = 64,
};

/* One name: its cached answer, and who waits for the next. */
struct entry {
    struct dns *dns;
    char *host;
    bool asking;
    bool known; /* answer or failure are valid until expires_ms */
    uint64_t expires_ms;
    struct dns_answer answer;
    struct err failure; /* code ERR_OK: the answer is good */
    struct dns_query *waiting;
    uint32_t users; /* queries that are to be answered from here, in whichever list */
};

struct watch {
    struct loop_io *io;
    ares_socket_t fd; /* ARES_SOCKET_BAD: free */
};

struct dns {
    struct loop *loop;
    ares_channel channel;
    char *servers;
    struct map *entries;
    struct loop_timer *timeout; /* c-ares' own */
    struct loop_timer *deliver; /* what is known, outside dns_start() and c-ares' callbacks */
    struct dns_query *ready;    /* their entry is known: called back on the next turn */
    struct dns_query *batch;    /* being called back */
    struct watch watches[MAX_WATCHES];
    struct timespec conf_changed; /* mtime of /etc/resolv.conf when it was read */
};

static void arm_timeout(struct dns *dns)
{
    struct timeval wait;
    if (ares_timeout(dns->channel, NULL, &wait) == NULL)
        loop_timer_stop(dns->timeout);
    else
        loop_timer_start(dns->timeout, (uint64_t)wait.tv_sec * 1000 + (uint64_t)(wait.tv_usec + 999) / 1000);
}

static void on_timeout(void *context)
{
    struct dns *dns = context;
    ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    arm_timeout(dns);
}

static void on_readable(void *context, int fd, unsigned events)
{
    struct dns *dns = context;
    ares_process_fd(dns->channel, events & LOOP_READ ? fd : ARES_SOCKET_BAD,
                    events & LOOP_WRITE ? fd : ARES_SOCKET_BAD);
    arm_timeout(dns);
}

static struct watch *find_watch(struct dns *dns, ares_socket_t fd)
{
    for (size_t i = 0; i < MAX_WATCHES; i++)
        if (dns->watches[i].fd == fd)
            return &dns->watches[i];
    return NULL;
}

static void on_socket_state(void *context, ares_socket_t fd, int readable, int writable)
{
    struct dns *dns = context;
    struct watch *watch = find_watch(dns, fd);
    if (!readable && !writable) {
        if (watch != NULL) {
            loop_io_stop(watch->io);
            watch->fd = ARES_SOCKET_BAD;
        }
        return;
    }
    if (watch == NULL)
        watch = find_watch(dns, ARES_SOCKET_BAD);
    if (watch == NULL)
        return; /* c-ares' own timeout ends the query */
    watch->fd = fd;
    loop_io_start(watch->io, fd, (readable ? LOOP_READ : 0u) | (writable ? LOOP_WRITE : 0u));
}

/* --- answers --- */

static void append(struct dns_query **list, struct dns_query *query)
{
    while (*list != NULL)
        list = &(*list)->next;
    query->next = NULL;
    *list = query;
}

static bool take_out(struct dns_query **list, const struct dns_query *query)
{
    for (; *list != NULL; list = &(*list)->next) {
        if (*list != query)
            continue;
        *list = query->next;
        return true;
    }
    return false;
}

static struct entry *detach(struct dns_query *query)
{
    struct entry *entry = TAKE(query->entry);
    query->dns = NULL;
    query->next = NULL;
    entry->users--;
    return entry;
}

/* Not from c-ares' callback: a question that c-ares answers at once (from its hosts file) would call back from inside
 * dns_start(), and a query's owner could not use the resolver. */
static void answer_later(struct entry *entry)
{
    while (entry->waiting != NULL) {
        struct dns_query *query = entry->waiting;
        entry->waiting = query->next;
        append(&entry->dns->ready, query);
    }
    loop_timer_start(entry->dns->deliver, 0);
}

/* A query is out of its list before its callback runs, which may start or cancel any other; what it starts waits for the
 * next turn, so that an owner who asks again and again does not hold the loop. */
static void on_deliver(void *context)
{
    struct dns *dns = context;
    dns->batch = TAKE(dns->ready);
    while (dns->batch != NULL) {
        struct dns_query *query = dns->batch;
        dns->batch = query->next;
        const struct entry *entry = detach(query);
        bool good = entry->failure.code == ERR_OK;
        /* Copies: the callback may change the entry by asking again. */
        struct dns_answer answer = entry->answer;
        struct err failure = entry->failure;
        uint64_t now_ms = loop_now_ms(dns->loop);
        answer.ttl_ms = entry->expires_ms > now_ms ? (uint32_t)(entry->expires_ms - now_ms) : 0;
        query->on_done(query, good ? &answer : NULL, good ? NULL : &failure);
    }
}

static int compare_addresses(const void *a, const void *b)
{
    const char *x = a, *y = b;
    bool x_v6 = strchr(x, ':') != NULL, y_v6 = strchr(y, ':') != NULL;
    return x_v6 != y_v6 ? (int)x_v6 - (int)y_v6 : strcmp(x, y);
}

static void add_address(struct dns_answer *answer, const char *text)
{
    char canonical[TEXT_IP_BYTES];
    if (answer->count == DNS_MAX_ADDRESSES || text_parse_ip(text, canonical) == IP_NONE)
        return;
    for (uint32_t i = 0; i < answer->count; i++)
        if (strcmp(answer->addresses[i], canonical) == 0)
            return;
    memcpy(answer->addresses[answer->count++], canonical, sizeof(canonical));
}

static void read_nodes(struct dns_answer *answer, const struct ares_addrinfo *info, uint64_t *ttl_ms)
{
    for (const struct ares_addrinfo_node *node = info->nodes; node != NULL; node = node->ai_next) {
        char text[INET6_ADDRSTRLEN];
        const void *address = node->ai_family == AF_INET6
                                  ? (const void *)&((const struct sockaddr_in6 *)(void *)node->ai_addr)->sin6_addr
                                  : (const void *)&((const struct sockaddr_in *)(void *)node->ai_addr)->sin_addr;
        if (inet_ntop(node->ai_family, address, text, sizeof(text)) != NULL)
            add_address(answer, text);
        if (node->ai_ttl >= 0 && (uint64_t)node->ai_ttl * 1000 < *ttl_ms)
            *ttl_ms = (uint64_t)node->ai_ttl * 1000;
    }
    for (const struct ares_addrinfo_cname *cname = info->cnames; cname != NULL; cname = cname->next)
        if (cname->ttl >= 0 && (uint64_t)cname->ttl * 1000 < *ttl_ms)
            *ttl_ms = (uint64_t)cname->ttl * 1000;
    qsort(answer->addresses, answer->count, sizeof(answer->addresses[0]), compare_addresses);
}

/* c-ares says of a server for which it has got no socket only that it could not be contacted. */
static const char *explain(int status, enum err_code *ret_code)
{
    if (status == ARES_SUCCESS)
        return "no address";
    if (status == ARES_ENOMEM)
        *ret_code = ERR_NOMEM;
    else if (status == ARES_ETIMEOUT)
        *ret_code = ERR_TIMEOUT;
    if (status != ARES_ECONNREFUSED)
        return ares_strerror(status);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), error = errno;
    if (fd >= 0)
        (void)close(fd);
    if (fd >= 0 || (error != EMFILE && error != ENFILE))
        return ares_strerror(status);
    *ret_code = ERR_IO;
    return strerrordesc_np(error);
}

static void on_answer(void *context, int status, int timeouts, struct ares_addrinfo *info)
{
    (void)timeouts;
    struct entry *entry = context;
    if (status == ARES_EDESTRUCTION || status == ARES_ECANCELLED) {
        ares_freeaddrinfo(info);
        return; /* the channel goes: nobody waits any more, or all is asked again */
    }
    uint64_t ttl_ms = MAX_TTL_MS;
    entry->asking = false;
    entry->answer.count = 0;
    entry->failure = (struct err){0};
    if (status == ARES_SUCCESS)
        read_nodes(&entry->answer, info, &ttl_ms);
    ares_freeaddrinfo(info);
    if (ttl_ms < MIN_TTL_MS)
        ttl_ms = MIN_TTL_MS;
    if (status != ARES_SUCCESS || entry->answer.count == 0) {
        enum err_code code = ERR_RESOLVE;
        const char *text = explain(status, &code);
        (void)err_set(&entry->failure, code, "resolve %s: %s", entry->host, text);
        ttl_ms = code == ERR_NOMEM ? 0 : FAILURE_TTL_MS; /* our own want says nothing of the name */
    }
    entry->known = true;
    entry->expires_ms = loop_now_ms(entry->dns->loop) + ttl_ms;
    answer_later(entry);
}

/* --- the channel --- */

static void note_configuration(struct dns *dns)
{
    struct stat status;
    if (stat("/etc/resolv.conf", &status) == 0)
        dns->conf_changed = status.st_mtim;
}

static enum err_code open_channel(struct dns *dns, struct err *reterr)
{
    struct ares_options options = {0};
    options.timeout = QUERY_TIMEOUT_MS;
    options.tries = QUERY_TRIES;
    options.sock_state_cb = on_socket_state;
    options.sock_state_cb_data = dns;
    int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
#ifdef ARES_OPT_QUERY_CACHE
    /* c-ares 1.31 and newer has a cache of its own, which keeps failures for as long as the zone likes: ours is enough. */
    options.qcache_max_ttl = 0;
    mask |= ARES_OPT_QUERY_CACHE;
#endif
    int status = ares_init_options(&dns->channel, &options, mask);
    if (status != ARES_SUCCESS)
        return err_set(reterr, status == ARES_ENOMEM ? ERR_NOMEM : ERR_IO, "resolver: %s", ares_strerror(status));
    note_configuration(dns);
    if (dns->servers == NULL)
        return ERR_OK;
    status = ares_set_servers_ports_csv(dns->channel, dns->servers);
    if (status == ARES_ENOMEM)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    if (status != ARES_SUCCESS)
        return err_set(reterr, ERR_INVALID, "DNS servers \"%.100s\": %s: write ip[:port],...", dns->servers,
                       ares_strerror(status));
    return ERR_OK;
}

static void ask(struct entry *entry)
{
    const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC,
                                              .ai_socktype = SOCK_STREAM,
                                              .ai_flags = ARES_AI_NOSORT};
    entry->asking = true;
    ares_getaddrinfo(entry->dns->channel, entry->host, NULL, &hints, on_answer, entry);
}

/* A changed /etc/resolv.conf is read by opening the channel anew. What is under way is asked again: the old servers may be
 * the reason for the change. */
static void follow_configuration(struct dns *dns)
{
    struct stat status;
    if (dns->servers != NULL || stat("/etc/resolv.conf", &status) != 0 ||
        (status.st_mtim.tv_sec == dns->conf_changed.tv_sec && status.st_mtim.tv_nsec == dns->conf_changed.tv_nsec))
        return;
    ares_channel old = dns->channel;
    struct err error = {0};
    if (open_channel(dns, &error) != ERR_OK) {
        dns->channel = old; /* the next question tries again */
        return;
    }
    ares_destroy(old);
    for (struct map_entry *at = map_first(dns->entries); at != NULL; at = map_next(at)) {
        struct entry *entry = map_value(at);
        if (entry->asking)
            ask(entry);
    }
}

static void free_entry(void *value)
{
    struct entry *entry = value;
    mem_free(entry->host);
    mem_free(entry);
}

static void *grow(void *block, size_t bytes) { return mem_realloc_array(block, bytes, 1); }

/* Once per process; memory through base/mem. */
static bool init_library(void)
{
    static bool done;
    if (!done)
        done = ares_library_init_mem(ARES_LIB_INIT_ALL, mem_alloc, mem_free, grow) == ARES_SUCCESS;
    return done;
}

struct dns *dns_new(struct loop *loop, const char *servers, struct err *reterr)
{
    struct dns *dns = init_library() ? NEW(struct dns) : NULL;
    if (dns == NULL) {
        (void)err_set(reterr, ERR_NOMEM, "out of memory");
        return NULL;
    }
    dns->loop = loop;
    dns->entries = map_new(free_entry);
    dns->timeout = loop_timer_new(loop, on_timeout, dns);
    dns->deliver = loop_timer_new(loop, on_deliver, dns);
    bool ok = dns->entries != NULL && dns->timeout != NULL && dns->deliver != NULL;
    for (size_t i = 0; i < MAX_WATCHES; i++) {
        dns->watches[i].fd = ARES_SOCKET_BAD;
        dns->watches[i].io = loop_io_new(loop, on_readable, dns);
        ok = ok && dns->watches[i].io != NULL;
    }
    if (ok && servers != NULL && servers[0] != '\0')
        ok = (dns->servers = mem_strdup(servers)) != NULL;
    if (!ok)
        (void)err_set(reterr, ERR_NOMEM, "out of memory");
    if (!ok || open_channel(dns, reterr) != ERR_OK) {
        dns_free(dns);
        return NULL;
    }
    return dns;
}

static void forget(struct dns_query *list)
{
    while (list != NULL) {
        struct dns_query *query = list;
        list = query->next;
        (void)detach(query);
    }
}

void dns_free(struct dns *dns)
{
    if (dns == NULL)
        return;
    /* Their owners may still cancel them. */
    forget(dns->ready);
    for (struct map_entry *at = dns->entries != NULL ? map_first(dns->entries) : NULL; at != NULL; at = map_next(at))
        forget(((const struct entry *)map_value(at))->waiting);
    if (dns->channel != NULL)
        ares_destroy(dns->channel);
    for (size_t i = 0; i < MAX_WATCHES; i++)
        loop_io_free(dns->watches[i].io);
    loop_timer_free(dns->timeout);
    loop_timer_free(dns->deliver);
    map_free(dns->entries);
    mem_free(dns->servers);
    mem_free(dns);
}

/* --- queries --- */

static void drop_stale(struct dns *dns)
{
    uint64_t now_ms = loop_now_ms(dns->loop);
    for (struct map_entry *at = map_first(dns->entries), *next; at != NULL; at = next) {
        next = map_next(at);
        const struct entry *entry = map_value(at);
        if (!entry->asking && entry->users == 0 && entry->expires_ms <= now_ms)
            (void)map_remove(dns->entries, map_key(at));
    }
}

static struct entry *make_entry(struct dns *dns, const char *host)
{
    struct entry *entry = NEW(struct entry);
    if (entry == NULL)
        return NULL;
    entry->dns = dns;
    entry->host = mem_strdup(host);
    if (entry->host != NULL && map_put(dns->entries, host, entry) == ERR_OK)
        return entry;
    free_entry(entry);
    return NULL;
}

/* @return borrowed, or NULL with the reason. */
static struct entry *obtain(struct dns *dns, const char *host, struct err *error)
{
    struct entry *entry = map_get(dns->entries, host);
    if (entry != NULL)
        return entry;
    if (map_count(dns->entries) >= MAX_ENTRIES)
        drop_stale(dns);
    if (map_count(dns->entries) >= MAX_ENTRIES) {
        (void)err_set(error, ERR_LIMIT, "resolve %.200s: more than %d names are in use", host, MAX_ENTRIES);
        return NULL;
    }
    entry = make_entry(dns, host);
    if (entry == NULL)
        (void)err_set(error, ERR_NOMEM, "out of memory");
    return entry;
}

static void answer_literal(struct entry *entry)
{
    entry->answer.count = 0;
    add_address(&entry->answer, entry->host);
    entry->failure = (struct err){0};
    entry->known = true;
    entry->expires_ms = loop_now_ms(entry->dns->loop) + MAX_TTL_MS;
}

enum err_code dns_start(struct dns *dns, struct dns_query *query, const char *host, struct err *reterr)
{
    char canonical[TEXT_IP_BYTES];
    struct err error = {0};
    struct entry *entry = obtain(dns, host, &error);
    if (entry == NULL)
        return err_set(reterr, error.code, "%s", error.text);
    query->dns = dns;
    query->entry = entry;
    append(&entry->waiting, query);
    entry->users++;
    if (entry->asking)
        return ERR_OK;
    if (text_parse_ip(host, canonical) != IP_NONE)
        answer_literal(entry);
    if (entry->known && entry->expires_ms > loop_now_ms(dns->loop)) {
        answer_later(entry);
        return ERR_OK;
    }
    follow_configuration(dns);
    ask(entry);
    arm_timeout(dns);
    return ERR_OK;
}

void dns_cancel(struct dns_query *query)
{
    if (query->entry == NULL)
        return;
    struct dns *dns = query->dns;
    struct entry *entry = query->entry;
    (void)(take_out(&entry->waiting, query) || take_out(&dns->ready, query) || take_out(&dns->batch, query));
    (void)detach(query);
}
