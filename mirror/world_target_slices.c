/* What a target's slices say of its services: whether they have ready endpoints, which hostnames, and, where mirrors have the target's own endpoints, all of
 * them. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mirror/compare.h"
#include "mirror/names.h"
#include "mirror/world_internal.h"

const struct endpoint_summary *target_endpoints(const struct world_link *link, const char *service_key)
{
    return map_get(link->endpoints, service_key);
}

bool target_endpoints_unreadable(const struct world_link *link)
{
    return link->knowledge[WORLD_TARGET_SLICES] == WORLD_UNAVAILABLE || link->stale[WORLD_TARGET_SLICES];
}

/* ---- slices that are kept whole ---- */

bool target_wants_pods(const struct world_link *link, const struct target_service *entry)
{
    const char *wish = kv_get(&entry->service->meta.annotations, EXPORT_ENDPOINTS);
    if (link->declaration->kind != LINK_RESOURCE || entry->claim == NULL)
        return false;
    if (wish != NULL && (strcmp(wish, ENDPOINTS_OF_PODS) == 0 || strcmp(wish, ENDPOINTS_OF_GATEWAY) == 0))
        return strcmp(wish, ENDPOINTS_OF_PODS) == 0;
    return link->declaration->mirror_pods;
}

static bool is_kept_whole(const struct world_link *link, const char *service_key)
{
    const struct target_service *entry = map_get(link->services, service_key);
    return entry != NULL && target_wants_pods(link, entry);
}

bool target_pods_known(const struct claim *claim)
{
    const struct endpoint_summary *summary = target_endpoints(claim->link, claim->key);
    const struct target_slice *slice = summary != NULL ? summary->first : NULL;
    while (slice != NULL && slice->whole != NULL)
        slice = slice->next;
    return claim->link->knowledge[WORLD_TARGET_SLICES] == WORLD_LISTED && slice == NULL;
}

void target_keep_pods(struct world_link *link, const char *service_key)
{
    const struct endpoint_summary *summary = target_endpoints(link, service_key);
    bool whole = is_kept_whole(link, service_key);
    for (struct target_slice *slice = summary != NULL ? summary->first : NULL; slice != NULL; slice = slice->next) {
        if (!whole) {
            link->kept_bytes -= budget_of_slice(slice);
            mem_free(TAKE(slice->whole));
            link->kept_bytes += budget_of_slice(slice);
        }
        if (whole && slice->whole == NULL) {
            want_listing(link, WORLD_TARGET_SLICES, true);
            link->slices_awaited = true;
        }
    }
}

/* Of what stands around the endpoints only the name is used. */
static struct slice *copy_whole(const struct slice *slice)
{
    struct slice bare = *slice;
    bare.meta = (struct object_meta){.namespace = "", .name = slice->meta.name};
    return slice_copy(&bare);
}

/* ---- what follows from a change ---- */

static void mark_service(struct world_link *link, const char *service_key)
{
    struct target_service *entry = map_get(link->services, service_key);
    if (entry != NULL && entry->claim != NULL)
        world_mark(entry->claim->mirror, true);
}

/* Hostnames came, went or changed. */
static enum err_code hosts_changed(struct world_link *link, const char *service_key)
{
    struct map_entry *at = map_seek(link->services, service_key);
    if (at == NULL || strcmp(map_key(at), service_key) != 0)
        return ERR_OK;
    struct target_service *entry = map_value(at);
    return entry->hosts != NULL || target_is_headless(link, entry) ? target_sync_hosts(link, map_key(at), entry)
                                                                   : ERR_OK;
}

static enum err_code slice_changed(struct world_link *link, const struct target_slice *slice, const char *service_key)
{
    if (slice->whole != NULL)
        mark_service(link, service_key);
    return slice->whole != NULL || slice->host_count > 0 ? hosts_changed(link, service_key) : ERR_OK;
}

