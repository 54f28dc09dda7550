#include "agent/control/finalizers.h"

#include <stdio.h>
#include <string.h>

#include "agent/control/internal.h"
#include "agent/control/leases.h"
#include "agent/observe/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "mirror/names.h"

enum {
    POLL_MS = 200, /* whether the mirrors of a deleted Link are gone: a count over all mirrors, about 1 ms at 10,000 */
    CONFLICT_MS = 500, /* the watch usually brings the newer version sooner */
    RETRY_MS = 5000,
    FORBIDDEN_MS = 60000,
    TELL_AFTER_MS = 10000, /* a deletion that takes so long is told to people */
};

/* One Link resource. */
struct held {
    struct finalizers *finalizers;
    json_t *list; /* metadata.finalizers, new reference; NULL when it has none */
    char *name, *uid, *version, *cluster;
    bool managed;            /* svcmirror made it, as its label says */
    bool deleting, unlinked; /* the world knows that its mirrors are to go */
    bool writing, removing;
    bool waiting_told;
    uint64_t waiting_since_ms; /* 0: does not wait for its mirrors */
    uint64_t not_before_ms;    /* of the next try */
    uint32_t generation;
    struct kube_request request;
};

struct finalizers {
    struct control *control;
    struct map *links; /* by name -> struct held */
    struct loop_timer *timer;
    uint64_t due_ms; /* of the timer */
    struct err told; /* the last refusal that was told */
    uint32_t generation;
    bool changed;
};

static void free_held(void *value)
{
    struct held *held = value;
    kube_cancel(&held->request);
    json_decref(held->list);
    mem_free(held->name);
    mem_free(held->uid);
    mem_free(held->version);
    mem_free(held->cluster);
    mem_free(held);
}

void finalizers_wake(struct finalizers *finalizers)
{
    finalizers->changed = true;
    loop_wake(finalizers->control->config.loop);
}

static void on_timer(void *context) { finalizers_wake(context); }

static void look_again(struct finalizers *finalizers, uint64_t delay_ms)
{
    uint64_t due_ms = loop_now_ms(finalizers->control->config.loop) + delay_ms;
    if (loop_timer_active(finalizers->timer) && finalizers->due_ms <= due_ms)
        return;
    finalizers->due_ms = due_ms;
    loop_timer_start(finalizers->timer, delay_ms);
}

static bool is_ours(const json_t *finalizer)
{
    const char *text = json_string_value(finalizer);
    return text != NULL && strcmp(text, LINK_FINALIZER) == 0;
}

static bool has_ours(const struct held *held)
{
    for (size_t i = 0; i < json_array_size(held->list); i++)
        if (is_ours(json_array_get(held->list, i)))
            return true;
    return false;
}

/* ---- what the watch shows ---- */

static const char *text_at(const struct json_tree *object, const char *key)
{
    const char *text = json_tree_text(json_tree_get(object, key));
    return text != NULL ? text : "";
}

/* @return ERR_OK or ERR_NOMEM; then it is as it was. */
static enum err_code replace(char **text, const char *value)
{
    char *copy = mem_strdup(value);
    if (copy == NULL)
        return ERR_NOMEM;
    mem_free(*text);
    *text = copy;
    return ERR_OK;
}

static struct held *obtain(struct finalizers *finalizers, const char *name)
{
    struct held *held = map_get(finalizers->links, name);
    if (held != NULL)
        return held;
    held = NEW(struct held);
    if (held == NULL)
        return NULL;
    held->finalizers = finalizers;
    if (replace(&held->name, name) != ERR_OK || map_put(finalizers->links, name, held) != ERR_OK) {
        free_held(held);
        return NULL;
    }
    return held;
}

/* @param list  NULL: none. */
static enum err_code keep_list(const struct json_tree *list, json_t **kept)
{
    json_t *copy = json_tree_to_json(list);
    if (list != NULL && copy == NULL)
        return ERR_NOMEM;
    json_decref(*kept);
    *kept = copy;
    return ERR_OK;
}

