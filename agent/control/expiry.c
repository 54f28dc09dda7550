#include "agent/control/expiry.h"

#include <stdio.h>
#include <string.h>

#include "agent/control/renewal.h"
#include "agent/observe/log.h"
#include "base/mem.h"
#include "base/text.h"

enum { LOOK_MS = 60 * 1000 };

/* Whose credentials they are. */
struct owner {
    struct control *control;
    const struct kube_client *client;
    const struct link *link; /* NULL: the source */
    struct expiry *told;
};

static const char *cluster_of(const struct owner *owner)
{
    return owner->link != NULL ? owner->link->cluster_name : "local";
}

static const char *words_of(enum kube_credential kind)
{
    static const char *const words[] = {[KUBE_CREDENTIAL_CERTIFICATE] = "client certificate",
                                        [KUBE_CREDENTIAL_CA] = "certificate-authority",
                                        [KUBE_CREDENTIAL_TOKEN] = "token"};
    return words[kind];
}

static void emit(const struct owner *owner, bool warning, const char *reason, const char *note)
{
    struct control *control = owner->control;
    /* The source's are this process's own: they are told of its pod. */
    const struct event_subject pod = {
        .api_version = "v1", .kind = "Pod", .namespace = control->namespace, .name = control->instance, .uid = ""};
    if (owner->link != NULL)
        links_emit(control, owner->link, warning, reason, note);
    else
        events_emit(control->events, &pod, warning, reason, "Renew", note);
}

static void tell(const struct owner *owner, enum kube_credential kind, enum validity_stage stage, int64_t until_us)
{
    static const struct {
        const char *event, *reason, *words;
    } texts[] = {[VALIDITY_GOOD] = {"credentials_renewed", "CredentialsRenewed", "is renewed, and good until"},
                 [VALIDITY_ENDS] = {"credentials_expiring", "CredentialsExpiring", "expires at"},
                 [VALIDITY_ENDS_SOON] = {"credentials_expiring", "CredentialsExpiring", "expires soon, at"},
                 [VALIDITY_ENDED] = {"credentials_expired", "CredentialsExpired", "expired at"}};
    char note[ERR_TEXT_BYTES], when[TEXT_TIME_BYTES];
    text_format_time(until_us, when);
    (void)snprintf(note, sizeof(note), "the %s for cluster %s %s %s%s%s", words_of(kind), cluster_of(owner),
                   texts[stage].words, when,
                   stage == VALIDITY_GOOD ? ""
                   : owner->link == NULL  ? ": renew it where the agent has it from"
                                          : ": renew it in Secret ",
                   stage != VALIDITY_GOOD && owner->link != NULL ? owner->link->credentials_secret : "");
    if (stage == VALIDITY_GOOD)
        log_info(texts[stage].event, note, "cluster", cluster_of(owner), "kind", kube_credential_name(kind), NULL);
    else if (stage == VALIDITY_ENDED)
        log_error(texts[stage].event, note, "cluster", cluster_of(owner), "kind", kube_credential_name(kind), NULL);
    else
        log_warn(texts[stage].event, note, "cluster", cluster_of(owner), "kind", kube_credential_name(kind), NULL);
    emit(owner, stage != VALIDITY_GOOD, texts[stage].reason, note);
}

static void look_at(const struct owner *owner)
{
    int64_t now_us = loop_wall_us(owner->control->config.loop);
    for (unsigned kind = 0; owner->client != NULL && kind < KUBE_CREDENTIAL_KINDS; kind++) {
        struct validity validity = kube_client_validity(owner->client, kind);
        enum validity_stage stage = validity_stage(&validity, now_us), *told = &owner->told->stages[kind];
        if (stage > *told || (stage == VALIDITY_GOOD && *told != VALIDITY_GOOD && validity.until_us != 0))
            tell(owner, kind, stage, validity.until_us);
        *told = stage;
    }
}

static void look(void *context)
{
    struct control *control = context;
    look_at(&(struct owner){.control = control, .client = control->client, .told = &control->expiry});
    for (struct target *target = links_first(control->links); target != NULL; target = links_next(target)) {
        look_at(&(struct owner){.control = control,
                                .client = target_client(target),
                                .link = target_link(target),
                                .told = target_expiry(target)});
        renewal_look(target_renewal(target));
    }
    loop_timer_start(control->expiry_timer, LOOK_MS);
}

/* ---- files ---- */

static void on_reload(void *context, const struct kube_client *client, enum kube_credential kind,
                      const struct err *error)
{
    struct control *control = context;
    (void)client;
    metric_add(metric_get(control->instruments.credentials_reloads, "local", kube_credential_name(kind),
                          error == NULL ? "changed" : "failed"),
               1);
    if (error == NULL)
        log_info("credentials_reloaded", "a file of credentials changed, and is in use", "cluster", "local", "kind",
                 kube_credential_name(kind), NULL);
    else if (error->text[0] != '\0')
        log_warn("credentials_unreadable",
                 "a file of credentials cannot be used; what it held before is used on, and it is read again",
                 "cluster", "local", "kind", kube_credential_name(kind), "error", error->text, NULL);
    expiry_look_soon(control);
}

void expiry_start(struct control *control)
{
    kube_client_on_reload(control->client, on_reload, control);
    expiry_look_soon(control);
}

void expiry_look_soon(struct control *control)
{
    if (control->expiry_timer != NULL)
        loop_timer_start(control->expiry_timer, 0);
}

enum err_code expiry_init(struct control *control)
{
    control->expiry_timer = loop_timer_new(control->config.loop, look, control);
    return control->expiry_timer != NULL ? ERR_OK : ERR_NOMEM;
}

void expiry_collect(struct control *control, const struct kube_client *client, const char *cluster)
{
    const struct instruments *instruments = &control->instruments;
    metric_forget(instruments->credentials_expiry, 1, cluster);
    for (unsigned kind = 0; client != NULL && kind < KUBE_CREDENTIAL_KINDS; kind++) {
        struct validity validity = kube_client_validity(client, kind);
        if (validity.until_us != 0)
            metric_set(metric_get(instruments->credentials_expiry, cluster, kube_credential_name(kind)),
                       (double)validity.until_us / 1e6);
    }
}
