#include "agent/control/renewal.h"

#include <stdio.h>
#include <string.h>

#include "agent/control/expiry.h"
#include "agent/kube/base64.h"
#include "agent/kube/codec.h"
#include "agent/kube/kubeconfig.h"
#include "agent/kube/token.h"
#include "agent/observe/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "mirror/names.h"

enum {
    LEAST_MS = 10 * 60 * 1000, /* API servers give no token for less */
    RETRY_MS = 60 * 1000,      /* doubles */
    RETRY_CAP_MS = 3600 * 1000,
    SCRATCH_BYTES = 8 << 20,
    TEXT_BYTES = 2 << 20,
};

/* What is under way. */
enum step {
    STEP_NONE,
    STEP_READING, /* the Secret as it is now */
    STEP_ASKING,  /* the target, for a token */
    STEP_WRITING, /* the Secret */
    STEP_COPYING, /* likewise, the copy for Linkerd's control plane */
};

struct renewal {
    struct control *control;
    struct target *target;
    uint64_t duration_ms; /* wished; 0: it is not to be renewed */
    char *copy;           /* "namespace/name", NULL: there is none */
    char complaint[256];
    enum step step;
    struct kube_request request;
    struct tenure *tenure; /* while it is written: a target that does not answer keeps no Lease from moving */
    struct arena scratch;  /* of the renewal under way: the texts below */
    const char *kubeconfig, *token, *version;
    bool is_asked_anew; /* another duration is wished for than before */
    bool is_copy_due;   /* the Secret has a new token, its copy has not */
    int64_t given_us;   /* when the last token was issued that was got here; 0: none was */
    unsigned failures;
    uint64_t again_ms; /* not before */
};

static const char *cluster_of(const struct renewal *renewal) { return target_link(renewal->target)->cluster_name; }

static void count(const struct renewal *renewal, const char *result)
{
    metric_add(metric_get(renewal->control->instruments.token_renewals, cluster_of(renewal), result), 1);
}

/* ---- its end ---- */

static void end(struct renewal *renewal, uint64_t wait_ms)
{
    renewal->step = STEP_NONE;
    tenure_end(TAKE(renewal->tenure));
    arena_reset(&renewal->scratch);
    renewal->kubeconfig = renewal->token = renewal->version = NULL;
    renewal->again_ms = loop_now_ms(renewal->control->config.loop) + wait_ms;
}

/* Twice as long each time, but so that several tries are left before the token ends. */
static uint64_t next_wait_ms(const struct renewal *renewal)
{
    uint64_t wait_ms = (uint64_t)RETRY_MS << (renewal->failures < 8 ? renewal->failures : 8);
    struct kube_client *client = target_client(renewal->target);
    int64_t until_us = client != NULL ? kube_client_validity(client, KUBE_CREDENTIAL_TOKEN).until_us : 0;
    int64_t left_ms = (until_us - loop_wall_us(renewal->control->config.loop)) / 1000;
    if (left_ms > 0 && wait_ms > (uint64_t)left_ms / 4)
        wait_ms = (uint64_t)left_ms / 4;
    if (wait_ms < RETRY_MS)
        wait_ms = RETRY_MS;
    return wait_ms < RETRY_CAP_MS ? wait_ms : RETRY_CAP_MS;
}

static void fail(struct renewal *renewal, const char *text, const char *remedy)
{
    char note[ERR_TEXT_BYTES + 128];
    uint64_t wait_ms = next_wait_ms(renewal);
    renewal->failures++;
    (void)snprintf(note, sizeof(note), "the token for cluster %s could not be renewed: %s%s%s", cluster_of(renewal),
                   text, remedy[0] != '\0' ? ": " : "", remedy);
    log_warn("token_renewal_failed", note, "cluster", cluster_of(renewal), "failures", log_u64(renewal->failures),
             NULL);
    links_emit(renewal->control, target_link(renewal->target), true, "TokenRenewalFailed", note);
    count(renewal, "failed");
    end(renewal, wait_ms);
}

static void fail_for(struct renewal *renewal, const struct kube_failure *failure)
{
    bool denied = failure->error.code == ERR_FORBIDDEN;
    fail(renewal, failure->error.text,
         denied ? "`svcmirror link` gives the right for it, or renews the token itself" : "");
}