enum err_code finalizers_see(struct finalizers *finalizers, enum change change, const struct json_tree *link)
{
    const struct json_tree *meta = json_tree_get(link, "metadata");
    const char *name = text_at(meta, "name");
    finalizers_wake(finalizers);
    if (change == CHANGE_DELETED) {
        (void)map_remove(finalizers->links, name);
        return ERR_OK;
    }
    struct held *held = obtain(finalizers, name);
    if (held == NULL)
        return ERR_NOMEM;
    /* The cluster of a Link that is being deleted stays what it was: whatever is edited now, those are its mirrors. */
    const char *cluster = text_at(json_tree_get(link, "spec"), "targetClusterName");
    if (held->cluster == NULL || json_tree_get(meta, "deletionTimestamp") == NULL)
        TRY(replace(&held->cluster, cluster));
    TRY(replace(&held->uid, text_at(meta, "uid")));
    TRY(replace(&held->version, text_at(meta, "resourceVersion")));
    TRY(keep_list(json_tree_get(meta, "finalizers"), &held->list));
    held->managed = strcmp(text_at(json_tree_get(meta, "labels"), K8S_APP_MANAGED_BY), LINK_MANAGED_BY) == 0;
    held->deleting = json_tree_text(json_tree_get(meta, "deletionTimestamp")) != NULL;
    held->generation = finalizers->generation;
    if (!held->deleting) {
        held->unlinked = held->waiting_told = false;
        held->waiting_since_ms = 0;
    }
    return ERR_OK;
}

void finalizers_begin(struct finalizers *finalizers) { finalizers->generation++; }

void finalizers_end(struct finalizers *finalizers)
{
    for (struct map_entry *at = map_first(finalizers->links), *next; at != NULL; at = next) {
        next = map_next(at);
        if (((const struct held *)map_value(at))->generation != finalizers->generation)
            (void)map_remove(finalizers->links, map_key(at));
    }
    finalizers_wake(finalizers);
}

/* ---- writing ---- */

static void tell_refusal(struct finalizers *finalizers, const struct err *error)
{
    if (strcmp(finalizers->told.text, error->text) == 0)
        return;
    finalizers->told = *error;
    log_warn("finalizer_refused", "a Link's finalizer could not be changed and is tried again", "error", error->text,
             "remedy",
             error->code == ERR_FORBIDDEN
                 ? "grant patch on links in multicluster.linkerd.io, or run with --link-finalizer none"
                 : NULL,
             NULL);
}

static void on_done(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    (void)object;
    struct held *held = request->context;
    struct finalizers *finalizers = held->finalizers;
    uint64_t delay_ms = RETRY_MS;
    held->writing = false;
    if (failure == NULL) {
        if (held->removing && held->deleting)
            log_info("link_unlinked", "the deleted Link's mirrors are gone, and so is its finalizer", "link",
                     held->name, "cluster", held->cluster, NULL);
        return; /* the watch shows it */
    }
    if (failure->error.code == ERR_NOT_FOUND)
        return;
    if (failure->error.code == ERR_CONFLICT)
        delay_ms = CONFLICT_MS;
    else
        tell_refusal(finalizers, &failure->error);
    if (failure->error.code == ERR_FORBIDDEN)
        delay_ms = FORBIDDEN_MS;
    if (failure->retry_after_ms > 0 && (uint64_t)failure->retry_after_ms > delay_ms)
        delay_ms = (uint64_t)failure->retry_after_ms;
    held->not_before_ms = loop_now_ms(finalizers->control->config.loop) + delay_ms;
    look_again(finalizers, delay_ms);
}

/* The whole list goes with the version that it was read at: nobody else's finalizer gets lost.
 * @return new, NULL when out of memory; of jansson, which allocates through base/mem. */
