#include "agent/control/explain.h"

#include <stdio.h>
#include <string.h>

#include "agent/control/explain_export.h"
#include "agent/control/explain_link.h"
#include "agent/control/explain_mirror.h"
#include "agent/control/internal.h"
#include "agent/control/link_scope.h"
#include "agent/kube/codec.h"
#include "base/mem.h"
#include "mirror/names.h"

enum {
    TEXTS_BYTES = 1 << 20,
    LOOK_MS = 5000, /* for one GET */
};

/* One service of one target, or one gateway. */
struct subject {
    struct explain *explain;
    struct explanation explanation;
    const char *link_id;
    enum claim_kind kind;
    bool refused;   /* stands for a declaration that cannot be used: there is no target to ask */
    bool guessed;   /* made of a mirror's name: dropped when no such service is there */
    bool asked;     /* the GET is under way */
    bool looked_up; /* the target has answered */
    struct explain_now now;
    struct kube_request request;
    struct subject *next;
};

struct explain {
    struct explain_config config;
    struct arena texts;
    struct arena scratch;
    struct subject *subjects, **end;
    unsigned in_flight;
    bool started; /* all GETs were sent */
    struct loop_timer *timer;
    const char *understood;
};

/* ---- finding what is asked about ---- */

static struct target *find_target(const struct explain *explain, const char *link_id)
{
    for (struct target *target = links_first(explain->config.control->links); target != NULL;
         target = links_next(target))
        if (strcmp(target_link(target)->id, link_id) == 0)
            return target;
    return NULL;
}

/* Where the link would have the service's mirror, for all that is known without asking the target. */
static const char *templated_mirror(struct arena *texts, const struct link *link, const char *namespace,
                                    const char *name)
{
    char mirror_namespace[OBJECT_KEY_BYTES], mirror_name[OBJECT_KEY_BYTES];
    naming_namespace(&link->naming, namespace, mirror_namespace);
    naming_name(&link->naming, link->cluster_name, namespace, name, mirror_name);
    return object_key(texts, mirror_namespace, mirror_name);
}

static enum err_code add_subject(struct explain *explain, const struct link *link, const char *namespace,
                                 const char *name, struct subject **ret_subject)
{
    struct arena *texts = &explain->texts;
    struct subject *subject = NEW(struct subject);
    if (subject == NULL)
        return ERR_NOMEM;
    facts_init(&subject->explanation.facts);
    facts_init(&subject->now.facts);
    subject->explain = explain;
    subject->kind = CLAIM_SERVICE;
    subject->link_id = arena_strdup(texts, link->id);
    subject->explanation.cluster = arena_strdup(texts, link->kind == LINK_LOCAL ? "(source)" : link->cluster_name);
    subject->explanation.link_kind = link->kind == LINK_SECRET ? "Secret" : link->kind == LINK_LOCAL ? "Local" : "Link";
    subject->explanation.link_name = arena_strdup(texts, link->name);
    subject->explanation.namespace = arena_strdup(texts, namespace);
    subject->explanation.name = arena_strdup(texts, name);
    subject->explanation.mirror = templated_mirror(texts, link, namespace, name);
    subject->explanation.mode = "";
    subject->explanation.exists = true;
    *explain->end = subject;
    explain->end = &subject->next;
    *ret_subject = subject;
    return arena_failed(texts) ? ERR_NOMEM : ERR_OK;
}

