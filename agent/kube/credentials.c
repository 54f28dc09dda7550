#include "agent/kube/credentials.h"

#include <string.h>

#include "agent/kube/base64.h"
#include "agent/kube/file.h"
#include "agent/kube/pem.h"
#include "agent/kube/token.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/text.h"

enum { CONFIG_BYTES = 8 << 20, LINE_BYTES = 128 << 10 };

static void copy_config(struct arena *arena, const struct kubeconfig *from, struct kubeconfig *to)
{
    *to = *from;
    const char **texts[] = {&to->context_name, &to->namespace, &to->server,  &to->ca_pem,    &to->tls_server_name,
                            &to->proxy_url,    &to->cert_pem,  &to->key_pem, &to->token,     &to->token_file,
                            &to->username,     &to->password,  &to->ca_file, &to->cert_file, &to->key_file};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        *texts[i] = arena_strdup(arena, *texts[i]);
    to->impersonate = exec_config_copy_list(arena, from->impersonate);
    to->exec = exec_config_copy(arena, from->exec);
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
    credentials->validity[KUBE_CREDENTIAL_TOKEN] = token_validity(token);
    credentials->generation++;
    return true;
}

/* Both were judged before: by whoever read them. */
static void note_validity(struct credentials *credentials)
{
    const struct kubeconfig *config = &credentials->config;
    struct validity *certificate = &credentials->validity[KUBE_CREDENTIAL_CERTIFICATE];
    struct validity *ca = &credentials->validity[KUBE_CREDENTIAL_CA];
    if (config->cert_pem == NULL || pem_validity(config->cert_pem, certificate, NULL) != ERR_OK)
        *certificate = (struct validity){0};
    if (config->ca_pem == NULL || pem_check_bundle(config->ca_pem, ca, NULL) != ERR_OK)
        *ca = (struct validity){0};
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
    if (ok) {
        note_validity(credentials);
        return ERR_OK;
    }
    credentials_done(credentials);
    return err_set(reterr, ERR_NOMEM, "out of memory");
}

void credentials_done(struct credentials *credentials)
{
    mem_free(TAKE(credentials->token));
    mem_free(TAKE(credentials->authorization));
    for (size_t i = 0; i < KUBE_CREDENTIAL_KINDS; i++)
        mem_free(TAKE(credentials->told[i]));
    arena_done(&credentials->arena);
}

/* ---- files ---- */

static void tell(const struct credentials *credentials, enum kube_credential kind, const struct err *error)
{
    if (credentials->on_reload != NULL)
        credentials->on_reload(credentials->on_reload_context, credentials->client, kind, error);
}

static void tell_change(struct credentials *credentials, enum kube_credential kind)
{
    mem_free(TAKE(credentials->told[kind]));
    tell(credentials, kind, NULL);
}

/* Each reading counts; who listens hears the wording once. */
static void tell_failure(struct credentials *credentials, enum kube_credential kind, const struct err *error)
{
    struct err quiet = {.code = error->code};
    bool again = text_equal(credentials->told[kind], error->text);
    tell(credentials, kind, again ? &quiet : error);
    if (again)
        return;
    mem_free(credentials->told[kind]);
    credentials->told[kind] = mem_strdup(error->text);
}

bool credentials_reread_token(struct credentials *credentials)
{
    const char *token = NULL;
    struct err error = {0};
    if (credentials->config.token_file == NULL)
        return false;
    struct arena scratch;
    arena_init(&scratch, CONFIG_BYTES);
    bool readable = file_read_token(&scratch, credentials->config.token_file, &token, &error) == ERR_OK;
    bool changed = readable && !text_equal(token, credentials->token) && set_token(credentials, token);
    if (changed)
        tell_change(credentials, KUBE_CREDENTIAL_TOKEN);
    else if (!readable)
        tell_failure(credentials, KUBE_CREDENTIAL_TOKEN, &error);
    else
        mem_free(TAKE(credentials->told[KUBE_CREDENTIAL_TOKEN]));
    arena_done(&scratch);
    return changed;
}

/* `pem` becomes what the file holds now; without a file it stays. */
static enum err_code reread(struct arena *arena, const char *file, const char **pem, struct err *reterr)
{
    size_t bytes = 0;
    return file != NULL ? file_read(arena, file, CONFIG_BYTES, pem, &bytes, reterr) : ERR_OK;
}

