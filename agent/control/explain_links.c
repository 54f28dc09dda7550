#include "agent/control/explain_links.h"

#include <string.h>

#include "agent/control/explain_gateway.h"
#include "agent/control/explain_link.h"
#include "agent/control/explain_mirror.h"
#include "agent/control/internal.h"
#include "agent/control/link_scope.h"
#include "base/mem.h"

enum { TEXTS_BYTES = 1 << 20 };

/* One link, or one gateway. */
struct topic {
    struct explain_links *explain;
    struct explanation explanation;
    const char *link_id;    /* "": of a declaration that is refused */
    struct explain_now now; /* of a gateway's own mirror */
    bool has_mirror;
    struct topic *next;
};

struct explain_links {
    struct explain_links_config config;
    struct arena texts;
    struct topic *topics, **end;
};

/* ---- finding what is asked about ---- */

static struct target *find_target(const struct topic *topic)
{
    struct target *target = links_first(topic->explain->config.control->links);
    while (target != NULL && strcmp(target_link(target)->id, topic->link_id) != 0)
        target = links_next(target);
    return target;
}

static bool is_that_gateway(const struct topic *topic, const struct world_gateway *gateway)
{
    const struct gateway_spec *spec = world_gateway_spec(gateway);
    return strcmp(spec->namespace, topic->explanation.namespace) == 0 &&
           strcmp(spec->name, topic->explanation.name) == 0;
}

static struct world_gateway *find_gateway(const struct topic *topic)
{
    const struct target *target = find_target(topic);
    struct world_gateway *gateway = target != NULL ? world_first_gateway(target_world_link(target)) : NULL;
    while (gateway != NULL && !is_that_gateway(topic, gateway))
        gateway = world_next_gateway(gateway);
    return gateway;
}

static enum err_code add_topic(struct explain_links *explain, const struct explanation *what, const char *link_id,
                               struct topic **ret_topic)
{
    struct arena *texts = &explain->texts;
    struct topic *topic = NEW(struct topic);
    if (topic == NULL)
        return ERR_NOMEM;
    topic->explain = explain;
    topic->link_id = arena_strdup(texts, link_id);
    topic->explanation = (struct explanation){.about = what->about,
                                              .cluster = arena_strdup(texts, what->cluster),
                                              .link_kind = what->link_kind,
                                              .link_name = arena_strdup(texts, what->link_name),
                                              .namespace = arena_strdup(texts, what->namespace),
                                              .name = arena_strdup(texts, what->name),
                                              .mirror = "",
                                              .mode = "",
                                              .verdict = "",
                                              .exists = true};
    facts_init(&topic->explanation.facts);
    facts_init(&topic->now.facts);
    *explain->end = topic;
    explain->end = &topic->next;
    *ret_topic = topic;
    return arena_failed(texts) ? ERR_NOMEM : ERR_OK;
}

static struct explanation explanation_of(const struct link *link)
{
    return (struct explanation){.about = EXPLAIN_LINK,
                                .cluster = link->cluster_name,
                                .link_kind = link->kind == LINK_SECRET ? "Secret" : "Link",
                                .link_name = link->name,
                                .namespace = link->namespace,
                                .name = link->name};
}

static enum err_code add_link(struct explain_links *explain, struct target *target)
{
    const struct explanation what = explanation_of(target_link(target));
    struct topic *topic = NULL;
    TRY(add_topic(explain, &what, target_link(target)->id, &topic));
    struct facts *facts = &topic->explanation.facts;
    explain_link_facts(facts, explain->config.control, target);
    explain_link_state(facts, explain->config.control, target, &explain->texts);
    return ERR_OK;
}