/* What the mirror of a claim stands for. */
static enum err_code add_claim(struct explain *explain, const struct claim *claim, bool by_mirror)
{
    struct subject *subject = NULL;
    const struct link *link = world_link_declaration(claim_link(claim));
    bool is_gateway = claim_kind(claim) == CLAIM_GATEWAY;
    const struct gateway_spec *gateway = is_gateway ? world_gateway_spec(claim_gateway(claim)) : NULL;
    const char *namespace = is_gateway ? gateway->namespace : claim_service(claim)->meta.namespace;
    const char *name = is_gateway ? gateway->name : claim_service(claim)->meta.name;
    TRY(add_subject(explain, link, namespace, name, &subject));
    subject->kind = claim_kind(claim);
    subject->explanation.about = is_gateway ? EXPLAIN_GATEWAY_MIRROR : EXPLAIN_SERVICE;
    subject->explanation.mode = plan_mode_name(claim);
    subject->explanation.mirror = arena_strdup(&explain->texts, mirror_key(claim_mirror(claim)));
    if (by_mirror && explain->understood[0] == '\0')
        explain->understood = arena_printf(&explain->texts, "%s is the name of the mirror of %s %s/%s of cluster %s",
                                           mirror_key(claim_mirror(claim)), is_gateway ? "gateway" : "service",
                                           namespace, name, subject->explanation.cluster);
    return arena_failed(&explain->texts) ? ERR_NOMEM : ERR_OK;
}

/* "web-east" may be the mirror of web of cluster east, though nothing claims the name yet. */
static enum err_code add_guesses(struct explain *explain, const struct link *link)
{
    char namespace[OBJECT_KEY_BYTES], name[OBJECT_KEY_BYTES];
    const struct explain_config *config = &explain->config;
    for (uint32_t i = 0; naming_origin_namespace(&link->naming, config->namespace, i, namespace); i++) {
        struct subject *subject = NULL;
        bool is_itself = strcmp(namespace, config->namespace) == 0;
        if (!naming_origin_name(&link->naming, link->cluster_name, namespace, config->name, name) ||
            (is_itself && strcmp(name, config->name) == 0)) /* asked about as a service already */
            continue;
        TRY(add_subject(explain, link, namespace, name, &subject));
        subject->guessed = true;
    }
    return ERR_OK;
}

static bool is_of_service(const struct claim *claim, const char *namespace, const char *name)
{
    const struct service *service = claim_service(claim);
    return service != NULL && strcmp(service->meta.namespace, namespace) == 0 && strcmp(service->meta.name, name) == 0;
}

/* Where no ServiceImports are served there is nothing to be told of them. */
static bool is_told(const struct explain *explain, const struct claim *claim)
{
    return claim_kind(claim) != CLAIM_IMPORT || world_import_version(explain->config.control->world) != NULL;
}

/* All that the link makes of the service: its mirror, those of its hostnames, its membership. Without any, the mirror that it would have. */
static enum err_code add_service(struct explain *explain, struct world_link *world_link)
{
    struct subject *subject = NULL;
    bool any = false;
    const struct explain_config *config = &explain->config;
    const struct link *link = world_link_declaration(world_link);
    for (struct claim *claim = world_first_claim(world_link); claim != NULL; claim = world_next_claim(claim))
        if (is_of_service(claim, config->namespace, config->name) && is_told(explain, claim)) {
            TRY(add_claim(explain, claim, false));
            any = true;
        }
    if (any || link->kind == LINK_LOCAL)
        return ERR_OK;
    TRY(add_subject(explain, link, config->namespace, config->name, &subject));
    return add_guesses(explain, link);
}

static bool is_linked(const struct explain *explain, const char *cluster)
{
    for (struct target *target = links_first(explain->config.control->links); target != NULL;
         target = links_next(target))
        if (strcmp(target_link(target)->cluster_name, cluster) == 0)
            return true;
    return false;
}

struct refusals {
    struct explain *explain;
    enum err_code code;
};

