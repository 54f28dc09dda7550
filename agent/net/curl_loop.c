#include "agent/net/curl_loop.h"

#include <stddef.h>
#include <string.h>

#include "base/mem.h"

/* A socket that curl wants watched. */
struct socket_watch {
    struct loop_io *io;
    struct socket_watch *next, *previous;
};

struct curl_loop {
    struct loop *loop;
    CURLM *multi;
    struct loop_timer *timer;      /* curl's own timeout */
    struct loop_timer *done_timer; /* delivers finished transfers outside curl's callbacks */
    struct socket_watch *sockets;
    struct curl_transfer *active;   /* in the multi */
    struct curl_transfer *finished; /* in order of finishing */
    struct curl_transfer **finished_end;
    struct curl_transfer *ready;  /* want on_ready; newest first, which does not matter between transfers */
    unsigned delivering;          /* depth of deliver(): callbacks of ours are running */
    bool freed;                   /* curl_loop_free() was called from one of them */
    struct curl_transfer sweep;   /* of curl_loop_close_idle(); without a handle when there is none */
    void (*after)(void *context); /* runs when all is closed; may be NULL */
    void *after_context;
};

static void *zero_alloc(size_t count, size_t size)
{
    return mem_zalloc(count * size); /* curl's counts are small: no overflow to fear */
}
static void *grow(void *block, size_t bytes) { return mem_realloc_array(block, bytes, 1); }

/* libcurl takes its relatives (LibreSSL, BoringSSL, AWS-LC) for OpenSSL, whose structures are not OpenSSL's. */
static bool does_tls_by_openssl(void)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    return curl_global_sslset(CURLSSLBACKEND_OPENSSL, NULL, NULL) == CURLSSLSET_OK && info->ssl_version != NULL &&
           strstr(info->ssl_version, "OpenSSL/") != NULL;
}

enum err_code curl_loop_global_init(struct err *reterr)
{
    static bool done;
    if (done)
        return ERR_OK;
    if (!does_tls_by_openssl())
        return err_set(reterr, ERR_UNSUPPORTED,
                       "this libcurl was built without OpenSSL (%s): install one that was built with it",
                       curl_version());
    done = curl_global_init_mem(CURL_GLOBAL_DEFAULT, mem_alloc, mem_free, grow, mem_strdup, zero_alloc) == CURLE_OK;
    return done ? ERR_OK : err_set(reterr, ERR_NOMEM, "out of memory");
}

/* --- finished transfers --- */

static void list_append(struct curl_loop *curl, struct curl_transfer *transfer)
{
    transfer->next = NULL;
    *curl->finished_end = transfer;
    curl->finished_end = &transfer->next;
}

static void list_remove(struct curl_loop *curl, const struct curl_transfer *transfer)
{
    for (struct curl_transfer **at = &curl->finished; *at != NULL; at = &(*at)->next) {
        if (*at != transfer)
            continue;
        *at = transfer->next;
        if (curl->finished_end == &transfer->next)
            curl->finished_end = at;
        return;
    }
}

static void ready_remove(struct curl_transfer *transfer)
{
    if (!transfer->ready)
        return;
    for (struct curl_transfer **at = &transfer->owner->ready; *at != NULL; at = &(*at)->next_ready) {
        if (*at != transfer)
            continue;
        *at = transfer->next_ready;
        break;
    }
    transfer->ready = false;
}

void curl_loop_notify(struct curl_transfer *transfer)
{
    if (transfer->ready || transfer->owner == NULL)
        return;
    transfer->ready = true;
    transfer->next_ready = transfer->owner->ready;
    transfer->owner->ready = transfer;
}

static void deliver_ready(struct curl_loop *curl)
{
    while (curl->ready != NULL) {
        struct curl_transfer *transfer = curl->ready;
        ready_remove(transfer);
        transfer->on_ready(transfer);
    }
}

static void deliver_finished(struct curl_loop *curl)
{
    /* What finishes while these callbacks run is delivered on the next turn. */
    struct curl_transfer *last = NULL;
    for (struct curl_transfer *at = curl->finished; at != NULL; at = at->next)
        last = at;
    for (bool more = last != NULL; more && curl->finished != NULL;) {
        struct curl_transfer *transfer = curl->finished;
        more = transfer != last;
        list_remove(curl, transfer);
        ready_remove(transfer); /* on_done takes what is left */
        transfer->owner = NULL;
        transfer->finished = false;
        transfer->on_done(transfer, transfer->result);
    }
}

static void destroy(struct curl_loop *curl);