static char *make_body(const struct held *held, bool with_ours)
{
    json_t *list = json_array();
    bool failed = list == NULL;
    for (size_t i = 0; !failed && i < json_array_size(held->list); i++)
        if (!is_ours(json_array_get(held->list, i)))
            failed = json_array_append(list, json_array_get(held->list, i)) != 0;
    if (!failed && with_ours)
        failed = json_array_append_new(list, json_string(LINK_FINALIZER)) != 0;
    json_t *patch =
        failed ? NULL : json_pack("{s:{s:s, s:O}}", "metadata", "resourceVersion", held->version, "finalizers", list);
    char *body = patch != NULL ? json_dumps(patch, JSON_COMPACT) : NULL;
    json_decref(list);
    json_decref(patch);
    return body;
}

static void write_list(struct held *held, bool with_ours)
{
    struct control *control = held->finalizers->control;
    char path[700];
    struct err ignored = {0};
    char *body = make_body(held, with_ours);
    (void)snprintf(path, sizeof(path),
                   "/apis/" L5D_LINK_GROUP "/%s/namespaces/%s/links/%s?fieldManager=" OBJECT_FIELD_MANAGER,
                   links_version(control->links), control->namespace, held->name);
    held->request = (struct kube_request){.verb = "patch",
                                          .resource = "links",
                                          .path = path,
                                          .content_type = "application/merge-patch+json",
                                          .body = body,
                                          .body_bytes = body != NULL ? strlen(body) : 0,
                                          .on_done = on_done,
                                          .context = held};
    held->removing = !with_ours;
    held->writing = body != NULL && kube_start(control->client, &held->request, &ignored) == ERR_OK;
    if (!held->writing)
        look_again(held->finalizers, RETRY_MS); /* out of memory */
    mem_free(body);
}

/* ---- what is to be done about one Link ---- */

/* A deletion that does not come to its end is told: on the Link, where people look for why it does not go. */
static void tell_waiting(struct held *held, size_t left)
{
    struct control *control = held->finalizers->control;
    uint64_t now_ms = loop_now_ms(control->config.loop);
    char note[ERR_TEXT_BYTES];
    if (held->waiting_since_ms == 0)
        held->waiting_since_ms = now_ms;
    if (held->waiting_told || now_ms - held->waiting_since_ms < TELL_AFTER_MS)
        return;
    held->waiting_told = true;
    (void)snprintf(note, sizeof(note),
                   "%zu mirrors of cluster %s are still there: see what keeps them in the agent's log, or take the "
                   "finalizer " LINK_FINALIZER " off to leave them behind",
                   left, held->cluster);
    log_warn("link_held", "a deleted Link waits for its mirrors to go", "link", held->name, "cluster", held->cluster,
             "left", log_u64(left), "remedy",
             "see write_failed for what keeps them, or take the finalizer off to leave them behind", NULL);
    links_emit_resource(control, held->name, held->uid, "MirrorsLeft", note);
}

/* @return whether nothing of the deleted Link is left. */
static bool is_cleaned(struct held *held)
{
    struct control *control = held->finalizers->control;
    if (!links_judged(control->links) || links_served(control->links, held->name) != NULL)
        return false; /* looked at again when that changes */
    /* Another declaration of the same cluster has the mirrors now. */
    if (held->cluster[0] == '\0' || links_name_cluster(control->links, held->cluster))
        return true;
    if (!held->unlinked)
        world_note_unlinked(control->world, held->cluster);
    held->unlinked = true;
    if (world_knowledge(control->world, NULL, WORLD_SOURCE_SERVICES) == WORLD_LISTED) {
        size_t left = world_count_left(control->world, held->cluster);
        if (left == 0)
            return true;
        tell_waiting(held, left);
    }
    look_again(held->finalizers, POLL_MS);
    return false;
}

