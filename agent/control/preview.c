#include "agent/control/preview.h"

#include "agent/control/imports.h"
#include "agent/control/internal.h"
#include "agent/control/local.h"
#include "agent/control/preview_apply.h"
#include "agent/control/preview_entries.h"
#include "agent/control/preview_links.h"
#include "agent/control/preview_names.h"
#include "base/mem.h"

enum {
    PLANS_PER_TURN = 200, /* so that answers are taken in between */
    PLAN_BYTES = 4 << 20, /* as in writer.c */
    WHY_BYTES = 64 << 10,
    /* A plan ends because each write brings the world nearer to where nothing is left. Should that ever fail, this ends it. */
    WRITES_PER_MIRROR = 64,
};

enum preview_state {
    PREVIEW_WAITING,    /* until all is known */
    PREVIEW_SETTLED,    /* on_settled was called, preview_collect() was not */
    PREVIEW_COLLECTING, /* plans are made and pretended */
    PREVIEW_DONE,
};

struct preview {
    struct preview_config config;
    struct world *world;
    enum preview_state state;
    struct loop_timer *timer;
    struct arena arena; /* of one plan */
    struct preview_entries entries;
    struct preview_names *names;
    size_t writes, max_writes; /* that were pretended */
    size_t unaccounted;
    struct err error;
};

static struct loop *loop_of(const struct preview *preview) { return preview->config.control->config.loop; }

static void fail(struct preview *preview, enum err_code code, const char *text)
{
    if (preview->error.code == ERR_OK)
        (void)err_set(&preview->error, code, "%s", text);
}

static void finish(struct preview *preview)
{
    preview->state = PREVIEW_DONE;
    loop_timer_stop(preview->timer);
    /* Statuses tell of mirrors as they would be, so they come when all writes are pretended. */
    if (preview->error.code == ERR_OK &&
        preview_links_add(preview->config.control, preview->config.link, &preview->entries) != ERR_OK)
        fail(preview, ERR_NOMEM, "out of memory");
    if (preview_entries_sort(&preview->entries) != ERR_OK)
        fail(preview, ERR_NOMEM, "out of memory");
    preview->config.on_collected(preview->config.context, preview->error.code != ERR_OK ? &preview->error : NULL);
}

/* ---- waiting until all is known ---- */

static bool are_imports_known(const struct control *control, struct strbuf *why)
{
    if (imports_settled(control->imports))
        return true;
    strbuf_append(why, "source cluster: ServiceImports are not listed yet\n");
    return false;
}

static bool are_exports_known(const struct world *world, const struct target *target, struct strbuf *why)
{
    const struct world_link *link = target_world_link(target);
    if (!world_takes_exports(link) || world_knowledge(world, link, WORLD_TARGET_EXPORTS) != WORLD_UNKNOWN ||
        target_problem(target)[0] != '\0' || target_exports_complaint(target)[0] != '\0')
        return true;
    strbuf_printf(why, "link %s: the target's ServiceExports are not listed yet\n", target_link(target)->cluster_name);
    return false;
}

static bool is_known(const struct preview *preview, const struct target *target, struct strbuf *why)
{
    if (!are_exports_known(preview->world, target, why))
        return false;
    bool listed = world_knowledge(preview->world, target_world_link(target), WORLD_TARGET_SLICES) != WORLD_UNKNOWN;
    if ((listed && !world_awaits_slices(target_world_link(target))) || target_problem(target)[0] != '\0')
        return true;
    strbuf_printf(why, "link %s: the target's endpoints are not listed yet\n", target_link(target)->cluster_name);
    return false;
}

static bool is_local_known(const struct preview *preview, struct strbuf *why)
{
    const struct world_link *local = local_world_link(preview->config.control->local);
    if (local == NULL || world_knowledge(preview->world, local, WORLD_TARGET_SERVICES) != WORLD_UNKNOWN)
        return true;
    strbuf_append(why, "source cluster: the local members of federated services are not listed yet\n");
    return false;
}

