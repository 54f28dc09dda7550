#include "agent/control/imports.h"

#include "agent/kube/codec.h"
#include "agent/kube/served_watch.h"
#include "agent/observe/log.h"
#include "base/mem.h"
#include "mirror/names.h"

enum { DECODE_BYTES = 8 << 20 };

static const char *const versions[] = {"v1beta1", "v1alpha1", NULL};

struct imports {
    struct control *control;
    struct served_watch *watch; /* NULL until they matter */
    struct arena scratch;
    enum err_code told; /* the failure that was told last */
};

static void tell(struct imports *imports, const struct err *error)
{
    bool news = imports->told != error->code;
    imports->told = error->code;
    if (news)
        log_warn("service_imports_unreadable",
                 "the source cluster's ServiceImports cannot be read and are asked for again; none is written", "error",
                 error->text, NULL);
}

static void set_unavailable(struct imports *imports)
{
    world_set_unavailable(imports->control->world, NULL, WORLD_SOURCE_IMPORTS);
}

static void on_version(void *context, const char *version)
{
    struct imports *imports = context;
    if (version != NULL)
        log_info("service_imports_served", "ServiceImports are written for what ServiceExports export", "version",
                 version, NULL);
    else
        log_info("service_imports_absent",
                 "the source cluster serves no ServiceImports (" MCS_GROUP "): what ServiceExports export has mirrors "
                 "alone; asked again",
                 NULL);
    world_serve_imports(imports->control->world, version);
}

static void on_unasked(void *context, const struct err *error)
{
    tell(context, error);
    if (error->code == ERR_FORBIDDEN)
        set_unavailable(context);
}

static enum err_code on_object(void *context, enum change change, const struct json_tree *json)
{
    struct imports *imports = context;
    struct service import;
    struct err error = {0};
    arena_reset(&imports->scratch);
    enum err_code code = codec_read_import(&imports->scratch, json, &import, &error);
    if (code == ERR_OK)
        return world_source_service(imports->control->world, change == CHANGE_DELETED ? WORLD_DELETED : WORLD_PUT,
                                    &import);
    if (code == ERR_INVALID)
        log_warn("object_unreadable", "an object of the source cluster cannot be read and is left out", "error",
                 error.text, NULL);
    return code;
}

static void on_begin(void *context)
{
    struct imports *imports = context;
    world_begin(imports->control->world, NULL, WORLD_SOURCE_IMPORTS);
}

static void on_end(void *context)
{
    struct imports *imports = context;
    world_end(imports->control->world, NULL, WORLD_SOURCE_IMPORTS);
    log_info("source_listed", "the source cluster's objects are listed", "resource", "serviceimports", NULL);
}

static void on_state(void *context, const struct list_watch_state *state)
{
    struct imports *imports = context;
    if (state->healthy) {
        if (imports->told != ERR_OK)
            log_info("service_imports_readable", "the source cluster's ServiceImports can be read", NULL);
        imports->told = ERR_OK;
        return;
    }
    tell(imports, &state->error);
    if (state->error.code == ERR_FORBIDDEN)
        set_unavailable(imports);
}

void imports_turn(struct imports *imports)
{
    struct control *control = imports->control;
    struct err ignored = {0};
    if (imports->watch != NULL || !world_wants_imports(control->world))
        return;
    const struct served_watch_config config = {.group = MCS_GROUP,
                                               .versions = versions,
                                               .on_version = on_version,
                                               .on_unasked = on_unasked,
                                               .collection = {.resource = "serviceimports",
                                                              .kind = "ServiceImport",
                                                              .label_selector = L5D_MIRRORED_SERVICE "=true",
                                                              .on_object = on_object,
                                                              .on_begin = on_begin,
                                                              .on_end = on_end,
                                                              .on_state = on_state,
                                                              .context = imports}};
    if (served_watch_new(control->config.loop, control->client, &config, &imports->watch, &ignored) != ERR_OK)
        control_turn_again(control);
}

bool imports_settled(const struct imports *imports)
{
    const struct world *world = imports->control->world;
    return !world_wants_imports(world) || imports->told != ERR_OK ||
           world_knowledge(world, NULL, WORLD_SOURCE_IMPORTS) != WORLD_UNKNOWN;
}

enum err_code imports_new(struct control *control, struct imports **ret_imports)
{
    struct imports *imports = NEW(struct imports);
    if (imports == NULL)
        return ERR_NOMEM;
    imports->control = control;
    arena_init(&imports->scratch, DECODE_BYTES);
    *ret_imports = imports;
    return ERR_OK;
}

void imports_free(struct imports *imports)
{
    if (imports == NULL)
        return;
    served_watch_free(imports->watch);
    arena_done(&imports->scratch);
    mem_free(imports);
}
