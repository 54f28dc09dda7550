#include "agent/kube/client.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "agent/kube/file.h"
#include "agent/kube/transport.h"
#include "base/mem.h"
#include "base/text.h"
#include "version.h"

enum {
    TOKEN_REFRESH_MS = 60 * 1000,     /* client-go: transport/token_source.go */
    FILES_REFRESH_MS = 5 * 60 * 1000, /* client-go: transport/cert_rotation.go */
    CONFIG_BYTES = 4 << 20,
    MAX_WARNINGS = 64,
};

struct kube_client {
    struct http *http;
    struct loop *loop;
    char *label;
    struct arena arena; /* behind config */
    struct kubeconfig config;
    struct http_origin *origin;
    char *token, *authorization, *impersonate; /* whole header lines, NULL when none */
    int64_t token_expires_us;
    struct loop_timer *token_timer, *files_timer;
    struct kube_request *requests;
    kube_observe_fn observe;
    void *observe_context;
    kube_warning_fn warn;
    void *warn_context;
    char *warnings[MAX_WARNINGS];
    unsigned warning_count;
};

static const char *user_agent(void)
{
    static char text[96];
    if (text[0] == '\0') {
        struct utsname system;
        const char *machine = uname(&system) == 0 ? system.machine : "unknown";
        (void)snprintf(text, sizeof(text), "svcmirror/%s (linux/%.32s)", SVCMIRROR_VERSION, machine);
    }
    return text;
}

/* ---- credentials ---- */

static const char *dup_or_null(struct arena *arena, const char *text)
{
    return text != NULL ? arena_strdup(arena, text) : NULL;
}

static void copy_config(struct arena *arena, const struct kubeconfig *config, struct kubeconfig *copy)
{
    *copy = *config;
    const char *const *from[] = {&config->context_name,    &config->namespace,  &config->server,    &config->ca_pem,
                                 &config->tls_server_name, &config->proxy_url,  &config->cert_pem,  &config->key_pem,
                                 &config->token,           &config->token_file, &config->username,  &config->password,
                                 &config->as_user,         &config->ca_file,    &config->cert_file, &config->key_file};
    const char **to[] = {&copy->context_name,    &copy->namespace,  &copy->server,    &copy->ca_pem,
                         &copy->tls_server_name, &copy->proxy_url,  &copy->cert_pem,  &copy->key_pem,
                         &copy->token,           &copy->token_file, &copy->username,  &copy->password,
                         &copy->as_user,         &copy->ca_file,    &copy->cert_file, &copy->key_file};
    for (size_t i = 0; i < ARRAY_COUNT(from); i++)
        *to[i] = dup_or_null(arena, *from[i]);
}

static char *header_line(const char *name, const char *value)
{
    struct strbuf line;
    strbuf_init(&line, 128 << 10);
    strbuf_printf(&line, "%s %s", name, value);
    return strbuf_take(&line);
}

static char *basic_line(const struct kubeconfig *config)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char plain[512];
    int length =
        snprintf(plain, sizeof(plain), "%s:%s", config->username, config->password != NULL ? config->password : "");
    if (length < 0 || (size_t)length >= sizeof(plain))
        return NULL;
    struct strbuf line;
    strbuf_init(&line, 1024);
    strbuf_append(&line, "Authorization: Basic ");
    for (int i = 0; i < length; i += 3) {
        unsigned char a = (unsigned char)plain[i], b = i + 1 < length ? (unsigned char)plain[i + 1] : 0,
                      c = i + 2 < length ? (unsigned char)plain[i + 2] : 0;
        strbuf_append_char(&line, alphabet[a >> 2]);
        strbuf_append_char(&line, alphabet[(a & 3) << 4 | b >> 4]);
        strbuf_append_char(&line, i + 1 < length ? alphabet[(b & 15) << 2 | c >> 6] : '=');
        strbuf_append_char(&line, i + 2 < length ? alphabet[c & 63] : '=');
    }
    return strbuf_take(&line);
}

static enum err_code set_token(struct kube_client *client, const char *token, struct err *reterr)
{
    char *copy = mem_strdup(token), *line = header_line("Authorization: Bearer", token);
    if (copy == NULL || line == NULL) {
        mem_free(copy);
        mem_free(line);
        return err_set(reterr, ERR_NOMEM, "out of memory");
    }
    mem_free(client->token);
    mem_free(client->authorization);
    client->token = copy;
    client->authorization = line;
    struct arena scratch;
    arena_init(&scratch, CONFIG_BYTES);
    client->token_expires_us = kubeconfig_token_expires_us(&scratch, token);
    arena_done(&scratch);
    return ERR_OK;
}

/* @return whether the token changed. A file that cannot be read leaves the old token in use. */
static bool refresh_token(struct kube_client *client)
{
    struct arena scratch;
    struct err ignored = {0};
    const char *token = NULL;
    if (client->config.token_file == NULL)
        return false;
    arena_init(&scratch, CONFIG_BYTES);
    bool changed = file_read_token(&scratch, client->config.token_file, &token, &ignored) == ERR_OK &&
                   !text_equal(token, client->token) && set_token(client, token, &ignored) == ERR_OK;
    arena_done(&scratch);
    return changed;
}

static void on_token_due(void *context)
{
    struct kube_client *client = context;
    (void)refresh_token(client);
    loop_timer_start(client->token_timer, TOKEN_REFRESH_MS);
}

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

static bool reread(struct arena *arena, const char *file, const char *old, const char **ret_text)
{
    size_t bytes = 0;
    struct err ignored = {0};
    return file != NULL && file_read(arena, file, CONFIG_BYTES, ret_text, &bytes, &ignored) == ERR_OK && bytes > 0 &&
           !text_equal(*ret_text, old);
}