static enum err_code add_gateway(struct explain_links *explain, struct target *target,
                                 const struct world_gateway *gateway)
{
    const struct claim *claim = world_gateway_claim(gateway);
    struct explanation what = explanation_of(target_link(target));
    struct topic *topic = NULL;
    what.about = EXPLAIN_GATEWAY;
    what.namespace = world_gateway_spec(gateway)->namespace;
    what.name = world_gateway_spec(gateway)->name;
    TRY(add_topic(explain, &what, target_link(target)->id, &topic));
    struct facts *facts = &topic->explanation.facts;
    explain_link_facts(facts, explain->config.control, target);
    explain_gateway_facts(facts, gateway);
    topic->explanation.ready = explain_gateway_is_alive(gateway);
    topic->explanation.verdict =
        explain_gateway_verdict(facts, gateway, explain->config.control->config.move_endpoints);
    topic->has_mirror = claim != NULL;
    if (claim != NULL)
        explain_now(&topic->now, explain->config.control->world, mirror_key(claim_mirror(claim)));
    return ERR_OK;
}

static bool is_gateway_meant(const struct explain_links_config *config, const struct link *link,
                             const struct world_gateway *gateway)
{
    const struct gateway_spec *spec = world_gateway_spec(gateway);
    if (config->namespace != NULL)
        return strcmp(spec->namespace, config->namespace) == 0 && strcmp(spec->name, config->name) == 0;
    return link_scope_names(config->name, link) || strcmp(spec->name, config->name) == 0;
}

static enum err_code add_gateways(struct explain_links *explain, struct target *target)
{
    for (struct world_gateway *gateway = world_first_gateway(target_world_link(target)); gateway != NULL;
         gateway = world_next_gateway(gateway))
        if (is_gateway_meant(&explain->config, target_link(target), gateway))
            TRY(add_gateway(explain, target, gateway));
    return ERR_OK;
}

struct refusals {
    struct explain_links *explain;
    enum err_code code;
};

/* Of a gateway nothing is known then: why not, is told in its place. */
static void on_refusal(void *context, const struct link_refusal *refusal)
{
    struct refusals *refusals = context;
    const struct explain_links_config *config = &refusals->explain->config;
    bool by_name = config->namespace == NULL &&
                   (strcmp(config->name, refusal->name) == 0 || strcmp(config->name, refusal->cluster) == 0);
    struct topic *topic = NULL;
    if (refusals->code != ERR_OK || !by_name)
        return;
    const struct explanation what = {.about = EXPLAIN_LINK,
                                     .cluster = refusal->cluster,
                                     .link_kind = strcmp(refusal->kind, "Secret") == 0 ? "Secret" : "Link",
                                     .link_name = refusal->name,
                                     .namespace = refusal->namespace,
                                     .name = refusal->name};
    refusals->code = add_topic(refusals->explain, &what, "", &topic);
    if (refusals->code == ERR_OK)
        explain_refusal(&topic->explanation.facts, refusal);
}

static enum err_code find_topics(struct explain_links *explain)
{
    const struct explain_links_config *config = &explain->config;
    struct refusals refusals = {.explain = explain, .code = ERR_OK};
    for (struct target *target = links_first(config->control->links); target != NULL; target = links_next(target)) {
        const struct link *link = target_link(target);
        if (!link_scope_names(config->link, link))
            continue;
        if (config->gateways)
            TRY(add_gateways(explain, target));
        else if (link_scope_names(config->name, link))
            TRY(add_link(explain, target));
    }
    if (explain->topics == NULL)
        links_each_refusal(config->control->links, on_refusal, &refusals);
    return refusals.code;
}

bool explain_links_wants(const struct explain_links *explain, const char *key)
{
    const struct control *control = explain->config.control;
    const struct mirror *mirror = world_find_mirror(control->world, key);
    for (const struct topic *topic = explain->topics; topic != NULL; topic = topic->next) {
        bool of_link = topic->explanation.about == EXPLAIN_LINK;
        if (of_link && link_scope_covers(control, topic->explanation.cluster, key))
            return true;
        const struct world_gateway *gateway = of_link ? NULL : find_gateway(topic);
        for (const struct claim *claim = mirror != NULL && gateway != NULL ? mirror_first_claim(mirror) : NULL;
             claim != NULL; claim = mirror_next_claim(claim))
            if (claim_gateway(claim) == gateway)
                return true;
    }
    return false;
}

