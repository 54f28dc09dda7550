/* The state of every exported service in its Link's status, as Linkerd's own controller writes it: one entry a service, one condition an entry. Written
 * when something changed, at most once a second for each Link, and only when the API does not hold it already. */
#include <stdio.h>
#include <string.h>

#include "agent/control/internal.h"
#include "agent/observe/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "mirror/names.h"

enum {
    COALESCE_MS = 1000,
    RETRY_MS = 5000,
    MAX_STATUS_BYTES = 1000 * 1000, /* etcd takes 1.5 MiB for the whole object */
    SUMMARY_BYTES = 2048,           /* of them kept free for what tells that a list is not whole, in both lists */
};

struct link_status {
    struct link_statuses *statuses;
    struct world_link *link;
    struct loop_timer *timer;
    struct kube_request request;
    struct tenure *tenure; /* under which it is being written */
    bool marked, writing;
};

struct link_statuses {
    struct control *control;
    struct map *links; /* by link id -> struct link_status */
    bool stopped;      /* what is not sent by now never is */
};

static void free_status(void *value)
{
    struct link_status *status = value;
    kube_cancel(&status->request);
    tenure_end(TAKE(status->tenure));
    loop_timer_free(status->timer);
    mem_free(status);
}

/* ---- what the status should be ---- */

/* Of a list that is not whole the last entry is about the Link, and says how much is left out. */
static bool is_summary(const json_t *entry)
{
    const char *kind = json_string_value(json_object_get(json_object_get(entry, "remoteRef"), "kind"));
    return kind != NULL && strcmp(kind, "Link") == 0;
}

static json_t *find_summary(const json_t *entries)
{
    json_t *last = json_array_get(entries, json_array_size(entries) - 1);
    return last != NULL && is_summary(last) ? last : NULL;
}

static const json_t *condition_of(const json_t *entry)
{
    return json_array_get(json_object_get(entry, "conditions"), 0);
}

/* The entries that the API holds, by "namespace/name" of what they refer to. @return new, borrows from `entries`; NULL when out of memory. */
static struct map *index_entries(const json_t *entries)
{
    struct map *index = map_new(NULL);
    for (size_t i = 0; index != NULL && i < json_array_size(entries); i++) {
        json_t *entry = json_array_get(entries, i);
        const json_t *reference = json_object_get(entry, "remoteRef");
        const char *name = json_string_value(json_object_get(reference, "name"));
        const char *namespace = json_string_value(json_object_get(reference, "namespace"));
        char key[OBJECT_KEY_BYTES];
        if (name == NULL || namespace == NULL || is_summary(entry))
            continue;
        object_key_format(key, namespace, name);
        if (map_put(index, key, entry) != ERR_OK) {
            map_free(index);
            return NULL;
        }
    }
    return index;
}

/* The time of the last transition is the API's own while the condition's status stays: it survives restarts. */
static const char *transition_time(const json_t *old, const char *status_text, int64_t since_us,
                                   char buffer[TEXT_TIME_BYTES])
{
    const char *old_status = json_string_value(json_object_get(condition_of(old), "status"));
    const char *old_time = json_string_value(json_object_get(condition_of(old), "lastTransitionTime"));
    if (old_status != NULL && old_time != NULL && strcmp(old_status, status_text) == 0)
        return old_time;
    text_format_time(since_us, buffer);
    return buffer;
}

static json_t *reference(const char *namespace, const char *name)
{
    return json_pack("{s:s, s:s, s:s, s:s}", "group", "core", "kind", "Service", "name", name, "namespace", namespace);
}

static json_t *entry_of(const struct claim *claim, const json_t *old)
{
    const struct claim_status *status = claim_status(claim);
    const struct object_meta *meta = &claim_service(claim)->meta;
    const char *status_text = status->mirrored ? "True" : "False";
    char time[TEXT_TIME_BYTES], namespace[OBJECT_KEY_BYTES];
    const char *local = object_key_split(mirror_key(claim_mirror(claim)), namespace);
    json_t *condition = json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "Mirrored", "status", status_text, "reason",
                                  status->reason, "message", status->message, "lastTransitionTime",
                                  transition_time(old, status_text, status->since_us, time));
    /* Only a mirror that exists is referred to: Linkerd's schema refuses empty references (#14433). */
    if (condition != NULL && status->mirrored)
        (void)json_object_set_new(condition, "localRef", reference(namespace, local));
    return json_pack("{s:s, s:o, s:[o]}", "controllerName", L5D_STATUS_CONTROLLER, "remoteRef",
                     reference(meta->namespace, meta->name), "conditions", condition);
}