/* Running requests end with ERR_CONNECT and go on with the new certificates. */
static void replace_origin(struct kube_client *client, struct http_origin *fresh)
{
    struct http_origin *old = client->origin;
    client->origin = fresh;
    struct kube_request *request = client->requests;
    while (request != NULL) {
        struct kube_request *next = request->next;
        http_cancel(&request->call);
        request->orphaned = true;
        request = next;
    }
    http_origin_free(old);
    transport_fail_orphans(client);
}

static void on_files_due(void *context)
{
    struct kube_client *client = context;
    struct arena scratch;
    struct err ignored = {0};
    struct http_origin *fresh = NULL;
    struct kubeconfig config = client->config;
    arena_init(&scratch, CONFIG_BYTES);
    bool changed = reread(&scratch, config.ca_file, config.ca_pem, &config.ca_pem);
    changed = reread(&scratch, config.cert_file, config.cert_pem, &config.cert_pem) || changed;
    changed = reread(&scratch, config.key_file, config.key_pem, &config.key_pem) || changed;
    /* What cannot be used (half written, not PEM) leaves the old in use until the next time. */
    if (changed && open_origin(client, &config, &fresh, &ignored) == ERR_OK) {
        client->config.ca_pem = dup_or_null(&client->arena, config.ca_pem);
        client->config.cert_pem = dup_or_null(&client->arena, config.cert_pem);
        client->config.key_pem = dup_or_null(&client->arena, config.key_pem);
        replace_origin(client, fresh);
    }
    arena_done(&scratch);
    loop_timer_start(client->files_timer, FILES_REFRESH_MS);
}

static enum err_code fill(struct kube_client *client, const struct kubeconfig *config, const char *label,
                          struct err *reterr)
{
    client->label = mem_strdup(label);
    copy_config(&client->arena, config, &client->config);
    client->token_timer = loop_timer_new(client->loop, on_token_due, client);
    client->files_timer = loop_timer_new(client->loop, on_files_due, client);
    if (client->label == NULL || arena_failed(&client->arena) || client->token_timer == NULL ||
        client->files_timer == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    if (config->token != NULL)
        TRY(set_token(client, config->token, reterr));
    else if (config->username != NULL && (client->authorization = basic_line(config)) == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    if (config->as_user != NULL && (client->impersonate = header_line("Impersonate-User:", config->as_user)) == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    if (config->token_file != NULL)
        loop_timer_start(client->token_timer, TOKEN_REFRESH_MS);
    if (config->ca_file != NULL || config->cert_file != NULL)
        loop_timer_start(client->files_timer, FILES_REFRESH_MS);
    return open_origin(client, &client->config, &client->origin, reterr);
}

enum err_code kube_client_new(struct http *http, struct loop *loop, const struct kubeconfig *config, const char *label,
                              struct kube_client **ret_client, struct err *reterr)
{
    struct kube_client *client = NEW(struct kube_client);
    if (client == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    client->http = http;
    client->loop = loop;
    arena_init(&client->arena, CONFIG_BYTES);
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
    loop_timer_free(client->token_timer);
    loop_timer_free(client->files_timer);
    while (client->warning_count > 0)
        mem_free(client->warnings[--client->warning_count]);
    mem_free(client->label);
    mem_free(client->token);
    mem_free(client->authorization);
    mem_free(client->impersonate);
    arena_done(&client->arena);
    mem_free(client);
}

const char *kube_client_label(const struct kube_client *client) { return client->label; }

const char *kube_client_server(const struct kube_client *client) { return client->config.server; }

int64_t kube_client_expires_us(const struct kube_client *client)
{
    int64_t cert_us = client->config.cert_expires_us, token_us = client->token_expires_us;
    if (cert_us == 0 || token_us == 0)
        return cert_us + token_us;
    return cert_us < token_us ? cert_us : token_us;
}

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

/* ---- for transport.h ---- */

struct loop *kube_client_loop(const struct kube_client *client) { return client->loop; }

enum err_code transport_start(struct kube_client *client, struct http_call *call, struct err *reterr)
{
    unsigned count = 0;
    while (count < HTTP_MAX_HEADERS - 2 && call->headers[count] != NULL)
        count++;
    if (client->authorization != NULL)
        call->headers[count++] = client->authorization;
    if (client->impersonate != NULL)
        call->headers[count++] = client->impersonate;
    enum err_code code = http_start(client->origin, call, reterr);
    /* They are copied by now; a retry adds them afresh. */
    while (count > 0 &&
           (call->headers[count - 1] == client->authorization || call->headers[count - 1] == client->impersonate))
        call->headers[--count] = NULL;
    return code;
}

bool transport_refresh(struct kube_client *client) { return refresh_token(client); }

void transport_observe(struct kube_client *client, const char *verb, const char *resource, const struct http_call *call,
                       uint64_t started_us)
{
    if (client->observe != NULL)
        client->observe(client->observe_context, client, verb, resource, call->status,
                        loop_precise_us(client->loop) - started_us);
    if (call->warning[0] == '\0' || client->warn == NULL || client->warning_count == MAX_WARNINGS)
        return;
    for (unsigned i = 0; i < client->warning_count; i++)
        if (strcmp(client->warnings[i], call->warning) == 0)
            return;
    char *copy = mem_strdup(call->warning);
    if (copy == NULL)
        return; /* told the next time */
    client->warnings[client->warning_count++] = copy;
    client->warn(client->warn_context, client, copy);
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

struct kube_request *transport_first(struct kube_client *client) { return client->requests; }
