#include "agent/kube/discovery.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

enum {
    ABSENT_MS = 5000,
    PRESENT_MS = 60000,
    /* An API server that has just started does not know its CRDs for a moment: what was there is only gone when it stays
     * away for this many askings. */
    ABSENCES = 6,
    MAX_WANTED = 8,
};

struct discovery {
    struct loop *loop;
    struct kube_client *client;
    char *group, *resource;
    const char *const *wanted;
    uint32_t absent_ms;
    discovery_fn fn;
    void *context;
    struct loop_timer *timer;
    struct kube_request request;
    bool served[MAX_WANTED]; /* by index in wanted, of the group's answer */
    unsigned candidate;      /* whose resources are being asked for */
    const char *version;     /* what was told last */
    bool told, told_error;
    unsigned absences; /* in a row */
};

static void ask_group(void *context);

static void settle(struct discovery *discovery, const char *version)
{
    discovery->absences = version == NULL ? discovery->absences + 1 : 0;
    if (version == NULL && discovery->version != NULL && discovery->absences < ABSENCES) {
        loop_timer_start(discovery->timer, discovery->absent_ms);
        return;
    }
    loop_timer_start(discovery->timer, version != NULL ? PRESENT_MS : discovery->absent_ms);
    if (discovery->told && !discovery->told_error && discovery->version == version)
        return;
    discovery->told = true;
    discovery->told_error = false;
    discovery->version = version;
    discovery->fn(discovery->context, version, NULL);
}

static void settle_error(struct discovery *discovery, const struct err *error)
{
    loop_timer_start(discovery->timer, discovery->absent_ms);
    /* Not being able to ask says nothing about a version that is in use. */
    if (discovery->told_error || (discovery->told && discovery->version != NULL))
        return;
    discovery->told = discovery->told_error = true;
    discovery->fn(discovery->context, NULL, error);
}

static void ask_resources(struct discovery *discovery);

static bool lists_resource(const struct discovery *discovery, const json_t *object)
{
    const json_t *resources = json_object_get(object, "resources");
    for (size_t i = 0; i < json_array_size(resources); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(resources, i), "name"));
        if (name != NULL && strcmp(name, discovery->resource) == 0)
            return true;
    }
    return false;
}

static void on_resources(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    struct discovery *discovery = request->context;
    if (failure != NULL && failure->error.code != ERR_NOT_FOUND) {
        settle_error(discovery, &failure->error);
        return;
    }
    if (failure == NULL && lists_resource(discovery, object)) {
        settle(discovery, discovery->wanted[discovery->candidate]);
        return;
    }
    discovery->candidate++;
    ask_resources(discovery);
}

static void ask(struct discovery *discovery, const char *path,
                void (*on_done)(struct kube_request *, json_t *, const struct kube_failure *))
{
    struct err error = {0};
    discovery->request = (struct kube_request){
        .verb = "get", .resource = "apis", .path = path, .on_done = on_done, .context = discovery};
    if (kube_start(discovery->client, &discovery->request, &error) != ERR_OK)
        settle_error(discovery, &error);
}

static bool is_candidate(const struct discovery *discovery)
{
    return discovery->candidate < MAX_WANTED && discovery->wanted[discovery->candidate] != NULL;
}

static void ask_resources(struct discovery *discovery)
{
    char path[256];
    while (is_candidate(discovery) && !discovery->served[discovery->candidate])
        discovery->candidate++;
    if (!is_candidate(discovery)) {
        settle(discovery, NULL);
        return;
    }
    (void)snprintf(path, sizeof(path), "/apis/%s/%s", discovery->group, discovery->wanted[discovery->candidate]);
    ask(discovery, path, on_resources);
}

static bool group_serves(const json_t *group, const char *version)
{
    const json_t *versions = json_object_get(group, "versions");
    for (size_t i = 0; i < json_array_size(versions); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(versions, i), "version"));
        if (name != NULL && strcmp(name, version) == 0)
            return true;
    }
    return false;
}

static void on_group(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    struct discovery *discovery = request->context;
    if (failure != NULL && failure->error.code == ERR_NOT_FOUND) {
        settle(discovery, NULL);
        return;
    }
    if (failure != NULL) {
        settle_error(discovery, &failure->error);
        return;
    }
    for (unsigned i = 0; i < MAX_WANTED && discovery->wanted[i] != NULL; i++)
        discovery->served[i] = group_serves(object, discovery->wanted[i]);
    discovery->candidate = 0;
    ask_resources(discovery);
}

static void ask_group(void *context)
{
    struct discovery *discovery = context;
    char path[256];
    (void)snprintf(path, sizeof(path), "/apis/%s", discovery->group);
    ask(discovery, path, on_group);
}

/* NOLINTNEXTLINE(readability-function-size): one question, with all that belongs to it */
enum err_code discovery_new(struct loop *loop, struct kube_client *client, const char *group, const char *resource,
                            const char *const *wanted, uint32_t absent_interval_ms, discovery_fn fn, void *context,
                            struct discovery **ret_discovery, struct err *reterr)
{
    struct discovery *discovery = NEW(struct discovery);
    if (discovery == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    discovery->loop = loop;
    discovery->client = client;
    discovery->group = mem_strdup(group);
    discovery->resource = mem_strdup(resource);
    discovery->wanted = wanted;
    discovery->absent_ms = absent_interval_ms > 0 ? absent_interval_ms : ABSENT_MS;
    discovery->fn = fn;
    discovery->context = context;
    discovery->timer = loop_timer_new(loop, ask_group, discovery);
    if (discovery->group == NULL || discovery->resource == NULL || discovery->timer == NULL) {
        discovery_free(discovery);
        return err_set(reterr, ERR_NOMEM, "out of memory");
    }
    loop_timer_start(discovery->timer, 0);
    *ret_discovery = discovery;
    return ERR_OK;
}

/* Absences are counted at their own pace: an API server that has just started answers 404 too. */
void discovery_ask(struct discovery *discovery)
{
    if (discovery->version != NULL && discovery->absences == 0 && loop_timer_active(discovery->timer))
        loop_timer_start(discovery->timer, 0);
}

void discovery_free(struct discovery *discovery)
{
    if (discovery == NULL)
        return;
    kube_cancel(&discovery->request);
    loop_timer_free(discovery->timer);
    mem_free(discovery->group);
    mem_free(discovery->resource);
    mem_free(discovery);
}