/* The slice's key may go with it. */
static void summary_remove(struct world_link *link, struct target_slice *slice)
{
    struct endpoint_summary *summary = map_get(link->endpoints, slice->service_key);
    bool was_ready = summary->ready > 0;
    struct target_slice **at = &summary->first;
    while (*at != slice)
        at = &(*at)->next;
    *at = slice->next;
    summary->slices--;
    summary->ready -= slice->ready;
    if (was_ready != (summary->ready > 0))
        mark_service(link, slice->service_key);
    if (summary->slices == 0)
        (void)map_remove(link->endpoints, slice->service_key);
}

static enum err_code summary_add(struct world_link *link, struct target_slice *slice)
{
    struct endpoint_summary *summary = map_get(link->endpoints, slice->service_key);
    if (summary == NULL) {
        summary = NEW(struct endpoint_summary);
        if (summary == NULL || map_put(link->endpoints, slice->service_key, summary) != ERR_OK) {
            mem_free(summary);
            return ERR_NOMEM;
        }
    }
    slice->service_key = map_key(map_seek(link->endpoints, slice->service_key));
    bool was_ready = summary->ready > 0;
    slice->next = summary->first;
    summary->first = slice;
    summary->slices++;
    summary->ready += slice->ready;
    if (was_ready != (summary->ready > 0))
        mark_service(link, slice->service_key);
    return ERR_OK;
}

void target_free_slice(struct target_slice *slice)
{
    if (slice == NULL)
        return;
    mem_free(slice->whole);
    mem_free(slice->hosts);
    mem_free(slice);
}

/* Of a slice that is in no map any more. */
static enum err_code forget_slice(struct world_link *link, struct target_slice *slice)
{
    char service_key[OBJECT_KEY_BYTES];
    (void)snprintf(service_key, sizeof(service_key), "%s", slice->service_key);
    link->kept_bytes -= budget_of_slice(slice);
    summary_remove(link, slice);
    enum err_code code = slice_changed(link, slice, service_key);
    target_free_slice(slice);
    return code;
}

/* A host that goes with its slice needs no memory to be let go; one that stays behind by want of it goes with the next listing. */
void target_drop_slice(struct world_link *link, const char *key)
{
    struct target_slice *slice = map_take(link->slices, key);
    enum err_code ignored = slice != NULL ? forget_slice(link, slice) : ERR_OK;
    (void)ignored;
}

static uint32_t count_ready(const struct slice *slice)
{
    uint32_t ready = 0;
    for (uint32_t i = 0; i < slice->endpoint_count; i++)
        ready += slice->endpoints[i].ready ? 1 : 0;
    return ready;
}

static uint32_t count_hosts(const struct slice *slice, size_t *ret_text_bytes)
{
    uint32_t count = 0;
    *ret_text_bytes = 0;
    for (uint32_t i = 0; i < slice->endpoint_count; i++)
        if (slice->endpoints[i].hostname[0] != '\0') {
            *ret_text_bytes += strlen(slice->endpoints[i].hostname) + 1;
            count++;
        }
    return count;
}

static bool copy_hosts(struct target_slice *fresh, const struct slice *slice)
{
    size_t bytes = 0;
    uint32_t count = count_hosts(slice, &bytes);
    if (count == 0)
        return true;
    fresh->hosts = mem_alloc(count * sizeof(*fresh->hosts) + bytes);
    if (fresh->hosts == NULL)
        return false;
    char *text = (char *)&fresh->hosts[count];
    for (uint32_t i = 0; i < slice->endpoint_count; i++) {
        const struct slice_endpoint *endpoint = &slice->endpoints[i];
        if (endpoint->hostname[0] == '\0')
            continue;
        size_t length = strlen(endpoint->hostname) + 1;
        memcpy(text, endpoint->hostname, length);
        fresh->hosts[fresh->host_count++] = (struct target_host){text, endpoint->ready};
        text += length;
    }
    return true;
}