static void tell_success(struct renewal *renewal)
{
    char until[TEXT_TIME_BYTES];
    struct validity validity = token_validity(renewal->token);
    text_format_time(validity.until_us, until);
    log_info("token_renewed", "a new token for the target is in its Secret", "cluster", cluster_of(renewal), "secret",
             target_link(renewal->target)->credentials_secret, "until", until, NULL);
    count(renewal, "renewed");
    renewal->failures = 0;
    renewal->is_asked_anew = false;
    renewal->given_us = validity.from_us;
}

/* ---- writing ---- */

static bool may_send(const struct kube_request *request)
{
    const struct renewal *renewal = request->context;
    return tenure_may_send(renewal->tenure);
}

static void start(struct renewal *renewal, enum step step, struct kube_client *client,
                  const struct kube_request *request)
{
    struct err error = {0};
    renewal->step = step;
    renewal->request = *request;
    renewal->request.context = renewal;
    if (kube_start(client, &renewal->request, &error) != ERR_OK)
        fail(renewal, error.text, "");
}

/* @param version  that the Secret must have; NULL: any. */
static void write_secret(struct renewal *renewal, enum step step, const char *namespace, const char *name,
                         const char *version,
                         void (*on_done)(struct kube_request *, json_t *, const struct kube_failure *))
{
    struct strbuf body;
    strbuf_init(&body, TEXT_BYTES);
    strbuf_append(&body, "{");
    if (version != NULL)
        strbuf_printf(&body, "\"metadata\":{\"resourceVersion\":\"%s\"},", version);
    strbuf_append(&body, "\"data\":{\"" L5D_SECRET_KEY "\":\"");
    base64_encode(&body, renewal->kubeconfig, strlen(renewal->kubeconfig));
    strbuf_append(&body, "\"}}");
    const char *path =
        arena_printf(&renewal->scratch, "/api/v1/namespaces/%s/secrets/%s?fieldManager=" OBJECT_FIELD_MANAGER,
                     namespace, name);
    const struct kube_request request = {.verb = "patch",
                                         .resource = "secrets",
                                         .path = path,
                                         .content_type = "application/merge-patch+json",
                                         .body = strbuf_text(&body),
                                         .body_bytes = body.length,
                                         .may_send = may_send,
                                         .on_done = on_done};
    if (path == NULL || strbuf_error(&body) != ERR_OK)
        fail(renewal, "out of memory", "");
    else
        start(renewal, step, renewal->control->client, &request);
    strbuf_done(&body);
}

/* ERR_CANCELLED is no failure: another replica writes from now on. */
static void on_copied(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    struct renewal *renewal = request->context;
    (void)object;
    renewal->is_copy_due = failure != NULL && failure->error.code != ERR_NOT_FOUND;
    if (!renewal->is_copy_due || failure->error.code == ERR_CANCELLED)
        end(renewal, RETRY_MS);
    else
        fail_for(renewal, failure);
}

static void write_copy(struct renewal *renewal)
{
    char namespace[OBJECT_KEY_BYTES];
    const char *name = object_key_split(renewal->copy, namespace);
    write_secret(renewal, STEP_COPYING, namespace, name, NULL, on_copied);
}

static void on_written(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    struct renewal *renewal = request->context;
    (void)object;
    if (failure == NULL) {
        tell_success(renewal);
        renewal->is_copy_due = renewal->copy != NULL;
        if (renewal->is_copy_due)
            write_copy(renewal);
        else
            end(renewal, RETRY_MS);
    } else if (failure->error.code == ERR_CONFLICT || failure->error.code == ERR_CANCELLED)
        end(renewal, RETRY_MS); /* somebody else wrote it, or is to */
    else
        fail_for(renewal, failure);
}

/* @param begin_write  write_own() or write_copy(). */
static void begin_writing(struct renewal *renewal, void (*begin_write)(struct renewal *))
{
    struct leases *leases = renewal->control->leases;
    const struct link *link = target_link(renewal->target);
    if (renewal->control->stopping || !leases_may_tell(leases, link)) {
        end(renewal, RETRY_MS); /* another replica is to */
        return;
    }
    renewal->tenure = leases_begin_status(leases, link);
    begin_write(renewal);
}

