#include "agent/kube/token.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "agent/kube/base64.h"
#include "base/arena.h"
#include "base/text.h"

enum { TOKEN_BYTES = 1 << 20 };

bool token_is_jwt(const char *token)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (unsigned part = 1;; part++) {
        size_t length = strspn(token, alphabet);
        token += length;
        if (length == 0 || *token != (part < 3 ? '.' : '\0'))
            return false;
        if (part == 3)
            return true;
        token++;
    }
}

/* @return new; NULL when the token is no JWT, or memory is short. */
static json_t *read_claims(const char *token)
{
    const char *start = strchr(token, '.'), *end = start != NULL ? strchr(start + 1, '.') : NULL, *text = NULL;
    json_t *claims = NULL;
    size_t bytes = 0;
    struct arena arena;
    if (end == NULL)
        return NULL;
    arena_init(&arena, TOKEN_BYTES);
    const char *payload = arena_printf(&arena, "%.*s", (int)(end - start - 1), start + 1);
    if (payload != NULL && base64_decode(&arena, payload, &text, &bytes, NULL) == ERR_OK)
        claims = json_loadb(text, bytes, 0, NULL);
    arena_done(&arena);
    return claims;
}

/* RFC 7519: NumericDate may have a fraction. */
static int64_t date_us(const json_t *claims, const char *name)
{
    const double year_10000_s = 253402300800.0;
    double date_s = json_number_value(json_object_get(claims, name));
    return date_s > 0 && date_s < year_10000_s ? (int64_t)date_s * 1000000 : 0;
}

struct validity token_validity(const char *token)
{
    json_t *claims = read_claims(token);
    int64_t issued_us = date_us(claims, "iat");
    struct validity validity = {.from_us = issued_us != 0 ? issued_us : date_us(claims, "nbf"),
                                .until_us = date_us(claims, "exp")};
    json_decref(claims);
    return validity;
}

bool token_account(const char *token, char ret_namespace[TOKEN_NAMESPACE_BYTES], char ret_name[TOKEN_ACCOUNT_BYTES])
{
    static const char prefix[] = "system:serviceaccount:";
    json_t *claims = read_claims(token);
    const char *subject = json_string_value(json_object_get(claims, "sub"));
    const char *namespace = subject != NULL && text_starts_with(subject, prefix) ? subject + strlen(prefix) : NULL;
    const char *colon = namespace != NULL ? strchr(namespace, ':') : NULL;
    bool fits =
        colon != NULL && (size_t)(colon - namespace) < TOKEN_NAMESPACE_BYTES && strlen(colon + 1) < TOKEN_ACCOUNT_BYTES;
    if (fits) {
        (void)snprintf(ret_namespace, TOKEN_NAMESPACE_BYTES, "%.*s", (int)(colon - namespace), namespace);
        (void)snprintf(ret_name, TOKEN_ACCOUNT_BYTES, "%s", colon + 1);
        fits = text_is_dns1123_label(ret_namespace) && text_is_dns1123_subdomain(ret_name);
    }
    json_decref(claims);
    return fits;
}

bool token_fits_uid(const char *token, const char *uid)
{
    json_t *claims = read_claims(token);
    const json_t *account = json_object_get(json_object_get(claims, "kubernetes.io"), "serviceaccount");
    const char *named = json_string_value(json_object_get(account, "uid"));
    bool fits = named == NULL || strcmp(named, uid) == 0;
    json_decref(claims);
    return fits;
}