static void deliver(void *context)
{
    struct curl_loop *curl = context;
    curl->delivering++;
    deliver_ready(curl);
    deliver_finished(curl);
    curl->delivering--;
    if (curl->freed && curl->delivering == 0)
        destroy(curl);
    else if (curl->finished != NULL)
        loop_timer_start(curl->done_timer, 0);
}

static void take_out(struct curl_transfer *transfer)
{
    struct curl_loop *curl = transfer->owner;
    *(transfer->previous_active != NULL ? &transfer->previous_active->next_active : &curl->active) =
        transfer->next_active;
    if (transfer->next_active != NULL)
        transfer->next_active->previous_active = transfer->previous_active;
    transfer->next_active = transfer->previous_active = NULL;
    (void)curl_multi_remove_handle(curl->multi, transfer->easy);
}

static void conclude(struct curl_transfer *transfer, CURLcode result)
{
    take_out(transfer);
    transfer->finished = true;
    transfer->result = result;
    list_append(transfer->owner, transfer);
}

static void collect_finished(struct curl_loop *curl)
{
    int left = 0;
    for (CURLMsg *message; (message = curl_multi_info_read(curl->multi, &left)) != NULL;) {
        if (message->msg != CURLMSG_DONE)
            continue;
        char *private = NULL;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        conclude((struct curl_transfer *)(void *)private, message->data.result);
    }
}

/* A socket that could not be noted, by curl or by on_socket(), is not asked for again: its transfer would wait for ever, and curl does not
 * say which it is. */
static void conclude_all(struct curl_loop *curl)
{
    while (curl->active != NULL)
        conclude(curl->active, CURLE_OUT_OF_MEMORY);
}

/* --- idle connections --- */

static void end_sweep(struct curl_loop *curl)
{
    curl_loop_remove(&curl->sweep);
    curl_easy_cleanup(TAKE(curl->sweep.easy));
}

static void on_swept(struct curl_transfer *transfer, CURLcode result)
{
    (void)result;
    end_sweep((struct curl_loop *)((char *)transfer - offsetof(struct curl_loop, sweep)));
}

static curl_socket_t open_none(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)context;
    (void)purpose;
    (void)address;
    return CURL_SOCKET_BAD;
}

static bool set_up_sweep(CURL *easy)
{
    return curl_easy_setopt(easy, CURLOPT_URL, "http://127.0.0.1/") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_none) == CURLE_OK;
}

/* curl looks which connections are too old to be kept when it sets out to connect, at most once a second, and at no other time: so a transfer does, and is
 * given no socket. */
void curl_loop_close_idle(struct curl_loop *curl)
{
    if (curl->sweep.easy != NULL)
        return;
    curl->sweep = (struct curl_transfer){.easy = curl_easy_init(), .on_done = on_swept};
    if (curl->sweep.easy == NULL || !set_up_sweep(curl->sweep.easy) || curl_loop_add(curl, &curl->sweep) != ERR_OK)
        curl_easy_cleanup(TAKE(curl->sweep.easy));
}

/* --- curl's wishes --- */

/* All finished transfers are taken out of the multi before any callback runs: a callback may change the multi as it likes. */
static void act(struct curl_loop *curl, curl_socket_t fd, int mask)
{
    int running = 0;
    CURLMcode code = curl_multi_socket_action(curl->multi, fd, mask, &running);
    collect_finished(curl);
    if (code != CURLM_OK)
        conclude_all(curl);
    if (curl->finished != NULL || curl->ready != NULL)
        deliver(curl);
}

static void on_socket_ready(void *context, int fd, unsigned events)
{
    act(context, fd, (events & LOOP_READ ? CURL_CSELECT_IN : 0) | (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0));
}

static void forget_socket(struct curl_loop *curl, struct socket_watch *watch)
{
    loop_io_free(watch->io);
    *(watch->previous != NULL ? &watch->previous->next : &curl->sockets) = watch->next;
    if (watch->next != NULL)
        watch->next->previous = watch->previous;
    mem_free(watch);
}

