/* links: agent_kube */
/* Any bytes are read as jansson reads them: refused by both, or the same value; and a value of jansson's is the same after it was a tree. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/kube/json_tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { ARENA_BYTES = 64 << 20, MAX_BYTES = 64 << 10 };

static void check_same(const struct json_tree *tree, const json_t *json)
{
    json_t *back = json_tree_to_json(tree);
    if (!json_equal(back, json))
        abort();
    json_decref(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct arena arena;
    const struct json_tree *tree = NULL, *of_json = NULL;
    if (bytes > MAX_BYTES)
        return 0;
    json_t *json = json_loadb((const char *)data, bytes, 0, NULL);
    arena_init(&arena, ARENA_BYTES);
    enum err_code code = json_tree_parse(&arena, (const char *)data, bytes, &tree, NULL);
    bool has_nul = bytes > 0 && memchr(data, '\0', bytes) != NULL; /* jansson skips it */
    if (memmem(data, bytes, "\\u0000", 6) != NULL) {               /* replaced by the one, refused by the other */
        arena_done(&arena);
        json_decref(json);
        return 0;
    }
    if (has_nul ? code == ERR_OK : (code == ERR_OK) != (json != NULL))
        abort();
    if (json_tree_of(&arena, json, &of_json) != ERR_OK)
        abort();
    if (json != NULL && !has_nul) {
        check_same(tree, json);
        check_same(of_json, json);
    }
    arena_done(&arena);
    json_decref(json);
    return 0;
}