static enum err_code reread_ca(struct arena *arena, struct kubeconfig *config, struct err *reterr)
{
    struct validity ignored;
    TRY(reread(arena, config->ca_file, &config->ca_pem, reterr));
    if (pem_check_bundle(config->ca_pem, &ignored, reterr) != ERR_OK)
        return err_context(reterr, "%s", config->ca_file);
    return ERR_OK;
}

/* Files are replaced one after the other: a certificate without its key is the state of a moment. */
static enum err_code reread_certificate(struct arena *arena, struct kubeconfig *config, struct err *reterr)
{
    struct validity ignored;
    TRY(reread(arena, config->cert_file, &config->cert_pem, reterr));
    TRY(reread(arena, config->key_file, &config->key_pem, reterr));
    if (pem_validity(config->cert_pem, &ignored, reterr) != ERR_OK)
        return err_context(reterr, "%s", config->cert_file != NULL ? config->cert_file : "client-certificate-data");
    if (pem_check_key(config->cert_pem, config->key_pem, reterr) != ERR_OK)
        return err_context(reterr, "%s", config->key_file != NULL ? config->key_file : "client-key-data");
    return ERR_OK;
}

/* One kind by itself: a CA bundle that is broken keeps no new certificate out. @return whether `config` is another now. */
static bool reread_kind(struct credentials *credentials, enum kube_credential kind, struct arena *arena,
                        struct kubeconfig *config)
{
    struct kubeconfig fresh = *config;
    struct err error = {0};
    bool is_ca = kind == KUBE_CREDENTIAL_CA;
    if (is_ca ? config->ca_file == NULL : config->cert_file == NULL && config->key_file == NULL)
        return false;
    if ((is_ca ? reread_ca(arena, &fresh, &error) : reread_certificate(arena, &fresh, &error)) != ERR_OK) {
        tell_failure(credentials, kind, &error);
        return false;
    }
    if (text_equal(fresh.ca_pem, config->ca_pem) && text_equal(fresh.cert_pem, config->cert_pem) &&
        text_equal(fresh.key_pem, config->key_pem)) {
        mem_free(TAKE(credentials->told[kind]));
        return false;
    }
    *config = fresh;
    return true;
}

bool credentials_reread_files(struct credentials *credentials, struct arena *arena, struct kubeconfig *ret_config)
{
    struct kubeconfig config = credentials->config;
    struct arena scratch;
    arena_init(&scratch, CONFIG_BYTES);
    bool ca = reread_kind(credentials, KUBE_CREDENTIAL_CA, &scratch, &config);
    bool certificate = reread_kind(credentials, KUBE_CREDENTIAL_CERTIFICATE, &scratch, &config);
    bool changed = ca || certificate;
    if (changed) {
        copy_config(arena, &config, ret_config);
        changed = !arena_failed(arena);
    }
    arena_done(&scratch);
    if (changed && ca)
        tell_change(credentials, KUBE_CREDENTIAL_CA);
    if (changed && certificate)
        tell_change(credentials, KUBE_CREDENTIAL_CERTIFICATE);
    return changed;
}

void credentials_replace(struct credentials *credentials, struct arena *arena, const struct kubeconfig *config)
{
    arena_done(&credentials->arena);
    credentials->arena = *arena;
    credentials->config = *config;
    note_validity(credentials);
    credentials->generation++;
}

/* ---- plugins ---- */

enum err_code credentials_take_token(struct credentials *credentials, const struct exec_credential *answer)
{
    if (answer->token == NULL) {
        mem_free(TAKE(credentials->token));
        mem_free(TAKE(credentials->authorization));
        credentials->validity[KUBE_CREDENTIAL_TOKEN] = (struct validity){0};
        credentials->generation++;
        return ERR_OK;
    }
    return set_token(credentials, answer->token) ? ERR_OK : ERR_NOMEM;
}

bool credentials_take_certificate(const struct credentials *credentials, const struct exec_credential *answer,
                                  struct arena *arena, struct kubeconfig *ret_config)
{
    struct kubeconfig config = credentials->config;
    if (text_equal(answer->cert_pem, config.cert_pem) && text_equal(answer->key_pem, config.key_pem))
        return false;
    config.cert_pem = answer->cert_pem;
    config.key_pem = answer->key_pem;
    copy_config(arena, &config, ret_config);
    return !arena_failed(arena);
}