/* Before its copy, and only in the version that was read: what somebody wrote meanwhile stays, in both. */
static void write_own(struct renewal *renewal)
{
    const struct link *link = target_link(renewal->target);
    write_secret(renewal, STEP_WRITING, link->namespace, link->credentials_secret, renewal->version, on_written);
}

/* ---- asking ---- */

/* The text with another token wherever the old one stands: everything else of the kubeconfig stays as its author wrote it.
 * @return in the arena; NULL when it stands nowhere as it is, or memory is short. */
static const char *with_token(struct arena *arena, const char *text, const char *old, const char *new)
{
    struct strbuf made;
    size_t length = strlen(old);
    unsigned found = 0;
    strbuf_init(&made, TEXT_BYTES);
    for (const char *next; (next = strstr(text, old)) != NULL; text = next + length, found++) {
        strbuf_append_bytes(&made, text, (size_t)(next - text));
        strbuf_append(&made, new);
    }
    strbuf_append(&made, text);
    const char *copy = found > 0 && strbuf_error(&made) == ERR_OK ? arena_strdup(arena, strbuf_text(&made)) : NULL;
    strbuf_done(&made);
    return copy;
}

/* A target may answer anything: what is no token of the same account stays out of the kubeconfig. */
static bool is_successor(const char *token, const char *old)
{
    char namespace[TOKEN_NAMESPACE_BYTES], name[TOKEN_ACCOUNT_BYTES];
    char old_namespace[TOKEN_NAMESPACE_BYTES], old_name[TOKEN_ACCOUNT_BYTES];
    return token != NULL && token_is_jwt(token) && token_validity(token).until_us != 0 &&
           token_account(token, namespace, name) && token_account(old, old_namespace, old_name) &&
           strcmp(namespace, old_namespace) == 0 && strcmp(name, old_name) == 0;
}

/* Whether the new text gives the new token to whoever reads it: in the old one the token may have stood in a comment, and elsewhere escaped. */
static bool gives_token(struct arena *arena, const char *text, const char *token)
{
    struct kubeconfig config;
    return text != NULL &&
           kubeconfig_parse(arena, text, strlen(text), NULL, KUBECONFIG_TARGET, NULL, &config, NULL) == ERR_OK &&
           text_equal(config.token, token);
}

static void on_asked(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    struct renewal *renewal = request->context;
    const char *token = json_string_value(json_object_get(json_object_get(object, "status"), "token"));
    if (failure != NULL) {
        fail_for(renewal, failure);
        return;
    }
    const char *old = renewal->token;
    if (!is_successor(token, old)) {
        fail(renewal, "the API server answered a TokenRequest without a token of this account that ends", "");
        return;
    }
    renewal->token = arena_strdup(&renewal->scratch, token);
    renewal->kubeconfig = with_token(&renewal->scratch, renewal->kubeconfig, old, token);
    if (renewal->token != NULL && gives_token(&renewal->scratch, renewal->kubeconfig, token))
        begin_writing(renewal, write_own);
    else
        fail(renewal, "the kubeconfig does not hold its token in one piece", "run `svcmirror link` again");
}

static void ask(struct renewal *renewal)
{
    char namespace[TOKEN_NAMESPACE_BYTES], name[TOKEN_ACCOUNT_BYTES], body[256];
    if (!token_account(renewal->token, namespace, name)) {
        fail(renewal, "the token is no service account's", "take the annotation " SECRET_RENEW_TOKEN " away");
        return;
    }
    (void)snprintf(body, sizeof(body),
                   "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenRequest\",\"spec\":{"
                   "\"expirationSeconds\":%llu}}",
                   (unsigned long long)(renewal->duration_ms / 1000));
    const char *path =
        arena_printf(&renewal->scratch, "/api/v1/namespaces/%s/serviceaccounts/%s/token", namespace, name);
    const struct kube_request request = {.verb = "create",
                                         .resource = "serviceaccounts/token",
                                         .path = path,
                                         .body = body,
                                         .body_bytes = strlen(body),
                                         .on_done = on_asked};
    if (path == NULL)
        fail(renewal, "out of memory", "");
    else
        start(renewal, STEP_ASKING, target_client(renewal->target), &request);
}

/* ---- when a token is asked for ---- */

static int64_t life_us(const struct renewal *renewal, const struct validity *validity)
{
    return validity->from_us != 0 ? validity->until_us - validity->from_us : (int64_t)renewal->duration_ms * 1000;
}

