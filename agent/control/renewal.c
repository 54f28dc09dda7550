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
    STEP_COPYING, /* the copy for Linkerd's control plane is written */
    STEP_WRITING, /* the Secret is */
};

struct renewal {
    struct control *control;
    struct target *target;
    uint64_t duration_ms; /* wished; 0: it is not to be renewed */
    char *copy;           /* "namespace/name", NULL: there is none */
    char complaint[256];
    enum step step;
    struct kube_request request;
    struct tenure *tenure;
    struct arena scratch; /* of the renewal under way: the texts below */
    const char *kubeconfig, *token, *version;
    bool is_given; /* the token in use was got here: what it lasts is what the server gives */
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

static void fail(struct renewal *renewal, const char *text, const char *remedy)
{
    char note[ERR_TEXT_BYTES + 128];
    uint64_t wait_ms = (uint64_t)RETRY_MS << (renewal->failures < 8 ? renewal->failures : 8);
    renewal->failures++;
    (void)snprintf(note, sizeof(note), "the token for cluster %s could not be renewed: %s%s%s", cluster_of(renewal),
                   text, remedy[0] != '\0' ? ": " : "", remedy);
    log_warn("token_renewal_failed", note, "cluster", cluster_of(renewal), "failures", log_u64(renewal->failures),
             NULL);
    links_emit(renewal->control, target_link(renewal->target), true, "TokenRenewalFailed", note);
    count(renewal, "failed");
    end(renewal, wait_ms < RETRY_CAP_MS ? wait_ms : RETRY_CAP_MS);
}

static void fail_for(struct renewal *renewal, const struct kube_failure *failure)
{
    bool denied = failure->error.code == ERR_FORBIDDEN;
    fail(renewal, failure->error.text,
         denied ? "`svcmirror link` gives the right for it, or renews the token itself" : "");
}

static void succeed(struct renewal *renewal)
{
    char until[TEXT_TIME_BYTES];
    struct validity validity = token_validity(renewal->token);
    text_format_time(validity.until_us, until);
    log_info("token_renewed", "a new token for the target is in its Secret", "cluster", cluster_of(renewal), "secret",
             target_link(renewal->target)->credentials_secret, "until", until, NULL);
    count(renewal, "renewed");
    renewal->failures = 0;
    renewal->is_given = true;
    end(renewal, RETRY_MS);
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

static void on_written(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    struct renewal *renewal = request->context;
    (void)object;
    if (failure == NULL)
        succeed(renewal);
    else if (failure->error.code == ERR_CONFLICT || failure->error.code == ERR_CANCELLED)
        end(renewal, RETRY_MS); /* somebody else wrote it, or is to */
    else
        fail_for(renewal, failure);
}

static void write_own(struct renewal *renewal)
{
    const struct link *link = target_link(renewal->target);
    write_secret(renewal, STEP_WRITING, link->namespace, link->credentials_secret, renewal->version, on_written);
}

/* Without its copy Linkerd's control plane is no worse off than before: the agent goes on. */
static void on_copied(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    struct renewal *renewal = request->context;
    (void)object;
    if (failure == NULL || failure->error.code == ERR_NOT_FOUND)
        write_own(renewal);
    else if (failure->error.code == ERR_CANCELLED)
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

static void on_asked(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    struct renewal *renewal = request->context;
    const char *token = json_string_value(json_object_get(json_object_get(object, "status"), "token"));
    if (failure != NULL) {
        fail_for(renewal, failure);
        return;
    }
    if (token == NULL || token_validity(token).until_us == 0) {
        fail(renewal, "the API server answered a TokenRequest without a token that ends", "");
        return;
    }
    const char *old = renewal->token;
    renewal->token = arena_strdup(&renewal->scratch, token);
    renewal->kubeconfig =
        renewal->token != NULL ? with_token(&renewal->scratch, renewal->kubeconfig, old, token) : NULL;
    if (renewal->kubeconfig == NULL)
        fail(renewal, "the kubeconfig does not hold its token in one piece", "run `svcmirror link` again");
    else if (renewal->copy != NULL)
        write_copy(renewal);
    else
        write_own(renewal);
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
                                         .may_send = may_send,
                                         .on_done = on_asked};
    if (path == NULL)
        fail(renewal, "out of memory", "");
    else
        start(renewal, STEP_ASKING, target_client(renewal->target), &request);
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

static void on_read(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    struct renewal *renewal = request->context;
    struct err error = {0};
    enum err_code code = failure == NULL ? take_secret(renewal, object, &error) : failure->error.code;
    if (code == ERR_OK)
        ask(renewal);
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
    renewal->tenure = leases_begin_status(renewal->control->leases, link);
    if (path == NULL)
        fail(renewal, "out of memory", "");
    else
        start(renewal, STEP_READING, renewal->control->client, &request);
}

/* ---- when ---- */

/* At half of its life: of what the token lasts, or of what was asked for, if that is longer. A server may give less than was asked for: once it did, what
 * it gives counts alone. */
static bool is_due(const struct renewal *renewal)
{
    struct validity validity = kube_client_validity(target_client(renewal->target), KUBE_CREDENTIAL_TOKEN);
    int64_t left_us = validity.until_us - loop_wall_us(renewal->control->config.loop);
    int64_t life_us = validity.from_us != 0 ? validity.until_us - validity.from_us : 0;
    int64_t wished_us = (int64_t)renewal->duration_ms * 1000;
    if (validity.until_us == 0 || left_us <= 0)
        return false; /* it does not end; or nothing can be asked with it any more */
    if (life_us <= 0 || (!renewal->is_given && wished_us > life_us))
        life_us = wished_us;
    return left_us <= life_us / 2;
}

void renewal_look(struct renewal *renewal)
{
    const struct control *control = renewal->control;
    if (renewal->step != STEP_NONE || renewal->duration_ms == 0 || target_client(renewal->target) == NULL ||
        control->config.dry_run || control->stopping || loop_now_ms(control->config.loop) < renewal->again_ms)
        return;
    if (is_due(renewal) && leases_may_tell(control->leases, target_link(renewal->target)))
        read_secret(renewal);
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
    judge(renewal, wish);
    if (renewal->duration_ms != before_ms)
        expiry_look_soon(renewal->control);
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
