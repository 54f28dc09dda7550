#include "agent/commands/link_token.h"

#include <stdio.h>
#include <string.h>

#include "agent/commands/command.h"
#include "agent/kube/base64.h"
#include "agent/kube/kubeconfig.h"
#include "agent/kube/token.h"
#include "agent/kube/validity.h"
#include "base/mem.h"
#include "base/text.h"
#include "mirror/names.h"

enum {
    TOKEN_WAIT_MS = 10000, /* the controller fills a Secret within a second */
    TOKEN_POLL_MS = 100,
};

static const char *copy_text(struct arena *arena, const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL && text[0] != '\0' ? arena_strdup(arena, text) : NULL;
}

/* ---- one that does not expire ---- */

/* A Secret of the account, whoever named it. */
struct token_search {
    const char *account;
    json_t *secret; /* new */
};

static enum err_code take_token_secret(void *context, const json_t *item)
{
    struct token_search *search = context;
    const char *type = json_string_value(json_object_get(item, "type"));
    const char *owner = object_meta_entry(item, "annotations", "kubernetes.io/service-account.name");
    if (search->secret == NULL && type != NULL && strcmp(type, "kubernetes.io/service-account-token") == 0 &&
        text_equal(owner, search->account))
        search->secret = json_incref(mem_unconst(item));
    return ERR_OK;
}

/* By its name if it is ours; else, as Linkerd's commands do, any of the account. @param[out] ret_secret  new. */
static enum err_code find_token_secret(struct cluster *cluster, const struct link_account *account, json_t **ret_secret,
                                       struct err *reterr)
{
    char name[256];
    struct token_search search = {.account = account->name};
    link_account_token_name(account, name, sizeof(name));
    enum err_code code = cluster_get(cluster, &RESOURCE_SECRET, account->namespace, name, ret_secret, reterr);
    if (code != ERR_NOT_FOUND)
        return code;
    TRY(cluster_each(cluster, &RESOURCE_SECRET, account->namespace, NULL, take_token_secret, &search, reterr));
    if (search.secret == NULL)
        return err_set(reterr, ERR_NOT_FOUND,
                       "there is no token Secret of service account %s in namespace %s of cluster %s: make the account "
                       "with `allow`, or use --token-duration",
                       account->name, account->namespace, cluster_name(cluster));
    *ret_secret = search.secret;
    return ERR_OK;
}

static enum err_code decode_token(struct arena *arena, const json_t *secret, const char **ret_token, struct err *reterr)
{
    const char *encoded = json_string_value(json_object_get(json_object_get(secret, "data"), "token"));
    size_t bytes = 0;
    *ret_token = NULL;
    if (encoded == NULL || encoded[0] == '\0')
        return ERR_OK;
    if (base64_decode(arena, encoded, ret_token, &bytes, reterr) != ERR_OK)
        return err_context(reterr, "Secret %s: token", object_meta_text(secret, "name"));
    return ERR_OK;
}

/* @param[out] ret_token  NULL: the Secret is empty so far. */
static enum err_code look_at_token_secret(const struct link_token_place *place, const struct link_account *account,
                                          const char **ret_token, struct err *reterr)
{
    json_t *secret = NULL;
    TRY(find_token_secret(place->target, account, &secret, reterr));
    enum err_code code = decode_token(place->arena, secret, ret_token, reterr);
    json_decref(secret);
    return code;
}

/* Waits for Kubernetes to fill it in. */
static enum err_code read_token_secret(const struct link_token_place *place, const struct link_account *account,
                                       const char **ret_token, struct err *reterr)
{
    uint64_t deadline_ms = session_now_ms(place->session) + TOKEN_WAIT_MS;
    for (;;) {
        TRY(look_at_token_secret(place, account, ret_token, reterr));
        if (*ret_token != NULL)
            return ERR_OK;
        if (session_now_ms(place->session) >= deadline_ms)
            return err_set(reterr, ERR_TIMEOUT,
                           "the token Secret of service account %s in namespace %s of cluster %s is still empty: does "
                           "the account exist, and does the cluster's controller manager run?",
                           account->name, account->namespace, cluster_name(place->target));
        session_sleep(place->session, TOKEN_POLL_MS);
    }
}