static bool is_text(const json_t *object, const char *key, const char *wanted)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL && strcmp(text, wanted) == 0;
}

static bool is_reference(const json_t *json, const char *namespace, const char *name)
{
    return json_object_size(json) == 4 && is_text(json, "group", "core") && is_text(json, "kind", "Service") &&
           is_text(json, "name", name) && is_text(json, "namespace", namespace);
}

static bool condition_says(const json_t *condition, const struct claim *claim)
{
    const struct claim_status *status = claim_status(claim);
    char namespace[OBJECT_KEY_BYTES];
    const char *local = object_key_split(mirror_key(claim_mirror(claim)), namespace);
    if (status->mirrored && !is_reference(json_object_get(condition, "localRef"), namespace, local))
        return false;
    return json_object_size(condition) == (status->mirrored ? 6 : 5) && is_text(condition, "type", "Mirrored") &&
           is_text(condition, "status", status->mirrored ? "True" : "False") &&
           is_text(condition, "reason", status->reason) && is_text(condition, "message", status->message) &&
           json_is_string(json_object_get(condition, "lastTransitionTime"));
}

/* Whether the entry is what entry_of() would make of it: to use it again costs a tenth of that. */
static bool entry_says(const json_t *entry, const struct claim *claim)
{
    const struct object_meta *meta = &claim_service(claim)->meta;
    return json_object_size(entry) == 3 && is_text(entry, "controllerName", L5D_STATUS_CONTROLLER) &&
           is_reference(json_object_get(entry, "remoteRef"), meta->namespace, meta->name) &&
           json_array_size(json_object_get(entry, "conditions")) == 1 && condition_says(condition_of(entry), claim);
}

/* One list of a status as it should be. */
struct listing {
    json_t *entries;
    const json_t *old;       /* the list that the API holds, NULL when none */
    struct map *old_entries; /* of it, by service */
    size_t room;             /* bytes left for entries; SIZE_MAX: whatever it takes, and of all services */
    size_t mirrored, bad;    /* services that are left out, by whether they are mirrored */
    bool unjudged;           /* some are not judged yet in this process, and nothing was said of them before */
};

static bool append(struct listing *listing, json_t *entry)
{
    size_t bytes = listing->room != SIZE_MAX ? json_dumpb(entry, NULL, 0, JSON_COMPACT) + 1 : 0;
    if (bytes > listing->room) {
        listing->bad++;
        return true;
    }
    listing->room -= bytes;
    return json_array_append(listing->entries, entry) == 0;
}

/* Appends what is to be said of the claim, which may be nothing. @return whether that worked. */
static bool append_entry(struct listing *listing, const struct claim *claim, json_t *old)
{
    const struct claim_status *state = claim_status(claim);
    if (listing->room != SIZE_MAX && state->mirrored) {
        listing->mirrored++;
        return true;
    }
    /* Not judged yet in this process: what was said before stands. */
    if (strcmp(state->reason, "Pending") == 0) {
        listing->unjudged = listing->unjudged || old == NULL;
        return old == NULL || append(listing, old);
    }
    if (old != NULL && entry_says(old, claim))
        return append(listing, old);
    json_t *entry = entry_of(claim, old);
    bool appended = entry != NULL && append(listing, entry);
    json_decref(entry);
    return appended;
}

/* Tells how much is left out, if anything is. What was told before stands until all services are judged. */
static bool append_summary(struct listing *listing, const struct link_status *status)
{
    const struct link *link = world_link_declaration(status->link);
    json_t *old = find_summary(listing->old);
    char message[256], time[TEXT_TIME_BYTES];
    if (listing->unjudged && old != NULL)
        return json_array_append(listing->entries, old) == 0;
    if (listing->mirrored + listing->bad == 0)
        return true;
    (void)snprintf(
        message, sizeof(message),
        "an object cannot hold this status whole: left out are %zu services that are mirrored and %zu that are not; "
        "the agent's /api/v1/services has all of them",
        listing->mirrored, listing->bad);
    json_t *condition =
        json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "Complete", "status", "False", "reason", "TooManyServices",
                  "message", message, "lastTransitionTime",
                  transition_time(old, "False", loop_wall_us(status->statuses->control->config.loop), time));
    json_t *summary = json_pack("{s:s, s:{s:s, s:s, s:s, s:s}, s:[o]}", "controllerName", L5D_STATUS_CONTROLLER,
                                "remoteRef", "group", L5D_LINK_GROUP, "kind", "Link", "name", link->name, "namespace",
                                link->namespace, "conditions", condition);
    return summary != NULL && json_array_append_new(listing->entries, summary) == 0;
}