/* ---- the end ---- */

static bool is_any_bad(const struct facts *facts)
{
    for (size_t i = 0; i < facts->count; i++)
        if (facts->items[i].mark == FACT_BAD)
            return true;
    return false;
}

static void finish_link(struct topic *topic, const struct target *target)
{
    struct facts *facts = &topic->explanation.facts;
    if (target == NULL) {
        topic->explanation.verdict = "refused";
        return;
    }
    explain_link_unmirrored(facts, target_world_link(target));
    explain_link_writes(facts, topic->explain->config.preview, topic->explanation.cluster, true);
    topic->explanation.ready = !is_any_bad(facts);
    topic->explanation.verdict = topic->explanation.ready                            ? "works"
                                 : target_reachable(target) && target_synced(target) ? "works, but not all is well"
                                                                                     : "cannot be read";
}

static void finish_gateway(struct topic *topic)
{
    struct facts *facts = &topic->explanation.facts;
    const struct world_gateway *gateway = find_gateway(topic);
    const struct claim *claim = gateway != NULL ? world_gateway_claim(gateway) : NULL;
    if (explain_is_left_to_linkerd(claim))
        facts_add(facts, FACT_NOTE, "mirror", "%s", claim_status(claim)->message);
    else if (claim != NULL && !claim_status(claim)->mirrored)
        facts_add(facts, FACT_BAD, "mirror", "its own cannot be: %s%s%s", claim_status(claim)->reason,
                  claim_status(claim)->message[0] != '\0' ? ": " : "", claim_status(claim)->message);
    for (size_t i = 0; topic->has_mirror && !explain_is_left_to_linkerd(claim) && i < topic->now.facts.count; i++)
        facts_add(facts, topic->now.facts.items[i].mark, "mirror", "its own: %s", topic->now.facts.items[i].text);
    explain_link_writes(facts, topic->explain->config.preview, topic->explanation.cluster, false);
}

enum err_code explain_links_finish(struct explain_links *explain)
{
    for (struct topic *topic = explain->topics; topic != NULL; topic = topic->next) {
        if (topic->explanation.about == EXPLAIN_LINK)
            finish_link(topic, find_target(topic));
        else
            finish_gateway(topic);
        if (arena_failed(&topic->explanation.facts.arena) || arena_failed(&topic->now.facts.arena))
            return ERR_NOMEM;
    }
    return ERR_OK;
}

size_t explain_links_count(const struct explain_links *explain)
{
    size_t count = 0;
    for (const struct topic *topic = explain->topics; topic != NULL; topic = topic->next)
        count++;
    return count;
}

const struct explanation *explain_links_get(const struct explain_links *explain, size_t index)
{
    const struct topic *topic = explain->topics;
    while (topic != NULL && index-- > 0)
        topic = topic->next;
    return topic != NULL ? &topic->explanation : NULL;
}

/* ---- life ---- */

enum err_code explain_links_new(const struct explain_links_config *config, struct explain_links **ret_explain,
                                struct err *reterr)
{
    struct explain_links *explain = NEW(struct explain_links);
    if (explain == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    explain->config = *config;
    explain->end = &explain->topics;
    arena_init(&explain->texts, TEXTS_BYTES);
    if (find_topics(explain) != ERR_OK || arena_failed(&explain->texts)) {
        explain_links_free(explain);
        return err_set(reterr, ERR_NOMEM, "out of memory");
    }
    *ret_explain = explain;
    return ERR_OK;
}

void explain_links_free(struct explain_links *explain)
{
    if (explain == NULL)
        return;
    for (struct topic *topic = explain->topics, *next; topic != NULL; topic = next) {
        next = topic->next;
        facts_done(&topic->explanation.facts);
        facts_done(&topic->now.facts);
        mem_free(topic);
    }
    arena_done(&explain->texts);
    mem_free(explain);
}
