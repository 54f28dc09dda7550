#include "agent/kube/client.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "agent/kube/credentials.h"
#include "agent/kube/transport.h"
#include "base/mem.h"
#include "base/text.h"
#include "version.h"

enum {
    TOKEN_REFRESH_MS = 60 * 1000,     /* client-go: transport/token_source.go */
    FILES_REFRESH_MS = 5 * 60 * 1000, /* client-go: transport/cert_rotation.go */
    RETIRE_MS = 60 * 1000,            /* requests end within half of it; looked at again when one has not */
    MAX_WARNINGS = 64,                /* distinct texts that are told; a server has a handful */
    CONFIG_BYTES = 8 << 20,
};

struct kube_client {
    struct http *http;
    struct loop *loop;
    char *label;
    struct credentials credentials;
    struct http_origin *origin;
    struct http_origin *retired; /* with the certificates of before, until its last request has ended; else NULL */
    struct loop_timer *token_timer, *files_timer, *retire_timer;
    struct kube_request *requests;
    struct transport_follower *followers;
    kube_observe_fn observe;
    void *observe_context;
    kube_warning_fn warn;
    void *warn_context;
    char *warnings[MAX_WARNINGS]; /* told already */
    unsigned warning_count;
    bool read_only;
    bool streams_lists, streams_refused;
};

/* Go's name for the machine, as every other client of the API server says it. */
static const char *machine_name(const char *machine)
{
    if (strcmp(machine, "x86_64") == 0)
        return "amd64";
    return strcmp(machine, "aarch64") == 0 ? "arm64" : machine;
}

static const char *user_agent(void)
{
    static char text[96];
    struct utsname system;
    if (text[0] == '\0')
        (void)snprintf(text, sizeof(text), "svcmirror/%s (linux/%.32s)", SVCMIRROR_VERSION,
                       uname(&system) == 0 ? machine_name(system.machine) : "unknown");
    return text;
}

/* ---- connections ---- */

static enum err_code open_origin(struct kube_client *client, const struct kubeconfig *config,
                                 struct http_origin **ret_origin, struct err *reterr)
{
    const struct http_origin_config origin = {
        .base_url = config->server,
        .ca_pem = config->ca_pem,
        .cert_pem = config->cert_pem,
        .key_pem = config->key_pem,
        .tls_server_name = config->tls_server_name,
        .insecure_skip_verify = config->insecure_skip_tls_verify,
        .proxy_url = config->proxy_url,
        .user_agent = user_agent(),
    };
    return http_origin_new(client->http, &origin, ret_origin, reterr);
}

static void on_retire_due(void *context)
{
    struct kube_client *client = context;
    if (http_origin_in_flight(client->retired) > 0) {
        loop_timer_start(client->retire_timer, RETIRE_MS);
        return;
    }
    http_origin_free(TAKE(client->retired));
}

/* Single requests end where they began; what lasts begins again on connections with the new certificates. */
static void replace_origin(struct kube_client *client, struct http_origin *fresh)
{
    client->retired = client->origin;
    client->origin = fresh;
    loop_timer_start(client->retire_timer, RETIRE_MS);
    for (struct transport_follower *follower = client->followers; follower != NULL; follower = follower->next)
        follower->on_replaced(follower->context);
}

static bool reread_files(struct kube_client *client)
{
    struct arena arena;
    struct kubeconfig config;
    struct http_origin *fresh = NULL;
    if (client->retired != NULL)
        return false; /* the last change is still going on */
    arena_init(&arena, CONFIG_BYTES);
    if (!credentials_reread_files(&client->credentials, &arena, &config) ||
        open_origin(client, &config, &fresh, NULL) != ERR_OK) {
        arena_done(&arena);
        return false;
    }
    credentials_replace(&client->credentials, &arena, &config);
    replace_origin(client, fresh);
    return true;
}

static void on_files_due(void *context)
{
    struct kube_client *client = context;
    (void)reread_files(client);
    loop_timer_start(client->files_timer, FILES_REFRESH_MS);
}

static void on_token_due(void *context)
{
    struct kube_client *client = context;
    (void)credentials_reread_token(&client->credentials);
    loop_timer_start(client->token_timer, TOKEN_REFRESH_MS);
}

/* ---- life ---- */