/* Its key is the caller's until it is counted. */
static struct target_slice *make_slice(struct world_link *link, const struct slice *slice, const char *service_key)
{
    struct target_slice *fresh = NEW(struct target_slice);
    if (fresh == NULL)
        return NULL;
    fresh->service_key = service_key;
    fresh->ready = count_ready(slice);
    fresh->generation = link->generation[WORLD_TARGET_SLICES];
    bool whole = is_kept_whole(link, service_key);
    if (whole)
        fresh->whole = copy_whole(slice);
    if ((whole && fresh->whole == NULL) || !copy_hosts(fresh, slice)) {
        target_free_slice(fresh);
        return NULL;
    }
    return fresh;
}

static bool hosts_equal(const struct target_slice *old, const struct slice *slice)
{
    uint32_t seen = 0;
    for (uint32_t i = 0; i < slice->endpoint_count; i++) {
        const struct slice_endpoint *endpoint = &slice->endpoints[i];
        if (endpoint->hostname[0] == '\0')
            continue;
        if (seen == old->host_count || old->hosts[seen].ready != endpoint->ready ||
            strcmp(old->hosts[seen].hostname, endpoint->hostname) != 0)
            return false;
        seen++;
    }
    return seen == old->host_count;
}

/* The new one is counted before the old one goes, so that a service is not seen empty in between. */
static enum err_code put_slice(struct world_link *link, const char *key, struct target_slice *fresh)
{
    struct target_slice *old = map_get(link->slices, key);
    if (fresh == NULL || summary_add(link, fresh) != ERR_OK) {
        target_free_slice(fresh);
        return ERR_NOMEM;
    }
    if (map_put(link->slices, key, fresh) != ERR_OK) {
        summary_remove(link, fresh);
        target_free_slice(fresh);
        return ERR_NOMEM;
    }
    link->kept_bytes += budget_of_slice(fresh);
    enum err_code code = old != NULL ? forget_slice(link, old) : ERR_OK;
    return code == ERR_OK ? slice_changed(link, fresh, fresh->service_key) : code;
}

/* Whether all that is kept of a slice is as it was. */
static bool is_unchanged(const struct world_link *link, const struct target_slice *old, const struct slice *slice,
                         const char *service_key)
{
    if (old->ready != count_ready(slice) || strcmp(old->service_key, service_key) != 0 || !hosts_equal(old, slice))
        return false;
    if (!is_kept_whole(link, service_key))
        return old->whole == NULL;
    return old->whole != NULL && compare_slice_content_equal(old->whole, slice);
}

enum err_code world_target_slice(struct world_link *link, enum world_change change, const struct slice *slice)
{
    char key[OBJECT_KEY_BYTES], service_key[OBJECT_KEY_BYTES];
    slice_key_format(slice, key);
    object_key_format(service_key, slice->meta.namespace, slice->service_name);
    struct target_slice *old = map_get(link->slices, key);
    if (change == WORLD_DELETED || slice->service_name[0] == '\0') {
        target_drop_slice(link, key);
        return ERR_OK;
    }
    if (old != NULL && is_unchanged(link, old, slice, service_key)) {
        old->generation = link->generation[WORLD_TARGET_SLICES];
        return old->host_count > 0 ? note_result(link, WORLD_TARGET_SLICES, hosts_changed(link, service_key)) : ERR_OK;
    }
    struct target_slice *fresh = make_slice(link, slice, service_key);
    if (fresh != NULL && !budget_allows(link, budget_of_slice(fresh), old != NULL ? budget_of_slice(old) : 0)) {
        target_free_slice(fresh);
        if (old != NULL)
            old->generation = link->generation[WORLD_TARGET_SLICES];
        return budget_leave_out(link, WORLD_TARGET_SLICES);
    }
    return note_result(link, WORLD_TARGET_SLICES, put_slice(link, key, fresh));
}
