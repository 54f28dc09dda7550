#include "agent/control/write_manifest.h"

#include <string.h>

#include "agent/control/preview_apply.h"
#include "agent/kube/codec.h"
#include "base/mem.h"

enum { MANIFEST_BYTES = 4 << 20 };

/* A manifest names no uid and no version: it is for whatever object has the name when it is applied. */
static void strip_meta(struct object_meta *meta)
{
    meta->uid = meta->resource_version = "";
    if (preview_is_stand_in(meta->owner_uid))
        meta->owner_uid = "";
}

static void encode_service(const struct write *write, struct strbuf *text)
{
    struct service service = write->verb == WRITE_CREATE ? *write->service : preview_updated_service(write);
    strip_meta(&service.meta);
    codec_write_service(text, &service);
}

/* An address that the API server gives once the mirror is there cannot be applied before. */
static void encode_import(const struct write *write, struct strbuf *text)
{
    struct service import = *write->service;
    strip_meta(&import.meta);
    if (strcmp(import.cluster_ip, PREVIEW_CLUSTER_IP) == 0)
        import.cluster_ip = "";
    codec_write_import(text, write->version, &import);
}

/* An endpoint whose address is given by the API server once another Service is there cannot be applied before. */
static enum err_code encode_slice(const struct write *write, struct strbuf *text)
{
    struct slice slice = *write->slice;
    struct slice_endpoint *known = mem_zalloc((slice.endpoint_count + 1) * sizeof(*known));
    uint32_t count = 0;
    if (known == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < slice.endpoint_count; i++)
        if (strcmp(slice.endpoints[i].address, PREVIEW_CLUSTER_IP) != 0)
            known[count++] = slice.endpoints[i];
    slice.endpoints = known;
    slice.endpoint_count = count;
    strip_meta(&slice.meta);
    if (write->kind == WRITE_SLICE)
        codec_write_slice(text, &slice);
    else
        codec_write_endpoints(text, &slice);
    mem_free(known);
    return ERR_OK;
}

static enum err_code encode(const struct write *write, struct strbuf *text)
{
    if (write->kind == WRITE_SLICE || write->kind == WRITE_ENDPOINTS)
        return encode_slice(write, text);
    if (write->kind == WRITE_SERVICE)
        encode_service(write, text);
    else if (write->kind == WRITE_IMPORT)
        encode_import(write, text);
    else
        codec_write_namespace(text, write->namespace_object);
    return ERR_OK;
}

enum err_code write_manifest(const struct write *write, json_t **ret_object)
{
    struct strbuf text;
    *ret_object = NULL;
    if (write->verb == WRITE_DELETE || write->kind == WRITE_IMPORT_STATUS)
        return ERR_OK;
    strbuf_init(&text, MANIFEST_BYTES);
    enum err_code code = encode(write, &text);
    if (code == ERR_OK && strbuf_error(&text) == ERR_OK)
        *ret_object = json_loadb(strbuf_text(&text), text.length, 0, NULL);
    strbuf_done(&text);
    return *ret_object != NULL ? ERR_OK : ERR_NOMEM;
}
