/* The hostnames of a target's headless services: each has a mirror of its own. */
#include <string.h>

#include "base/mem.h"
#include "mirror/names.h"
#include "mirror/world_internal.h"

void target_drop_hosts(struct target_service *entry)
{
    while (entry->hosts != NULL) {
        struct claim *host = entry->hosts;
        entry->hosts = host->next_host;
        claim_free(host);
    }
}

bool target_may_be_headless(const struct world_link *link, const struct target_service *entry)
{
    const char *wish = kv_get(&entry->service->meta.annotations, EXPORT_HEADLESS);
    return link->declaration->kind == LINK_RESOURCE && link->declaration->mirror_headless &&
           link->world->config.mirror_headless && entry->claim != NULL && entry->service->headless &&
           !claim_is_discovery(entry->claim) && entry->service->port_count > 0 &&
           !(wish != NULL && strcmp(wish, "false") == 0);
}

/* With the target's own endpoints the hostnames are those of its pods. */
bool target_is_headless(const struct world_link *link, const struct target_service *entry)
{
    return target_may_be_headless(link, entry) && !(target_wants_pods(link, entry) && target_pods_known(entry->claim));
}

static struct claim *take_host(struct claim **list, const char *hostname)
{
    for (struct claim **at = list; *at != NULL; at = &(*at)->next_host)
        if (strcmp((*at)->hostname, hostname) == 0) {
            struct claim *host = *at;
            *at = host->next_host;
            return host;
        }
    return NULL;
}

/* The next hostname after `last` in order, of all slices; NULL when there is none. */
static const char *next_hostname(const struct endpoint_summary *summary, const char *last)
{
    const char *best = NULL;
    for (const struct target_slice *slice = summary->first; slice != NULL; slice = slice->next)
        for (uint32_t i = 0; i < slice->host_count; i++) {
            const char *hostname = slice->hosts[i].hostname;
            if ((last == NULL || strcmp(hostname, last) > 0) && (best == NULL || strcmp(hostname, best) < 0))
                best = hostname;
        }
    return best;
}

static bool is_host_ready(const struct endpoint_summary *summary, const char *hostname)
{
    for (const struct target_slice *slice = summary->first; slice != NULL; slice = slice->next)
        for (uint32_t i = 0; i < slice->host_count; i++)
            if (slice->hosts[i].ready && strcmp(slice->hosts[i].hostname, hostname) == 0)
                return true;
    return false;
}

static struct claim *new_host(struct world_link *link, const char *key, struct target_service *entry,
                              const char *hostname)
{
    char mirror_key[OBJECT_KEY_BYTES];
    char *copy = mem_strdup(hostname);
    target_host_key(link, entry->service, hostname, mirror_key);
    struct claim *host = copy != NULL ? claim_new(CLAIM_HOST, link, key, mirror_key) : NULL;
    if (host == NULL) {
        mem_free(copy);
        return NULL;
    }
    host->hostname = copy;
    host->service = entry;
    return host;
}

/* The claim of one hostname as it should be: kept, moved to where the mirrors live now, or new. */
static struct claim *obtain_host(struct world_link *link, const char *key, struct target_service *entry,
                                 struct claim **old, const char *hostname)
{
    char mirror_key[OBJECT_KEY_BYTES];
    target_host_key(link, entry->service, hostname, mirror_key);
    struct claim *host = take_host(old, hostname);
    if (host != NULL && strcmp(host->mirror->key, mirror_key) != 0) {
        claim_free(host);
        host = NULL;
    }
    return host != NULL ? host : new_host(link, key, entry, hostname);
}

/* The exported headless service of whose hostname the mirror's Service was made, with its key in `ret_origin`; NULL when there is none. */
static struct target_service *origin_of(const struct world_link *link, const struct service *service,
                                        struct origin *ret_origin)
{
    char wanted[OBJECT_KEY_BYTES], there[OBJECT_KEY_BYTES];
    const char *cluster = link->declaration->cluster_name;
    if (!kv_has(&service->meta.labels, L5D_CLUSTER_NAME, cluster) || !mirror_origin(service, ret_origin) ||
        ret_origin->hostname[0] == '\0')
        return NULL;
    struct target_service *entry = map_get(link->services, ret_origin->key);
    if (entry == NULL || !target_is_headless(link, entry))
        return NULL;
    target_host_key(link, entry->service, ret_origin->hostname, wanted);
    object_key_format(there, service->meta.namespace, service->meta.name);
    return strcmp(wanted, there) == 0 ? entry : NULL;
}

bool target_made(const struct claim *claim, const struct service *service)
{
    struct origin origin;
    return kv_has(&service->meta.labels, L5D_CLUSTER_NAME, claim->link->declaration->cluster_name) &&
           kv_get(&service->meta.labels, L5D_HEADLESS_MIRROR) == NULL && mirror_origin(service, &origin) &&
           strcmp(origin.key, claim->key) == 0;
}