/* The two lists of a Link's status, and whose claims stand in them. */
static const struct {
    const char *key;
    enum claim_kind kind;
} lists[] = {{"mirrorServices", CLAIM_SERVICE}, {"federatedServices", CLAIM_FEDERATED}};

static bool fill(struct listing *listing, const struct link_status *status, enum claim_kind kind)
{
    for (struct claim *claim = world_first_claim(status->link); claim != NULL; claim = world_next_claim(claim)) {
        const struct object_meta *meta = &claim_service(claim)->meta;
        char key[OBJECT_KEY_BYTES];
        if (claim_kind(claim) != kind)
            continue;
        object_key_format(key, meta->namespace, meta->name);
        if (!append_entry(listing, claim, map_get(listing->old_entries, key)))
            return false;
    }
    return append_summary(listing, status);
}

/* @param[in,out] room  as in struct listing. @return new, or NULL. */
static json_t *build(const struct link_status *status, enum claim_kind kind, const json_t *old, size_t *room)
{
    struct listing listing = {.entries = json_array(), .old = old, .old_entries = index_entries(old), .room = *room};
    bool filled = listing.entries != NULL && listing.old_entries != NULL && fill(&listing, status, kind);
    map_free(listing.old_entries);
    *room = listing.room;
    if (filled)
        return listing.entries;
    json_decref(listing.entries);
    return NULL;
}

/* ---- writing it ---- */

static void arm(struct link_status *status, uint64_t delay_ms)
{
    if (!status->statuses->stopped && !loop_timer_active(status->timer))
        loop_timer_start(status->timer, delay_ms);
}

static void write_marked(struct link_status *status);

static void on_done(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    (void)object;
    struct link_status *status = request->context;
    status->writing = false;
    tenure_end(TAKE(status->tenure));
    if (failure == NULL && status->marked && status->statuses->stopped)
        write_marked(status);
    else if (failure == NULL && status->marked)
        arm(status, COALESCE_MS);
    if (failure == NULL || failure->error.code == ERR_CANCELLED)
        return; /* written; or another writes it by now */
    log_warn("status_write_failed", "the Link's status could not be written and is tried again", "link",
             world_link_declaration(status->link)->name, "error", failure->error.text, NULL);
    status->marked = true;
    arm(status, failure->retry_after_ms > RETRY_MS ? (uint64_t)failure->retry_after_ms : RETRY_MS);
}

static bool may_send(const struct kube_request *request)
{
    const struct link_status *status = request->context;
    return tenure_may_send(status->tenure);
}

static enum err_code send(struct link_status *status, const char *body)
{
    struct control *control = status->statuses->control;
    const struct link *link = world_link_declaration(status->link);
    char path[700];
    (void)snprintf(path, sizeof(path),
                   "/apis/" L5D_LINK_GROUP "/%s/namespaces/%s/links/%s/status?fieldManager=" OBJECT_FIELD_MANAGER,
                   links_version(control->links), link->namespace, link->name);
    status->request = (struct kube_request){.verb = "patch",
                                            .resource = "links/status",
                                            .path = path,
                                            .content_type = "application/merge-patch+json",
                                            .body = body,
                                            .body_bytes = strlen(body),
                                            .may_send = may_send,
                                            .on_done = on_done,
                                            .context = status};
    struct err ignored = {0};
    status->tenure = leases_begin_status(control->leases, link);
    enum err_code code = kube_start(control->client, &status->request, &ignored);
    status->writing = code == ERR_OK;
    if (code != ERR_OK)
        tenure_end(TAKE(status->tenure));
    return code;
}

static bool is_right(const json_t *entries, const json_t *old)
{
    return old != NULL ? json_equal(entries, old) : json_array_size(entries) == 0;
}

