/* links: agent_kube base */
/* Any bytes, cut into chunks in any way, give the same pieces and then the same error or none; and each piece is refused, or a tree that is written as
 * JSON that json_tree.h takes. The first byte chooses mode, chunk size and the kind of the objects. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/kube/proto_split.h"
#include "agent/kube/proto_tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum {
    LIMIT_BYTES = 4096,
    ARENA_BYTES = 64 << 20,
    MAX_BYTES = LIMIT_BYTES /* a chunk is no longer than a piece may be */
};

struct seen {
    const struct proto_type *type;
    uint64_t digest;
};

static void digest(struct seen *seen, const char *text, size_t bytes, unsigned end)
{
    for (size_t i = 0; i < bytes; i++)
        seen->digest = (seen->digest ^ (unsigned char)text[i]) * 1099511628211u;
    seen->digest = (seen->digest ^ (256 + end)) * 1099511628211u;
}

static void check_json(const char *text, size_t bytes)
{
    struct arena arena;
    const struct json_tree *tree = NULL;
    arena_init(&arena, ARENA_BYTES);
    if (json_tree_parse(&arena, text, bytes, &tree, NULL) != ERR_OK)
        abort();
    arena_done(&arena);
}

static void check_tree(enum err_code code, const struct json_tree *tree)
{
    struct strbuf text;
    if (code != ERR_OK) {
        if (code != ERR_PROTOCOL)
            abort();
        return;
    }
    strbuf_init(&text, ARENA_BYTES);
    json_tree_write(tree, &text);
    if (strbuf_error(&text) != ERR_OK)
        abort();
    check_json(strbuf_text(&text), text.length);
    strbuf_done(&text);
}

/* From a block of exactly this size: it need not be ended by NUL. */
static void read_piece(const char *bytes, size_t length, enum json_split_piece piece, const struct proto_type *type)
{
    struct arena arena;
    const struct json_tree *tree = NULL;
    char *block = malloc(length > 0 ? length : 1);
    if (block == NULL)
        abort();
    memcpy(block, bytes, length);
    arena_init(&arena, ARENA_BYTES);
    enum err_code code = piece == JSON_SPLIT_ITEM ? proto_tree_read(&arena, block, length, type, &tree, NULL)
                                                  : proto_tree_event(&arena, block, length, type, &tree, NULL);
    free(block);
    check_tree(code, tree);
    arena_done(&arena);
}

static enum err_code on_piece(void *context, const char *text, size_t bytes, enum json_split_piece piece,
                              struct err *reterr)
{
    struct seen *seen = context;
    (void)reterr;
    digest(seen, text, bytes, (unsigned)piece);
    if (piece == JSON_SPLIT_HEAD || piece == JSON_SPLIT_REST)
        check_json(text, bytes);
    else
        read_piece(text, bytes, piece, seen->type);
    return ERR_OK;
}

static enum err_code run(enum json_split_mode mode, const char *data, size_t bytes, size_t step, struct seen *seen)
{
    struct proto_split split;
    enum err_code code = ERR_OK;
    proto_split_init(&split, mode, LIMIT_BYTES, on_piece, seen);
    for (size_t at = 0; code == ERR_OK && at < bytes; at += step)
        code = proto_split_feed(&split, data + at, bytes - at < step ? bytes - at : step, NULL);
    if (code == ERR_OK)
        code = proto_split_finish(&split, NULL);
    proto_split_done(&split);
    return code;
}

/* What is not cut out of a stream: so that a message is not always behind a length. */
static void read_alone(const char *data, size_t bytes, const struct proto_type *type)
{
    struct arena arena;
    const struct json_tree *tree = NULL;
    read_piece(data, bytes, JSON_SPLIT_ITEM, type);
    read_piece(data, bytes, JSON_SPLIT_VALUE, type);
    arena_init(&arena, ARENA_BYTES);
    enum err_code code = proto_tree_status(&arena, data, bytes, &tree, NULL);
    check_tree(code, tree);
    arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const char *const kinds[] = {"Service", "EndpointSlice", "Endpoints", "Namespace", "ServiceCIDR"};
    if (bytes == 0 || bytes > MAX_BYTES)
        return 0;
    enum json_split_mode mode = data[0] & 1 ? JSON_SPLIT_LIST : JSON_SPLIT_VALUES;
    const char *rest = (const char *)data + 1;
    struct seen whole = {.type = proto_type_of(kinds[(data[0] >> 4) % (sizeof(kinds) / sizeof(kinds[0]))])};
    struct seen cut = {.type = whole.type};
    enum err_code code = run(mode, rest, bytes - 1, bytes, &whole);
    if (run(mode, rest, bytes - 1, (size_t)(data[0] >> 1) % 8 + 1, &cut) != code || cut.digest != whole.digest)
        abort();
    read_alone(rest, bytes - 1, whole.type);
    return 0;
}
