#include "agent/control/status_list.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "agent/control/internal.h"
#include "agent/kube/codec.h"
#include "base/map.h"
#include "base/mem.h"
#include "mirror/names.h"

/* While a list is written. */
struct listing {
    struct status_list *list;
    struct strbuf *text;
    const struct json_tree *expected; /* the old entry that is next if nothing changes */
    const struct json_tree *at;       /* the old entry that the next service is looked for in first */
    struct map *index;                /* old entries by service; NULL until one was not found there */
    size_t kept;                      /* old entries that have a successor */
    size_t mirrored, bad;             /* services that are left out, by whether they are mirrored */
    bool unjudged;                    /* some are not judged yet in this process, and nothing was said of them before */
};

/* ---- what the API holds ---- */

static bool is_text(const struct json_tree *object, const char *key, const char *wanted)
{
    return text_equal(json_tree_text(json_tree_get(object, key)), wanted);
}

static bool is_reference(const struct json_tree *json, const char *group, const char *kind, const char *namespace,
                         const char *name)
{
    return json_tree_count(json) == 4 && is_text(json, "name", name) && is_text(json, "namespace", namespace) &&
           is_text(json, "group", group) && is_text(json, "kind", kind);
}

/* Of a list that is not whole the last entry is about the Link, and says how much is left out. */
static bool is_summary(const struct json_tree *entry)
{
    return is_text(json_tree_get(entry, "remoteRef"), "kind", "Link");
}

static const struct json_tree *condition_of(const struct json_tree *entry)
{
    return json_tree_first(json_tree_get(entry, "conditions"));
}

static enum err_code build_index(struct listing *listing)
{
    listing->index = map_new(NULL);
    if (listing->index == NULL)
        return ERR_NOMEM;
    for (const struct json_tree *entry = json_tree_first(listing->list->old); entry != NULL; entry = entry->next) {
        const struct json_tree *reference = json_tree_get(entry, "remoteRef");
        const char *name = json_tree_text(json_tree_get(reference, "name"));
        const char *namespace = json_tree_text(json_tree_get(reference, "namespace"));
        char key[OBJECT_KEY_BYTES];
        if (name == NULL || namespace == NULL || is_summary(entry))
            continue;
        object_key_format(key, namespace, name);
        TRY(map_put(listing->index, key, mem_unconst(entry)));
    }
    return ERR_OK;
}

/* What is said of a service. The order seldom changes: it is looked for behind the one before. @param[out] ret_entry  NULL: nothing is. */
static enum err_code find_old(struct listing *listing, const struct object_meta *meta,
                              const struct json_tree **ret_entry)
{
    char key[OBJECT_KEY_BYTES];
    const struct json_tree *reference = json_tree_get(listing->at, "remoteRef");
    *ret_entry = listing->at;
    if (!is_text(reference, "name", meta->name) || !is_text(reference, "namespace", meta->namespace) ||
        is_summary(listing->at)) {
        if (listing->index == NULL)
            TRY(build_index(listing));
        object_key_format(key, meta->namespace, meta->name);
        *ret_entry = map_get(listing->index, key);
    }
    if (*ret_entry != NULL)
        listing->at = (*ret_entry)->next;
    return ERR_OK;
}

static bool condition_says(const struct json_tree *condition, const struct claim *claim)
{
    const struct claim_status *status = claim_status(claim);
    char namespace[OBJECT_KEY_BYTES];
    const char *local = object_key_split(mirror_key(claim_mirror(claim)), namespace);
    if (status->mirrored && !is_reference(json_tree_get(condition, "localRef"), "core", "Service", namespace, local))
        return false;
    return json_tree_count(condition) == (status->mirrored ? 6 : 5) && is_text(condition, "type", "Mirrored") &&
           is_text(condition, "status", status->mirrored ? "True" : "False") &&
           is_text(condition, "reason", status->reason) && is_text(condition, "message", status->message) &&
           json_tree_text(json_tree_get(condition, "lastTransitionTime")) != NULL;
}