bool preview_settled(const struct preview *preview, struct strbuf *why)
{
    const struct control *control = preview->config.control;
    bool settled = source_ready(control->source, why);
    settled = is_local_known(preview, why) && settled;
    settled = are_imports_known(control, why) && settled;
    settled = links_ready(control->links, why) && settled;
    for (const struct target *target = links_first(control->links); settled && target != NULL;
         target = links_next(target))
        settled = is_known(preview, target, why);
    return gateways_settled(control->gateways, why) && settled;
}

bool preview_links_known(const struct preview *preview) { return links_judged(preview->config.control->links); }

static void settle(struct preview *preview, bool in_time)
{
    loop_timer_stop(preview->timer);
    preview->state = PREVIEW_SETTLED;
    preview->config.on_settled(preview->config.context, in_time);
}

static void on_timeout(void *context)
{
    struct preview *preview = context;
    if (preview->state == PREVIEW_WAITING)
        settle(preview, false);
}

/* Without the source there is nothing to plan: that is told at once, where the agent would wait. */
static void wait_on(struct preview *preview)
{
    struct strbuf ignored;
    const struct control *control = preview->config.control;
    const struct err *failure = source_failure(control->source);
    if (failure == NULL)
        failure = links_failure(control->links);
    if (failure != NULL) {
        fail(preview, failure->code, failure->text);
        finish(preview);
        return;
    }
    strbuf_init(&ignored, WHY_BYTES);
    bool settled = preview_settled(preview, &ignored);
    strbuf_done(&ignored);
    if (settled)
        settle(preview, true);
}

/* ---- planning ---- */

static void on_looked(void *context, const struct err *error)
{
    struct preview *preview = context;
    if (error != NULL)
        fail(preview, error->code, error->text);
    loop_wake(loop_of(preview));
}

/* The first write that can be made; NULL: none. A name that is taken stands in the way of this object only.
 * @param[out] ret_looked  false: somebody has to look first whether the name is free. */
static const struct write *first_write(const struct preview *preview, const struct plan *plan, bool *ret_looked)
{
    for (uint32_t i = 0; i < plan->write_count; i++) {
        const struct write *write = &plan->writes[i];
        enum preview_name name =
            write->verb == WRITE_CREATE ? preview_names_get(preview->names, write) : PREVIEW_NAME_FREE;
        *ret_looked = name != PREVIEW_NAME_UNKNOWN;
        if (name != PREVIEW_NAME_TAKEN)
            return write;
    }
    return NULL;
}

static void set_status(struct preview *preview, struct claim *claim, bool mirrored, const char *reason,
                       const char *message)
{
    (void)claim_set_status(claim, mirrored, reason, message, loop_wall_us(loop_of(preview)));
}

static void note_statuses(struct preview *preview, const struct plan *plan)
{
    for (uint32_t i = 0; i < plan->status_count; i++)
        set_status(preview, plan->statuses[i].claim, plan->statuses[i].mirrored, plan->statuses[i].reason,
                   plan->statuses[i].message);
}

static void note_taken(struct preview *preview, const struct mirror *mirror, const struct write *write)
{
    struct claim *claim = mirror_first_claim(mirror);
    const char *text = arena_printf(&preview->arena, "%s %s/%s exists and is not svcmirror's: rename or remove it",
                                    write_kind_name(write->kind), write->namespace, write->name);
    if (claim != NULL && text != NULL)
        set_status(preview, claim, false, "NameCollision", text);
}

static enum err_code pretend(struct preview *preview, struct mirror *mirror, const struct write *write)
{
    TRY(preview_entries_add(&preview->entries, mirror, write));
    TRY(preview_names_pretend(preview->names, mirror, write));
    world_mark(mirror, false); /* for what follows from it */
    return preview_apply(preview->world, write, ++preview->writes);
}