/* The service as the link would mirror it. A mirror's name is taken for the service's that it would stand for. */
static enum err_code add_refused_subject(struct explain *explain, const struct link_refusal *refusal)
{
    struct subject *subject = NULL;
    const struct explain_config *config = &explain->config;
    const char *suffix = arena_printf(&explain->texts, "-%s", refusal->cluster);
    if (suffix == NULL)
        return ERR_NOMEM;
    size_t length = strlen(config->name);
    if (refusal->cluster[0] != '\0' && length > strlen(suffix) && text_ends_with(config->name, suffix))
        length -= strlen(suffix);
    const char *service = arena_printf(&explain->texts, "%.*s", (int)length, config->name);
    if (service == NULL)
        return ERR_NOMEM;
    const struct link link = {.kind = strcmp(refusal->kind, "Secret") == 0 ? LINK_SECRET : LINK_RESOURCE,
                              .id = "",
                              .name = refusal->name,
                              .cluster_name = refusal->cluster};
    TRY(add_subject(explain, &link, config->namespace, service, &subject));
    subject->refused = true;
    if (refusal->cluster[0] == '\0')
        subject->explanation.mirror = "";
    explain_refusal(&subject->explanation.facts, refusal);
    return ERR_OK;
}

/* One of a cluster that another declaration links is told with that one. */
static void on_refusal(void *context, const struct link_refusal *refusal)
{
    struct refusals *refusals = context;
    struct explain *explain = refusals->explain;
    const char *wanted = explain->config.link;
    bool asked = wanted == NULL || strcmp(wanted, refusal->name) == 0 || strcmp(wanted, refusal->cluster) == 0;
    if (refusals->code == ERR_OK && asked && !is_linked(explain, refusal->cluster))
        refusals->code = add_refused_subject(explain, refusal);
}

static enum err_code find_refused(struct explain *explain)
{
    struct refusals refusals = {.explain = explain, .code = ERR_OK};
    links_each_refusal(explain->config.control->links, on_refusal, &refusals);
    return refusals.code;
}

static enum err_code find_subjects(struct explain *explain)
{
    char key[OBJECT_KEY_BYTES];
    const struct explain_config *config = &explain->config;
    object_key_format(key, config->namespace, config->name);
    const struct mirror *mirror = world_find_mirror(config->control->world, key);
    const struct claim *claim = mirror != NULL ? mirror_first_claim(mirror) : NULL;
    for (const struct claim *at = claim; at != NULL; at = mirror_next_claim(at))
        if (link_scope_names(config->link, world_link_declaration(claim_link(at))))
            TRY(add_claim(explain, at, true));
    for (struct world_link *link = world_first_link(config->control->world); claim == NULL && link != NULL;
         link = world_next_link(link))
        if (link_scope_names(config->link, world_link_declaration(link)))
            TRY(add_service(explain, link));
    return claim == NULL ? find_refused(explain) : ERR_OK;
}

/* ---- facts of the link ---- */

/* The source cluster has no link and no target: its members are watched like its mirrors. */
static void explain_local(struct subject *subject)
{
    subject->now.target_known = true;
    facts_add(&subject->explanation.facts, FACT_GOOD, "link",
              "the source cluster's own services are members by --federated-service-selector");
}

/* ---- the service itself ---- */

static void explain_service(struct subject *subject, const struct target *target, const json_t *object)
{
    const struct link *link = target_link(target);
    const struct world_link *world_link = target_world_link(target);
    struct explanation *explanation = &subject->explanation;
    struct facts *facts = &explanation->facts;
    struct service service;
    struct err error = {0};
    arena_reset(&subject->explain->scratch);
    if (codec_service(&subject->explain->scratch, object, &service, &error) != ERR_OK) {
        facts_add(facts, FACT_BAD, "service", "Service %s/%s of cluster %s cannot be read: %s", explanation->namespace,
                  explanation->name, explanation->cluster, error.text);
        return;
    }
    const struct explain_service_export service_export = {.taken = world_takes_exports(world_link),
                                                          .trouble = target_exports_complaint(target),
                                                          .there = world_has_export(world_link, explanation->namespace,
                                                                                    explanation->name)};
    facts_add(facts, FACT_GOOD, "service", "Service %s/%s is in cluster %s", explanation->namespace, explanation->name,
              explanation->cluster);
    subject->now.exported =
        explain_export(facts, link, &service, subject->explain->config.control->cluster_name, &service_export);
    if (subject->now.exported && (subject->kind == CLAIM_SERVICE || subject->kind == CLAIM_HOST))
        explain_naming(facts, link, &service);
}

