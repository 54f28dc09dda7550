#include "agent/kube/credentials.h"

#include <string.h>

#include "agent/kube/base64.h"
#include "agent/kube/file.h"
#include "agent/kube/pem.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/text.h"

enum { CONFIG_BYTES = 8 << 20, LINE_BYTES = 128 << 10 };

static void copy_config(struct arena *arena, const struct kubeconfig *from, struct kubeconfig *to)
{
    *to = *from;
    const char **texts[] = {&to->context_name,    &to->namespace,  &to->server,    &to->ca_pem,
                            &to->tls_server_name, &to->proxy_url,  &to->cert_pem,  &to->key_pem,
                            &to->token,           &to->token_file, &to->username,  &to->password,
                            &to->as_user,         &to->ca_file,    &to->cert_file, &to->key_file};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        *texts[i] = arena_strdup(arena, *texts[i]);
}

static char *bearer_line(const char *token)
{
    struct strbuf line;
    strbuf_init(&line, LINE_BYTES);
    strbuf_append(&line, "Authorization: Bearer ");
    strbuf_append(&line, token);
    return strbuf_take(&line);
}

static char *basic_line(const char *username, const char *password)
{
    struct strbuf plain, line;
    strbuf_init(&plain, LINE_BYTES);
    strbuf_init(&line, 2 * LINE_BYTES);
    strbuf_printf(&plain, "%s:%s", username, password != NULL ? password : "");
    strbuf_append(&line, "Authorization: Basic ");
    base64_encode(&line, strbuf_text(&plain), plain.length);
    char *text = strbuf_error(&plain) == ERR_OK ? strbuf_take(&line) : NULL;
    strbuf_done(&plain);
    strbuf_done(&line);
    return text;
}

static char *impersonate_line(const char *user)
{
    struct strbuf line;
    strbuf_init(&line, LINE_BYTES);
    strbuf_append(&line, "Impersonate-User: ");
    strbuf_append(&line, user);
    return strbuf_take(&line);
}

static bool set_token(struct credentials *credentials, const char *token)
{
    char *copy = mem_strdup(token), *line = bearer_line(token);
    if (copy == NULL || line == NULL) {
        mem_free(copy);
        mem_free(line);
        return false;
    }
    mem_free(credentials->token);
    mem_free(credentials->authorization);
    credentials->token = copy;
    credentials->authorization = line;
    struct arena scratch;
    arena_init(&scratch, CONFIG_BYTES);
    credentials->token_expires_us = kubeconfig_token_expires_us(&scratch, token);
    arena_done(&scratch);
    credentials->generation++;
    return true;
}

enum err_code credentials_init(struct credentials *credentials, const struct kubeconfig *config, struct err *reterr)
{
    *credentials = (struct credentials){0};
    arena_init(&credentials->arena, CONFIG_BYTES);
    copy_config(&credentials->arena, config, &credentials->config);
    bool ok = !arena_failed(&credentials->arena);
    if (ok && config->token != NULL)
        ok = set_token(credentials, config->token);
    else if (ok && config->username != NULL)
        ok = (credentials->authorization = basic_line(config->username, config->password)) != NULL;
    if (ok && config->as_user != NULL)
        ok = (credentials->impersonate = impersonate_line(config->as_user)) != NULL;
    if (ok)
        return ERR_OK;
    credentials_done(credentials);
    return err_set(reterr, ERR_NOMEM, "out of memory");
}

void credentials_done(struct credentials *credentials)
{
    mem_free(TAKE(credentials->token));
    mem_free(TAKE(credentials->authorization));
    mem_free(TAKE(credentials->impersonate));
    arena_done(&credentials->arena);
}

int64_t credentials_expires_us(const struct credentials *credentials)
{
    int64_t cert_us = credentials->config.cert_expires_us, token_us = credentials->token_expires_us;
    if (cert_us == 0 || token_us == 0)
        return cert_us + token_us;
    return cert_us < token_us ? cert_us : token_us;
}

bool credentials_reread_token(struct credentials *credentials)
{
    const char *token = NULL;
    if (credentials->config.token_file == NULL)
        return false;
    struct arena scratch;
    arena_init(&scratch, CONFIG_BYTES);
    bool changed = file_read_token(&scratch, credentials->config.token_file, &token, NULL) == ERR_OK &&
                   !text_equal(token, credentials->token) && set_token(credentials, token);
    arena_done(&scratch);
    return changed;
}

/* @return whether the file holds something else now; then `pem` is that. */
static bool reread(struct arena *arena, const char *file, const char **pem)
{
    const char *text = NULL;
    size_t bytes = 0;
    if (file == NULL || file_read(arena, file, CONFIG_BYTES, &text, &bytes, NULL) != ERR_OK || text_equal(text, *pem))
        return false;
    *pem = text;
    return true;
}

/* Files are replaced one after the other: a certificate without its key is the state of a moment. */
static bool is_usable(struct kubeconfig *config)
{
    if (config->ca_pem != NULL && pem_check_bundle(config->ca_pem, NULL) != ERR_OK)
        return false;
    return config->cert_pem == NULL || (pem_expires_us(config->cert_pem, &config->cert_expires_us, NULL) == ERR_OK &&
                                        pem_check_key(config->cert_pem, config->key_pem, NULL) == ERR_OK);
}

bool credentials_reread_files(const struct credentials *credentials, struct arena *arena, struct kubeconfig *ret_config)
{
    struct kubeconfig config = credentials->config;
    struct arena scratch;
    arena_init(&scratch, CONFIG_BYTES);
    bool changed = reread(&scratch, config.ca_file, &config.ca_pem);
    changed = reread(&scratch, config.cert_file, &config.cert_pem) || changed;
    changed = reread(&scratch, config.key_file, &config.key_pem) || changed;
    changed = changed && is_usable(&config);
    if (changed) {
        copy_config(arena, &config, ret_config);
        changed = !arena_failed(arena);
    }
    arena_done(&scratch);
    return changed;
}

void credentials_replace(struct credentials *credentials, struct arena *arena, const struct kubeconfig *config)
{
    arena_done(&credentials->arena);
    credentials->arena = *arena;
    credentials->config = *config;
    credentials->generation++;
}
