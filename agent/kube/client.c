#include "agent/kube/client.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "agent/kube/credentials.h"
#include "agent/kube/exec_plugin.h"
#include "agent/kube/transport.h"
#include "base/mem.h"
#include "base/text.h"
#include "version.h"

enum {
    TOKEN_REFRESH_MS = 60 * 1000,     /* client-go: transport/token_source.go */
    FILES_REFRESH_MS = 5 * 60 * 1000, /* client-go: transport/cert_rotation.go */
    RETIRE_MS = 60 * 1000,            /* requests end within half of it; looked at again when one has not */
    MAX_WARNINGS = 64,                /* distinct texts that are told; a server has a handful */
    MAX_RETIRED = 4,                  /* certificates of before that requests still end with */
    CONFIG_BYTES = 8 << 20,
};

/* A call that waits for the plugin. */
struct held {
    struct http_call *call;
    char *path; /* the call's own may go before it is sent */
    unsigned *generation;
    struct held *next;
};

struct kube_client {
    struct http *http;
    struct loop *loop;
    char *label;
    struct credentials credentials;
    struct http_origin *origin;
    struct http_origin *retired[MAX_RETIRED]; /* with the certificates of before, until the last request has ended */
    unsigned retired_count;
    struct exec_plugin *plugin; /* NULL: the credentials come from elsewhere */
    bool plugin_answered;       /* and what it gave has not been refused since */
    int64_t plugin_until_us;    /* when that ends; 0: it did not say */
    struct held *held, **held_end;
    bool *freed; /* set when the client goes while held calls are told */
    struct loop_timer *token_timer, *files_timer, *retire_timer;
    struct kube_request *requests;
    struct transport_follower *followers;
    kube_observe_fn observe;
    void *observe_context;
    kube_warning_fn warn;
    void *warn_context;
    char *warnings[MAX_WARNINGS]; /* told already */
    unsigned warning_count;
    uint32_t max_connections; /* 0: as http_origin_config has it */
    bool read_only;
    bool streams_lists, streams_refused;
    bool json_only;
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
        .no_compression = config->disable_compression,
        .proxy_url = config->proxy_url,
        .user_agent = user_agent(),
        .headers = config->impersonate,
        .http2 = http_speaks_http2(client->http),
        .max_connections = client->max_connections,
    };
    return http_origin_new(client->http, &origin, ret_origin, reterr);
}

static void on_retire_due(void *context)
{
    struct kube_client *client = context;
    unsigned left = 0;
    for (unsigned i = 0; i < client->retired_count; i++) {
        if (http_origin_in_flight(client->retired[i]) > 0)
            client->retired[left++] = client->retired[i];
        else
            http_origin_free(client->retired[i]);
    }
    client->retired_count = left;
    if (left > 0)
        loop_timer_start(client->retire_timer, RETIRE_MS);
}

/* Single requests end where they began; what lasts begins again on connections with the new certificates. */
static void replace_origin(struct kube_client *client, struct http_origin *fresh)
{
    client->retired[client->retired_count++] = client->origin;
    client->origin = fresh;
    loop_timer_start(client->retire_timer, RETIRE_MS);
    for (struct transport_follower *follower = client->followers; follower != NULL; follower = follower->next)
        follower->on_replaced(follower->context);
}

/* @param arena  steals, with the config in it. */
static enum err_code use_certificates(struct kube_client *client, struct arena *arena, const struct kubeconfig *config,
                                      struct err *reterr)
{
    struct http_origin *fresh = NULL;
    enum err_code code = client->retired_count < MAX_RETIRED
                             ? open_origin(client, config, &fresh, reterr)
                             : err_set(reterr, ERR_BUSY, "certificates change faster than requests end");
    if (code != ERR_OK) {
        arena_done(arena);
        return code;
    }
    credentials_replace(&client->credentials, arena, config);
    replace_origin(client, fresh);
    return ERR_OK;
}

static void reread_files(struct kube_client *client)
{
    struct arena arena;
    struct kubeconfig config;
    if (client->retired_count > 0)
        return; /* the last change is still going on */
    arena_init(&arena, CONFIG_BYTES);
    if (credentials_reread_files(&client->credentials, &arena, &config))
        (void)use_certificates(client, &arena, &config, NULL); /* else the next reading finds it again */
    else
        arena_done(&arena);
}