/* Puts one list into `patch` when `held`, the status that the API holds, has it otherwise. */
static enum err_code add_list(const struct link_status *status, size_t list, const json_t *held, size_t *room,
                              json_t *patch)
{
    const json_t *old = json_object_get(held, lists[list].key);
    json_t *entries = build(status, lists[list].kind, old, room);
    if (entries == NULL)
        return ERR_NOMEM;
    bool failed = !is_right(entries, old) && json_object_set(patch, lists[list].key, entries) != 0;
    json_decref(entries);
    return failed ? ERR_NOMEM : ERR_OK;
}

/* @return ERR_OK (the request is under way), ERR_LIMIT (an object cannot hold so much), ERR_NOMEM. */
static enum err_code send_lists(struct link_status *status, json_t *lists_patch)
{
    json_t *patch = json_pack("{s:O}", "status", lists_patch);
    char *body = patch != NULL ? json_dumps(patch, JSON_COMPACT) : NULL;
    json_decref(patch);
    if (body == NULL)
        return ERR_NOMEM;
    enum err_code code = strlen(body) <= MAX_STATUS_BYTES ? send(status, body) : ERR_LIMIT;
    mem_free(body); /* allocated by jansson, which allocates through base/mem (kube/setup.h) */
    return code;
}

/* @param held  the status that the API holds; NULL: none. @param[out] ret_patch  new: the lists that it does not hold already. */
static enum err_code build_patch(const struct link_status *status, const json_t *held, size_t room, json_t **ret_patch)
{
    json_t *patch = json_object();
    enum err_code code = patch != NULL ? ERR_OK : ERR_NOMEM;
    for (size_t i = 0; code == ERR_OK && i < ARRAY_COUNT(lists); i++)
        code = add_list(status, i, held, &room, patch);
    if (code == ERR_OK)
        *ret_patch = TAKE(patch);
    json_decref(patch);
    return code;
}

static enum err_code build_and_write(struct link_status *status, const json_t *held, size_t room)
{
    json_t *patch = NULL;
    TRY(build_patch(status, held, room, &patch));
    enum err_code code = json_object_size(patch) > 0 ? send_lists(status, patch) : ERR_OK;
    json_decref(patch);
    return code;
}

/* Whole, or, for a Link with more services than an object can hold, of those that are not mirrored as many as it can. */
static enum err_code write_status(struct link_status *status)
{
    const char *name = world_link_declaration(status->link)->name;
    json_t *held = NULL;
    TRY(links_status_json(status->statuses->control->links, name, &held));
    enum err_code code = build_and_write(status, held, SIZE_MAX);
    if (code == ERR_LIMIT)
        code = build_and_write(status, held, MAX_STATUS_BYTES - SUMMARY_BYTES);
    json_decref(held);
    return code;
}

static bool may_write(const struct link_status *status)
{
    struct control *control = status->statuses->control;
    const char *version = links_version(control->links);
    return version != NULL && strcmp(version, "v1alpha1") != 0 &&
           world_knowledge(control->world, status->link, WORLD_TARGET_SERVICES) == WORLD_LISTED;
}

static void write_marked(struct link_status *status)
{
    if (!leases_may_tell(status->statuses->control->leases, world_link_declaration(status->link))) {
        status->marked = false; /* it is marked again when the Lease is won */
        return;
    }
    if (!may_write(status)) {
        if (status->marked)
            arm(status, RETRY_MS);
        return;
    }
    status->marked = false;
    if (write_status(status) != ERR_OK) {
        status->marked = true;
        arm(status, RETRY_MS);
    }
}

static void on_timer(void *context)
{
    struct link_status *status = context;
    if (!status->writing) /* else on_done() goes on */
        write_marked(status);
}

static struct link_status *obtain(struct link_statuses *statuses, struct world_link *link)
{
    const char *id = world_link_declaration(link)->id;
    struct link_status *status = map_get(statuses->links, id);
    if (status != NULL)
        return status;
    status = NEW(struct link_status);
    if (status == NULL)
        return NULL;
    status->statuses = statuses;
    status->link = link;
    status->timer = loop_timer_new(statuses->control->config.loop, on_timer, status);
    if (status->timer == NULL || map_put(statuses->links, id, status) != ERR_OK) {
        free_status(status);
        return NULL;
    }
    return status;
}

