/* How much of one target is kept, so that none can take the memory of all. What exceeds it is left out: the view is incomplete then, and nothing
 * follows from absence in it. Room is found again when objects go. */
#include <string.h>

#include "mirror/world_internal.h"

/* What an entry takes beside its object, in maps and structs. A mirror's Service in the source is about as large as what it was made of. */
enum { ENTRY_BYTES = 384, CLAIM_BYTES = 1024, GATEWAY_BYTES = 8 << 10 };

static size_t max_bytes(const struct world_link *link)
{
    /* The source cluster's own services are no target's. */
    return link->declaration->kind != LINK_LOCAL ? link->world->config.max_link_bytes : 0;
}

size_t budget_of_service(const struct service *service) { return ENTRY_BYTES + 2 * service_bytes(service); }

size_t budget_of_slice(const struct target_slice *slice)
{
    size_t bytes =
        ENTRY_BYTES + strlen(slice->service_key) + (slice->whole != NULL ? 2 * slice_bytes(slice->whole) : 0);
    for (uint32_t i = 0; i < slice->host_count; i++)
        bytes += sizeof(slice->hosts[i]) + strlen(slice->hosts[i].hostname) + 1;
    return bytes;
}

size_t budget_of_claim(void) { return CLAIM_BYTES; }

size_t budget_of_gateway(void) { return GATEWAY_BYTES; }

size_t budget_of_unreadable(void) { return ENTRY_BYTES; }

bool budget_allows(const struct world_link *link, size_t more_bytes, size_t less_bytes)
{
    size_t max = max_bytes(link);
    return max == 0 || more_bytes <= less_bytes || link->kept_bytes + (more_bytes - less_bytes) <= max;
}

bool budget_allows_gateway(const struct world_link *link)
{
    unsigned declared = 0;
    for (const struct world_gateway *gateway = world_first_gateway(link); gateway != NULL;
         gateway = world_next_gateway(gateway))
        declared += gateway->spec.exists && !gateway->spec.recalled;
    return max_bytes(link) == 0 || declared < WORLD_MAX_GATEWAYS;
}

bool budget_is_complete(const struct world_link *link)
{
    return target_is_listed(link) && world_link_left_out(link, WORLD_TARGET_SERVICES) == 0 &&
           (!link->members_apart || world_link_left_out(link, WORLD_TARGET_MEMBERS) == 0);
}

void budget_note_listing(struct world_link *link, enum world_collection collection)
{
    link->left_out_before[collection] = world_link_left_out(link, collection);
    link->left_out[collection] = 0;
}

void budget_note_listed(struct world_link *link, enum world_collection collection)
{
    link->left_out_before[collection] = 0;
}

void budget_forget_left_out(struct world_link *link, enum world_collection collection)
{
    link->left_out[collection] = link->left_out_before[collection] = 0;
}

enum err_code budget_leave_out(struct world_link *link, enum world_collection collection)
{
    link->left_out[collection]++;
    if (link->knowledge[collection] == WORLD_LISTED && collection == WORLD_TARGET_SLICES)
        world_set_unavailable(link->world, link, collection);
    return ERR_LIMIT;
}

size_t world_link_left_out(const struct world_link *link, enum world_collection collection)
{
    size_t now = link->left_out[collection], before = link->left_out_before[collection];
    return now > before ? now : before;
}

size_t world_link_bytes(const struct world_link *link) { return link->kept_bytes; }

bool world_link_has_room(const struct world_link *link)
{
    size_t max = max_bytes(link);
    return max == 0 || link->kept_bytes <= max - max / 16;
}