static void on_files_due(void *context)
{
    struct kube_client *client = context;
    reread_files(client);
    loop_timer_start(client->files_timer, FILES_REFRESH_MS);
}

static void on_token_due(void *context)
{
    struct kube_client *client = context;
    (void)credentials_reread_token(&client->credentials);
    loop_timer_start(client->token_timer, TOKEN_REFRESH_MS);
}

/* ---- credentials of a plugin ---- */

static struct held *first_held(struct kube_client *client)
{
    struct held *held = client->held;
    if (held == NULL)
        return NULL;
    client->held = held->next;
    if (client->held == NULL)
        client->held_end = &client->held;
    return held;
}

static void held_free(struct held *held)
{
    mem_free(held->path);
    mem_free(held);
}

static enum err_code hold(struct kube_client *client, struct http_call *call, unsigned *generation, struct err *reterr)
{
    struct held *held = NEW(struct held);
    char *path = mem_strdup(call->path);
    if (held == NULL || path == NULL) {
        mem_free(held);
        mem_free(path);
        return err_set(reterr, ERR_NOMEM, "out of memory");
    }
    *held = (struct held){.call = call, .path = path, .generation = generation};
    *client->held_end = held;
    client->held_end = &held->next;
    call->status = 0;
    call->retry_after_ms = -1;
    call->content_type[0] = call->warning[0] = call->peer[0] = '\0';
    exec_plugin_start(client->plugin);
    return ERR_OK;
}

static enum err_code send(struct kube_client *client, struct http_call *call, unsigned *ret_generation,
                          struct err *reterr);

/* Any of the callbacks may cancel others, start new ones, and free the client. */
static void release_held(struct kube_client *client, const struct err *error)
{
    bool freed = false;
    /* What a callback starts waits for another answer: only those that wait now are meant. */
    struct held *last = NULL;
    for (struct held *at = client->held; at != NULL; at = at->next)
        last = at;
    client->freed = &freed;
    for (bool more = last != NULL; more && !freed && client->held != NULL;) {
        struct held *held = first_held(client);
        struct http_call *call = held->call;
        struct err own = {0};
        more = held != last;
        const char *given = call->path;
        call->path = held->path;
        bool sent = error == NULL && send(client, call, held->generation, &own) == ERR_OK;
        call->path = given;
        held_free(held);
        if (!sent)
            call->on_done(call, error != NULL ? error : &own);
    }
    if (!freed)
        client->freed = NULL;
}

static enum err_code take_answer(struct kube_client *client, const struct exec_credential *answer, struct err *reterr)
{
    struct arena arena;
    struct kubeconfig config;
    arena_init(&arena, CONFIG_BYTES);
    bool changed = credentials_take_certificate(&client->credentials, answer, &arena, &config);
    bool failed = arena_failed(&arena);
    if (!changed)
        arena_done(&arena);
    if (failed)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    if (changed)
        TRY(use_certificates(client, &arena, &config, reterr));
    if (credentials_take_token(&client->credentials, answer) != ERR_OK)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    client->plugin_answered = true;
    client->plugin_until_us = answer->expires_us;
    return ERR_OK;
}

static void on_plugin(void *context, const struct exec_credential *answer, const struct err *error)
{
    struct kube_client *client = context;
    struct err own = {0};
    if (answer != NULL && take_answer(client, answer, &own) != ERR_OK)
        error = &own;
    release_held(client, error);
}

static bool needs_plugin(const struct kube_client *client)
{
    if (client->plugin == NULL)
        return false;
    bool ended = client->plugin_until_us != 0 && loop_wall_us(client->loop) >= client->plugin_until_us;
    return !client->plugin_answered || ended || exec_plugin_running(client->plugin);
}

static enum err_code make_plugin(struct kube_client *client, const struct kubeconfig *config, struct err *reterr)
{
    if (config->exec == NULL)
        return ERR_OK;
    if (config->exec_permission == EXEC_REFUSED)
        return err_set(
            reterr, ERR_UNSUPPORTED,
            "credential plugin %.120s may not be run here: allow it with --exec-allow %.120s, or use a token",
            config->exec->command, config->exec->command);
    return exec_plugin_new(client->loop, config->exec, config->exec_permission == EXEC_TERMINAL, on_plugin, client,
                           &client->plugin, reterr);
}

/* ---- life ---- */