enum err_code link_token_linkerd(const struct link_token_place *place, const struct link_account *account, bool wait,
                                 const char **ret_token, struct err *reterr)
{
    char name[LINK_ACCOUNT_NAME_BYTES];
    const struct link_account linkerd = link_account_linkerd(account, name);
    *ret_token = NULL;
    enum err_code code = wait ? read_token_secret(place, &linkerd, ret_token, reterr)
                              : look_at_token_secret(place, &linkerd, ret_token, reterr);
    return code == ERR_NOT_FOUND || code == ERR_FORBIDDEN ? ERR_OK : code;
}

/* ---- one that the link has already ---- */

/* What the link's Secret in the source holds, if the agent is asked to renew it there as it would be now. @return ERR_OK, also when there is none. */
static enum err_code read_held_token(const struct link_token_place *place, const struct link_facts *facts,
                                     const char **ret_token, struct err *reterr)
{
    char name[LINK_SECRET_NAME_BYTES];
    json_t *secret = NULL;
    const char *text = NULL;
    size_t bytes = 0;
    struct kubeconfig config = {0};
    link_objects_secret_name(facts->cluster_name, name);
    TRY(cluster_look_for(place->source, &RESOURCE_SECRET, facts->namespace, name, &secret, reterr));
    const char *encoded = json_string_value(json_object_get(json_object_get(secret, "data"), L5D_SECRET_KEY));
    if (encoded != NULL &&
        text_equal(object_meta_entry(secret, "annotations", SECRET_RENEW_TOKEN), facts->renew_token) &&
        base64_decode(place->arena, encoded, &text, &bytes, NULL) == ERR_OK &&
        kubeconfig_parse(place->arena, text, bytes, NULL, KUBECONFIG_TARGET, NULL, &config, NULL) == ERR_OK)
        *ret_token = config.token;
    json_decref(secret);
    return ERR_OK;
}

/* Whether the first half of its life is not over: in the second the agent renews it. */
static bool is_fresh(const struct validity *validity, int64_t now_us)
{
    return validity->from_us != 0 && validity->from_us < validity->until_us &&
           now_us < validity->from_us + (validity->until_us - validity->from_us) / 2;
}

static bool is_of_account(const char *token, const struct link_account *account)
{
    char namespace[TOKEN_NAMESPACE_BYTES], name[TOKEN_ACCOUNT_BYTES];
    return token_account(token, namespace, name) && strcmp(namespace, account->namespace) == 0 &&
           strcmp(name, account->name) == 0;
}

/* Not when an account of that name was deleted and made anew since: API servers go on accepting for some seconds what they accepted just before. Whoever
 * may not read accounts cannot tell, and the token is kept then. @return ERR_OK, or why the account could not be read. */
static enum err_code is_of_this_account(struct cluster *target, const char *token, const struct link_account *account,
                                        bool *ret_is, struct err *reterr)
{
    json_t *object = NULL;
    enum err_code code =
        cluster_get(target, &RESOURCE_SERVICE_ACCOUNT, account->namespace, account->name, &object, reterr);
    *ret_is = code == ERR_FORBIDDEN || (code == ERR_OK && token_fits_uid(token, object_meta_text(object, "uid")));
    json_decref(object);
    return code == ERR_FORBIDDEN || code == ERR_NOT_FOUND ? ERR_OK : code;
}

/* By a TokenReview; who may not ask for one does not know. @return ERR_OK, or a failure of the network. */
static enum err_code is_accepted(struct cluster *target, const char *token, bool *ret_accepted, struct err *reterr)
{
    json_t *answer = NULL;
    json_t *body = json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "authentication.k8s.io/v1", "kind", "TokenReview",
                             "spec", "token", token);
    if (body == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    enum err_code code = cluster_post(target, &RESOURCE_TOKEN_REVIEW, NULL, NULL, NULL, body, &answer, reterr);
    json_decref(body);
    *ret_accepted = code == ERR_OK && json_is_true(json_object_get(json_object_get(answer, "status"), "authenticated"));
    json_decref(answer);
    return code == ERR_FORBIDDEN || code == ERR_NOT_FOUND ? ERR_OK : code;
}

