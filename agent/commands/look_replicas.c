#include "agent/commands/look_replicas.h"

#include <stdio.h>
#include <string.h>

#include "agent/commands/record.h"
#include "agent/commands/resource.h"

void look_replicas_done(struct look_replicas *replicas)
{
    for (unsigned i = 0; i < replicas->count; i++) {
        json_decref(replicas->items[i].links);
        json_decref(replicas->items[i].records);
    }
    replicas->count = 0;
}

/* ---- pods ---- */

/* The admin port is the one whose name ends like that of every part of Linkerd. */
uint16_t look_replicas_admin_port(const json_t *pod)
{
    const json_t *containers = json_object_get(json_object_get(pod, "spec"), "containers"), *container = NULL;
    const json_t *port = NULL;
    size_t i = 0, j = 0;
    json_array_foreach(containers, i, container)
    {
        const json_t *ports = json_object_get(container, "ports");
        json_array_foreach(ports, j, port)
        {
            json_int_t number = json_integer_value(json_object_get(port, "containerPort"));
            if (strcmp(record_text(port, "name"), "svcmirror-admin") == 0 && number > 0 && number <= UINT16_MAX)
                return (uint16_t)number;
        }
    }
    return LOOK_ADMIN_PORT;
}

enum err_code look_replicas_take_pod(void *context, const json_t *pod)
{
    struct look_replicas *replicas = context;
    const char *name = object_meta_text(pod, "name");
    bool runs = strcmp(record_text(json_object_get(pod, "status"), "phase"), "Running") == 0;
    if (!runs || object_meta_text(pod, "deletionTimestamp")[0] != '\0' || replicas->count == LOOK_MAX_REPLICAS ||
        name[0] == '\0' || strlen(name) >= LOOK_POD_NAME_BYTES)
        return ERR_OK;
    struct look_replica *replica = &replicas->items[replicas->count++];
    *replica = (struct look_replica){.port = look_replicas_admin_port(pod)};
    (void)snprintf(replica->pod, sizeof(replica->pod), "%s", name);
    return ERR_OK;
}

/* ---- who speaks ---- */

static bool leads(const struct look_replica *replica, const char *cluster)
{
    const json_t *link = NULL;
    size_t index = 0;
    json_array_foreach(replica->links, index, link)
    {
        bool named = cluster == NULL || strcmp(record_text(link, "clusterName"), cluster) == 0;
        if (named && json_is_true(json_object_get(link, "held")))
            return true;
    }
    return false;
}

static unsigned first_that_answers(const struct look_replicas *replicas)
{
    unsigned index = 0;
    while (index < replicas->count && replicas->items[index].links == NULL)
        index++;
    return index;
}

bool look_replicas_is_needed(const struct look_replicas *replicas, unsigned index)
{
    return index == first_that_answers(replicas) || leads(&replicas->items[index], NULL);
}

/* The first that has records, when the leader, or everybody who leads, answered no more. */
static unsigned speaker_of(const struct look_replicas *replicas, const char *cluster)
{
    unsigned first = replicas->count;
    for (unsigned i = 0; i < replicas->count; i++) {
        if (replicas->items[i].records == NULL)
            continue;
        if (leads(&replicas->items[i], cluster))
            return i;
        first = first == replicas->count ? i : first;
    }
    return first;
}

json_t *look_replicas_merge(const struct look_replicas *replicas)
{
    json_t *merged = json_array(), *record = NULL;
    size_t index = 0;
    for (unsigned i = 0; i < replicas->count && merged != NULL; i++) {
        json_array_foreach(replicas->items[i].records, index, record)
        {
            if (speaker_of(replicas, record_text(record, "clusterName")) != i)
                continue;
            if (json_array_append(merged, record) == 0)
                continue;
            json_decref(merged);
            return NULL;
        }
    }
    return merged;
}
