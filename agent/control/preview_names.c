#include "agent/control/preview_names.h"

#include <string.h>

#include "agent/control/internal.h"
#include "agent/control/preview_entries.h"
#include "agent/control/write_request.h"
#include "agent/kube/codec.h"
#include "base/map.h"
#include "base/mem.h"
#include "mirror/names.h"

enum {
    LOOKUPS = 16,           /* GETs at a time: an API server answers some thousand a second */
    LOOKUP_MS = 10000,      /* for one GET */
    OBJECT_BYTES = 4 << 20, /* one object decoded */
};

struct lookup {
    struct preview_names *names;
    struct mirror *mirror; /* held meanwhile; NULL: idle */
    enum write_kind kind;
    char object[PREVIEW_OBJECT_BYTES];
    struct kube_request request;
};

/* Values of the map. */
static char name_is_free, name_is_taken;

struct preview_names {
    struct control *control;
    struct arena arena;
    struct map *found;          /* object -> &name_is_free or &name_is_taken */
    struct map *new_namespaces; /* that are created in this preview -> themselves */
    struct map *charts;         /* keys of mirrors whose names are Linkerd's own Services' -> themselves */
    struct lookup lookups[LOOKUPS];
    unsigned in_flight;
    preview_looked_fn on_looked;
    void *context;
};

/* ---- what is known ---- */

enum preview_name preview_names_get(const struct preview_names *names, const struct write *write)
{
    char object[PREVIEW_OBJECT_BYTES];
    if (write->kind == WRITE_NAMESPACE || map_get(names->new_namespaces, write->namespace) != NULL)
        return PREVIEW_NAME_FREE; /* namespaces are watched, all of them */
    preview_object_format(object, write->kind, write->namespace, write->name);
    const char *found = map_get(names->found, object);
    if (found == NULL)
        return PREVIEW_NAME_UNKNOWN;
    return found == &name_is_taken ? PREVIEW_NAME_TAKEN : PREVIEW_NAME_FREE;
}

static enum err_code note_free(struct preview_names *names, enum write_kind kind, const char *namespace,
                               const char *name)
{
    char object[PREVIEW_OBJECT_BYTES];
    preview_object_format(object, kind, namespace, name);
    return map_put(names->found, object, &name_is_free);
}

enum err_code preview_names_pretend(struct preview_names *names, const struct mirror *mirror, const struct write *write)
{
    if (write->kind == WRITE_NAMESPACE)
        return map_put(names->new_namespaces, write->name, names);
    if (write->verb != WRITE_DELETE)
        return ERR_OK;
    TRY(note_free(names, write->kind, write->namespace, write->name));
    for (uint32_t i = 0; write->kind == WRITE_SERVICE && i < mirror_slice_count(mirror); i++)
        TRY(note_free(names, mirror_slice(mirror, i)->is_endpoints ? WRITE_ENDPOINTS : WRITE_SLICE, write->namespace,
                      mirror_slice(mirror, i)->meta.name));
    return ERR_OK;
}

/* ---- looking ---- */

/* @return whether the name is somebody else's. */
static bool take_service(struct preview_names *names, struct mirror *mirror, const json_t *object)
{
    struct service service;
    struct err ignored = {0};
    if ((mirror_is_import(mirror) ? codec_import(&names->arena, object, &service, &ignored)
                                  : codec_service(&names->arena, object, &service, &ignored)) != ERR_OK)
        return true;
    if (service.meta.made_by_us || kv_has(&service.meta.labels, L5D_MIRRORED_SERVICE, "true"))
        return world_source_service(names->control->world, WORLD_PUT, &service) != ERR_OK;
    world_set_foreign(mirror, true);
    if (kv_get(&service.meta.labels, L5D_MIRRORED_GATEWAY) != NULL) {
        enum err_code ignored_code = map_put(names->charts, mirror_key(mirror), names);
        (void)ignored_code; /* without the memory for it the name is told as somebody's */
    }
    return true;
}

