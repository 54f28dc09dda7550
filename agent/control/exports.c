#include "agent/control/exports.h"

#include <stdio.h>
#include <string.h>

#include "agent/kube/codec.h"
#include "agent/kube/served_watch.h"
#include "agent/observe/log.h"
#include "base/mem.h"
#include "mirror/names.h"

enum { DECODE_BYTES = 8 << 20 };

static const char *const versions[] = {"v1beta1", "v1alpha1", NULL};

struct exports {
    struct control *control;
    struct world_link *world_link;
    struct served_watch *watch;
    struct arena scratch;
    loop_fn on_change;
    void *context;
    struct err complaint;
    enum err_code told; /* the complaint that was told last */
};

static const struct link *link_of(const struct exports *exports) { return world_link_declaration(exports->world_link); }

/* ---- what people hear of it ---- */

/* Once for each kind of failure, until it is over. */
static void complain(struct exports *exports, enum err_code code, const char *text)
{
    const struct link *link = link_of(exports);
    bool news = exports->told != code;
    (void)err_set(&exports->complaint, code, "%s", text);
    exports->told = code;
    if (!news)
        return;
    log_warn("service_exports_unreadable",
             "the target's ServiceExports cannot be read and are asked for again; what they exported stays", "cluster",
             link->cluster_name, "error", text, NULL);
    links_emit(exports->control, link, true, "ServiceExportsUnreadable", text);
}

static void be_content(struct exports *exports)
{
    if (exports->told != ERR_OK)
        log_info("service_exports_readable", "the target's ServiceExports can be read", "cluster",
                 link_of(exports)->cluster_name, NULL);
    exports->told = ERR_OK;
    exports->complaint = (struct err){0};
}

/* ---- the watch ---- */

static void set_unavailable(struct exports *exports)
{
    world_set_unavailable(exports->control->world, exports->world_link, WORLD_TARGET_EXPORTS);
}

static void on_version(void *context, const char *version)
{
    struct exports *exports = context;
    if (version != NULL) {
        log_info("service_exports_served", "the target's ServiceExports mark exports", "cluster",
                 link_of(exports)->cluster_name, "version", version, NULL);
        return;
    }
    complain(exports, ERR_NOT_FOUND,
             "the target serves no ServiceExports (" MCS_GROUP "): install their resource type there, or set "
             "annotation " LINK_SERVICE_EXPORTS " of the Link to \"false\"");
    set_unavailable(exports);
}

static void on_unasked(void *context, const struct err *error)
{
    struct exports *exports = context;
    complain(exports, error->code, error->text);
    if (error->code == ERR_FORBIDDEN)
        set_unavailable(exports);
}

static enum err_code on_object(void *context, enum change change, const struct json_tree *json)
{
    struct exports *exports = context;
    struct object_meta meta;
    struct err error = {0};
    arena_reset(&exports->scratch);
    enum err_code code = codec_read_meta(&exports->scratch, json, &meta, &error);
    if (code == ERR_OK)
        code = world_target_export(exports->world_link, change == CHANGE_DELETED ? WORLD_DELETED : WORLD_PUT, &meta);
    else if (code == ERR_INVALID)
        log_warn("object_unreadable", "a ServiceExport of a target cluster cannot be read and is left out", "cluster",
                 link_of(exports)->cluster_name, "error", error.text, NULL);
    exports->on_change(exports->context);
    return code;
}

static void on_begin(void *context)
{
    struct exports *exports = context;
    world_begin(exports->control->world, exports->world_link, WORLD_TARGET_EXPORTS);
}

static void on_end(void *context)
{
    struct exports *exports = context;
    world_end(exports->control->world, exports->world_link, WORLD_TARGET_EXPORTS);
    log_info("target_listed", "the target's objects are listed", "cluster", link_of(exports)->cluster_name, "resource",
             "serviceexports", NULL);
    exports->on_change(exports->context);
}

static void on_state(void *context, const struct list_watch_state *state)
{
    struct exports *exports = context;
    if (state->healthy) {
        be_content(exports);
        return;
    }
    complain(exports, state->error.code, state->error.text);
    if (state->error.code == ERR_FORBIDDEN)
        set_unavailable(exports);
}

enum err_code exports_new(struct control *control, struct kube_client *client, struct world_link *world_link,
                          loop_fn on_change, void *context, struct exports **ret_exports)
{
    struct exports *exports = NEW(struct exports);
    struct err ignored = {0};
    if (exports == NULL)
        return ERR_NOMEM;
    *exports =
        (struct exports){.control = control, .world_link = world_link, .on_change = on_change, .context = context};
    arena_init(&exports->scratch, DECODE_BYTES);
    const struct served_watch_config config = {.group = MCS_GROUP,
                                               .versions = versions,
                                               .on_version = on_version,
                                               .on_unasked = on_unasked,
                                               .collection = {.resource = "serviceexports",
                                                              .kind = "ServiceExport",
                                                              .on_object = on_object,
                                                              .on_begin = on_begin,
                                                              .on_end = on_end,
                                                              .on_state = on_state,
                                                              .context = exports}};
    enum err_code code = served_watch_new(control->config.loop, client, &config, &exports->watch, &ignored);
    if (code != ERR_OK) {
        exports_free(exports);
        return code;
    }
    *ret_exports = exports;
    return ERR_OK;
}

void exports_free(struct exports *exports)
{
    if (exports == NULL)
        return;
    served_watch_free(exports->watch);
    arena_done(&exports->scratch);
    mem_free(exports);
}

const char *exports_complaint(const struct exports *exports)
{
    return exports != NULL && exports->complaint.code != ERR_OK ? exports->complaint.text : "";
}