/* Whether the entry is what would be written now. */
static bool entry_says(const struct json_tree *entry, const struct claim *claim)
{
    const struct object_meta *meta = &claim_service(claim)->meta;
    return json_tree_count(entry) == 3 && is_text(entry, "controllerName", L5D_STATUS_CONTROLLER) &&
           is_reference(json_tree_get(entry, "remoteRef"), "core", "Service", meta->namespace, meta->name) &&
           json_tree_count(json_tree_get(entry, "conditions")) == 1 && condition_says(condition_of(entry), claim);
}

/* ---- one entry ---- */

static void write_member(struct strbuf *text, const char *before, const char *key, const char *value)
{
    strbuf_append(text, before);
    strbuf_append_char(text, '"');
    strbuf_append(text, key);
    strbuf_append(text, "\":");
    codec_write_string(text, value);
}

static void write_reference(struct strbuf *text, const char *key, const char *group, const char *kind,
                            const char *namespace, const char *name)
{
    strbuf_append(text, ",\"");
    strbuf_append(text, key);
    write_member(text, "\":{", "group", group);
    write_member(text, ",", "kind", kind);
    write_member(text, ",", "name", name);
    write_member(text, ",", "namespace", namespace);
    strbuf_append_char(text, '}');
}

/* The time of the last transition is the API's own while the condition's status stays: it survives restarts. */
static const char *transition_time(const struct json_tree *old, const char *status_text, int64_t since_us,
                                   char buffer[TEXT_TIME_BYTES])
{
    const char *old_time = json_tree_text(json_tree_get(condition_of(old), "lastTransitionTime"));
    if (old_time != NULL && is_text(condition_of(old), "status", status_text))
        return old_time;
    text_format_time(since_us, buffer);
    return buffer;
}

static void write_condition(struct strbuf *text, const char *type, const char *status_text, const char *reason,
                            const char *message, const char *time)
{
    write_member(text, ",\"conditions\":[{", "type", type);
    write_member(text, ",", "status", status_text);
    write_member(text, ",", "reason", reason);
    write_member(text, ",", "message", message);
    write_member(text, ",", "lastTransitionTime", time);
}

static void write_entry(struct strbuf *text, const struct claim *claim, const struct json_tree *old)
{
    const struct claim_status *status = claim_status(claim);
    const struct object_meta *meta = &claim_service(claim)->meta;
    const char *status_text = status->mirrored ? "True" : "False";
    char time[TEXT_TIME_BYTES], namespace[OBJECT_KEY_BYTES];
    const char *local = object_key_split(mirror_key(claim_mirror(claim)), namespace);
    write_member(text, "{", "controllerName", L5D_STATUS_CONTROLLER);
    write_reference(text, "remoteRef", "core", "Service", meta->namespace, meta->name);
    write_condition(text, "Mirrored", status_text, status->reason, status->message,
                    transition_time(old, status_text, status->since_us, time));
    /* Only a mirror that exists is referred to: Linkerd's schema refuses empty references (#14433). */
    if (status->mirrored)
        write_reference(text, "localRef", "core", "Service", namespace, local);
    strbuf_append(text, "}]}");
}

/* ---- the list ---- */

/* Counts an entry that was just written behind `from`. @param old  what was said of the same before. */
static void count(struct listing *listing, const struct json_tree *old, bool is_fresh)
{
    struct status_list *list = listing->list;
    list->count++;
    list->fresh += is_fresh ? 1 : 0;
    listing->kept += old != NULL ? 1 : 0;
    if (is_fresh || old != listing->expected)
        list->differs = true;
    else
        listing->expected = old->next;
}

/* @param claim  NULL: the old entry as it stands. */
static void append(struct listing *listing, const struct claim *claim, const struct json_tree *old)
{
    struct status_list *list = listing->list;
    size_t from = listing->text->length;
    if (list->count > 0)
        strbuf_append_char(listing->text, ',');
    if (claim != NULL)
        write_entry(listing->text, claim, old);
    else
        json_tree_write(old, listing->text);
    size_t bytes = listing->text->length - from;
    if (list->room != SIZE_MAX && bytes > list->room) {
        strbuf_cut(listing->text, from);
        listing->bad++;
        return;
    }
    list->room -= list->room != SIZE_MAX ? bytes : 0;
    count(listing, old, claim != NULL);
}

