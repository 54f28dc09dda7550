/* Decoding of jansson's values: as the tree that they are. */
#include "agent/kube/codec.h"

static enum err_code tree_of(struct arena *arena, const json_t *json, const struct json_tree **ret_tree,
                             struct err *reterr)
{
    enum err_code code = json_tree_of(arena, json, ret_tree);
    return code == ERR_OK ? ERR_OK : err_set(reterr, code, "out of memory");
}

enum err_code codec_service(struct arena *arena, const json_t *json, struct service *ret_service, struct err *reterr)
{
    const struct json_tree *tree = NULL;
    TRY(tree_of(arena, json, &tree, reterr));
    return codec_read_service(arena, tree, ret_service, reterr);
}

enum err_code codec_import(struct arena *arena, const json_t *json, struct service *ret_import, struct err *reterr)
{
    const struct json_tree *tree = NULL;
    TRY(tree_of(arena, json, &tree, reterr));
    return codec_read_import(arena, tree, ret_import, reterr);
}

enum err_code codec_slice(struct arena *arena, const json_t *json, struct slice *ret_slice, struct err *reterr)
{
    const struct json_tree *tree = NULL;
    TRY(tree_of(arena, json, &tree, reterr));
    return codec_read_slice(arena, tree, ret_slice, reterr);
}

enum err_code codec_endpoints(struct arena *arena, const json_t *json, struct slice *ret_endpoints, struct err *reterr)
{
    const struct json_tree *tree = NULL;
    TRY(tree_of(arena, json, &tree, reterr));
    return codec_read_endpoints(arena, tree, ret_endpoints, reterr);
}

enum err_code codec_link(struct arena *arena, const json_t *json, struct link_resource *ret_link, struct err *reterr)
{
    const struct json_tree *tree = NULL;
    TRY(tree_of(arena, json, &tree, reterr));
    return codec_read_link(arena, tree, ret_link, reterr);
}

enum err_code codec_secret(struct arena *arena, const json_t *json, struct link_secret *ret_secret,
                           const char **ret_type, const char **ret_kubeconfig, size_t *ret_kubeconfig_bytes,
                           struct err *reterr)
{
    const struct json_tree *tree = NULL;
    TRY(tree_of(arena, json, &tree, reterr));
    return codec_read_secret(arena, tree, ret_secret, ret_type, ret_kubeconfig, ret_kubeconfig_bytes, reterr);
}