/* Whether the finalizer should be there while the Link is. */
static bool is_wanted(const struct held *held)
{
    const struct control *control = held->finalizers->control;
    enum link_finalizer which = control->config.link_finalizer;
    return which == LINK_FINALIZER_ALL || (which == LINK_FINALIZER_MANAGED && held->managed);
}

/* Whether it is to be taken off now. */
static bool is_due(struct held *held)
{
    if (held->finalizers->control->config.link_finalizer == LINK_FINALIZER_NONE)
        return true;
    return held->deleting ? is_cleaned(held) : !is_wanted(held);
}

/* Of several replicas the one that writes the Link's status; where the Link is no more, the one that cleans up. */
static bool is_ours_to_write(struct held *held, const struct link *link)
{
    bool ours = leases_may_tell(held->finalizers->control->leases, link);
    if (!ours)
        look_again(held->finalizers, RETRY_MS);
    return ours;
}

static void consider(struct held *held)
{
    struct control *control = held->finalizers->control;
    uint64_t now_ms = loop_now_ms(control->config.loop);
    if (held->writing)
        return;
    if (held->not_before_ms > now_ms) {
        look_again(held->finalizers, held->not_before_ms - now_ms);
        return;
    }
    const struct link *link = links_served(control->links, held->name);
    if (!has_ours(held)) {
        if (is_wanted(held) && !held->deleting && link != NULL && is_ours_to_write(held, link))
            write_list(held, true);
        return;
    }
    if (is_due(held) && is_ours_to_write(held, link))
        write_list(held, false);
}

void finalizers_turn(struct finalizers *finalizers)
{
    struct control *control = finalizers->control;
    if (!finalizers->changed || control->config.dry_run || links_version(control->links) == NULL)
        return;
    finalizers->changed = false;
    for (struct map_entry *at = map_first(finalizers->links); at != NULL; at = map_next(at))
        consider(map_value(at));
}

/* ---- for previews ---- */

/* @return the reason for taking it off, constant; NULL: it stays. */
static const char *reason_to_remove(const struct held *held)
{
    if (held->finalizers->control->config.link_finalizer == LINK_FINALIZER_NONE)
        return "no Link is to have a finalizer";
    if (held->deleting)
        return "the Link is deleted, and may go when its mirrors are gone";
    return is_wanted(held) ? NULL : "the finalizer is not for this Link";
}

void finalizers_each_planned(const struct finalizers *finalizers,
                             void (*fn)(void *context, const char *link, const char *cluster, bool puts,
                                        const char *reason),
                             void *context)
{
    for (struct map_entry *at = map_first(finalizers->links); at != NULL; at = map_next(at)) {
        const struct held *held = map_value(at);
        const char *cluster = held->cluster != NULL ? held->cluster : "";
        bool served = links_served(finalizers->control->links, held->name) != NULL;
        if (has_ours(held) && reason_to_remove(held) != NULL)
            fn(context, held->name, cluster, false, reason_to_remove(held));
        else if (!has_ours(held) && is_wanted(held) && !held->deleting && served)
            fn(context, held->name, cluster, true, "once it is deleted, it is to stay until its mirrors are gone");
    }
}

enum err_code finalizers_new(struct control *control, struct finalizers **ret_finalizers)
{
    struct finalizers *finalizers = NEW(struct finalizers);
    if (finalizers == NULL)
        return ERR_NOMEM;
    finalizers->control = control;
    finalizers->links = map_new(free_held);
    finalizers->timer = loop_timer_new(control->config.loop, on_timer, finalizers);
    if (finalizers->links == NULL || finalizers->timer == NULL) {
        finalizers_free(finalizers);
        return ERR_NOMEM;
    }
    *ret_finalizers = finalizers;
    return ERR_OK;
}

void finalizers_free(struct finalizers *finalizers)
{
    if (finalizers == NULL)
        return;
    map_free(finalizers->links);
    loop_timer_free(finalizers->timer);
    mem_free(finalizers);
}
