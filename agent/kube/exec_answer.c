#include "agent/kube/exec_answer.h"

#include <jansson.h>
#include <string.h>

#include "agent/kube/pem.h"
#include "base/strbuf.h"
#include "base/text.h"

void exec_answer_ask(struct strbuf *text, const struct exec_config *config, bool interactive)
{
    /* The version is one of two, and the cluster is JSON already. */
    strbuf_printf(text, "{\"kind\":\"ExecCredential\",\"apiVersion\":\"%s\",\"spec\":{\"interactive\":%s",
                  config->api_version, interactive ? "true" : "false");
    if (config->cluster != NULL) {
        strbuf_append(text, ",\"cluster\":");
        strbuf_append(text, config->cluster);
    }
    strbuf_append(text, "}}");
}

static const char *text_of(const json_t *object, const char *field)
{
    const char *text = json_string_value(json_object_get(object, field));
    return text != NULL && text[0] != '\0' ? text : NULL;
}

static bool is_token(const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c <= ' ' || *c == 127)
            return false;
    return true;
}

static enum err_code check_pair(const struct exec_credential *answer, struct err *reterr)
{
    struct validity ignored;
    if ((answer->cert_pem == NULL) != (answer->key_pem == NULL))
        return err_set(reterr, ERR_PROTOCOL, "clientCertificateData and clientKeyData must be given together");
    if (answer->cert_pem == NULL)
        return ERR_OK;
    if (pem_validity(answer->cert_pem, &ignored, reterr) != ERR_OK)
        return err_context(reterr, "clientCertificateData");
    if (pem_check_key(answer->cert_pem, answer->key_pem, reterr) != ERR_OK)
        return err_context(reterr, "clientKeyData");
    return ERR_OK;
}

static enum err_code read_expiry(const json_t *status, struct exec_credential *answer, struct err *reterr)
{
    const char *text = text_of(status, "expirationTimestamp");
    if (text == NULL || text_parse_time_us(text, &answer->expires_us, NULL) == ERR_OK)
        return ERR_OK;
    return err_set(reterr, ERR_PROTOCOL, "expirationTimestamp is not a time such as 2026-08-21T10:00:00Z");
}

static enum err_code read_status(struct arena *arena, const json_t *json, const struct exec_config *config,
                                 struct exec_credential *answer, struct err *reterr)
{
    const json_t *status = json_object_get(json, "status");
    if (!text_equal(text_of(json, "kind"), "ExecCredential"))
        return err_set(reterr, ERR_PROTOCOL, "what it printed is not an ExecCredential");
    if (!text_equal(text_of(json, "apiVersion"), config->api_version))
        return err_set(reterr, ERR_PROTOCOL,
                       "it answered in another version than %s: the kubeconfig must name the version that it speaks",
                       config->api_version);
    if (text_of(status, "token") == NULL && text_of(status, "clientCertificateData") == NULL &&
        text_of(status, "clientKeyData") == NULL)
        return err_set(reterr, ERR_PROTOCOL, "it gave neither a token nor a client certificate");
    answer->token = arena_strdup(arena, text_of(status, "token"));
    answer->cert_pem = arena_strdup(arena, text_of(status, "clientCertificateData"));
    answer->key_pem = arena_strdup(arena, text_of(status, "clientKeyData"));
    if (arena_failed(arena))
        return err_set(reterr, ERR_NOMEM, "out of memory");
    if (answer->token != NULL && !is_token(answer->token))
        return err_set(reterr, ERR_PROTOCOL, "its token has characters that no token has");
    TRY(read_expiry(status, answer, reterr));
    return check_pair(answer, reterr);
}

enum err_code exec_answer_read(struct arena *arena, const char *text, size_t bytes, const struct exec_config *config,
                               struct exec_credential *ret_answer, struct err *reterr)
{
    struct exec_credential answer = {0};
    struct err own = {0};
    json_error_t where;
    json_t *json = json_loadb(text, bytes, 0, &where);
    /* jansson's words quote the text, which holds secrets. */
    if (json == NULL && json_error_code(&where) == json_error_out_of_memory)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    if (json == NULL)
        return err_set(reterr, ERR_PROTOCOL, "what it printed is not JSON (line %d)", where.line);
    enum err_code code = read_status(arena, json, config, &answer, &own);
    json_decref(json);
    if (code != ERR_OK)
        return err_set(reterr, code, "%s", own.text);
    *ret_answer = answer;
    return ERR_OK;
}