bool target_has_host(const struct world_link *link, const struct service *service)
{
    struct origin origin;
    return origin_of(link, service, &origin) != NULL;
}

static void insert_host(struct target_service *entry, struct claim *host)
{
    struct claim **at = &entry->hosts;
    while (*at != NULL && strcmp((*at)->hostname, host->hostname) < 0)
        at = &(*at)->next_host;
    host->next_host = *at;
    *at = host;
}

/* Of those that the target's slices do not tell: the ones that have mirrors stay while the slices may not be read. */
static void release_hosts(const struct world_link *link, struct target_service *entry, struct claim *old)
{
    while (old != NULL) {
        struct claim *host = old;
        struct origin origin;
        const struct service *service = host->mirror->service;
        old = host->next_host;
        if (target_endpoints_unreadable(link) && service != NULL && origin_of(link, service, &origin) == entry) {
            insert_host(entry, host);
            world_mark(host->mirror, true);
        } else {
            claim_free(host);
        }
    }
}

/* Claims the hostname that the mirror was made of, unless it is claimed. */
static enum err_code remember_host(struct world_link *link, const struct service *service)
{
    struct origin origin;
    struct target_service *entry = origin_of(link, service, &origin);
    if (entry == NULL)
        return ERR_OK;
    for (const struct claim *host = entry->hosts; host != NULL; host = host->next_host)
        if (strcmp(host->hostname, origin.hostname) == 0)
            return ERR_OK;
    struct claim *host = new_host(link, map_key(map_seek(link->services, origin.key)), entry, origin.hostname);
    if (host == NULL)
        return ERR_NOMEM;
    insert_host(entry, host);
    claim_name_gateway(host, entry->claim->gateway);
    world_mark(entry->claim->mirror, true);
    return ERR_OK;
}

/* All that have mirrors where the service's mirrors live. */
static enum err_code remember_hosts(struct world_link *link, const struct target_service *entry)
{
    char namespace[OBJECT_KEY_BYTES], prefix[OBJECT_KEY_BYTES];
    if (!target_endpoints_unreadable(link) || !target_is_headless(link, entry))
        return ERR_OK;
    (void)object_key_split(entry->claim->mirror->key, namespace);
    object_key_format(prefix, namespace, "");
    for (struct map_entry *at = map_seek(link->world->mirrors, prefix);
         at != NULL && text_starts_with(map_key(at), prefix); at = map_next(at)) {
        const struct mirror *mirror = map_value(at);
        if (mirror->service != NULL)
            TRY(remember_host(link, mirror->service));
    }
    return ERR_OK;
}

enum err_code target_sync_hosts(struct world_link *link, const char *key, struct target_service *entry)
{
    const struct endpoint_summary *summary = target_endpoints(link, key);
    struct claim *old = TAKE(entry->hosts), **end = &entry->hosts;
    enum err_code code = ERR_OK;
    const char *hostname = NULL;
    bool wanted = summary != NULL && target_is_headless(link, entry);
    while (wanted && (hostname = next_hostname(summary, hostname)) != NULL) {
        struct claim *host = obtain_host(link, key, entry, &old, hostname);
        if (host == NULL) {
            code = ERR_NOMEM;
            break;
        }
        *end = host;
        end = &host->next_host;
        *end = NULL;
        host->host_ready = is_host_ready(summary, hostname);
        claim_name_gateway(host, entry->claim->gateway);
        world_mark(host->mirror, true);
    }
    release_hosts(link, entry, old);
    if (entry->claim != NULL)
        world_mark(entry->claim->mirror, true);
    return code == ERR_OK ? remember_hosts(link, entry) : code;
}

enum err_code target_rehost(struct world_link *link)
{
    for (struct map_entry *at = map_first(link->services); at != NULL; at = map_next(at)) {
        struct target_service *entry = map_value(at);
        if (entry->hosts != NULL || target_is_headless(link, entry))
            TRY(target_sync_hosts(link, map_key(at), entry));
    }
    return ERR_OK;
}

enum err_code target_mirror_changed(struct world *world, const struct service *service, bool there)
{
    if (kv_get(&service->meta.labels, L5D_HEADLESS_MIRROR) == NULL)
        return ERR_OK;
    for (struct world_link *link = world_first_link(world); link != NULL; link = world_next_link(link)) {
        struct origin origin;
        if (!target_endpoints_unreadable(link))
            continue;
        struct target_service *entry = origin_of(link, service, &origin);
        if (entry != NULL)
            TRY(there ? remember_host(link, service)
                      : target_sync_hosts(link, map_key(map_seek(link->services, origin.key)), entry));
    }
    return ERR_OK;
}