/* At half of its life; and when another duration is wished for than what it was got for. A server may give less than it is asked for: what it gave
 * counts then. */
static bool is_due(const struct renewal *renewal)
{
    struct kube_client *client = target_client(renewal->target);
    if (client == NULL)
        return false;
    struct validity validity = kube_client_validity(client, KUBE_CREDENTIAL_TOKEN);
    int64_t left_us = validity.until_us - loop_wall_us(renewal->control->config.loop);
    int64_t has_us = life_us(renewal, &validity), wished_us = (int64_t)renewal->duration_ms * 1000;
    if (validity.until_us == 0 || left_us <= 0)
        return false; /* it does not end; or nothing can be asked with it any more */
    bool is_other = has_us < wished_us - wished_us / 10 || has_us > wished_us + wished_us / 10;
    return left_us <= has_us / 2 || (renewal->is_asked_anew && is_other);
}

/* ---- reading ---- */

/* @return ERR_OK, ERR_BUSY when it is not the kubeconfig that is in use: what came meanwhile has a token of its own; ERR_NOMEM. */
static enum err_code take_secret(struct renewal *renewal, const json_t *object, struct err *error)
{
    struct arena *arena = &renewal->scratch;
    struct link_secret fields;
    struct kubeconfig config;
    const char *type = NULL, *text = NULL;
    size_t bytes = 0;
    TRY(codec_secret(arena, object, &fields, &type, &text, &bytes, error));
    if (text == NULL || !target_uses(renewal->target, text))
        return ERR_BUSY;
    TRY(kubeconfig_parse(arena, text, bytes, NULL, KUBECONFIG_TARGET, NULL, &config, error));
    /* The answer's text is not ours for long. */
    renewal->kubeconfig = arena_strdup(arena, text);
    renewal->version = arena_strdup(arena, fields.resource_version);
    renewal->token = arena_strdup(arena, config.token != NULL ? config.token : "");
    return renewal->kubeconfig != NULL && renewal->version != NULL && renewal->token != NULL
               ? ERR_OK
               : err_set(error, ERR_NOMEM, "out of memory");
}

/* Whether the Secret holds a token again that is older than one that was got here. */
static bool is_put_back(const struct renewal *renewal)
{
    int64_t issued_us = token_validity(renewal->token).from_us;
    return issued_us != 0 && issued_us < renewal->given_us;
}

/* Whoever writes it back would do so each time: a new token a minute helps nobody, one an hour may. */
static void wait_for_others(struct renewal *renewal)
{
    renewal->given_us = 0;
    fail(renewal, "its Secret holds the token again that was renewed already, as what applies it from a file does",
         "have that leave data.kubeconfig alone, or link with --token-secret");
    renewal->again_ms = loop_now_ms(renewal->control->config.loop) + RETRY_CAP_MS;
}

static void on_read(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    struct renewal *renewal = request->context;
    struct err error = {0};
    enum err_code code = failure == NULL ? take_secret(renewal, object, &error) : failure->error.code;
    if (code == ERR_OK && is_put_back(renewal))
        wait_for_others(renewal);
    else if (code == ERR_OK && is_due(renewal))
        ask(renewal);
    else if (code == ERR_OK && renewal->is_copy_due)
        begin_writing(renewal, write_copy);
    else if (code == ERR_OK) /* it changed while it was read */
        end(renewal, RETRY_MS);
    else if (code == ERR_BUSY || code == ERR_NOT_FOUND || target_client(renewal->target) == NULL)
        end(renewal, RETRY_MS);
    else if (failure != NULL)
        fail_for(renewal, failure);
    else
        fail(renewal, error.text, "");
}

static void read_secret(struct renewal *renewal)
{
    const struct link *link = target_link(renewal->target);
    const char *path =
        arena_printf(&renewal->scratch, "/api/v1/namespaces/%s/secrets/%s", link->namespace, link->credentials_secret);
    const struct kube_request request = {.verb = "get", .resource = "secrets", .path = path, .on_done = on_read};
    if (path == NULL)
        fail(renewal, "out of memory", "");
    else
        start(renewal, STEP_READING, renewal->control->client, &request);
}

/* ---- when ---- */