static enum err_code fill(struct kube_client *client, const struct kubeconfig *config, const char *label,
                          struct err *reterr)
{
    TRY(credentials_init(&client->credentials, config, reterr));
    client->credentials.client = client;
    TRY(make_plugin(client, config, reterr));
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
    client->held_end = &client->held;
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
    if (client->freed != NULL)
        *client->freed = true;
    for (struct held *held; (held = first_held(client)) != NULL;)
        held_free(held);
    exec_plugin_free(client->plugin);
    http_origin_free(client->origin);
    while (client->retired_count > 0)
        http_origin_free(client->retired[--client->retired_count]);
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
    int64_t certificate_us = client->credentials.validity[KUBE_CREDENTIAL_CERTIFICATE].until_us;
    int64_t token_us = client->credentials.validity[KUBE_CREDENTIAL_TOKEN].until_us;
    if (certificate_us == 0 || token_us == 0)
        return certificate_us + token_us;
    return certificate_us < token_us ? certificate_us : token_us;
}

const char *kube_credential_name(enum kube_credential kind)
{
    static const char *const names[] = {[KUBE_CREDENTIAL_CERTIFICATE] = "client_certificate",
                                        [KUBE_CREDENTIAL_CA] = "ca",
                                        [KUBE_CREDENTIAL_TOKEN] = "token"};
    return names[kind];
}

struct validity kube_client_validity(const struct kube_client *client, enum kube_credential kind)
{
    return client->credentials.validity[kind];
}

struct loop *kube_client_loop(const struct kube_client *client) { return client->loop; }

/* ---- calls ---- */

static enum err_code send(struct kube_client *client, struct http_call *call, unsigned *ret_generation,
                          struct err *reterr)
{
    unsigned count = 0;
    while (count < HTTP_MAX_HEADERS - 1 && call->headers[count] != NULL)
        count++;
    call->headers[count] = client->credentials.authorization;
    *ret_generation = client->credentials.generation;
    enum err_code code = http_start(client->origin, call, reterr);
    call->headers[count] = NULL; /* it is copied by now, and changes before a second try */
    return code;
}

enum err_code transport_start(struct kube_client *client, struct http_call *call, unsigned *ret_generation,
                              struct err *reterr)
{
    if (client->read_only && call->method != NULL && strcmp(call->method, "GET") != 0)
        return err_set(reterr, ERR_UNSUPPORTED, "%s %s in cluster %s: nothing is written in a dry run", call->method,
                       call->path, client->label);
    return needs_plugin(client) ? hold(client, call, ret_generation, reterr)
                                : send(client, call, ret_generation, reterr);
}

void transport_cancel(struct kube_client *client, struct http_call *call)
{
    for (struct held **at = &client->held; *at != NULL; at = &(*at)->next) {
        struct held *held = *at;
        if (held->call != call)
            continue;
        *at = held->next;
        if (client->held_end == &held->next)
            client->held_end = at;
        held_free(held);
        break;
    }
    http_cancel(call);
}

bool transport_refresh(struct kube_client *client, unsigned generation, const struct http_call *call,
                       const struct err *error)
{
    bool refused = error == NULL && call->status == 401, distrusted = error != NULL && error->code == ERR_TLS;
    if (!refused && !distrusted)
        return false;
    if (client->credentials.generation == generation) {
        (void)credentials_reread_token(&client->credentials);
        reread_files(client);
        /* A plugin is asked again, whatever it said about how long its answer is good. */
        bool its_fault = refused || client->credentials.config.cert_pem != NULL;
        if (client->plugin != NULL && its_fault && client->credentials.generation == generation)
            client->plugin_answered = false;
    }
    return client->credentials.generation != generation || needs_plugin(client);
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

void kube_client_limit_connections(struct kube_client *client, uint32_t max_connections)
{
    client->max_connections = max_connections;
    http_origin_limit_connections(client->origin, max_connections);
}

void kube_client_close_idle(struct kube_client *client) { http_origin_close_idle(client->origin); }

void kube_client_stream_lists(struct kube_client *client) { client->streams_lists = true; }

void kube_client_ask_for_json(struct kube_client *client) { client->json_only = true; }

bool transport_takes_protobuf(const struct kube_client *client) { return !client->json_only; }

void transport_refuse_protobuf(struct kube_client *client) { client->json_only = true; }

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

void kube_client_on_reload(struct kube_client *client, kube_reload_fn fn, void *context)
{
    client->credentials.on_reload = fn;
    client->credentials.on_reload_context = context;
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