static enum err_code fill(struct kube_client *client, const struct kubeconfig *config, const char *label,
                          struct err *reterr)
{
    TRY(credentials_init(&client->credentials, config, reterr));
    client->label = mem_strdup(label);
    client->token_timer = loop_timer_new(client->loop, on_token_due, client);
    client->files_timer = loop_timer_new(client->loop, on_files_due, client);
    client->retire_timer = loop_timer_new(client->loop, on_retire_due, client);
    if (client->label == NULL || client->token_timer == NULL || client->files_timer == NULL ||
        client->retire_timer == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    if (config->token_file != NULL)
        loop_timer_start(client->token_timer, TOKEN_REFRESH_MS);
    if (config->ca_file != NULL || config->cert_file != NULL || config->key_file != NULL)
        loop_timer_start(client->files_timer, FILES_REFRESH_MS);
    return open_origin(client, &client->credentials.config, &client->origin, reterr);
}

enum err_code kube_client_new(struct http *http, struct loop *loop, const struct kubeconfig *config, const char *label,
                              struct kube_client **ret_client, struct err *reterr)
{
    struct kube_client *client = NEW(struct kube_client);
    if (client == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    client->http = http;
    client->loop = loop;
    enum err_code code = fill(client, config, label, reterr);
    if (code != ERR_OK) {
        kube_client_free(client);
        return code;
    }
    *ret_client = client;
    return ERR_OK;
}

void kube_client_free(struct kube_client *client)
{
    if (client == NULL)
        return;
    while (client->requests != NULL)
        kube_cancel(client->requests);
    http_origin_free(client->origin);
    http_origin_free(client->retired);
    loop_timer_free(client->token_timer);
    loop_timer_free(client->files_timer);
    loop_timer_free(client->retire_timer);
    while (client->warning_count > 0)
        mem_free(client->warnings[--client->warning_count]);
    credentials_done(&client->credentials);
    mem_free(client->label);
    mem_free(client);
}

const char *kube_client_label(const struct kube_client *client) { return client->label; }

const char *kube_client_server(const struct kube_client *client) { return client->credentials.config.server; }

int64_t kube_client_expires_us(const struct kube_client *client)
{
    return credentials_expires_us(&client->credentials);
}

struct loop *kube_client_loop(const struct kube_client *client) { return client->loop; }

/* ---- calls ---- */

enum err_code transport_start(struct kube_client *client, struct http_call *call, unsigned *ret_generation,
                              struct err *reterr)
{
    const char *const added[] = {client->credentials.authorization, client->credentials.impersonate};
    unsigned count = 0;
    if (client->read_only && call->method != NULL && strcmp(call->method, "GET") != 0)
        return err_set(reterr, ERR_UNSUPPORTED, "%s %s in cluster %s: nothing is written in a dry run", call->method,
                       call->path, client->label);
    while (count < HTTP_MAX_HEADERS - ARRAY_COUNT(added) && call->headers[count] != NULL)
        count++;
    unsigned own = count;
    for (unsigned i = 0; i < ARRAY_COUNT(added); i++)
        if (added[i] != NULL)
            call->headers[count++] = added[i];
    *ret_generation = client->credentials.generation;
    enum err_code code = http_start(client->origin, call, reterr);
    /* They are copied by now, and change before a second try. */
    while (count > own)
        call->headers[--count] = NULL;
    return code;
}

bool transport_refresh(struct kube_client *client, unsigned generation)
{
    if (client->credentials.generation == generation) {
        (void)credentials_reread_token(&client->credentials);
        (void)reread_files(client);
    }
    return client->credentials.generation != generation;
}

void transport_follow(struct kube_client *client, struct transport_follower *follower)
{
    follower->previous = NULL;
    follower->next = client->followers;
    if (client->followers != NULL)
        client->followers->previous = follower;
    client->followers = follower;
}

void transport_unfollow(struct kube_client *client, struct transport_follower *follower)
{
    if (follower->previous == NULL && client->followers != follower)
        return;
    *(follower->previous != NULL ? &follower->previous->next : &client->followers) = follower->next;
    if (follower->next != NULL)
        follower->next->previous = follower->previous;
    follower->next = follower->previous = NULL;
}

void transport_link(struct kube_client *client, struct kube_request *request)
{
    request->previous = NULL;
    request->next = client->requests;
    if (client->requests != NULL)
        client->requests->previous = request;
    client->requests = request;
}

void transport_unlink(struct kube_client *client, struct kube_request *request)
{
    *(request->previous != NULL ? &request->previous->next : &client->requests) = request->next;
    if (request->next != NULL)
        request->next->previous = request->previous;
    request->next = request->previous = NULL;
}

void kube_client_set_read_only(struct kube_client *client) { client->read_only = true; }

void kube_client_stream_lists(struct kube_client *client) { client->streams_lists = true; }

bool transport_streams_lists(const struct kube_client *client)
{
    return client->streams_lists && !client->streams_refused;
}

void transport_refuse_streams(struct kube_client *client) { client->streams_refused = true; }

/* ---- observers ---- */

void kube_client_observe(struct kube_client *client, kube_observe_fn fn, void *context)
{
    client->observe = fn;
    client->observe_context = context;
}

void kube_client_on_warning(struct kube_client *client, kube_warning_fn fn, void *context)
{
    client->warn = fn;
    client->warn_context = context;
}

/* The text of `299 - "v1 Endpoints is deprecated"` (RFC 7234 section 5.5); false for other codes. */
static bool warning_text(const char *header, char *buffer, size_t bytes)
{
    const char *from = strchr(header, '"');
    size_t used = 0;
    if (!text_starts_with(header, "299 ") || from == NULL)
        return false;
    for (from++; *from != '\0' && *from != '"' && used + 1 < bytes; from++) {
        if (*from == '\\' && from[1] != '\0')
            from++;
        buffer[used++] = *from;
    }
    buffer[used] = '\0';
    return used > 0;
}

static void tell_warning(struct kube_client *client, const char *header)
{
    char text[256];
    if (client->warn == NULL || client->warning_count == MAX_WARNINGS || !warning_text(header, text, sizeof(text)))
        return;
    for (unsigned i = 0; i < client->warning_count; i++)
        if (strcmp(client->warnings[i], text) == 0)
            return;
    char *copy = mem_strdup(text);
    if (copy == NULL)
        return; /* told the next time */
    client->warnings[client->warning_count++] = copy;
    client->warn(client->warn_context, client, copy);
}

void transport_observe(struct kube_client *client, const char *verb, const char *resource, const struct http_call *call,
                       uint64_t started_us)
{
    if (client->observe != NULL)
        client->observe(client->observe_context, client, verb, resource, call->status,
                        loop_precise_us(client->loop) - started_us);
    tell_warning(client, call->warning);
}