static void explain_absence(struct subject *subject, const struct kube_failure *failure)
{
    struct explanation *explanation = &subject->explanation;
    if (failure->error.code == ERR_NOT_FOUND) {
        explanation->exists = false;
        facts_add(&explanation->facts, FACT_BAD, "service", "Service %s/%s does not exist in cluster %s",
                  explanation->namespace, explanation->name, explanation->cluster);
    } else {
        facts_add(&explanation->facts, FACT_BAD, "service", "Service %s/%s could not be asked for: %s",
                  explanation->namespace, explanation->name, failure->error.text);
    }
}

/* ---- asking the targets ---- */

static struct claim *claim_of(const struct subject *subject)
{
    const struct explanation *explanation = &subject->explanation;
    struct mirror *mirror = world_find_mirror(subject->explain->config.control->world, explanation->mirror);
    for (struct claim *claim = mirror != NULL ? mirror_first_claim(mirror) : NULL; claim != NULL;
         claim = mirror_next_claim(claim)) {
        bool same_link = strcmp(world_link_declaration(claim_link(claim))->id, subject->link_id) == 0;
        if (same_link && claim_kind(claim) == subject->kind &&
            (explanation->about == EXPLAIN_GATEWAY_MIRROR ||
             is_of_service(claim, explanation->namespace, explanation->name)))
            return claim;
    }
    return NULL;
}

static void drop_wrong_guesses(struct explain *explain)
{
    for (struct subject *subject = explain->subjects; subject != NULL; subject = subject->next)
        if (subject->guessed && subject->explanation.exists && explain->understood[0] == '\0')
            explain->understood =
                arena_printf(&explain->texts,
                             "%s is the name that the mirror of service %s/%s of cluster %s would have",
                             subject->explanation.mirror, subject->explanation.namespace, subject->explanation.name,
                             subject->explanation.cluster);
}

/* All targets have answered: what there is of the mirrors now is read before planning changes the view. */
static void finish_looking(struct explain *explain)
{
    const struct world *world = explain->config.control->world;
    drop_wrong_guesses(explain);
    for (struct subject *subject = explain->subjects; subject != NULL; subject = subject->next)
        explain_now(&subject->now, world, subject->explanation.mirror);
    explain->config.on_looked(explain->config.context);
}

static void on_timer(void *context) { finish_looking(context); }

/* The end is told from the loop, also when there was nothing to ask. */
static void end_one(struct explain *explain)
{
    if (explain->in_flight == 0 && explain->started)
        loop_timer_start(explain->timer, 0);
}

static void on_answer(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    struct subject *subject = request->context;
    struct explain *explain = subject->explain;
    const struct target *target = find_target(explain, subject->link_id);
    subject->asked = false;
    subject->looked_up = true;
    explain->in_flight--;
    if (failure != NULL)
        explain_absence(subject, failure);
    else if (target != NULL)
        explain_service(subject, target, object);
    end_one(explain);
}

static enum err_code ask(struct subject *subject, struct target *target)
{
    char path[700];
    struct explain *explain = subject->explain;
    struct err error = {0};
    explain_link_facts(&subject->explanation.facts, explain->config.control, target);
    subject->now.target_known = target_synced(target);
    if (subject->explanation.about == EXPLAIN_GATEWAY_MIRROR || target_client(target) == NULL)
        return ERR_OK;
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/%s/services/%s", subject->explanation.namespace,
                   subject->explanation.name);
    subject->request = (struct kube_request){.verb = "get",
                                             .resource = "services",
                                             .path = path,
                                             .timeout_ms = LOOK_MS,
                                             .on_done = on_answer,
                                             .context = subject};
    TRY(kube_start(target_client(target), &subject->request, &error));
    subject->asked = true;
    explain->in_flight++;
    return ERR_OK;
}

