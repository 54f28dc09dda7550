/* links: agent_kube base */
/* Any bytes, cut into chunks in any way, give the same pieces and then an error or none (which of two errors is seen first may
 * differ); and a list that jansson takes as a whole comes out with as many items. The first byte chooses mode and chunk size. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>

#include "agent/kube/json_split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { LIMIT_BYTES = 4096 };

struct seen {
    uint64_t digest;
    size_t items;
};

static enum err_code on_piece(void *context, const char *text, size_t bytes, enum json_split_piece piece,
                              struct err *reterr)
{
    struct seen *seen = context;
    (void)reterr;
    for (size_t i = 0; i < bytes; i++)
        seen->digest = (seen->digest ^ (unsigned char)text[i]) * 1099511628211u;
    seen->digest = (seen->digest ^ (256 + (unsigned)piece)) * 1099511628211u;
    seen->items += piece == JSON_SPLIT_ITEM;
    return ERR_OK;
}

static enum err_code run(enum json_split_mode mode, const char *text, size_t bytes, size_t step, struct seen *seen)
{
    struct json_split split;
    enum err_code code = ERR_OK;
    json_split_init(&split, mode, LIMIT_BYTES, on_piece, seen);
    for (size_t at = 0; code == ERR_OK && at < bytes; at += step)
        code = json_split_feed(&split, text + at, bytes - at < step ? bytes - at : step, NULL);
    if (code == ERR_OK)
        code = json_split_finish(&split, NULL);
    json_split_done(&split);
    return code;
}

/* A key given twice is cut twice here, while jansson keeps the last. */
static void compare_with_parser(const char *text, size_t bytes, const struct seen *seen)
{
    json_t *whole = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
    const json_t *items = json_object_get(whole, "items");
    bool only_objects = true;
    for (size_t i = 0; i < json_array_size(items); i++)
        only_objects = only_objects && json_is_object(json_array_get(items, i));
    if (whole != NULL && json_is_array(items) && only_objects && seen->items != json_array_size(items) &&
        seen->items != 0) /* 0: the key was written with an escape */
        abort();
    json_decref(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (bytes == 0)
        return 0;
    enum json_split_mode mode = data[0] & 1 ? JSON_SPLIT_LIST : JSON_SPLIT_VALUES;
    const char *text = (const char *)data + 1;
    struct seen whole = {0}, cut = {0};
    enum err_code code = run(mode, text, bytes - 1, bytes, &whole);
    if ((run(mode, text, bytes - 1, (size_t)(data[0] >> 1) % 7 + 1, &cut) == ERR_OK) != (code == ERR_OK) ||
        cut.digest != whole.digest)
        abort();
    if (code == ERR_OK && mode == JSON_SPLIT_LIST)
        compare_with_parser(text, bytes - 1, &whole);
    return 0;
}