void statuses_mark(struct link_statuses *statuses, struct world_link *link)
{
    if (statuses == NULL || statuses->stopped || world_link_declaration(link)->kind != LINK_RESOURCE)
        return;
    struct link_status *status = obtain(statuses, link);
    if (status == NULL)
        return; /* out of memory: the next change of any service tries again */
    status->marked = true;
    if (!status->writing)
        arm(status, COALESCE_MS);
}

void statuses_stop(struct link_statuses *statuses)
{
    if (statuses == NULL)
        return;
    statuses->stopped = true;
    for (struct map_entry *at = map_first(statuses->links); at != NULL; at = map_next(at)) {
        struct link_status *status = map_value(at);
        loop_timer_stop(status->timer);
        if (status->marked && !status->writing)
            write_marked(status);
    }
}

uint32_t statuses_in_flight(const struct link_statuses *statuses)
{
    uint32_t count = 0;
    for (struct map_entry *at = statuses != NULL ? map_first(statuses->links) : NULL; at != NULL; at = map_next(at))
        count += ((const struct link_status *)map_value(at))->writing ? 1 : 0;
    return count;
}

void statuses_forget(struct link_statuses *statuses, struct world_link *link)
{
    if (statuses != NULL)
        (void)map_remove(statuses->links, world_link_declaration(link)->id);
}

/* ---- for previews ---- */

static enum err_code describe(const json_t *entries, const json_t *old, const char *key, struct strbuf *changes)
{
    struct map *index = index_entries(old);
    size_t differing = 0, kept = 0;
    if (index == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *entry = json_array_get(entries, i), *reference = json_object_get(entry, "remoteRef");
        char object[OBJECT_KEY_BYTES];
        object_key_format(object, json_string_value(json_object_get(reference, "namespace")),
                          json_string_value(json_object_get(reference, "name")));
        const json_t *before = is_summary(entry) ? find_summary(old) : map_get(index, object);
        kept += before != NULL ? 1 : 0;
        differing += before == NULL || !json_equal(entry, before) ? 1 : 0;
    }
    map_free(index);
    size_t gone = json_array_size(old) > kept ? json_array_size(old) - kept : 0;
    strbuf_printf(changes, "%sstatus.%s tells of %zu services, of %zu something new", changes->length > 0 ? ", " : "",
                  key, json_array_size(entries), differing);
    if (gone > 0)
        strbuf_printf(changes, ", and no more of %zu", gone);
    return strbuf_error(changes);
}

/* @param held  the status that the API holds. */
static enum err_code describe_all(const struct link_status *status, const json_t *held, struct strbuf *changes)
{
    json_t *patch = NULL;
    TRY(build_patch(status, held, SIZE_MAX, &patch));
    if (json_dumpb(patch, NULL, 0, JSON_COMPACT) > MAX_STATUS_BYTES) {
        json_decref(TAKE(patch));
        TRY(build_patch(status, held, MAX_STATUS_BYTES - SUMMARY_BYTES, &patch));
    }
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < ARRAY_COUNT(lists); i++) {
        const json_t *entries = json_object_get(patch, lists[i].key);
        if (entries != NULL)
            code = describe(entries, json_object_get(held, lists[i].key), lists[i].key, changes);
    }
    json_decref(patch);
    return code;
}

enum err_code statuses_plan(struct control *control, struct world_link *link, struct strbuf *changes)
{
    struct link_statuses statuses = {.control = control};
    const struct link_status status = {.statuses = &statuses, .link = link};
    json_t *held = NULL;
    if (world_link_declaration(link)->kind != LINK_RESOURCE || !may_write(&status))
        return ERR_OK;
    TRY(links_status_json(control->links, world_link_declaration(link)->name, &held));
    enum err_code code = describe_all(&status, held, changes);
    json_decref(held);
    return code;
}

enum err_code statuses_new(struct control *control, struct link_statuses **ret_statuses)
{
    struct link_statuses *statuses = NEW(struct link_statuses);
    if (statuses == NULL)
        return ERR_NOMEM;
    statuses->control = control;
    statuses->links = map_new(free_status);
    if (statuses->links == NULL) {
        mem_free(statuses);
        return ERR_NOMEM;
    }
    *ret_statuses = statuses;
    return ERR_OK;
}

void statuses_free(struct link_statuses *statuses)
{
    if (statuses == NULL)
        return;
    map_free(statuses->links);
    mem_free(statuses);
}