enum err_code link_token_find(const struct link_token_place *place, const struct link_wish *wish,
                              const char **ret_token, struct err *reterr)
{
    const char *token = NULL;
    bool accepted = false, is_of_it = false;
    *ret_token = NULL;
    if (wish->facts.renew_token == NULL)
        return ERR_OK;
    TRY(read_held_token(place, &wish->facts, &token, reterr));
    if (token == NULL || !is_of_account(token, &wish->account))
        return ERR_OK;
    const struct validity validity = token_validity(token);
    if (!is_fresh(&validity, session_wall_us(place->session)))
        return ERR_OK;
    TRY(is_of_this_account(place->target, token, &wish->account, &is_of_it, reterr));
    if (!is_of_it)
        return ERR_OK;
    TRY(is_accepted(place->target, token, &accepted, reterr));
    if (accepted)
        *ret_token = token;
    return ERR_OK;
}

/* ---- a new one ---- */

/* @param[out] ret_expires  as the API writes times: it may be sooner than was asked for. */
static enum err_code request_token(const struct link_token_place *place, const struct link_account *account,
                                   uint64_t duration_ms, const char **ret_token, const char **ret_expires,
                                   struct err *reterr)
{
    json_t *answer = NULL;
    json_t *body = json_pack("{s:s, s:s, s:{s:I}}", "apiVersion", "authentication.k8s.io/v1", "kind", "TokenRequest",
                             "spec", "expirationSeconds", (json_int_t)(duration_ms / 1000));
    if (body == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    enum err_code code = cluster_post(place->target, &RESOURCE_SERVICE_ACCOUNT, account->namespace, account->name,
                                      "token", body, &answer, reterr);
    json_decref(body);
    TRY(code);
    const json_t *status = json_object_get(answer, "status");
    *ret_token = copy_text(place->arena, status, "token");
    *ret_expires = copy_text(place->arena, status, "expirationTimestamp");
    json_decref(answer);
    if (*ret_token == NULL)
        return err_set(reterr, ERR_PROTOCOL, "cluster %s answered a TokenRequest without a token",
                       cluster_name(place->target));
    return ERR_OK;
}

/* One that does not expire stays good beside the new one. */
static enum err_code tell_what_remains(const struct link_token_place *place, const struct link_account *account,
                                       struct err *reterr)
{
    char name[256];
    json_t *secret = NULL;
    link_account_token_name(account, name, sizeof(name));
    TRY(cluster_look_for(place->target, &RESOURCE_SECRET, account->namespace, name, &secret, reterr));
    if (secret != NULL)
        command_complain(
            place->command,
            "Secret %s/%s of cluster %s still holds a token of the account that does not expire: delete it "
            "when no cluster uses it any more",
            account->namespace, name, cluster_name(place->target));
    json_decref(secret);
    return ERR_OK;
}

enum err_code link_token_make(const struct link_token_place *place, const struct link_wish *wish,
                              const char **ret_token, struct err *reterr)
{
    const char *expires = NULL;
    if (wish->token_ms == 0)
        return read_token_secret(place, &wish->account, ret_token, reterr);
    TRY(request_token(place, &wish->account, wish->token_ms, ret_token, &expires, reterr));
    command_complain(place->command, "the token expires at %s: %s",
                     expires != NULL ? expires : "a time that the API server did not tell",
                     wish->facts.renew_token == NULL ? "run this again before, the agent takes the new one at once"
                     : place->source != NULL         ? "the agent renews it before"
                                             : "the agent renews it before, if the account was made with `allow "
                                               "--renew-token`");
    return tell_what_remains(place, &wish->account, reterr);
}