static struct socket_watch *new_watch(struct curl_loop *curl)
{
    struct socket_watch *watch = NEW(struct socket_watch);
    if (watch == NULL)
        return NULL;
    watch->io = loop_io_new(curl->loop, on_socket_ready, curl);
    if (watch->io == NULL) {
        mem_free(watch);
        return NULL;
    }
    watch->next = curl->sockets;
    if (curl->sockets != NULL)
        curl->sockets->previous = watch;
    curl->sockets = watch;
    return watch;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *socket_context)
{
    (void)easy;
    struct curl_loop *curl = context;
    struct socket_watch *watch = socket_context;
    if (what == CURL_POLL_REMOVE) {
        if (watch != NULL)
            forget_socket(curl, watch);
        return 0;
    }
    if (watch == NULL) {
        watch = new_watch(curl);
        if (watch == NULL)
            return -1; /* see conclude_all() */
        (void)curl_multi_assign(curl->multi, fd, watch);
    }
    unsigned events = (what & CURL_POLL_IN ? LOOP_READ : 0u) | (what & CURL_POLL_OUT ? LOOP_WRITE : 0u);
    loop_io_start(watch->io, fd, events);
    return 0;
}

static void on_timeout(void *context) { act(context, CURL_SOCKET_TIMEOUT, 0); }

static int on_timer(CURLM *multi, long timeout_ms, void *context)
{
    (void)multi;
    struct curl_loop *curl = context;
    if (timeout_ms < 0)
        loop_timer_stop(curl->timer);
    else
        loop_timer_start(curl->timer, (uint64_t)timeout_ms);
    return 0;
}

struct curl_loop *curl_loop_new(struct loop *loop)
{
    struct curl_loop *curl = NEW(struct curl_loop);
    if (curl == NULL)
        return NULL;
    curl->loop = loop;
    curl->finished_end = &curl->finished;
    curl->timer = loop_timer_new(loop, on_timeout, curl);
    curl->done_timer = loop_timer_new(loop, deliver, curl);
    curl->multi = curl_multi_init();
    if (curl->timer == NULL || curl->done_timer == NULL || curl->multi == NULL) {
        destroy(curl);
        return NULL;
    }
    (void)curl_multi_setopt(curl->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    (void)curl_multi_setopt(curl->multi, CURLMOPT_SOCKETDATA, curl);
    (void)curl_multi_setopt(curl->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    (void)curl_multi_setopt(curl->multi, CURLMOPT_TIMERDATA, curl);
    return curl;
}

static void destroy(struct curl_loop *curl)
{
    end_sweep(curl);
    if (curl->multi != NULL)
        (void)curl_multi_cleanup(curl->multi);
    while (curl->sockets != NULL)
        forget_socket(curl, curl->sockets);
    loop_timer_free(curl->timer);
    loop_timer_free(curl->done_timer);
    if (curl->after != NULL)
        curl->after(curl->after_context);
    mem_free(curl);
}

void curl_loop_free(struct curl_loop *curl)
{
    if (curl == NULL)
        return;
    if (curl->delivering > 0)
        curl->freed = true;
    else
        destroy(curl);
}

void curl_loop_free_then(struct curl_loop *curl, void (*after)(void *context), void *context)
{
    if (curl == NULL) {
        after(context);
        return;
    }
    curl->after = after;
    curl->after_context = context;
    curl_loop_free(curl);
}

CURLM *curl_loop_multi(struct curl_loop *curl) { return curl->multi; }

enum err_code curl_loop_add(struct curl_loop *curl, struct curl_transfer *transfer)
{
    transfer->owner = curl;
    transfer->finished = false;
    if (curl_easy_setopt(transfer->easy, CURLOPT_PRIVATE, (void *)transfer) != CURLE_OK ||
        curl_multi_add_handle(curl->multi, transfer->easy) != CURLM_OK) {
        transfer->owner = NULL;
        return ERR_NOMEM;
    }
    transfer->previous_active = NULL;
    transfer->next_active = curl->active;
    if (curl->active != NULL)
        curl->active->previous_active = transfer;
    curl->active = transfer;
    return ERR_OK;
}

void curl_loop_remove(struct curl_transfer *transfer)
{
    struct curl_loop *curl = transfer->owner;
    if (curl == NULL)
        return;
    ready_remove(transfer);
    if (transfer->finished)
        list_remove(curl, transfer);
    else
        take_out(transfer);
    transfer->owner = NULL;
    transfer->finished = false;
}

/* What TLS keeps, no socket tells of: curl looks for it at its next timeout, which it sets here. */
void curl_loop_resume(struct curl_transfer *transfer)
{
    struct curl_loop *curl = transfer->owner;
    if (curl == NULL || transfer->finished)
        return;
    CURLcode code = curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
    if (code == CURLE_ABORTED_BY_CALLBACK)
        conclude_all(curl);
    else if (code != CURLE_OK)
        conclude(transfer, code);
    if (curl->finished != NULL || curl->ready != NULL)
        loop_timer_start(curl->done_timer, 0);
}
