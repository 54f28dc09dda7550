#include "agent/control/local.h"

#include "agent/kube/codec.h"
#include "agent/observe/log.h"
#include "base/mem.h"

enum { DECODE_BYTES = 8 << 20 };

struct local {
    struct control *control;
    struct world_link *world_link;
    struct list_watch *list_watch;
    struct arena scratch;
    bool told; /* its failure was logged */
};

static enum err_code on_object(void *context, enum change change, const struct json_tree *json)
{
    struct local *local = context;
    struct service service;
    struct err error = {0};
    arena_reset(&local->scratch);
    enum err_code code = codec_read_service(&local->scratch, json, &service, &error);
    if (code == ERR_OK)
        return world_target_service(local->world_link, change == CHANGE_DELETED ? WORLD_DELETED : WORLD_PUT, &service);
    if (code == ERR_INVALID)
        log_warn("object_unreadable", "a local member of a federated service cannot be read and is left out", "error",
                 error.text, NULL);
    return code;
}

static void on_begin(void *context)
{
    struct local *local = context;
    world_begin(local->control->world, local->world_link, WORLD_TARGET_SERVICES);
}

static void on_end(void *context)
{
    struct local *local = context;
    world_end(local->control->world, local->world_link, WORLD_TARGET_SERVICES);
}

static void on_state(void *context, const struct list_watch_state *state)
{
    struct local *local = context;
    if (!state->healthy && !local->told)
        log_warn("local_watch_failed",
                 "watching the local members of federated services failed and is tried again; members stay as they are",
                 "error", state->error.text, NULL);
    local->told = !state->healthy;
}

static enum err_code declare(struct local *local, struct err *reterr)
{
    struct control *control = local->control;
    struct selector federated;
    const struct link *link = NULL;
    TRY(selector_parse(&local->scratch, control->config.federated_selector, &federated, reterr));
    TRY(link_for_local(&local->scratch, control->namespace, &federated, control->config.excluded_annotations,
                       control->config.excluded_labels, &link, reterr));
    if (world_put_link(control->world, link, &local->world_link) != ERR_OK)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    const struct list_watch_config config = {
        .resource = "services",
        .kind = "Service",
        .path = "/api/v1/services",
        .label_selector = selector_format(&local->scratch, &federated),
        .on_object = on_object,
        .on_begin = on_begin,
        .on_end = on_end,
        .on_state = on_state,
        .context = local,
    };
    if (config.label_selector == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    return list_watch_new(control->config.loop, control->client, &config, &local->list_watch, reterr);
}

enum err_code local_new(struct control *control, struct local **ret_local, struct err *reterr)
{
    *ret_local = NULL;
    if (control->config.federated_selector == NULL || control->config.federated_selector[0] == '\0')
        return ERR_OK;
    struct local *local = NEW(struct local);
    if (local == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    local->control = control;
    arena_init(&local->scratch, DECODE_BYTES);
    enum err_code code = declare(local, reterr);
    if (code != ERR_OK) {
        local_free(local);
        return code;
    }
    *ret_local = local;
    return ERR_OK;
}

void local_free(struct local *local)
{
    if (local == NULL)
        return;
    list_watch_free(local->list_watch);
    world_remove_link(local->control->world, local->world_link);
    arena_done(&local->scratch);
    mem_free(local);
}

struct world_link *local_world_link(const struct local *local) { return local != NULL ? local->world_link : NULL; }