void renewal_look(struct renewal *renewal)
{
    const struct control *control = renewal->control;
    if (renewal->step != STEP_NONE || renewal->duration_ms == 0 || target_client(renewal->target) == NULL ||
        control->config.dry_run || control->stopping || loop_now_ms(control->config.loop) < renewal->again_ms)
        return;
    if ((is_due(renewal) || renewal->is_copy_due) && leases_may_tell(control->leases, target_link(renewal->target)))
        read_secret(renewal);
}

void renewal_collect(struct renewal *renewal)
{
    const struct instruments *instruments = &renewal->control->instruments;
    struct kube_client *client = target_client(renewal->target);
    metric_forget(instruments->token_renewal_due, 1, cluster_of(renewal));
    if (client == NULL || renewal->duration_ms == 0)
        return;
    struct validity validity = kube_client_validity(client, KUBE_CREDENTIAL_TOKEN);
    if (validity.until_us != 0)
        metric_set(metric_get(instruments->token_renewal_due, cluster_of(renewal),
                              kube_credential_name(KUBE_CREDENTIAL_TOKEN)),
                   (double)(validity.until_us - life_us(renewal, &validity) / 2) / 1e6);
}

void renewal_client_goes(struct renewal *renewal)
{
    if (renewal == NULL || renewal->step != STEP_ASKING)
        return;
    kube_cancel(&renewal->request);
    end(renewal, RETRY_MS);
}

/* ---- what is wished ---- */

static bool is_key(const char *text)
{
    char namespace[OBJECT_KEY_BYTES];
    if (strchr(text, '/') == NULL || strlen(text) >= OBJECT_KEY_BYTES)
        return false;
    const char *name = object_key_split(text, namespace);
    return text_is_dns1123_label(namespace) && text_is_dns1123_subdomain(name);
}

static void judge(struct renewal *renewal, const struct renewal_wish *wish)
{
    struct err error = {0};
    uint64_t duration_ms = 0;
    renewal->complaint[0] = '\0';
    renewal->duration_ms = 0;
    if (wish->duration == NULL)
        return;
    if (text_parse_duration_ms(wish->duration, &duration_ms, &error) != ERR_OK || duration_ms < LEAST_MS)
        (void)snprintf(renewal->complaint, sizeof(renewal->complaint),
                       "annotation " SECRET_RENEW_TOKEN
                       " is \"%.40s\": the token is not renewed; write a duration of at "
                       "least 10m, as \"720h\"",
                       wish->duration);
    else if (wish->copy != NULL && !is_key(wish->copy))
        (void)snprintf(renewal->complaint, sizeof(renewal->complaint),
                       "annotation " SECRET_COPY
                       " is \"%.80s\": the token is not renewed; write namespace/name of a Secret",
                       wish->copy);
    else
        renewal->duration_ms = duration_ms;
}

enum err_code renewal_wish(struct renewal *renewal, const struct renewal_wish *wish)
{
    char *copy = wish->copy != NULL ? mem_strdup(wish->copy) : NULL;
    if (wish->copy != NULL && copy == NULL)
        return ERR_NOMEM;
    uint64_t before_ms = renewal->duration_ms;
    mem_free(renewal->copy);
    renewal->copy = copy;
    renewal->is_copy_due = renewal->is_copy_due && copy != NULL;
    judge(renewal, wish);
    if (renewal->duration_ms != before_ms) {
        renewal->is_asked_anew = before_ms != 0 && renewal->duration_ms != 0;
        renewal->again_ms = 0;
        expiry_look_soon(renewal->control);
    }
    return ERR_OK;
}

const char *renewal_complaint(const struct renewal *renewal) { return renewal->complaint; }

/* ---- life ---- */

enum err_code renewal_new(struct control *control, struct target *target, struct renewal **ret_renewal)
{
    struct renewal *renewal = NEW(struct renewal);
    if (renewal == NULL)
        return ERR_NOMEM;
    renewal->control = control;
    renewal->target = target;
    arena_init(&renewal->scratch, SCRATCH_BYTES);
    *ret_renewal = renewal;
    return ERR_OK;
}

void renewal_free(struct renewal *renewal)
{
    if (renewal == NULL)
        return;
    kube_cancel(&renewal->request);
    tenure_end(renewal->tenure);
    arena_done(&renewal->scratch);
    mem_free(renewal->copy);
    mem_free(renewal);
}