static bool take_slice(struct preview_names *names, const struct mirror *mirror, enum write_kind kind,
                       const json_t *object)
{
    struct slice slice;
    struct err ignored = {0};
    char key[OBJECT_KEY_BYTES];
    enum err_code code = kind == WRITE_SLICE ? codec_slice(&names->arena, object, &slice, &ignored)
                                             : codec_endpoints(&names->arena, object, &slice, &ignored);
    if (code != ERR_OK || !world_slice_is_ours(&slice, key) || strcmp(key, mirror_key(mirror)) != 0)
        return true;
    return world_source_slice(names->control->world, WORLD_PUT, &slice) != ERR_OK;
}

static bool take_in(struct preview_names *names, const struct lookup *lookup, const json_t *object)
{
    arena_reset(&names->arena);
    return lookup->kind == WRITE_SERVICE || lookup->kind == WRITE_IMPORT
               ? take_service(names, lookup->mirror, object)
               : take_slice(names, lookup->mirror, lookup->kind, object);
}

static void on_answer(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    struct lookup *lookup = request->context;
    struct preview_names *names = lookup->names;
    struct mirror *mirror = lookup->mirror;
    struct err error = {0};
    bool taken = failure == NULL && take_in(names, lookup, object);
    if (failure != NULL && failure->error.code != ERR_NOT_FOUND)
        error = failure->error;
    if (map_put(names->found, lookup->object, taken ? &name_is_taken : &name_is_free) != ERR_OK)
        (void)err_set(&error, ERR_NOMEM, "out of memory");
    names->in_flight--;
    lookup->mirror = NULL;
    world_mark(mirror, false);
    world_release(mirror);
    names->on_looked(names->context, error.code != ERR_OK ? &error : NULL);
}

static struct lookup *idle_lookup(struct preview_names *names)
{
    for (size_t i = 0; i < LOOKUPS; i++)
        if (names->lookups[i].mirror == NULL)
            return &names->lookups[i];
    return NULL;
}

enum err_code preview_names_look(struct preview_names *names, struct mirror *mirror, const struct write *write)
{
    struct lookup *lookup = idle_lookup(names);
    struct err error = {0};
    if (lookup == NULL)
        return ERR_LIMIT;
    arena_reset(&names->arena);
    lookup->names = names;
    lookup->kind = write->kind;
    preview_object_format(lookup->object, write->kind, write->namespace, write->name);
    lookup->request =
        (struct kube_request){.verb = "get",
                              .resource = write_request_resource(write->kind),
                              .path = write_request_object_path(&names->arena, write->kind, write->version,
                                                                write->namespace, write->name),
                              .timeout_ms = LOOKUP_MS,
                              .on_done = on_answer,
                              .context = lookup};
    if (lookup->request.path == NULL)
        return ERR_NOMEM;
    TRY(kube_start(names->control->client, &lookup->request, &error));
    lookup->mirror = mirror;
    names->in_flight++;
    world_hold(mirror);
    return ERR_OK;
}

bool preview_names_are_charts(const struct preview_names *names, const struct mirror *mirror)
{
    return map_get(names->charts, mirror_key(mirror)) != NULL;
}

bool preview_names_full(const struct preview_names *names) { return names->in_flight == LOOKUPS; }

unsigned preview_names_in_flight(const struct preview_names *names) { return names->in_flight; }

/* ---- life ---- */

struct preview_names *preview_names_new(struct control *control, preview_looked_fn on_looked, void *context)
{
    struct preview_names *names = NEW(struct preview_names);
    if (names == NULL)
        return NULL;
    names->control = control;
    names->on_looked = on_looked;
    names->context = context;
    arena_init(&names->arena, OBJECT_BYTES);
    names->found = map_new(NULL);
    names->new_namespaces = map_new(NULL);
    names->charts = map_new(NULL);
    if (names->found != NULL && names->new_namespaces != NULL && names->charts != NULL)
        return names;
    preview_names_free(names);
    return NULL;
}

void preview_names_free(struct preview_names *names)
{
    if (names == NULL)
        return;
    for (size_t i = 0; i < LOOKUPS; i++)
        if (names->lookups[i].mirror != NULL) {
            kube_cancel(&names->lookups[i].request);
            world_release(names->lookups[i].mirror);
        }
    map_free(names->found);
    map_free(names->new_namespaces);
    map_free(names->charts);
    arena_done(&names->arena);
    mem_free(names);
}
