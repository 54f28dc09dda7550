#include "agent/control/write_request.h"

#include "agent/kube/codec.h"
#include "mirror/names.h"

const char *write_request_resource(enum write_kind kind)
{
    static const char *const names[] = {
        [WRITE_NAMESPACE] = "namespaces", [WRITE_SERVICE] = "services",      [WRITE_SLICE] = "endpointslices",
        [WRITE_ENDPOINTS] = "endpoints",  [WRITE_IMPORT] = "serviceimports", [WRITE_IMPORT_STATUS] = "serviceimports"};
    return names[kind];
}

static bool is_of_imports(enum write_kind kind) { return kind == WRITE_IMPORT || kind == WRITE_IMPORT_STATUS; }

static const char *collection_path(struct arena *arena, enum write_kind kind, const char *version,
                                   const char *namespace)
{
    const char *resource = write_request_resource(kind);
    if (kind == WRITE_NAMESPACE)
        return "/api/v1/namespaces";
    if (is_of_imports(kind))
        return arena_printf(arena, "/apis/" MCS_GROUP "/%s/namespaces/%s/%s", version, namespace, resource);
    return arena_printf(arena, "%s/namespaces/%s/%s", kind == WRITE_SLICE ? "/apis/discovery.k8s.io/v1" : "/api/v1",
                        namespace, resource);
}

const char *write_request_object_path(struct arena *arena, enum write_kind kind, const char *version,
                                      const char *namespace, const char *name)
{
    const char *collection = collection_path(arena, kind, version, namespace);
    return collection != NULL
               ? arena_printf(arena, "%s/%s%s", collection, name, kind == WRITE_IMPORT_STATUS ? "/status" : "")
               : NULL;
}

static void build_create(struct arena *arena, const struct write *write, struct write_request *request,
                         struct strbuf *body)
{
    const char *collection = collection_path(arena, write->kind, write->version, write->namespace);
    if (collection != NULL)
        request->path = arena_printf(arena, "%s?fieldManager=" OBJECT_FIELD_MANAGER, collection);
    request->verb = "create";
    if (write->kind == WRITE_NAMESPACE)
        codec_write_namespace(body, write->namespace_object);
    else if (write->kind == WRITE_SERVICE)
        codec_write_service(body, write->service);
    else if (write->kind == WRITE_IMPORT)
        codec_write_import(body, write->version, write->service);
    else if (write->kind == WRITE_SLICE)
        codec_write_slice(body, write->slice);
    else
        codec_write_endpoints(body, write->slice);
}

static void encode_patch(const struct write *write, struct strbuf *body)
{
    if (write->kind == WRITE_SERVICE)
        codec_write_service_patch(body, write->old_service, write->service);
    else if (write->kind == WRITE_IMPORT)
        codec_write_import_patch(body, write->old_service, write->service);
    else
        codec_write_import_status(body, write->old_service, write->service);
}

/* A Service has fields that others own (clusterIP, ipFamilies, ...), and a ServiceImport may: they are patched. A slice is all ours: it is put whole,
 * which costs the server less. */
static void build_update(struct arena *arena, const struct write *write, struct write_request *request,
                         struct strbuf *body)
{
    const char *path = write_request_object_path(arena, write->kind, write->version, write->namespace, write->name);
    if (path != NULL)
        request->path = arena_printf(arena, "%s?fieldManager=" OBJECT_FIELD_MANAGER, path);
    if (write->kind == WRITE_SERVICE || is_of_imports(write->kind)) {
        request->verb = "patch";
        request->content_type = "application/merge-patch+json";
        encode_patch(write, body);
    } else {
        request->verb = "update";
        if (write->kind == WRITE_SLICE)
            codec_write_slice(body, write->slice);
        else
            codec_write_endpoints(body, write->slice);
    }
}

static void build_delete(struct arena *arena, const struct write *write, struct write_request *request,
                         struct strbuf *body)
{
    bool of_service = write->kind == WRITE_SERVICE || write->kind == WRITE_IMPORT;
    const struct object_meta *meta = of_service ? &write->old_service->meta : &write->old_slice->meta;
    request->path = write_request_object_path(arena, write->kind, write->version, write->namespace, write->name);
    request->verb = "delete";
    codec_write_delete_options(body, meta->uid, meta->resource_version);
}

void write_request_build(struct arena *arena, const struct write *write, struct write_request *ret_request,
                         struct strbuf *body)
{
    *ret_request = (struct write_request){.resource = write_request_resource(write->kind)};
    switch (write->verb) {
    case WRITE_CREATE:
        build_create(arena, write, ret_request, body);
        break;
    case WRITE_UPDATE:
        build_update(arena, write, ret_request, body);
        break;
    case WRITE_DELETE:
        build_delete(arena, write, ret_request, body);
        break;
    }
}