static enum err_code ask_all(struct explain *explain)
{
    for (struct subject *subject = explain->subjects; subject != NULL; subject = subject->next) {
        struct target *target = find_target(explain, subject->link_id);
        if (target != NULL)
            TRY(ask(subject, target));
        else if (!subject->refused)
            explain_local(subject);
    }
    explain->started = true;
    end_one(explain);
    return ERR_OK;
}

/* ---- the end ---- */

enum err_code explain_finish(struct explain *explain)
{
    for (struct subject *subject = explain->subjects; subject != NULL; subject = subject->next) {
        if (!subject->refused)
            explain_decisions(&subject->explanation, &subject->now, claim_of(subject), explain->config.preview);
        if (arena_failed(&subject->explanation.facts.arena) || arena_failed(&subject->now.facts.arena))
            return ERR_NOMEM;
    }
    return ERR_OK;
}

/* A guess counts when it was right; a service that is nowhere counts only when no other is shown. */
static bool is_shown(const struct explain *explain, const struct subject *subject, bool any_exists)
{
    (void)explain;
    if (subject->guessed)
        return subject->explanation.exists && subject->looked_up;
    return subject->explanation.exists || !any_exists;
}

static bool any_exists(const struct explain *explain)
{
    for (const struct subject *subject = explain->subjects; subject != NULL; subject = subject->next)
        if (subject->explanation.exists && (subject->looked_up || subject->kind != CLAIM_SERVICE))
            return true;
    return false;
}

size_t explain_count(const struct explain *explain)
{
    size_t count = 0;
    bool exists = any_exists(explain);
    for (const struct subject *subject = explain->subjects; subject != NULL; subject = subject->next)
        count += is_shown(explain, subject, exists) ? 1 : 0;
    return count;
}

const struct explanation *explain_get(const struct explain *explain, size_t index)
{
    bool exists = any_exists(explain);
    for (const struct subject *subject = explain->subjects; subject != NULL; subject = subject->next)
        if (is_shown(explain, subject, exists) && index-- == 0)
            return &subject->explanation;
    return NULL;
}

const char *explain_understood(const struct explain *explain) { return explain->understood; }

bool explain_wants(const struct explain *explain, const char *key)
{
    for (const struct subject *subject = explain->subjects; subject != NULL; subject = subject->next)
        if (strcmp(subject->explanation.mirror, key) == 0)
            return true;
    return false;
}

/* ---- life ---- */

enum err_code explain_new(const struct explain_config *config, struct explain **ret_explain, struct err *reterr)
{
    struct explain *explain = NEW(struct explain);
    if (explain == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    explain->config = *config;
    explain->end = &explain->subjects;
    explain->understood = "";
    arena_init(&explain->texts, TEXTS_BYTES);
    arena_init(&explain->scratch, TEXTS_BYTES * 8);
    explain->timer = loop_timer_new(config->control->config.loop, on_timer, explain);
    if (explain->timer == NULL || find_subjects(explain) != ERR_OK || ask_all(explain) != ERR_OK) {
        explain_free(explain);
        return err_set(reterr, ERR_NOMEM, "out of memory");
    }
    *ret_explain = explain;
    return ERR_OK;
}

void explain_free(struct explain *explain)
{
    if (explain == NULL)
        return;
    for (struct subject *subject = explain->subjects, *next; subject != NULL; subject = next) {
        next = subject->next;
        if (subject->asked)
            kube_cancel(&subject->request);
        facts_done(&subject->explanation.facts);
        facts_done(&subject->now.facts);
        mem_free(subject);
    }
    loop_timer_free(explain->timer);
    arena_done(&explain->texts);
    arena_done(&explain->scratch);
    mem_free(explain);
}