static enum err_code plan_one(struct preview *preview, struct mirror *mirror)
{
    struct plan plan;
    bool looked = false;
    arena_reset(&preview->arena);
    TRY(plan_mirror(preview->world, mirror, &preview->arena, &plan));
    if (plan.collision && preview_names_are_charts(preview->names, mirror))
        claims_leave_to_linkerd(&plan, mirror, &preview->arena);
    note_statuses(preview, &plan);
    if (mirror_note_unaccounted(mirror, plan.unaccounted) && plan.unaccounted)
        preview->unaccounted++;
    const struct write *write = first_write(preview, &plan, &looked);
    if (write != NULL)
        return looked ? pretend(preview, mirror, write) : preview_names_look(preview->names, mirror, write);
    if (plan.write_count > 0)
        note_taken(preview, mirror, &plan.writes[0]);
    return ERR_OK;
}

/* @return whether more is to be done at once. */
static bool collect(struct preview *preview)
{
    for (unsigned plans = 0; !preview_names_full(preview->names) && preview->error.code == ERR_OK; plans++) {
        if (plans == PLANS_PER_TURN)
            return true;
        struct mirror *mirror = world_pop(preview->world);
        if (mirror == NULL)
            break;
        if (preview->config.wants != NULL && !preview->config.wants(preview->config.context, mirror_key(mirror)))
            continue;
        enum err_code code = plan_one(preview, mirror);
        if (code != ERR_OK)
            fail(preview, code, code == ERR_NOMEM ? "out of memory" : "the API server cannot be asked");
        if (preview->writes > preview->max_writes)
            fail(preview, ERR_LIMIT, "the plan does not come to an end: please report this");
    }
    if (preview_names_in_flight(preview->names) == 0)
        finish(preview);
    return false;
}

static bool on_turn(void *context)
{
    struct preview *preview = context;
    if (preview->state == PREVIEW_WAITING)
        wait_on(preview);
    return preview->state == PREVIEW_COLLECTING && collect(preview);
}

void preview_collect(struct preview *preview)
{
    preview->state = PREVIEW_COLLECTING;
    preview->max_writes = WRITES_PER_MIRROR * (world_mirror_count(preview->world) + 1);
    loop_wake(loop_of(preview));
}

/* ---- life ---- */

enum err_code preview_new(const struct preview_config *config, struct preview **ret_preview)
{
    struct preview *preview = NEW(struct preview);
    if (preview == NULL)
        return ERR_NOMEM;
    preview->config = *config;
    preview->world = config->control->world;
    arena_init(&preview->arena, PLAN_BYTES);
    enum err_code code = preview_entries_init(&preview->entries);
    preview->names = preview_names_new(config->control, on_looked, preview);
    preview->timer = loop_timer_new(loop_of(preview), on_timeout, preview);
    if (code == ERR_OK)
        code = preview->names != NULL && preview->timer != NULL ? loop_on_turn(loop_of(preview), on_turn, preview)
                                                                : ERR_NOMEM;
    if (code != ERR_OK) {
        preview_free(preview);
        return code;
    }
    loop_timer_start(preview->timer, config->timeout_ms);
    *ret_preview = preview;
    return ERR_OK;
}

void preview_free(struct preview *preview)
{
    if (preview == NULL)
        return;
    loop_off_turn(loop_of(preview), on_turn, preview);
    preview_names_free(preview->names);
    loop_timer_free(preview->timer);
    preview_entries_done(&preview->entries);
    arena_done(&preview->arena);
    mem_free(preview);
}

size_t preview_count(const struct preview *preview)
{
    return preview->entries.sorted != NULL ? preview->entries.count : 0;
}

const struct preview_write *preview_get(const struct preview *preview, size_t index)
{
    return preview->entries.sorted[index];
}

size_t preview_unaccounted(const struct preview *preview) { return preview->unaccounted; }

void preview_each_complaint(const struct preview *preview,
                            void (*fn)(void *context, const char *object, const char *text), void *context)
{
    links_each_complaint(preview->config.control->links, fn, context);
}
