#include "agent/kube/served_watch.h"

#include <stdio.h>

#include "agent/kube/discovery.h"
#include "base/mem.h"

enum { AGAIN_MS = 5000 }; /* after a want of memory */

struct served_watch {
    struct loop *loop;
    struct kube_client *client;
    struct served_watch_config config;
    char *label_selector;
    struct discovery *discovery;
    const char *version; /* NULL when none is served */
    struct list_watch *list_watch;
    struct loop_timer *again;
};

static void on_state(void *context, const struct list_watch_state *state)
{
    struct served_watch *watch = context;
    if (!state->healthy && state->error.code == ERR_NOT_FOUND)
        discovery_ask(watch->discovery); /* that version is served no longer */
    watch->config.collection.on_state(watch->config.collection.context, state);
}

static enum err_code on_object(void *context, enum change change, const struct json_tree *object)
{
    struct served_watch *watch = context;
    return watch->config.collection.on_object(watch->config.collection.context, change, object);
}

static void on_begin(void *context)
{
    struct served_watch *watch = context;
    watch->config.collection.on_begin(watch->config.collection.context);
}

static void on_end(void *context)
{
    struct served_watch *watch = context;
    watch->config.collection.on_end(watch->config.collection.context);
}

static void follow(void *context)
{
    struct served_watch *watch = context;
    char path[512];
    struct err ignored = {0};
    struct list_watch_config config = watch->config.collection;
    (void)snprintf(path, sizeof(path), "/apis/%s/%s/%s", watch->config.group, watch->version, config.resource);
    config.path = path;
    config.label_selector = watch->label_selector;
    config.on_object = on_object;
    config.on_begin = on_begin;
    config.on_end = on_end;
    config.on_state = on_state;
    config.context = watch;
    if (list_watch_new(watch->loop, watch->client, &config, &watch->list_watch, &ignored) != ERR_OK)
        loop_timer_start(watch->again, AGAIN_MS);
}

static void on_version(void *context, const char *version, const struct err *error)
{
    struct served_watch *watch = context;
    if (error != NULL) {
        watch->config.on_unasked(watch->config.collection.context, error);
        return;
    }
    list_watch_free(TAKE(watch->list_watch));
    loop_timer_stop(watch->again);
    watch->version = version;
    watch->config.on_version(watch->config.collection.context, version);
    if (version != NULL)
        follow(watch);
}

enum err_code served_watch_new(struct loop *loop, struct kube_client *client, const struct served_watch_config *config,
                               struct served_watch **ret_watch, struct err *reterr)
{
    struct served_watch *watch = NEW(struct served_watch);
    if (watch == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    const char *selector = config->collection.label_selector;
    watch->loop = loop;
    watch->client = client;
    watch->config = *config;
    watch->label_selector = selector != NULL ? mem_strdup(selector) : NULL;
    watch->again = loop_timer_new(loop, follow, watch);
    enum err_code code = watch->again != NULL && (selector == NULL || watch->label_selector != NULL)
                             ? discovery_new(loop, client, config->group, config->collection.resource, config->versions,
                                             0, on_version, watch, &watch->discovery, reterr)
                             : err_set(reterr, ERR_NOMEM, "out of memory");
    if (code != ERR_OK) {
        served_watch_free(watch);
        return code;
    }
    *ret_watch = watch;
    return ERR_OK;
}

void served_watch_free(struct served_watch *watch)
{
    if (watch == NULL)
        return;
    discovery_free(watch->discovery);
    list_watch_free(watch->list_watch);
    loop_timer_free(watch->again);
    mem_free(watch->label_selector);
    mem_free(watch);
}
