/* links: agent_kube mirror base */
/* Any JSON decodes as each type or is refused, and what was decoded encodes to JSON that decodes again, to the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/kube/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { ARENA_BYTES = 4 << 20, BODY_BYTES = 1 << 20 };

static void check_service(struct arena *arena, const json_t *json, struct strbuf *first, struct strbuf *second)
{
    struct service service, again;
    if (codec_service(arena, json, &service, NULL) != ERR_OK)
        return;
    codec_write_service(first, &service);
    json_t *back = json_loadb(strbuf_text(first), first->length, 0, NULL);
    if (strbuf_error(first) == ERR_OK) {
        if (back == NULL || codec_service(arena, back, &again, NULL) != ERR_OK)
            abort();
        codec_write_service(second, &again);
    }
    json_decref(back);
}

static void check_slice(struct arena *arena, const json_t *json, struct strbuf *first, struct strbuf *second)
{
    struct slice slice, again;
    if (codec_slice(arena, json, &slice, NULL) != ERR_OK)
        return;
    codec_write_slice(first, &slice);
    json_t *back = json_loadb(strbuf_text(first), first->length, 0, NULL);
    if (strbuf_error(first) == ERR_OK) {
        if (back == NULL || codec_slice(arena, back, &again, NULL) != ERR_OK)
            abort();
        codec_write_slice(second, &again);
    }
    json_decref(back);
}

static void check_declarations(struct arena *arena, const json_t *json)
{
    struct link_resource resource;
    const struct link *link = NULL;
    struct link_secret secret;
    struct service_cidr cidr;
    const struct json_tree *tree = NULL;
    const char *type = NULL, *kubeconfig = NULL;
    size_t kubeconfig_bytes = 0;
    if (codec_link(arena, json, &resource, NULL) == ERR_OK)
        (void)!link_from_resource(arena, &resource, &link, NULL);
    if (codec_secret(arena, json, &secret, &type, &kubeconfig, &kubeconfig_bytes, NULL) == ERR_OK)
        (void)!link_from_secret(arena, &secret, &link, NULL);
    if (json_tree_of(arena, json, &tree) == ERR_OK)
        (void)!codec_read_service_cidr(arena, tree, &cidr, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    json_t *json = json_loadb((const char *)data, bytes, 0, NULL);
    struct arena arena;
    struct strbuf first, second;
    arena_init(&arena, ARENA_BYTES);
    strbuf_init(&first, BODY_BYTES);
    strbuf_init(&second, BODY_BYTES);
    check_service(&arena, json, &first, &second);
    if (strcmp(strbuf_text(&first), strbuf_text(&second)) != 0)
        abort();
    strbuf_clear(&first);
    strbuf_clear(&second);
    check_slice(&arena, json, &first, &second);
    if (strcmp(strbuf_text(&first), strbuf_text(&second)) != 0)
        abort();
    check_declarations(&arena, json);
    strbuf_done(&first);
    strbuf_done(&second);
    arena_done(&arena);
    json_decref(json);
    return 0;
}