/* Appends what is to be said of the claim, which may be nothing. */
static enum err_code append_claim(struct listing *listing, const struct claim *claim)
{
    const struct claim_status *state = claim_status(claim);
    const struct json_tree *old = NULL;
    if (listing->list->room != SIZE_MAX && state->mirrored) {
        listing->mirrored++;
        return ERR_OK;
    }
    TRY(find_old(listing, &claim_service(claim)->meta, &old));
    /* Not judged yet in this process: what was said before stands. */
    bool is_pending = strcmp(state->reason, "Pending") == 0;
    listing->unjudged = listing->unjudged || (is_pending && old == NULL);
    if (old != NULL && (is_pending || entry_says(old, claim)))
        append(listing, NULL, old);
    else if (!is_pending)
        append(listing, claim, old);
    return strbuf_error(listing->text);
}

static const struct json_tree *find_summary(const struct json_tree *entries)
{
    const struct json_tree *last = json_tree_first(entries);
    while (last != NULL && last->next != NULL)
        last = last->next;
    return is_summary(last) ? last : NULL;
}

static bool summary_says(const struct json_tree *summary, const struct link *link, const char *message)
{
    const struct json_tree *condition = condition_of(summary);
    return json_tree_count(summary) == 3 && is_text(summary, "controllerName", L5D_STATUS_CONTROLLER) &&
           is_reference(json_tree_get(summary, "remoteRef"), L5D_LINK_GROUP, "Link", link->namespace, link->name) &&
           json_tree_count(json_tree_get(summary, "conditions")) == 1 && json_tree_count(condition) == 5 &&
           is_text(condition, "type", "Complete") && is_text(condition, "status", "False") &&
           is_text(condition, "reason", "TooManyServices") && is_text(condition, "message", message) &&
           json_tree_text(json_tree_get(condition, "lastTransitionTime")) != NULL;
}

static void write_summary(struct listing *listing, const struct link *link, const char *message,
                          const struct json_tree *old, int64_t now_us)
{
    char time[TEXT_TIME_BYTES];
    write_member(listing->text, listing->list->count > 0 ? ",{" : "{", "controllerName", L5D_STATUS_CONTROLLER);
    write_reference(listing->text, "remoteRef", L5D_LINK_GROUP, "Link", link->namespace, link->name);
    write_condition(listing->text, "Complete", "False", "TooManyServices", message,
                    transition_time(old, "False", now_us, time));
    strbuf_append(listing->text, "}]}");
}

/* Tells how much is left out, if anything is. What was told before stands until all services are judged. */
static void append_summary(struct listing *listing, const struct link *link, int64_t now_us)
{
    const struct json_tree *old = find_summary(listing->list->old);
    char message[256];
    if (listing->mirrored + listing->bad == 0 && (!listing->unjudged || old == NULL))
        return;
    (void)snprintf(
        message, sizeof(message),
        "an object cannot hold this status whole: left out are %zu services that are mirrored and %zu that are not; "
        "the agent's /api/v1/services has all of them",
        listing->mirrored, listing->bad);
    bool stands = old != NULL && (listing->unjudged || summary_says(old, link, message));
    if (stands && listing->list->count > 0)
        strbuf_append_char(listing->text, ',');
    if (stands)
        json_tree_write(old, listing->text);
    else
        write_summary(listing, link, message, old, now_us);
    count(listing, old, !stands);
}

static enum err_code write_all(struct listing *listing, struct world_link *link, enum claim_kind kind, int64_t now_us)
{
    for (struct claim *claim = world_first_claim(link); claim != NULL; claim = world_next_claim(claim))
        if (claim_kind(claim) == kind)
            TRY(append_claim(listing, claim));
    append_summary(listing, world_link_declaration(link), now_us);
    return strbuf_error(listing->text);
}

enum err_code status_list_write(struct status_list *list, struct world_link *link, enum claim_kind kind, int64_t now_us,
                                struct strbuf *text)
{
    const struct json_tree *first = json_tree_first(list->old);
    struct listing listing = {.list = list, .text = text, .expected = first, .at = first};
    list->count = list->fresh = list->gone = 0;
    list->differs = false;
    enum err_code code = write_all(&listing, link, kind, now_us);
    map_free(listing.index);
    list->gone = json_tree_count(list->old) > listing.kept ? json_tree_count(list->old) - listing.kept : 0;
    list->differs = list->differs || listing.expected != NULL;
    return code;
}
